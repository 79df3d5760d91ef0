import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { BUILTIN_CODECS } from '../../src/codec/builtin.ts';
import { recordOptions } from '../../src/codec/registry.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import type { DeviceFilter } from '../../src/fleet/registry/device-ids.ts';
import { type Change, DeviceRecords, type Upsert } from '../../src/fleet/registry/device-records.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';

/** Numbers quote the invariants of src/fleet/registry/device-records.ts; conditions.test.ts has its first one. */

const CODECS = new Map(BUILTIN_CODECS.map((codec) => [codec.name, codec]));
const NOW = 1_793_491_200_000;
let directory: string;
let store: LmdbStore;
let records: DeviceRecords;
let events: object[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-records-'));
  store = new LmdbStore({ directory, log: silentLog });
  events = [];
  records = new DeviceRecords({
    store,
    checkOptions: recordOptions(CODECS),
    now: () => NOW,
    record: (device, event, account) => events.push({ device, ...event, ...(account === undefined ? {} : { account }) }),
  });
  await store.write([
    { table: 'plans', key: 'gold', put: '{"name":"gold"}' },
    ...[whole('d-1', { aliases: ['a-1'], account: 'acme', protocol: 'gt06', first_seen: 5 }), whole('d-2', { plan: 'gold' })].map(
      (device) => ({ table: 'devices', key: device.id, put: JSON.stringify(device) }) as const,
    ),
    { table: 'aliases', key: 'a-1', put: 'd-1' },
    { table: 'quarantine', key: 'q-1', put: JSON.stringify(WAITING) },
    { table: 'devices', key: 'bad', put: '{"id":' },
  ]);
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

const WAITING = { first_seen: 3, last_seen: 4, count: 1, protocol: 'h02', transport: 'udp', frames: [] };
const RECOVERY = { reason: 'stolen', interval_s: 15, started: NOW, until: NOW + 60_000 };

function whole(id: string, more: object = {}): Device {
  return deviceSchema.parse({ id, ...more });
}

/** What became of it: `created`, `changed`, `same`, `removed`, or the refusal with the fields. */
function said(change: Change): string {
  if ('refused' in change) return [change.refused, ...change.problems.map(({ field }) => field)].join(' ');
  const { before, after } = change;
  if (before === undefined) return 'created';
  if (after === undefined) return 'removed';
  return JSON.stringify(before) === JSON.stringify(after) ? 'same' : 'changed';
}

type Way = (of: DeviceRecords) => Promise<Change>;

describe('a change of a device', () => {
  it.each<[what: string, way: Way, outcome: string, event: string]>([
    ['a new device', (of) => of.create(whole('d-3'), 'me'), 'created', 'device_created'],
    ['one that is there', (of) => of.create(whole('d-1'), 'me'), 'exists', ''],
    ['2: a new one whose id is an alias', (of) => of.create(whole('a-1'), 'me'), 'conflict id', ''],
    ['2: an alias that is a device', (of) => of.patch('d-2', { aliases: ['d-1'] }, 'me'), 'conflict aliases.0', ''],
    ['2: an alias of another', (of) => of.patch('d-2', { aliases: ['n-1', 'a-1'] }, 'me'), 'conflict aliases.1', ''],
    ['2: itself as alias', (of) => of.patch('d-2', { aliases: ['d-2'] }, 'me'), 'conflict aliases.0', ''],
    ['2: an alias twice', (of) => of.patch('d-2', { aliases: ['n-1', 'n-1'] }, 'me'), 'conflict aliases.1', ''],
    ['2: its own alias again', (of) => of.patch('d-1', { aliases: ['a-1', 'n-1'] }, 'me'), 'changed', 'device_changed'],
    ['3: a plan that there is', (of) => of.patch('d-1', { plan: 'gold' }, 'me'), 'changed', 'device_changed'],
    ['3: a plan that there is not', (of) => of.patch('d-1', { plan: 'tin' }, 'me'), 'invalid plan', ''],
    ['3: a new one on such a plan', (of) => of.create(whole('d-3', { plan: 'tin' }), 'me'), 'invalid plan', ''],
    ['3: a value out of its range', (of) => of.patch('d-1', { interval_s: 0 }, 'me'), 'invalid interval_s', ''],
    ['3: an unknown field', (of) => of.patch('d-1', { colour: 'red' }, 'me'), 'invalid colour', ''],
    ['3: recovery of a terminated one', (of) => of.patch('d-1', { state: 'terminated', recovery: RECOVERY }, 'me'), 'conflict state', ''],
    ['3: an option of its codec', (of) => of.patch('d-1', { options: { variant: 'r11' } }, 'me'), 'changed', 'device_changed'],
    [
      '3: a value that its codec does not take',
      (of) => of.patch('d-1', { options: { variant: 'r99' } }, 'me'),
      'invalid options.variant',
      '',
    ],
    ['3: a zone that is none', (of) => of.patch('d-1', { options: { time_zone: 'CET' } }, 'me'), 'invalid options.time_zone', ''],
    ['3: an option of another codec', (of) => of.patch('d-1', { options: { timeOffset: 60 } }, 'me'), 'invalid options.timeOffset', ''],
    [
      '3: one of any codec, while its own is not known',
      (of) => of.patch('d-2', { options: { timeOffset: '60' } }, 'me'),
      'changed',
      'device_changed',
    ],
    ['3: one that no codec has', (of) => of.patch('d-2', { options: { colour: 'red' } }, 'me'), 'invalid options.colour', ''],
    ['3: removal of one that it has not', (of) => of.patch('d-1', { options: { variant: null } }, 'me'), 'same', ''],
    ['3: a number of a SIM card that is none', (of) => of.patch('d-1', { iccid: '12' }, 'me'), 'invalid iccid', ''],
    ['the same again', (of) => of.patch('d-1', { account: 'acme' }, 'me'), 'same', ''],
    ['a device that is not there', (of) => of.patch('d-3', { account: 'x' }, 'me'), 'unknown', ''],
    ['an alias instead of the id', (of) => of.patch('a-1', { account: 'x' }, 'me'), 'unknown', ''],
    ['removal', (of) => of.remove('d-1', 'me'), 'removed', 'device_removed'],
    ['removal of one that is not there', (of) => of.remove('d-3', 'me'), 'unknown', ''],
    ['replacement of one that is not there', (of) => of.replace(whole('d-3'), 'me'), 'created', 'device_created'],
    ['replacement of a damaged one', (of) => of.replace(whole('bad'), 'me'), 'created', 'device_created'],
    ['adoption', (of) => of.adopt('q-1', { account: 'acme' }, 'me'), 'created', 'device_adopted'],
    ['adoption of one that does not wait', (of) => of.adopt('q-2', {}, 'me'), 'unknown', ''],
    ['adoption onto a plan that there is not', (of) => of.adopt('q-1', { plan: 'tin' }, 'me'), 'invalid plan', ''],
  ])('%s', async (_what, way, outcome, event) => {
    const before = await everything();
    expect(said(await way(records))).toBe(outcome);
    expect(events.map((one) => Reflect.get(one, 'type'))).toEqual(event === '' ? [] : [event]);
    for (const one of events) expect(one).toMatchObject({ by: 'me' });
    if (event === '') expect(await everything()).toEqual(before);
  });

  it.each<[string, Way]>([
    ['a change', (of) => of.patch('bad', { account: 'x' }, 'me')],
    ['a removal', (of) => of.remove('bad', 'me')],
  ])('%s of a damaged one names the table and the key', async (_what, way) => {
    await expect(way(records)).rejects.toMatchObject({ code: 'STATE_ROW_DAMAGED', message: expect.stringMatching(/"bad".*"devices"/) });
    await expect(records.get('bad')).rejects.toMatchObject({ code: 'STATE_ROW_DAMAGED' });
  });

  it('1: takes the aliases and the entry of the quarantine along', async () => {
    await records.patch('d-1', { aliases: ['n-1', 'q-1'] }, 'me');
    expect((await store.list('aliases', { limit: 9 })).map(({ key, value }) => `${key}=${value}`)).toEqual(['n-1=d-1', 'q-1=d-1']);
    expect(await store.list('quarantine', { limit: 9 })).toEqual([]);
    expect([(await records.get('n-1'))?.id, (await records.get('a-1'))?.id, await records.idOf('q-1'), await records.idOf('x-1')]).toEqual([
      'd-1',
      undefined,
      'd-1',
      'x-1',
    ]);
    await records.remove('d-1', 'me');
    expect(await store.list('aliases', { limit: 9 })).toEqual([]);
  });

  it('keeps the unit that is in a device, and since when, when the record is replaced', async () => {
    const before = whole('d-1', { aliases: ['a-1'], unit: 'u-1', unit_since: 7 });
    await store.write([{ table: 'devices', key: 'd-1', put: JSON.stringify(before) }]);
    await records.replace(whole('d-1', { aliases: ['a-1'], labels: { depot: 'north' } }), 'me');
    expect(await records.get('d-1')).toMatchObject({ unit: 'u-1', unit_since: 7, labels: { depot: 'north' } });
  });

  it('replaces what was given and keeps what the server has learned; null in a patch removes', async () => {
    await records.patch('d-1', { recovery: RECOVERY, interval_s: 30 }, 'me');
    await records.replace(whole('d-1', { account: 'acme' }), 'me');
    expect(await records.get('d-1')).toEqual(whole('d-1', { account: 'acme', protocol: 'gt06', first_seen: 5, recovery: RECOVERY }));
    await records.patch('d-1', { recovery: null, protocol: null }, 'me');
    expect(await records.get('d-1')).toEqual(whole('d-1', { account: 'acme', first_seen: 5 }));
    expect(events.map((one) => Reflect.get(one, 'type'))).toEqual([
      'device_changed',
      'recovery_started',
      'device_changed',
      'device_changed',
      'recovery_ended',
    ]);
  });

  it('3: termination ends a recovery; 4: the event names the fields', async () => {
    await records.patch('d-1', { recovery: RECOVERY }, 'me');
    events.length = 0;
    expect(said(await records.patch('d-1', { state: 'terminated' }, 'me'))).toBe('changed');
    expect((await records.get('d-1'))?.recovery).toBeUndefined();
    expect(events).toEqual([
      { device: 'd-1', type: 'device_changed', fields: ['state', 'recovery'], by: 'me' },
      { device: 'd-1', type: 'recovery_ended', case: '1793491200000', by: 'me', account: 'acme' },
    ]);
  });

  it.each<[what: string, change: (of: DeviceRecords) => Promise<unknown>]>([
    ['to another', (of) => of.patch('d-1', { account: 'bolt' }, 'me')],
    ['to none', (of) => of.patch('d-1', { account: null }, 'me')],
    ['by a replacement', (of) => of.replace(whole('d-1', { account: 'bolt' }), 'me')],
    [
      'by a file',
      (of) => of.upsert([{ line: 1, id: 'd-1', patch: { account: 'bolt' } }], 'me', { created: 0, changed: 0, unchanged: 0 }, new Map()),
    ],
  ])('4: a recovery ends when the device leaves its account: %s', async (_, change) => {
    await records.patch('d-1', { recovery: RECOVERY }, 'me');
    await records.patch('d-1', { account: 'acme', name: 'the same account' }, 'me');
    expect((await records.get('d-1'))?.recovery).toEqual(RECOVERY);
    events.length = 0;
    await change(records);
    expect((await records.get('d-1'))?.recovery).toBeUndefined();
    expect(events.filter((one) => Reflect.get(one, 'type') === 'recovery_ended')).toEqual([
      { device: 'd-1', type: 'recovery_ended', case: '1793491200000', by: 'me', account: 'acme' },
    ]);
  });

  it('a device that a person has changed is not provisional any more', async () => {
    await store.write([{ table: 'devices', key: 'd-3', put: JSON.stringify(whole('d-3', { provisional: true })) }]);
    await records.patch('d-3', { account: 'acme' }, 'me');
    expect(await records.get('d-3')).toEqual(whole('d-3', { account: 'acme' }));
  });

  it('3: each device that is put on a plan is counted there, and the default plan counts none', async () => {
    await records.patch('d-1', { plan: 'gold' }, 'me');
    await records.patch('d-1', { account: 'x' }, 'me');
    await records.patch('d-1', { plan: 'default' }, 'me');
    await records.create(whole('d-3', { plan: 'gold' }), 'me');
    expect((await store.list('plan_joins', { limit: 9 })).map(({ key, value }) => `${key} ${value}`)).toEqual(['gold {"joined":2}']);
    expect([await records.isOnPlan('gold'), await records.isOnPlan('gol')]).toEqual([true, false]);
  });
});

describe('the list of devices', () => {
  it.each<[what: string, filter: DeviceFilter, after: string | undefined, limit: number, ids: string[], next: string | undefined]>([
    ['all, one that is damaged left out', {}, undefined, 9, ['d-1', 'd-2'], undefined],
    ['exactly as many', {}, undefined, 2, ['d-1', 'd-2'], undefined],
    ['fewer', {}, undefined, 1, ['d-1'], 'd-1'],
    ['behind one', {}, 'd-1', 1, ['d-2'], undefined],
    ['behind the last', {}, 'd-2', 1, [], undefined],
    ['of an account', { account: 'acme' }, undefined, 9, ['d-1'], undefined],
    ['of a plan', { plan: 'gold' }, undefined, 1, ['d-2'], undefined],
    ['of a state', { state: 'suspended' }, undefined, 9, [], undefined],
    ['of both', { plan: 'gold', account: 'acme' }, undefined, 9, [], undefined],
  ])('%s', async (_what, filter, after, limit, ids, next) => {
    const found = await records.list(filter, after, limit);
    expect([found.devices.map(({ id }) => id), found.next]).toEqual([ids, next]);
  });
});

describe('many devices brought in together', () => {
  const row = (n: number, patch: object = {}): Upsert => ({ line: n, id: `u-${String(n).padStart(4, '0')}`, patch: { ...patch } });

  it('are told of with what they were, those that have changed', async () => {
    const counts = { created: 0, changed: 0, unchanged: 0 };
    const told: unknown[] = [];
    const rows = [
      { line: 1, id: 'd-1', patch: { account: 'bolt' } },
      { line: 2, id: 'd-2', patch: {} },
      { line: 3, id: 'd-3', patch: {} },
    ];
    await records.upsert(rows, 'me', counts, new Map(), (before, after) => told.push([before?.account, after.id, after.account]));
    expect(told).toEqual([
      ['acme', 'd-1', 'bolt'],
      [undefined, 'd-3', undefined],
    ]);
  });

  it.each([1, 199, 200, 201, 401])('%i of them are created, then changed, then unchanged', async (count) => {
    for (const [account, expected] of [
      ['one', { created: count, changed: 0, unchanged: 0 }],
      ['two', { created: 0, changed: count, unchanged: 0 }],
      ['two', { created: 0, changed: 0, unchanged: count }],
    ] as const) {
      const counts = { created: 0, changed: 0, unchanged: 0 };
      const rows = Array.from({ length: count }, (_, n) => row(n, { account, plan: 'gold' }));
      expect(await records.upsert(rows, 'me', counts, new Map())).toEqual([]);
      expect(counts).toEqual(expected);
    }
    expect(events).toHaveLength(2 * count);
  });

  it('a line that is wrong is named, and the others are done; later lines see what earlier ones did', async () => {
    const counts = { created: 0, changed: 0, unchanged: 0 };
    const rows = [
      row(1),
      row(2, { plan: 'tin' }),
      row(3, { aliases: ['a-1'] }),
      { ...row(1, { account: 'x' }), line: 4 },
      row(5, { aliases: ['u-0006'] }),
      row(6),
      row(7, { interval_s: -1 }),
    ];
    const wrong = await records.upsert(rows, 'me', counts, new Map());
    expect(wrong.map(({ line, problems }) => `${line} ${problems.map(({ field }) => field).join()}`)).toEqual([
      '2 plan',
      '3 aliases.0',
      '6 id',
      '7 interval_s',
    ]);
    expect(counts).toEqual({ created: 2, changed: 1, unchanged: 0 });
    expect((await records.get('u-0001'))?.account).toBe('x');
  });

  it('takes those that wait out of quarantine', async () => {
    const counts = { created: 0, changed: 0, unchanged: 0 };
    await records.upsert([{ line: 1, id: 'q-1', patch: {} }], 'me', counts, new Map());
    expect([await store.list('quarantine', { limit: 9 }), counts.created]).toEqual([[], 1]);
  });
});

async function everything(): Promise<unknown[]> {
  const tables = ['devices', 'aliases', 'quarantine', 'plan_joins'] as const;
  return Promise.all(tables.map((table) => store.list(table, { limit: 1000 })));
}
