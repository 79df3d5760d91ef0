import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { endAtOnce } from '../base/lock/end.ts';
import { Tenure } from '../base/lock/tenure.ts';
import type { Log } from '../base/log.ts';
import { tell } from '../cluster/child-process.ts';
import type { Config } from '../config/schema.ts';
import type { StateOptions } from '../state/open.ts';

/** What the roles have in common from their start to their end. */

/** How long a predecessor's process may take to end before this one gives up. */
export const PREDECESSOR_WAIT_MS = 5000;
export const NO_DESCRIPTORS = 'no file descriptor is left; raise the limit (ulimit -n, LimitNOFILE)';

/** The state store that the configuration names, shared by all processes. */
export function stateOptions(config: Config, log: Log, damage: string, onTrouble: () => void): StateOptions {
  return { url: config.state.url, prefix: `${config.redis.prefix}:`, directory: join(config.dataDir, 'state'), log, damage, onTrouble };
}

/** The state store could not be read or written. */
export function suspectState(): void {
  tell({ type: 'state_suspect' });
}

/** Resolves when the data directory is surely this server's. Another server's taking it ends this process. */
export async function tenureOf(config: Config, random: string, log: Log): Promise<Tenure> {
  const tenure = new Tenure({
    directory: config.dataDir,
    random,
    lost(owner) {
      const { host, pid, since } = owner;
      log.error({ host, pid, since }, 'another server has taken the data directory; this process ends');
      endAtOnce();
    },
  });
  await tenure.confirm();
  return tenure;
}

/** How late the event loop is. */
export function eventLoopLag(): ReturnType<typeof monitorEventLoopDelay> {
  const lag = monitorEventLoopDelay({ resolution: 10 });
  lag.enable();
  return lag;
}
