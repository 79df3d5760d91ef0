import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
import { AppError } from '../errors.ts';
import { processLog } from '../log-pino.ts';
import { openState } from '../state/open.ts';
import type { StateStore } from '../state/store.ts';

/** The stores of a configuration, for commands that work beside a running server. */

/** Throws CONFIG_INVALID when nobody can know where the embedded ClickHouse listens. */
export function clickHouseOptions({ clickhouse }: Config): { url: string; username: string; password: string; database: string } {
  const { url, user: username, password, database, port } = clickhouse;
  if (url === '' && port === 0)
    throw new AppError(
      'CONFIG_INVALID',
      'clickhouse.port is 0: set FIXGATE_CLICKHOUSE_URL to the address in the log of the running server',
    );
  return { url: url === '' ? `http://127.0.0.1:${port}` : url, username, password, database };
}

export function stateStore({ dataDir, redis, state }: Config): Promise<StateStore> {
  return openState({ url: state.url, prefix: `${redis.prefix}:`, directory: join(dataDir, 'state'), log: processLog('error', 'cli') });
}
