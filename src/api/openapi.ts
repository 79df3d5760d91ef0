import { z } from 'zod';
import type { AnswerRule, Route } from './route.ts';

/** OpenAPI 3.1 of the operations, from the schemas that check the requests. */
const PROBLEM = z
  .object({
    type: z.string(),
    status: z.int(),
    title: z.string(),
    problems: z.array(z.object({ field: z.string(), problem: z.string() })).optional(),
  })
  .describe('the problem and its remedy (RFC 9457)');

/** Of every operation, besides its own. */
const COMMON: Readonly<Record<number, AnswerRule>> = {
  400: { about: 'invalid request' },
  401: { about: 'bearer token required' },
  403: { about: 'the token lacks the scope' },
  408: { about: 'request body timed out' },
  421: { about: 'unknown Host: see http.publicUrl' },
  429: { about: 'too many invalid tokens from this address' },
  503: { about: 'the server is starting or stopping, or the state store does not answer' },
};

export function openApi(routes: readonly Route[], publicUrl: string): object {
  const paths: Record<string, Record<string, object>> = {};
  const named: Record<string, object> = {};
  for (const route of routes) {
    const operations = paths[route.path] ?? {};
    operations[route.method.toLowerCase()] = operation(route, named);
    paths[route.path] = operations;
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Fixgate', version: '1', description: 'GPS tracker server. Times are epoch ms. Tokens: `fixgate token create`.' },
    ...(publicUrl === '' ? {} : { servers: [{ url: publicUrl }] }),
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: { problem: jsonSchema(PROBLEM, 'output'), ...named },
    },
  };
}

/** `named`: gets the schemas that have a name. */
function operation({ method, path, scope, about, params, query, body, streams, answers }: Route, named: Record<string, object>): object {
  const content =
    streams.length > 0
      ? Object.fromEntries(streams.map((media) => [media, { schema: { type: 'string' } }]))
      : { 'application/json': { schema: body === undefined ? {} : jsonSchema(body, 'input') } };
  return {
    operationId: `${method.toLowerCase()}${path
      .replace(/^\/v1/, '')
      .replace(/[{}]/g, '')
      .replace(/[/_-](\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary: about,
    tags: [path.split('/')[2] ?? ''],
    description: scope === 'any' ? 'Any token.' : scope === 'none' ? 'Without a token.' : `Scope \`${scope}\`.`,
    security: scope === 'none' ? [] : [{ token: [] }],
    parameters: [...parameters(params, 'path'), ...parameters(query, 'query')],
    ...(body === undefined ? {} : { requestBody: { required: true, content } }),
    responses: Object.fromEntries(
      Object.entries({ ...COMMON, ...answers }).map(([status, answer]) => [status, response(Number(status), answer, named)]),
    ),
  };
}

function response(
  status: number,
  { about, schema, example, media = ['application/json'] }: AnswerRule,
  named: Record<string, object>,
): object {
  if (status >= 400)
    return { description: about, content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/problem' } } } };
  if (schema === undefined) return { description: about };
  const { id } = schema.meta() ?? {};
  let found = jsonSchema(schema, 'output');
  if (id !== undefined) {
    named[id] = found;
    found = { $ref: `#/components/schemas/${id}` };
  }
  const body = { schema: found, ...(example === undefined ? {} : { example }) };
  return { description: about, content: Object.fromEntries(media.map((one) => [one, body])) };
}

function parameters(schema: z.ZodType, where: 'path' | 'query'): object[] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return Object.entries(properties).map(([name, rule]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    schema: rule,
  }));
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema, id, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}
