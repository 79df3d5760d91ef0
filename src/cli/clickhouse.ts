import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { type Loaded, loadConfig } from '../config/load.ts';
import { secretPath } from '../embedded/secret.ts';
import { EXIT } from './exit-code.ts';
import { io } from './io.ts';
import { clickHouseAccess, embeddedDirectory } from './stores.ts';

export const CLICKHOUSE_HELP = `fixgate clickhouse url [--config file] [--json]

Shows how another program (Grafana, a driver, curl) reaches the ClickHouse of the configuration: URL, user, database,
and where the password is. It does not print the password.

  --config <file>   YAML or JSON (default: FIXGATE_CONFIG)
  --json            {"url","user","database","password":"where it is"}

The secret of the embedded ClickHouse allows reading and writing the files of the server's user. Send it in a header
(X-ClickHouse-Key, or basic authorization), never in the URL. For queries by hand there is fixgate sql.
`;

export async function clickhouse(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { config: { type: 'string' }, json: { type: 'boolean', default: false } },
  });
  if (positionals.length !== 1 || positionals[0] !== 'url') throw new AppError('USAGE', 'usage: fixgate clickhouse url');
  const loaded = loadConfig({ file: values.config, env: io().env });
  const { url, username, database } = await clickHouseAccess(loaded.config);
  const shown = { url: String(url), user: username, database, password: whereOf(loaded) };
  if (values.json) io().out.write(`${JSON.stringify(shown)}\n`);
  else for (const [name, value] of Object.entries(shown)) io().out.write(`${name.padEnd(8)}  ${value}\n`);
  return EXIT.Ok;
}

function whereOf({ config, origins }: Loaded): string {
  const { url, password } = config.clickhouse;
  if (url === undefined) return `in the file ${resolve(secretPath(embeddedDirectory(config)))}`;
  if (!password.isEmpty) return `clickhouse.password, from ${origins.get('clickhouse.password') ?? 'the configuration'}`;
  return url.hasPassword ? `in clickhouse.url, from ${origins.get('clickhouse.url') ?? 'the configuration'}` : 'none';
}
