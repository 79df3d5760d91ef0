import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { DAY_MS, type Rule, Rules } from '../../src/fleet/privacy/retention-rules.ts';
import { ACCOUNTS, accountSchema } from '../../src/fleet/registry/account.ts';
import { DEVICES, deviceSchema } from '../../src/fleet/registry/device.ts';
import { OWNERS } from '../../src/fleet/registry/owners.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';

/** Numbers quote the invariants of src/fleet/privacy/retention-rules.ts. */

let directory: string;
let store: LmdbStore;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-rules-'));
  store = new LmdbStore({ directory, log: silentLog });
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

const account = (id: string, retention?: Rule) => ACCOUNTS.put(accountSchema.parse({ id, ...(retention && { retention }) }), id);
const device = (id: string, more: object) => DEVICES.put(deviceSchema.parse({ id, ...more }), id);
const PLANS = new Map<string, Rule>([
  ['default', { keep_days: 90 }],
  ['gold', { keep_days: 60, erase_after_end_days: 0 }],
  ['free', {}],
]);

async function fleet(): Promise<void> {
  await store.write([
    account('acme', { keep_days: 30 }),
    account('bolt', { erase_after_end_days: 10 }),
    account('cargo'),
    device('car', { account: 'bolt', plan: 'gold', aliases: ['car-a'], first_seen: 5 }),
    device('van', { account: 'acme', plan: 'lost', first_seen: 7 }),
    OWNERS.put(
      [
        { account: 'acme', from: 10, to: 20 },
        { account: 'bolt', from: 20 },
      ],
      'car',
    ),
    OWNERS.put([{ account: 'acme', from: 1, to: 2 }], 'gone'),
  ]);
}

it('1, 2: the number of the account counts, then that of the plan of the device, by any of its ids, or of the plan `default`', async () => {
  await fleet();
  const rules = await Rules.read(store, PLANS);
  const days = (id: string, of: string) => [rules.of(id, of, 'keep_days'), rules.of(id, of, 'erase_after_end_days')];
  expect([days('car', 'acme'), days('car', 'bolt'), days('car-a', 'bolt'), days('car', 'cargo'), days('car', '')]).toEqual([
    [30, 0],
    [60, 10],
    [60, 10],
    [60, 0],
    [60, 0],
  ]);
  expect([days('van', ''), days('gone', ''), days('gone', 'acme')]).toEqual([
    [undefined, undefined],
    [90, undefined],
    [30, undefined],
  ]);
  expect([rules.cutoff('car', 'acme', 100 * DAY_MS), rules.cutoff('van', '', 100 * DAY_MS)]).toEqual([70 * DAY_MS, -Infinity]);
});

it('whose a device was is known by each of its ids, also of one without a record', async () => {
  await fleet();
  const rules = await Rules.read(store, PLANS);
  expect([9, 10, 19, 20, 99].map((time) => rules.accountAt('car', time))).toEqual(['', 'acme', 'acme', 'bolt', 'bolt']);
  expect(rules.periods('car-a')).toEqual(rules.periods('car'));
  expect([rules.periods('van'), rules.periods('gone'), rules.periods('none')]).toEqual([
    [{ account: 'acme', from: 7 }],
    [{ account: 'acme', from: 1, to: 2 }],
    [],
  ]);
  expect([[...rules.devices].sort(), rules.device('car-a')?.id, rules.device('gone'), rules.account('cargo')?.id]).toEqual([
    ['car', 'gone', 'van'],
    'car',
    undefined,
    'cargo',
  ]);
});

it('one device and account are read alone, and say the same', async () => {
  await fleet();
  for (const [id, of] of [
    ['car', 'acme'],
    ['car', 'cargo'],
    ['van', 'acme'],
    ['gone', 'acme'],
    ['none', 'none'],
  ] as const) {
    const [all, one] = [await Rules.read(store, PLANS), await Rules.readOne(store, PLANS, id, of)];
    const said = (rules: Rules) => [rules.of(id, of, 'keep_days'), rules.periods(id), rules.device(id), rules.account(of)];
    expect(said(one)).toEqual(said(all));
  }
});

it.each<[what: string, plans: readonly Rule[], accounts: readonly Rule[], shortest: number | undefined, hasEnds: boolean]>([
  ['nothing', [{}], [{}], undefined, false],
  ['no plan and no account', [], [], undefined, false],
  ['of plans', [{ keep_days: 9 }, { keep_days: 5 }], [{}], 5, false],
  ['of an account', [{ keep_days: 9 }], [{ keep_days: 7 }, { keep_days: 8 }], 7, false],
  ['the end of a service on a plan, at once', [{ erase_after_end_days: 0 }], [], undefined, true],
  ['the end of a service of an account', [{}], [{ erase_after_end_days: 3 }], undefined, true],
])('what is kept least: %s', async (_, plans, accounts, shortest, hasEnds) => {
  await store.write([account('none'), ...accounts.map((rule, n) => account(`a-${n}`, rule))]);
  const rules = await Rules.read(store, new Map(plans.map((rule, n) => [`p-${n}`, rule])));
  expect([rules.shortest, rules.hasEnds]).toEqual([shortest, hasEnds]);
});
