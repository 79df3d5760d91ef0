import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { planSchema } from '../../src/fleet/plan/plan.ts';
import { ACCOUNTS, accountSchema, accountSteps, newAccountSchema } from '../../src/fleet/registry/account.ts';
import { type AccountChange, AccountRecords } from '../../src/fleet/registry/account-records.ts';
import { AccountStates } from '../../src/fleet/registry/account-states.ts';
import { newRecipientSchema, RecipientRecords } from '../../src/fleet/registry/recipient.ts';
import type { StateStore } from '../../src/state/store.ts';
import { eventually } from '../support/wait.ts';
import { Stores } from './stores.ts';

/** Accounts in both stores. Numbers quote the invariants of src/fleet/registry/account-records.ts. */

const stores = new Stores();
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(() => stores.clear());

it('accounts and plans are of a time zone that there is', () => {
  const isTaken = (time_zone: string): boolean[] => [
    newAccountSchema.safeParse({ id: 'acme', time_zone }).success,
    planSchema.safeParse({ name: 'basic', time_zone }).success,
  ];
  expect([isTaken('Europe/Berlin'), isTaken('Mars/Base'), isTaken('')]).toEqual([
    [true, true],
    [false, false],
    [false, false],
  ]);
});

describe.each(['lmdb', 'redis'] as const)('recipients in %s', (kind) => {
  it('are made, changed, counted and removed', async () => {
    const store = await stores.open(kind);
    const events: object[] = [];
    let now = 1000;
    const records = new RecipientRecords({ store, now: () => now, record: (device, event) => events.push({ device, ...event }) });
    const put = (id: string, wanted: object) => records.put(id, newRecipientSchema.parse(wanted), 'desk');
    const made = { id: 'alpha', purpose: 'insurer', name: '', since: 1000, by: 'desk' };
    expect(await put('alpha', { purpose: 'insurer' })).toEqual({ recipient: made, before: undefined });
    now = 2000;
    expect(await put('alpha', { purpose: 'insurer', name: 'Alpha' })).toMatchObject({
      recipient: { name: 'Alpha', since: 1000 },
      before: made,
    });
    expect(await put('alpha', { account: 'acme' })).toMatchObject({ recipient: { account: 'acme', since: 2000 } });
    expect((await records.list()).map(({ id }) => id)).toEqual(['alpha']);
    expect(await records.remove('alpha', 'desk')).toMatchObject({ recipient: { id: 'alpha' } });
    expect(await records.remove('alpha', 'desk')).toEqual({ refused: 'unknown' });
    expect(await store.get('recipient_changes', 'all')).toBe('{"changes":4}');
    expect(events).toEqual([
      { device: '', type: 'recipient_set', recipient: 'alpha', purpose: 'insurer', by: 'desk' },
      { device: '', type: 'recipient_set', recipient: 'alpha', account: 'acme', by: 'desk' },
      { device: '', type: 'recipient_removed', recipient: 'alpha', by: 'desk' },
    ]);
    for (let i = 0; i < 100; i++) expect(await put(`r-${i}`, { purpose: 'partner' })).toHaveProperty('recipient');
    expect(await put('r-100', { purpose: 'partner' })).toEqual({ refused: 'many' });
    expect(await put('r-99', { purpose: 'insurer' })).toHaveProperty('recipient');
    expect(await put('r-100', { account: 'acme' })).toHaveProperty('recipient');
  });

  it('have a purpose or an account', () => {
    for (const wrong of [{}, { purpose: 'a', account: 'b' }, { purpose: 'A' }])
      expect(newRecipientSchema.safeParse(wrong).success).toBe(false);
  });
});

describe.each(['lmdb', 'redis'] as const)('accounts in %s', (kind) => {
  let store: StateStore;
  let records: AccountRecords;
  let events: object[];
  let now: number;

  beforeEach(async () => {
    store = await stores.open(kind);
    events = [];
    now = 1000;
    records = new AccountRecords({ store, now: () => now, record: (device, event) => events.push({ device, ...event }) });
  });

  const create = (id: string, more: object = {}): Promise<AccountChange> => records.create(newAccountSchema.parse({ id, ...more }), 'desk');

  it('are made once, changed, and listed by id in pages', async () => {
    expect(await create('acme', { name: 'Acme' })).toMatchObject({
      account: { id: 'acme', name: 'Acme', state: 'active', time_zone: 'UTC', created: 1000, since: 1000 },
    });
    expect(await create('acme')).toEqual({ refused: 'exists' });
    await create('Smith, Sons');
    now = 2000;
    expect(await records.patch('acme', { name: null, labels: { tariff: 'fleet' } }, 'desk')).toMatchObject({
      account: { name: '', labels: { tariff: 'fleet' }, consents: {}, created: 1000 },
    });
    expect(await records.patch('acme', { labels: { tariff: 'fleet' } }, 'desk')).toHaveProperty('account');
    expect(await records.patch('none', {}, 'desk')).toEqual({ refused: 'unknown' });
    const first = await records.list(undefined, 1, () => true);
    expect([first.accounts.map(({ id }) => id), first.next]).toEqual([['Smith, Sons'], 'Smith, Sons']);
    const second = await records.list(first.next, 1, () => true);
    expect([second.accounts.map(({ id }) => id), second.next]).toEqual([['acme'], undefined]);
    expect(events).toEqual([
      { device: '', type: 'account_created', account: 'acme', by: 'desk' },
      { device: '', type: 'account_created', account: 'Smith, Sons', by: 'desk' },
      { device: '', type: 'account_changed', account: 'acme', fields: ['name', 'labels'], by: 'desk' },
    ]);
  });

  it('3: consent and withdraw, and those who deliver are told in the same write', async () => {
    await create('acme');
    const changes = (): Promise<string | undefined> => store.get('recipient_changes', 'all');
    expect(await records.consent('acme', 'insurer', ['place', 'place'], 'desk')).toMatchObject({
      account: { consents: { insurer: { fields: ['place'], since: 1000 } } },
    });
    expect(await changes()).toBe('{"changes":1}');
    now = 2000;
    // Changed, it is the consent of before.
    expect(await records.consent('acme', 'insurer', ['all'], 'desk')).toMatchObject({
      account: { consents: { insurer: { fields: ['all'], since: 1000 } } },
    });
    expect(await records.consent('acme', 'insurer', ['all'], 'desk')).toHaveProperty('account');
    expect(await records.consent('acme', 'insurer', undefined, 'desk')).toMatchObject({ account: { consents: {} } });
    expect(await changes()).toBe('{"changes":3}');
    // Given again, it is a new one.
    expect(await records.consent('acme', 'insurer', ['all'], 'desk')).toMatchObject({
      account: { consents: { insurer: { since: 2000 } } },
    });
    expect(await records.consent('none', 'insurer', ['all'], 'desk')).toEqual({ refused: 'unknown' });
    expect(events.slice(1)).toEqual([
      { device: '', type: 'consent_given', account: 'acme', purpose: 'insurer', fields: ['place', 'place'], by: 'desk' },
      { device: '', type: 'consent_given', account: 'acme', purpose: 'insurer', fields: ['all'], by: 'desk' },
      { device: '', type: 'consent_withdrawn', account: 'acme', purpose: 'insurer', by: 'desk' },
      { device: '', type: 'consent_given', account: 'acme', purpose: 'insurer', fields: ['all'], by: 'desk' },
    ]);
  });

  it('has consents that were notes in earlier versions', async () => {
    const row = { id: 'old', state: 'active', since: 1, created: 1, consents: { insurer: ['speed_kmh', 'lat'], partner: ['A b'] } };
    await store.write([{ table: 'accounts', key: 'old', put: JSON.stringify(row) }]);
    expect(await records.get('old')).toMatchObject({ consents: { insurer: { fields: ['speed_kmh'], since: 0 } } });
  });

  it('2: are suspended, resumed, closed, and opened again only by who says so', async () => {
    await create('acme');
    now = 2000;
    expect(await records.suspend('acme', 'unpaid', 'desk')).toMatchObject({
      account: { state: 'suspended', reason: 'unpaid', since: 2000 },
    });
    now = 3000;
    const resumed = await records.resume('acme', undefined, false, 'desk');
    expect(resumed).toMatchObject({ account: { state: 'active', since: 3000 } });
    expect(resumed).not.toHaveProperty('account.reason');
    now = 4000;
    expect(await records.close('acme', 'moved', 'cycle_end', 'desk')).toMatchObject({
      account: { state: 'active', since: 3000, ending_since: 4000, reason: 'moved' },
    });
    now = 5000;
    // Asked again, the cycle is still the one in which it was asked first.
    expect(await records.close('acme', 'moved', 'cycle_end', 'desk')).toMatchObject({ account: { ending_since: 4000 } });
    const closed = await records.close('acme', 'moved', 'now', 'desk');
    expect(closed).toMatchObject({ account: { state: 'closed', since: 5000 } });
    expect(closed).not.toHaveProperty('account.ending_since');
    expect(await records.suspend('acme', 'unpaid', 'desk')).toEqual({ refused: 'closed' });
    expect(await records.resume('acme', undefined, false, 'desk')).toEqual({ refused: 'closed' });
    expect(await records.resume('acme', 'back', true, 'desk')).toMatchObject({ account: { state: 'active', reason: 'back' } });
    expect(await records.suspend('none', 'unpaid', 'desk')).toEqual({ refused: 'unknown' });
    expect(events.map((event) => Reflect.get(event, 'type'))).toEqual(
      ['created', 'suspended', 'resumed', 'ending', 'closed', 'resumed'].map((what) => `account_${what}`),
    );
    expect(await accountSteps(store, 'acme')).toEqual([
      { state: 'suspended', at: 2000, by: 'desk', reason: 'unpaid' },
      { state: 'active', at: 3000, by: 'desk', reason: '' },
      { state: 'ending', at: 4000, by: 'desk', reason: 'moved' },
      { state: 'closed', at: 5000, by: 'desk', reason: 'moved' },
      { state: 'active', at: 5000, by: 'desk', reason: 'back' },
    ]);
  });

  it('of before their changes were noted have those that the record tells of, in their order', async () => {
    const store = await stores.open(kind);
    const stepsOf = async (fields: object): Promise<unknown[]> => {
      await store.write([ACCOUNTS.put(accountSchema.parse({ id: 'old', ...fields }), 'old')]);
      return (await accountSteps(store, 'old')).map(({ state, at, reason }) => [state, at, reason]);
    };
    expect(await accountSteps(store, 'none')).toEqual([]);
    expect(await stepsOf({})).toEqual([]);
    expect(await stepsOf({ state: 'suspended', since: 5, reason: 'unpaid' })).toEqual([['suspended', 5, 'unpaid']]);
    expect(await stepsOf({ ending_since: 7 })).toEqual([['ending', 7, '']]);
    for (const [since, ending_since, order] of [
      [9, 7, ['ending', 'suspended']],
      [5, 7, ['suspended', 'ending']],
    ] as const)
      expect((await stepsOf({ state: 'suspended', since, ending_since })).map((step) => Object(step)[0])).toEqual(order);
  });

  it('are told to every process as they change; one without a record is active', async () => {
    await create('acme');
    await create('bolt');
    await records.suspend('acme', 'unpaid', 'desk');
    const told: (string | undefined)[] = [];
    const states = new AccountStates(await stores.open(kind), silentLog, (account) => told.push(account));
    await states.ready;
    expect([states.of('acme')?.state, states.of('bolt'), states.of('other'), states.of(undefined)]).toEqual([
      'suspended',
      undefined,
      undefined,
      undefined,
    ]);
    await records.resume('acme', undefined, false, 'desk');
    await eventually(() => expect([states.of('acme'), told.at(-1)]).toEqual([undefined, 'acme']));
    await states.stop();
  });
});
