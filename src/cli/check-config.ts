import { parseArgs } from 'node:util';
import { checkRedis } from '../config/check-redis.ts';
import { explainConfig } from '../config/explain.ts';
import { CONFIG_FILE_VARIABLE, ENVIRONMENT } from '../config/schema.ts';
import { checkedConfig } from './configuration.ts';
import { EXIT } from './exit-code.ts';
import { io } from './io.ts';

export const CHECK_CONFIG_HELP = `fixgate check-config [--config file] [--online] [--json]

Checks the configuration as fixgate serve would read it and prints every option with its value and where that came
from; secrets are masked. All problems are named at once, with exit code 78.

  --config <file>   YAML or JSON (default: ${CONFIG_FILE_VARIABLE})
  --online          also checks that the configured Redis does not evict keys
  --json            [{"key","value","origin"}]

Variables, which win over the file
${ENVIRONMENT.map(([name, path]) => `  ${name.padEnd(28)} ${path}`).join('\n')}

  FIXGATE_LISTEN is a list of codec[/tcp|/udp][@host]:port, for example teltonika:5027,gt06/tcp:5023,auto/udp@127.0.0.1:5000
`;

export async function checkConfig(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { config: { type: 'string' }, online: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
  });
  const loaded = await checkedConfig({ file: values.config, env: io().env });
  if (values.online) await checkRedis(loaded.config);
  const options = explainConfig(loaded);
  if (values.json) {
    io().out.write(`${JSON.stringify(options)}\n`);
    return EXIT.Ok;
  }
  const rows = options.map(
    ({ key, value, origin }) => [key, typeof value === 'object' ? JSON.stringify(value) : String(value), origin] as const,
  );
  const nameWidth = Math.max(...rows.map(([name]) => name.length));
  const valueWidth = Math.min(60, Math.max(...rows.map(([, shown]) => shown.length)));
  for (const [name, shown, origin] of rows) io().out.write(`${name.padEnd(nameWidth)}  ${shown.padEnd(valueWidth)}  ${origin}\n`);
  return EXIT.Ok;
}
