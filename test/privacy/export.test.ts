import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Command } from '../../src/fleet/command/command.ts';
import { type ExportOptions, exportAccount, exportDevice } from '../../src/fleet/privacy/export.ts';
import type { StoredRows } from '../../src/fleet/privacy/stored-rows.ts';
import { ALWAYS, subjectsOf } from '../../src/fleet/privacy/subjects.ts';
import { CASES } from '../../src/fleet/registry/cases.ts';
import { DEVICES, deviceSchema } from '../../src/fleet/registry/device.ts';
import { OWNERS } from '../../src/fleet/registry/owners.ts';
import { UNITS } from '../../src/fleet/registry/units.ts';
import type { StateStore } from '../../src/state/store.ts';
import { Stores } from '../registry/stores.ts';
import { objects, unzipped } from './zip.ts';

/** What each may read of a car that was of acme until SOLD and of bolt from then on. Numbers quote the invariants of src/fleet/privacy/export.ts. */

const CAR = 'car-01';
const VAN = 'van-01';
const SOLD = 1_790_000_000_000;
const HOUR = 3_600_000;
const OF_ACME = SOLD - HOUR;
const OF_BOLT = SOLD + HOUR;

/** `id` is the mark by which a row is found again. */
const row = (id: string, device: string, time: number, account = '') => ({ id, device, time, received: time, account });
const TABLES: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
  positions: [
    row('a', CAR, OF_ACME, 'acme'),
    row('b', CAR, OF_BOLT, 'bolt'),
    { ...row('late', CAR, OF_ACME, 'bolt'), received: OF_BOLT },
    row('alias', 'car-old', OF_ACME, 'acme'),
    row('van', VAN, OF_BOLT, 'acme'),
  ],
  raw: [row('frame-a', CAR, OF_ACME), row('frame-b', CAR, OF_BOLT)],
  usage: [row('use-a', CAR, OF_ACME, 'acme'), row('use-b', CAR, OF_BOLT, 'bolt')],
};
const EVENTS: readonly Record<string, unknown>[] = [
  { ...row('c-a queued', CAR, OF_ACME), type: 'command', data: { id: 'c-a', state: 'queued' } },
  { ...row('c-a answered', CAR, OF_BOLT), type: 'command', data: { id: 'c-a', state: 'answered' } },
  { ...row('c-b queued', CAR, OF_BOLT), type: 'command', data: { id: 'c-b', state: 'queued' } },
  { ...row('c-b answered', CAR, OF_BOLT + 1), type: 'command', data: { id: 'c-b', state: 'answered' } },
  { ...row('connected', CAR, OF_BOLT), type: 'connected', data: {} },
];
const AUDIT = [
  {
    ...row('a', CAR, OF_ACME, 'acme'),
    type: 'device_changed',
    address: '192.0.2.1',
    request: 'r-1',
    old: { name: 'x' },
    new: {},
    by: 'me',
  },
  { ...row('b', CAR, OF_BOLT, 'bolt'), type: 'device_changed', by: 'you' },
  { ...row('all', CAR, OF_BOLT), type: 'device_changed', by: 'the operator' },
  { ...row('refused', CAR, OF_BOLT, 'bolt'), type: 'refused', by: 'you' },
  { ...row('refused', CAR, OF_ACME, 'acme'), type: 'refused', by: 'me' },
];

class Rows implements StoredRows {
  async columns(): Promise<object[]> {
    return [{}];
  }

  async *pages(table: string, devices: readonly string[]): AsyncGenerator<readonly object[]> {
    yield (TABLES[table] ?? []).filter(({ device }) => devices.includes(String(device)));
  }

  async *events(devices: readonly string[]): AsyncGenerator<readonly object[]> {
    yield EVENTS.filter(({ device }) => devices.includes(String(device)));
  }

  async close(): Promise<void> {}
}

function commandAt(id: string, created: number): Command {
  const made: unknown = { id, device: CAR, created };
  return Object(made);
}

const frozen = (id: string, account: string, start: number, end: number, owned?: object): string =>
  JSON.stringify({ id, statement: { account, start, end, ...(owned === undefined ? {} : { owned }) } });

const stores = new Stores();
let store: StateStore;
let options: ExportOptions;

beforeAll(async () => {
  await stores.start();
  store = await stores.open('lmdb');
  const test = (id: string, started: number): string =>
    JSON.stringify({
      ...{ id, device: CAR, by: 'me', profile: 'basic', seconds: 60 },
      started,
      ...{ ended: started, state: 'passed', items: [], server: 's', relay: [] },
    });
  const opened = {
    device: CAR,
    account: 'acme',
    reason: 'stolen',
    interval_s: 10,
    until: 0,
    by: 'me',
    ended: 1,
    ended_by: 'me',
    notes: [],
  };
  await store.write([
    DEVICES.put(deviceSchema.parse({ id: CAR, account: 'bolt', aliases: ['car-old'] }), CAR),
    DEVICES.put(deviceSchema.parse({ id: VAN, account: 'acme' }), VAN),
    OWNERS.put(
      [
        { account: 'acme', from: 5, to: SOLD },
        { account: 'bolt', from: SOLD },
      ],
      CAR,
    ),
    OWNERS.put([{ account: 'acme', from: 5 }], VAN),
    UNITS.put(
      {
        periods: [
          { unit: 'u-a', from: 0, to: SOLD - 10 },
          { unit: 'u-b', from: SOLD - 10, to: OF_BOLT },
          // Of the moment at which it was passed on.
          { unit: 'u-c', from: SOLD, to: OF_BOLT },
          { unit: CAR, from: OF_BOLT },
        ],
      },
      CAR,
    ),
    { table: 'usage', key: `${CAR} ${SOLD - 10 * HOUR}`, put: JSON.stringify({ id: 'cycle-a', bytes_in: 1 }) },
    { table: 'usage', key: `${CAR} ${SOLD}`, put: JSON.stringify({ id: 'cycle-b', bytes_in: 2 }) },
    { table: 'statements', key: `${CAR} ${SOLD - 20 * HOUR}`, put: frozen('s-a', 'acme', SOLD - 20 * HOUR, SOLD - 10 * HOUR) },
    { table: 'statements', key: `${CAR} ${SOLD - 10 * HOUR} a`, put: frozen('s-part-a', 'acme', SOLD - 10 * HOUR, SOLD + 10 * HOUR, {}) },
    // Of before a cycle was divided: of both.
    { table: 'statements', key: `${CAR} ${SOLD - 10 * HOUR} b`, put: frozen('s-both', 'bolt', SOLD - 10 * HOUR, SOLD + 10 * HOUR) },
    { table: 'statements', key: `${CAR} ${SOLD + 10 * HOUR}`, put: frozen('s-b', 'bolt', SOLD + 10 * HOUR, SOLD + 20 * HOUR) },
    { table: 'tests', key: `${CAR} 1`, put: test('t-a', OF_ACME) },
    { table: 'tests', key: `${CAR} 2`, put: test('t-b', OF_BOLT) },
    CASES.put({ ...opened, id: 'k-a', started: OF_ACME }, CAR, 'k-a'),
    CASES.put({ ...opened, account: 'bolt', id: 'k-b', started: OF_BOLT }, CAR, 'k-b'),
  ]);
  options = {
    rows: () => new Rows(),
    store,
    ledger: {
      open: async (device) => (device === CAR ? [commandAt('open', OF_BOLT)] : []),
      unknown: async (device) => (device === CAR ? [commandAt('unknown', OF_ACME)] : []),
      finished: async (device) => (device === CAR ? [commandAt('done', OF_ACME)] : []),
    },
    shadow: { get: async (device) => Object({ id: `settings of ${device}` }) },
    async *audit(of) {
      yield AUDIT.filter((entry) => ('device' in of ? entry['device'] === of.device : entry.account === of.account));
    },
    now: () => SOLD,
  };
});
afterAll(async () => {
  await stores.clear();
  await stores.stop();
});

async function exported(of: { device?: string; account?: string }): Promise<Map<string, string>> {
  const subjects = await subjectsOf(store, of, ALWAYS);
  const [first] = subjects;
  if (first === undefined) throw new Error('no device');
  const stream = of.device === undefined ? exportAccount(options, { id: of.account ?? '' }, subjects) : exportDevice(options, first);
  const chunks: Buffer[] = [];
  for await (const chunk of await stream) chunks.push(Buffer.from(chunk));
  return unzipped(Buffer.concat(chunks));
}

/** File → its marks. */
async function marksOf(of: { device?: string; account?: string }): Promise<Record<string, unknown[]>> {
  const files = await exported(of);
  return Object.fromEntries(
    Array.from(files, ([name, text]) => [name.replace('.ndjson', ''), objects(text).map(({ id, account, unit }) => id ?? unit ?? account)]),
  );
}

const NONE = { statuses: [], settings: [], device: [] };

test('the operator has all of a device', async () => {
  expect(await marksOf({ device: CAR })).toEqual({
    ...{ device: [CAR], owners: ['acme', 'bolt'], units: ['u-a', 'u-b', 'u-c', CAR] },
    ...{ positions: ['a', 'b', 'late', 'alias'], statuses: [], usage: ['use-a', 'use-b'], frames: ['frame-a', 'frame-b'] },
    events: EVENTS.map(({ id }) => id),
    ...{ cycles: ['cycle-a', 'cycle-b'], statements: ['s-a', 's-part-a', 's-both', 's-b'], commands: ['done', 'unknown', 'open'] },
    ...{ tests: ['t-a', 't-b'], cases: ['k-b', 'k-a'], settings: [`settings of ${CAR}`, 'settings of car-old'] },
    audit: ['a', 'b', 'all', 'refused', 'refused'],
  });
});

test('3: who has it now has what is of their time', async () => {
  expect(await marksOf({ device: CAR, account: 'bolt' })).toEqual({
    ...{ device: [CAR], owners: ['bolt'], units: ['u-b', 'u-c', CAR] },
    ...{ positions: ['b'], statuses: [], usage: ['use-b'], frames: ['frame-b'], events: ['c-b queued', 'c-b answered', 'connected'] },
    ...{ cycles: ['cycle-b'], statements: ['s-b'], commands: ['open'], tests: ['t-b'], cases: ['k-b'] },
    ...{ settings: [`settings of ${CAR}`, 'settings of car-old'], audit: ['b'] },
  });
});

test('3: who had it before has what was theirs, and nothing of what it is now', async () => {
  expect(await marksOf({ device: CAR, account: 'acme' })).toEqual({
    ...{ ...NONE, owners: ['acme'], units: ['u-a', 'u-b'] },
    ...{ positions: ['a', 'alias'], usage: ['use-a'], frames: ['frame-a'], events: ['c-a queued'] },
    ...{ cycles: [], statements: ['s-a', 's-part-a'], commands: ['done', 'unknown'], tests: ['t-a'], cases: ['k-a'], audit: ['a'] },
  });
});

test('3: an account has what was theirs of each device, and of its own audit no refusals, addresses and values', async () => {
  const of = { account: 'acme' };
  expect(await marksOf(of)).toMatchObject({
    ...{ account: ['acme'], device: [VAN], owners: ['acme', 'acme'], positions: ['a', 'alias', 'van'], audit: ['a'] },
    settings: [`settings of ${VAN}`],
  });
  expect(objects((await exported(of)).get('audit.ndjson'))).toEqual([
    { ...row('a', CAR, OF_ACME, 'acme'), type: 'device_changed', by: 'me' },
  ]);
});

test('subjects are those of the time that is asked for', async () => {
  const owners = async (from: number, to: number, account?: string): Promise<unknown[]> =>
    (await subjectsOf(store, account === undefined ? { device: CAR } : { account }, { from, to })).map(({ id, periods }) => [
      id,
      ...periods.map((period) => period.account),
    ]);
  expect(await owners(SOLD, SOLD + 1)).toEqual([[CAR, 'bolt']]);
  expect(await owners(SOLD - 1, SOLD)).toEqual([[CAR, 'acme']]);
  expect(await owners(SOLD - 1, SOLD + 1)).toEqual([[CAR, 'acme', 'bolt']]);
  expect(await owners(0, 5)).toEqual([[CAR]]);
  expect(await owners(SOLD, SOLD + 1, 'acme')).toEqual([[VAN, 'acme']]);
  expect(await owners(SOLD - 1, SOLD, 'acme')).toEqual([
    [CAR, 'acme'],
    [VAN, 'acme'],
  ]);
  expect(await owners(SOLD - 1, SOLD, 'bolt')).toEqual([]);
});
