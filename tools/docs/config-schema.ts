import { z } from 'zod';
import { configSchema } from '../../src/config/schema.ts';

const nodeSchema = z.looseObject({ properties: z.record(z.string(), z.unknown()) });

/** fixgate.schema.json, for editors: what a configuration file may hold, from `src/config/schema.ts`. */
export function configJsonSchema(): string {
  const { $schema, ...schema } = z.toJSONSchema(configSchema, {
    io: 'input',
    unrepresentable: 'any',
    override({ jsonSchema }) {
      // Of this machine; the text says what it is.
      if ('defaultText' in jsonSchema && typeof jsonSchema.default !== 'object') delete jsonSchema.default;
      Reflect.deleteProperty(jsonSchema, 'defaultText');
      // Limits of whole numbers in JavaScript say nothing about the option.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    },
  });
  const { properties, ...rest } = nodeSchema.parse(schema);
  const withReference = {
    $schema: { type: 'string', description: 'where this schema is, for editors; the server does not read it' },
    ...properties,
  };
  return `${JSON.stringify({ $schema, title: 'Configuration of Fixgate', ...rest, properties: withReference }, undefined, 2)}\n`;
}
