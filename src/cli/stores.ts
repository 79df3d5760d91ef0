import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { AppError } from '../base/errors.ts';
import { processLog } from '../base/log-pino.ts';
import type { Secret } from '../base/secret.ts';
import type { Config } from '../config/schema.ts';
import { readAddress, readSecret } from '../embedded/secret.ts';
import { embeddedAccess } from '../embedded/socket.ts';
import type { ClickHouseAccess } from '../out/sink/clickhouse/sink.ts';
import { openState, type State } from '../state/open.ts';

/** The stores of a configuration, for commands that work beside a running server. */

/** Where the embedded ClickHouse of a data directory keeps its files. */
export function embeddedDirectory(config: Config): string {
  return join(config.dataDir, 'clickhouse');
}

/** As `ClickHouseAccess`, with everything named. */
export interface Access extends ClickHouseAccess {
  readonly username: string;
  readonly password: Secret;
  readonly database: string;
}

/** The configured ClickHouse, or the embedded one of the data directory. Throws DATA_DIR_UNUSABLE when there is none. */
export async function clickHouseAccess(config: Config): Promise<Access> {
  const { url, user: username, password, database, port } = config.clickhouse;
  if (url !== undefined) return { url, username, password, database };
  const directory = embeddedDirectory(config);
  const secret = await readSecret(directory);
  const address = (await readAddress(directory))?.url ?? (port === 0 ? undefined : `http://127.0.0.1:${port}`);
  if (secret === undefined || address === undefined)
    throw new AppError(
      'DATA_DIR_UNUSABLE',
      `no embedded ClickHouse runs in ${directory}: start the server (fixgate serve), or set FIXGATE_DATA_DIR to its data directory`,
    );
  return { ...embeddedAccess(directory, address, secret), database };
}

/** Throws DATA_DIR_UNUSABLE where no server has ever run: a store that is made here would be another one than the server's. */
export async function stateStore({ dataDir, redis, state }: Config): Promise<State> {
  if (state.url === undefined && !existsSync(join(dataDir, 'state', 'data.mdb')))
    throw new AppError(
      'DATA_DIR_UNUSABLE',
      `no server data in ${resolve(dataDir)}: start the server first, or name its data directory with FIXGATE_DATA_DIR or --config <file>`,
    );
  return openState({ url: state.url, prefix: `${redis.prefix}:`, directory: join(dataDir, 'state'), log: processLog('error', 'cli') });
}
