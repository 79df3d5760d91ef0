import { systemClock } from '../../base/clock.ts';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { unheld } from '../registry/hold.ts';
import { othersRunning, RETAINED } from './retained.ts';

/**
 * What one run has claimed of devices in `retained`: only under a claim are rows of a device removed, or replaced, that a hold would keep.
 *
 * 1. It is written on the condition that there is no hold, and a hold is written on the condition that there is no claim (`hold.ts`).
 * 2. Each run has its own, beside those of others. That of a run that was killed or failed runs out.
 * 3. What is asked of ClickHouse under it does nothing any more from `until` on, which is before it runs out.
 */
export interface ClaimsOptions {
  readonly store: StateStore;
  /** Who claims; no other does under this name. */
  readonly by: string;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  /** The id of the device that this one, under which rows are stored, is an alias of; undefined: of none. */
  readonly main: (id: string) => string | undefined | Promise<string | undefined>;
}

export interface Claimed {
  readonly free: string[];
  /** Under a hold: not claimed. */
  readonly held: string[];
  /** Monotonic ms. Invariant 3. */
  readonly until: number;
}

/** How long rows of one table may go; what is begun by then has the rest of the claim to end. */
const REMOVE_MS = 600_000;
const LEASE_MS = 900_000;
/** Devices of one write. */
const CHUNK = 500;

export class Claims {
  readonly #o: ClaimsOptions;

  constructor(options: ClaimsOptions) {
    this.#o = options;
  }

  /** Claims these devices, or renews that. `usage`: usage rows from before this, epoch ms, go, which is noted. */
  async take(ids: readonly string[], usage?: ReadonlyMap<string, number>): Promise<Claimed> {
    const until = systemClock.elapsed() + REMOVE_MS;
    const [free, held]: [string[], string[]] = [[], []];
    for (const chunk of chunks(ids)) {
      const taken = await this.#take(chunk, usage);
      free.push(...taken.free);
      held.push(...taken.held);
    }
    return { free, held, until };
  }

  #take(ids: readonly string[], usage: ReadonlyMap<string, number> | undefined): Promise<Pick<Claimed, 'free' | 'held'>> {
    const { store, by, now } = this.#o;
    return attempt('what keeps or removes rows of devices', async () => {
      const [free, held]: [string[], string[]] = [[], []];
      const ops: Op[] = [];
      for (const id of ids) {
        const { isHeld, same } = await this.#hold(id);
        if (isHeld) {
          held.push(id);
          continue;
        }
        free.push(id);
        const text = await store.get('retained', id);
        const known = RETAINED.parse(id, text);
        const running = [...othersRunning(known, by, now()), { by, until: now() + LEASE_MS }];
        const row = { usage: Math.max(known?.usage ?? 0, usage?.get(id) ?? 0), running };
        ops.push(...same, RETAINED.expect(text, id), RETAINED.put(row, id));
      }
      return ops.length === 0 || (await store.write(ops)) ? { free, held } : CONTENDED;
    });
  }

  /**
   * Ends the claims, and makes `last` of each device in the same write, but for those that a hold was set on because the claim had run out:
   * they are returned.
   */
  async end(ids: readonly string[], last: (id: string) => readonly Op[] = () => []): Promise<string[]> {
    const held: string[] = [];
    for (const chunk of chunks(ids)) held.push(...(await this.#end(chunk, last)));
    return held;
  }

  #end(ids: readonly string[], last: (id: string) => readonly Op[]): Promise<string[]> {
    const { store, by, now } = this.#o;
    return attempt('what keeps or removes rows of devices', async () => {
      const held: string[] = [];
      const ops: Op[] = [];
      for (const id of ids) {
        const wanted = last(id);
        if (wanted.length > 0) {
          const { isHeld, same } = await this.#hold(id);
          if (isHeld) held.push(id);
          else ops.push(...same, ...wanted);
        }
        const text = await store.get('retained', id);
        const known = RETAINED.parse(id, text);
        const usage = known?.usage ?? 0;
        const running = othersRunning(known, by, now());
        const row = { usage, ...(running.length === 0 ? {} : { running }) };
        ops.push(RETAINED.expect(text, id), usage === 0 && running.length === 0 ? RETAINED.remove(id) : RETAINED.put(row, id));
      }
      return ops.length === 0 || (await store.write(ops)) ? held : CONTENDED;
    });
  }

  /** Whether a hold stands now. */
  async isHeld(id: string): Promise<boolean> {
    return (await this.#hold(id)).isHeld;
  }

  /** Under this id, which its rows have, or the one of the device that it is an alias of; and the condition that nothing of that has changed. */
  async #hold(key: string): Promise<{ isHeld: boolean; same: Op[] }> {
    const { store, now, main } = this.#o;
    const same: Op[] = [];
    for (const id of new Set([key, (await main(key)) ?? key])) {
      const is = await unheld(store, id, now());
      if (is === undefined) return { isHeld: true, same };
      same.push(is);
    }
    return { isHeld: false, same };
  }
}

function* chunks(ids: readonly string[]): Generator<readonly string[]> {
  for (let at = 0; at < ids.length; at += CHUNK) yield ids.slice(at, at + CHUNK);
}
