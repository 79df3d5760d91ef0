import { lookMs } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { entries } from '../../state/pages.ts';
import type { ProfileStore } from '../../state/profile.ts';
import type { StateStore } from '../../state/store.ts';
import { DEVICES } from './device.ts';

/**
 * Takes devices out of an open registry that came once and never again; in the supervisor.
 *
 * 1. Forgotten is a record that a contact has made (`provisional`), whose device has not come back, that no person or program has
 *    changed, on the plan `default`, without an open command or a hold, and not connected; with it the profile. What it sent, and sums of its
 *    usage, stay. It waits for the statements of those sums.
 * 2. A record is removed on the condition that it is still as it was read, and that there is no hold or new command: a device that comes back
 *    meanwhile stays.
 */
const SWEEP_MS = 3_600_000;
/** After the start: devices come back first. */
const FIRST_MS = 600_000;
const PAGE = 500;

export interface ForgetterOptions {
  readonly store: StateStore & ProfileStore;
  /** Age of what is forgotten, ms; 0: nothing is. */
  readonly afterMs: number;
  readonly isConnected: (device: string) => boolean;
  /** Is a statement still to be made of what it used? */
  readonly isCounted: (device: string) => Promise<boolean>;
  /** Journals an event of a device. */
  readonly record: (device: string, event: object) => void;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  readonly log: Log;
}

export class Forgetter {
  readonly #o: ForgetterOptions;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(options: ForgetterOptions) {
    this.#o = options;
  }

  start(): void {
    if (this.#o.afterMs > 0) this.#next(lookMs(Math.min(FIRST_MS, this.#o.afterMs)));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#work;
  }

  /** Returns how many devices were forgotten. */
  async sweep(): Promise<number> {
    const { store, afterMs, now } = this.#o;
    const before = now() - afterMs;
    let forgotten = 0;
    for await (const [key, value] of entries(store, 'devices', { size: PAGE })) {
      if (this.#stopped) break;
      const device = DEVICES.read(value);
      const first = device?.first_seen;
      if (device?.provisional !== true || first === undefined || first >= before || device.plan !== 'default') continue;
      if (device.account === undefined && (await this.#forget(key, value))) forgotten++;
    }
    return forgotten;
  }

  async #forget(id: string, text: string): Promise<boolean> {
    const { store, isConnected, isCounted, record } = this.#o;
    if (isConnected(id)) return false;
    // Under a hold, which a record that has sent nothing may be, too.
    if ((await store.get('holds', id)) !== undefined) return false;
    const submitted = await store.get('submitted', id);
    for (const table of ['commands', 'unknown'] as const)
      if ((await store.list(table, { prefix: `${id} `, limit: 1 })).length > 0) return false;
    if (await isCounted(id)) return false;
    const removed = await store.write(
      [
        { table: 'devices', key: id, expect: text },
        { table: 'holds', key: id, expect: undefined },
        { table: 'submitted', key: id, expect: submitted },
        { table: 'devices', key: id, remove: true },
        { table: 'standing', key: id, remove: true },
      ],
      'visible',
    );
    if (!removed) return false;
    await store.forget(id);
    record(id, { type: 'device_removed', by: 'registry.forgetAfter' });
    return true;
  }

  #next(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#work = this.sweep()
        .catch((error: unknown) =>
          this.#o.log.warn({ error: messageOf(error) }, 'devices that came once cannot be searched; retried within an hour'),
        )
        .finally(() => {
          if (!this.#stopped) this.#next(lookMs(SWEEP_MS));
        });
    }, ms);
    this.#timer.unref();
  }
}
