import type { Log } from '../base/log.ts';
import { modulePath } from '../cluster/child-process.ts';
import { Supervisor } from '../cluster/supervisor.ts';
import type { Config } from '../config/schema.ts';
import { checkClickHouse } from '../out/sink/clickhouse/sink.ts';
import { type Office, openOffice } from './office.ts';

/** The supervisor with the programs of its children and the office of this server. */
export function createSupervisor(config: Config, log: Log): Supervisor<Office> {
  return new Supervisor(config, log, {
    openOffice,
    worker: modulePath('./worker-process', import.meta.url),
    shipper: modulePath('./shipper-process', import.meta.url),
  });
}

/**
 * Throws when a configured store answers and cannot be used: too old, or the user is refused. One that does not answer
 * is no reason not to start: the journal holds what it misses.
 */
export async function checkStores(config: Config): Promise<void> {
  const { url, user: username, password, database } = config.clickhouse;
  const unusable = url === undefined ? null : await checkClickHouse({ url, username, password, database });
  if (unusable !== null) throw unusable;
}
