import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { cycleOf } from '../../src/fleet/plan/cycle.ts';
import { UNLIMITED } from '../../src/fleet/plan/plan.ts';
import { usageKey } from '../../src/fleet/plan/usage.ts';
import { type RankedUsage, UsageRanking } from '../../src/fleet/plan/usage-ranking.ts';
import { firstOf, PLANS } from '../../src/fleet/plan/versions.ts';
import { DEVICES, deviceSchema } from '../../src/fleet/registry/device.ts';
import { Random } from '../../src/simulate/random.ts';
import type { Op, StateStore } from '../../src/state/store.ts';
import { interposed } from '../helpers/interposed-store.ts';
import { Stores } from '../registry/stores.ts';

/** Who has used the most, over pages of the store. Numbers quote the invariants of src/fleet/plan/usage-ranking.ts. */

const stores = new Stores();
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(() => stores.clear());

const NOW = 1_793_491_200_000;
const cycle = cycleOf(UNLIMITED, NOW);
/** Three pages of the store. */
const COUNT = 2_500;
/** Charges so much more for datagrams that the order of what was counted is not the order of what is billed. */
const DEAR = { ...UNLIMITED, name: 'dear', overhead: { segment_bytes: 0, datagram_bytes: 1_000, round_bytes: 1 } };

interface Counted {
  readonly id: string;
  readonly bytes_in: number;
  readonly datagrams: number;
  readonly records: number;
}

const isDear = (id: string): boolean => id.endsWith('7');

/** Every device has used something, but for those that end with 9; all but a few have a cycle before this one, too. */
async function fill(store: StateStore): Promise<readonly Counted[]> {
  const random = new Random(17);
  await store.write([PLANS.put(firstOf(DEAR, 0, 'test'), DEAR.name)]);
  const counted: Counted[] = [];
  for (let from = 0; from < COUNT; from += 500) {
    const ops: Op[] = [];
    for (let n = from; n < from + 500; n++) {
      const id = `d-${String(n).padStart(4, '0')}`;
      const plan = isDear(id) ? DEAR.name : 'default';
      ops.push(DEVICES.put(deviceSchema.parse({ id, plan, account: n % 2 === 0 ? 'even' : 'odd' }), id));
      const used = { bytes_in: random.int(1_000_000), datagrams: random.int(1_000), records: 1 + random.int(1_000_000) };
      ops.push({ table: 'usage', key: `${id} ${cycle.start - 1}`, add: { bytes_in: 10_000_000, records: 10_000_000 } });
      if (id.endsWith('9')) continue;
      ops.push({ table: 'usage', key: usageKey(id, cycle), add: used });
      counted.push({ id, ...used });
    }
    await store.write(ops);
  }
  return counted;
}

const billedOf = ({ id, bytes_in, datagrams }: Counted): number => bytes_in + (isDear(id) ? 1_000 * datagrams : 0);

function sorted(counted: readonly Counted[], of: (one: Counted) => number): string[] {
  return [...counted].sort((a, b) => of(b) - of(a) || (a.id < b.id ? -1 : 1)).map(({ id }) => id);
}

const ids = (list: readonly RankedUsage[]): string[] => list.map(({ device }) => device);
const ALL = { maySee: () => true, wants: () => true };

describe.each(['lmdb', 'redis'] as const)('the loudest devices, %s', (kind) => {
  it('are in order over all pages, by what is billed and by records, and those that used nothing are none of them', async () => {
    const store = await stores.open(kind);
    const counted = await fill(store);
    const ranking = new UsageRanking(store, () => NOW);
    const byBytes = sorted(counted, billedOf);
    expect(ids(await ranking.loudest('billed_bytes', { ...ALL, limit: COUNT }))).toEqual(byBytes);
    expect(ids(await ranking.loudest('billed_bytes', { ...ALL, limit: 10 }))).toEqual(byBytes.slice(0, 10));
    const byRecords = sorted(counted, ({ records }) => records);
    expect(ids(await ranking.loudest('records', { ...ALL, limit: COUNT }))).toEqual(byRecords);
    const even = { maySee: (id: string) => Number(id.slice(2)) % 2 === 0, wants: (one: RankedUsage) => one.plan === 'default' };
    const some = byRecords.filter((id) => Number(id.slice(2)) % 2 === 0 && !isDear(id)).slice(0, 20);
    expect(ids(await ranking.loudest('records', { ...even, limit: 20 }))).toEqual(some);
  });

  it('nearest to a cap are of the plans that have one, of either kind', async () => {
    const store = await stores.open(kind);
    const plans = [
      { ...UNLIMITED, name: 'bytes', bytes_cap: 1_000 },
      { ...UNLIMITED, name: 'records', records_cap: 10 },
    ];
    for (const plan of plans) await store.write([PLANS.put(firstOf(plan, 0, 'test'), plan.name)]);
    for (const plan of ['bytes', 'records', 'default', 'nowhere'])
      await store.write([
        DEVICES.put(deviceSchema.parse({ id: `d-${plan}`, plan }), `d-${plan}`),
        { table: 'usage', key: usageKey(`d-${plan}`, cycle), add: { bytes_in: 500, records: 9 } },
      ]);
    expect(ids(await new UsageRanking(store, () => NOW).nearest())).toEqual(['d-records', 'd-bytes']);
  });

  it('cost no scan of devices, and one of the sums in a minute, invariant 1', async () => {
    const reads = { devices: 0, sums: 0, lists: new Map<string, number>() };
    const store = interposed(await stores.open(kind), {
      beforeRead: (table, key) => {
        if (key === undefined) reads.lists.set(table, 1 + (reads.lists.get(table) ?? 0));
        else if (table === 'devices') reads.devices++;
      },
    });
    await fill(store);
    reads.lists.clear();
    let now = NOW;
    const ranking = new UsageRanking(store, () => now);
    for (let look = 0; look < 5; look++) await ranking.loudest('billed_bytes', { ...ALL, limit: 10 });
    const pagesOfSums = Math.ceil((COUNT + 0.9 * COUNT + 1) / 1_000);
    expect([reads.lists.get('devices'), reads.lists.get('usage')]).toEqual([undefined, pagesOfSums]);
    expect(reads.devices).toBeLessThanOrEqual(5 * 400);
    const before = reads.devices;
    expect(await ranking.loudest('records', { limit: 10, maySee: (id) => id === 'd-0000', wants: () => true })).toHaveLength(1);
    expect(reads.devices).toBe(before + 1);
    now += 60_000;
    await ranking.loudest('billed_bytes', { ...ALL, limit: 10 });
    expect(reads.lists.get('usage')).toBe(3 * pagesOfSums);
  });
});
