import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { newAccountSchema } from '../../src/fleet/registry/account.ts';
import { type AccountChange, AccountRecords } from '../../src/fleet/registry/account-records.ts';
import { AccountStates } from '../../src/fleet/registry/account-states.ts';
import type { StateStore } from '../../src/state/store.ts';
import { eventually } from '../support/wait.ts';
import { Stores } from './stores.ts';

/** Accounts in both stores. Numbers quote the invariants of src/fleet/registry/account-records.ts. */

const stores = new Stores();
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(() => stores.clear());

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
    expect(await create('acme', { name: 'Acme', consents: { insurer: ['speed_kmh'] } })).toMatchObject({
      account: { id: 'acme', name: 'Acme', state: 'active', time_zone: 'UTC', created: 1000, since: 1000 },
    });
    expect(await create('acme')).toEqual({ refused: 'exists' });
    await create('Smith, Sons');
    now = 2000;
    expect(await records.patch('acme', { name: null, labels: { tariff: 'fleet' } }, 'desk')).toMatchObject({
      account: { name: '', labels: { tariff: 'fleet' }, consents: { insurer: ['speed_kmh'] }, created: 1000 },
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
  });

  it('are told to every process as they change; one without a record is active', async () => {
    await create('acme');
    await records.suspend('acme', 'unpaid', 'desk');
    const told: (string | undefined)[] = [];
    const states = new AccountStates(await stores.open(kind), silentLog, (account) => told.push(account));
    await states.ready;
    expect([states.of('acme')?.state, states.of('other'), states.of(undefined)]).toEqual(['suspended', undefined, undefined]);
    await records.resume('acme', undefined, false, 'desk');
    await eventually(() => expect([states.of('acme'), told.at(-1)]).toEqual([undefined, 'acme']));
    await states.stop();
  });
});
