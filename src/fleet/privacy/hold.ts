import { attempt, CONTENDED } from '../../state/attempt.ts';
import { entries } from '../../state/pages.ts';
import type { Op, StateStore } from '../../state/store.ts';
import type { Device } from '../registry/device.ts';
import { HOLDS, type Hold, stands } from '../registry/hold.ts';
import { ERASURES, isUnderWay } from './erasure.ts';
import { isRetaining, RETAINED } from './retained.ts';

/**
 * Sets and ends holds (`fleet/registry/hold.ts`).
 *
 * 1. While it stands nothing of the device is erased, by any installation. Each begins its part of an erasure on the condition that there is
 *    no hold, and a hold is written on the condition that no erasure has begun and not ended anywhere, so that one of the two is refused or
 *    waits. So it is with what retention removes and a replay replaces (`claims.ts`).
 * 2. One with `until` ends by itself.
 * 3. Lists of the state store that are cut at a number (ended commands, installation tests) are not cut while it stands: that is a condition of
 *    the cut.
 */
export interface HoldsOptions {
  readonly store: StateStore;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  /** The device of this id, or whose alias it is. */
  readonly device: (id: string) => Promise<Device | undefined>;
}

export class Holds {
  readonly #o: HoldsOptions;

  constructor(options: HoldsOptions) {
    this.#o = options;
  }

  /** Sets or changes it. Undefined: an erasure is under way, or something of it is removed or replaced under a claim (`claims.ts`). */
  async set(
    id: string,
    wanted: Pick<Hold, 'reference' | 'reason' | 'until'>,
    by: string,
  ): Promise<{ before: Hold | undefined; hold: Hold } | undefined> {
    const { store, now } = this.#o;
    return attempt(`the hold of device ${id}`, async () => {
      const { own, ids } = await this.#idsOf(id);
      const text = await store.get('holds', own);
      const before = this.#standing(HOLDS.parse(own, text));
      const hold: Hold = { ...wanted, device: own, since: before?.since ?? now(), by };
      const ops: Op[] = [{ table: 'holds', key: own, expect: text }];
      for (const key of ids) {
        const erasing = await store.get('erasures', key);
        if (isUnderWay(ERASURES.parse(key, erasing))) return undefined;
        const retained = await store.get('retained', key);
        if (isRetaining(RETAINED.parse(key, retained), now())) return undefined;
        ops.push(ERASURES.expect(erasing, key), RETAINED.expect(retained, key), HOLDS.put(hold, key));
      }
      return (await store.write(ops)) ? { before, hold } : CONTENDED;
    });
  }

  /** The one that stands. */
  async get(id: string): Promise<Hold | undefined> {
    const { own } = await this.#idsOf(id);
    return this.#standing(await HOLDS.get(this.#o.store, own));
  }

  async list(): Promise<Hold[]> {
    const found: Hold[] = [];
    for await (const [key, value] of entries(this.#o.store, 'holds')) {
      const hold = this.#standing(HOLDS.read(value));
      if (hold !== undefined && hold.device === key) found.push(hold);
    }
    return found;
  }

  /** Ends it; undefined: there was none. */
  async end(id: string): Promise<Hold | undefined> {
    const { store } = this.#o;
    return attempt(`the hold of device ${id}`, async () => {
      const { own } = await this.#idsOf(id);
      const text = await store.get('holds', own);
      const ops: Op[] = [HOLDS.expect(text, own)];
      for await (const [key, value] of entries(store, 'holds')) if (HOLDS.read(value)?.device === own) ops.push(HOLDS.remove(key));
      return (await store.write(ops)) ? this.#standing(HOLDS.parse(own, text)) : CONTENDED;
    });
  }

  #standing(hold: Hold | undefined): Hold | undefined {
    return hold !== undefined && stands(hold, this.#o.now()) ? hold : undefined;
  }

  async #idsOf(id: string): Promise<{ own: string; ids: readonly string[] }> {
    const known = await this.#o.device(id);
    const own = known?.id ?? id;
    return { own, ids: [own, ...(known?.aliases ?? [])] };
  }
}

export function heldText({ device, reference, until }: Hold): string {
  const end = until === undefined ? '' : ` until ${new Date(until).toISOString()}`;
  return `device ${device} is under the hold "${reference}"${end}: nothing of it is erased`;
}
