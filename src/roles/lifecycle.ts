import { join } from 'node:path';
import { type Clock, systemClock } from '../base/clock.ts';
import { endAtOnce } from '../base/lock/end.ts';
import { Tenure } from '../base/lock/tenure.ts';
import type { Log } from '../base/log.ts';
import { tell } from '../cluster/child-process.ts';
import type { Config } from '../config/schema.ts';
import type { StateOptions } from '../state/open.ts';

/** What the roles have in common from their start to their end. */

/** How long a predecessor's process may take to end before this one gives up. */
export const PREDECESSOR_WAIT_MS = 5000;
/** How often it is looked how late the event loop is, and how often at rest: each look wakes a process that has nothing to do. */
const LAG_MS = 50;
const REST_MS = 500;
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

/**
 * How late the event loop is at its worst. It is looked at each LAG_MS; where it was busy for less than a tenth of the time since the last
 * look, each REST_MS, in which it then had no delay of LAG_MS either.
 */
export class LoopLag {
  readonly #clock: Clock;
  readonly #busy: () => number;
  #timer: NodeJS.Timeout | undefined;
  /** When the next look is due. */
  #due = 0;
  #worst = 0;

  /** `busy`: the share of the time in which the loop was, since it was asked last. */
  constructor(clock: Clock = systemClock, busy: () => number = loopShare()) {
    this.#clock = clock;
    this.#busy = busy;
    this.#next();
  }

  /** Seconds, since it was asked last. Of a delay shorter than the time between two looks, not all is seen. */
  take(): number {
    this.#look();
    const worst = this.#worst;
    this.#worst = 0;
    return worst / 1000;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #next(): void {
    const waitMs = this.#busy() < LAG_MS / REST_MS ? REST_MS : LAG_MS;
    this.#due = this.#clock.elapsed() + waitMs;
    this.#timer = setTimeout(() => {
      this.#look();
      this.#next();
    }, waitMs).unref();
  }

  /** A look that is late says so once. */
  #look(): void {
    const now = this.#clock.elapsed();
    this.#worst = Math.max(this.#worst, now - this.#due);
    this.#due = Math.max(this.#due, now);
  }
}

function loopShare(): () => number {
  let before = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  };
}
