import { z } from 'zod';
import { TEST_CLOCK_VARIABLE } from '../../src/base/clock.ts';
import { CLIENT_VARIABLES, CONFIG_FILE_VARIABLE, configSchema, ENVIRONMENT } from '../../src/config/schema.ts';
import { NOTICE, table } from './table.ts';

/** The part of a JSON schema that the page shows. */
const nodeSchema = z.looseObject({
  type: z.string().optional(),
  description: z.string().optional(),
  default: z.unknown().optional(),
  /** In place of a default that depends on the machine. */
  defaultText: z.string().optional(),
  enum: z.array(z.unknown()).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  items: z.unknown().optional(),
});
type Node = z.infer<typeof nodeSchema>;

interface Option {
  readonly path: string;
  readonly node: Node;
}

/** Every option with its path: leaves of the schema, the members of a list's items as `listeners[].port`. */
export function options(): Option[] {
  const schema = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' });
  return leaves('', nodeSchema.parse(schema));
}

function leaves(path: string, node: Node): Option[] {
  if (node.properties === undefined) {
    const items = nodeSchema.safeParse(node.items);
    const inner = items.success && items.data.properties !== undefined ? leaves(`${path}[]`, items.data) : [];
    return [{ path, node }, ...inner];
  }
  return Object.entries(node.properties).flatMap(([key, value]) => leaves(path === '' ? key : `${path}.${key}`, nodeSchema.parse(value)));
}

/** docs/configuration.md, from `src/config/schema.ts`. */
export function optionsPage(): string {
  const rows = options().map(({ path, node }) => [`\`${path}\``, typeOf(node), defaultOf(node), node.description ?? '']);
  const variables = [
    ...ENVIRONMENT.map(([name, path]) => [`\`${name}\``, `\`${path}\``]),
    [`\`${CONFIG_FILE_VARIABLE}\``, 'the configuration file, like `--config`'],
    ...CLIENT_VARIABLES.map((name) => [`\`${name}\``, 'no option: where commands like `fixgate send` find the server, and their token']),
    [`\`${TEST_CLOCK_VARIABLE}\``, 'no option: moves the wall clock, for tests (`testing.md`)'],
  ];
  return `${NOTICE}

# Configuration

A YAML or JSON file (\`--config\` or \`${CONFIG_FILE_VARIABLE}\`) and environment variables; variables win. Every option has a default. Unknown keys are
refused with the nearest known one, and all problems are reported together. \`fixgate check-config\` prints the effective values and where each comes
from; \`--online\` also checks the stores. The table is \`src/config/schema.ts\`.

\`fixgate.schema.json\` (in the package, too) is the same as a JSON Schema, for editors: a first line \`# yaml-language-server: $schema=<path or URL>\`,
as in \`deploy/fixgate.example.yaml\`, or a key \`$schema\`, which the server does not read.

Times are in ms and sizes in bytes where the name does not say otherwise.

## Options

${table(['option', 'type', 'default', 'meaning'], rows)}
## Variables

${table(['variable', 'sets'], variables)}
\`FIXGATE_LISTEN\` is \`codec[/tcp|/udp][@host]:port\`, several separated by commas; without a transport both are opened:
\`teltonika:5027,gt06/tcp:5023,auto/udp@127.0.0.1:5000\`.

Options of codecs (\`codecs.options.<codec>\`) and of single devices (\`devices.<id>\`) are listed by \`fixgate codecs <codec>\`. Those of a device
can be changed while the server runs: \`fixgate devices set <id> options.<name>=<value>\` (\`registry.md\`).
`;
}

function typeOf({ type = '', enum: values, minimum, maximum, items }: Node): string {
  if (values !== undefined) return values.map((value) => `\`${String(value)}\``).join(', ');
  const inner = nodeSchema.safeParse(items);
  if (type === 'array') return `list of ${inner.success && inner.data.type === 'object' ? 'objects' : 'texts'}`;
  if (type !== 'integer' && type !== 'number') return type === 'string' ? 'text' : type;
  const least = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? `${minimum}` : '';
  const most = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? `${maximum}` : '';
  return least === '' && most === '' ? type : `${type} ${least}…${most}`;
}

function defaultOf({ default: value, defaultText }: Node): string {
  if (defaultText !== undefined) return defaultText;
  if (value === undefined) return '';
  if (value === '') return 'empty';
  return `\`${JSON.stringify(value).replaceAll('"', '')}\``;
}
