import { describe, expect, it } from 'vitest';
import { Commands } from '../../../src/out/sink/redis-stream/encode.ts';
import { copiesOfEvent, copiesOfRow, type Passing } from '../../../src/out/sink/redis-stream/recipients.ts';
import { Batch } from '../../../src/out/sink/sink.ts';
import { recordRows, type Said, T } from '../../support/record-rows.ts';
import { argumentsOf } from '../../support/resp-arguments.ts';

/** What goes to Redis for a batch. Numbers quote the invariants of src/out/sink/redis-stream/recipients.ts. */

const KEYS = ['cursor', 'positions', 'statuses', 'events', 'audit'];
const RECEIVED = T + 1_000;
const AHEAD = 300_000;
const [FIX, STATUS]: [Said, Said] = [{ at: [1, 2], valid: true }, {}];

interface Happened {
  readonly device?: string;
  readonly account?: string;
  readonly type?: string;
  readonly time?: number;
  readonly received?: number;
}

function batchOf(records: readonly Said[], events: readonly Happened[] = [], audit: readonly Happened[] = []): Batch {
  const batch = new Batch();
  batch.ranges = { 0: { from: 1, to: 2 } };
  recordRows(records, batch.rows);
  for (const [list, rows] of [
    [events, batch.events],
    [audit, batch.audit],
  ] as const)
    for (const { device = 'd1', account = '', type = 'connected', time = T, received = RECEIVED } of list)
      rows.push({ id: '0'.repeat(16), device, account, protocol: 'rows', type, time, received, data: '{"k":1}' }, '0', 1);
  return batch;
}

/** Keys and arguments of a script. */
function called(bytes: Buffer | undefined): { keys: string[]; args: string[] } {
  const [name, , count, ...rest] = argumentsOf(bytes ?? Buffer.alloc(0));
  expect(name).toBe('EVAL');
  return { keys: rest.slice(0, Number(count)), args: rest.slice(Number(count)) };
}

/** Of what is appended: stream, device and time of each entry. */
function entriesOf(batch: Batch, commands = new Commands(), passing?: Passing): string[] {
  const { args } = called(commands.append(batch, KEYS, 10, passing, 'p:'));
  const rest = args.slice(2 + 3 * Object.keys(batch.ranges).length);
  return rest.flatMap((stream, k) => (k % 4 === 0 ? [`${stream} ${rest[k + 1]} ${Number(rest[k + 2]) - T}`] : []));
}

describe('the command that appends a batch', () => {
  it('says where the cursor stands and what comes, with the record as it is', () => {
    const batch = batchOf([FIX], [{}], [{ time: T + 5 }]);
    batch.ranges = { 0: { from: 1, to: 4 }, 7: { from: 10, to: 10 } };
    const { keys, args } = called(new Commands().append(batch, KEYS, 1_000));
    expect(keys).toEqual(KEYS);
    const [event, record, audit] = [args[11], args[15], args[19]];
    expect(args).toEqual([
      ...['1000', '2', '0', '0', '4', '7', '9', '10'],
      ...['4', 'd1', `${T}`, event],
      ...['2', 'd1', `${T}`, record],
      ...['5', 'd1', `${T + 5}`, audit],
    ]);
    expect(record).toBe(batch.rows.json(0));
    expect([event, audit].map((text) => JSON.parse(text ?? ''))).toMatchObject([
      { kind: 'event', data: { k: 1 } },
      { kind: 'audit', data: { k: 1 } },
    ]);
  });

  it.each<[what: string, events: readonly number[], entries: readonly string[]]>([
    ['before the record that came after them', [999], ['4 d1 999', '2 d1 0', '3 d1 0']],
    ['behind the record that came with them', [1_000], ['2 d1 0', '4 d1 1000', '3 d1 0']],
    ['between records and behind the last', [1_500, 2_000], ['2 d1 0', '4 d1 1500', '3 d1 0', '4 d1 2000']],
  ])('has events %s', (_what, events, entries) => {
    const records = [FIX, { ...STATUS, received: T + 2_000 }];
    expect(
      entriesOf(
        batchOf(
          records,
          events.map((ms) => ({ time: T + ms })),
        ),
      ),
    ).toEqual(entries);
  });

  it('leaves out what a device sent again, also as its last position', () => {
    const batch = batchOf([FIX, { ...FIX, time: T + 1 }, { ...FIX, time: T + 2 }]);
    batch.resent[2] = 1;
    const commands = new Commands();
    expect(entriesOf(batch, commands)).toEqual(['2 d1 0', '2 d1 1']);
    expect(commands.lastData()).toEqual([batch.rows.json(1), '', '', '']);
    expect(called(commands.last(batch.rows, batch.resent, 'p:'))).toEqual({ keys: ['p:last:d1'], args: [batch.rows.json(1)] });
  });

  it('knows the last entry of each stream, of this batch only', () => {
    const commands = new Commands();
    const batch = batchOf([FIX, STATUS, { ...FIX, device: 'd2' }], [{}, { device: 'd2' }], [{ device: 'd3' }]);
    entriesOf(batch, commands);
    const [position, status, event, audit] = commands.lastData();
    expect([position, status]).toEqual([batch.rows.json(2), batch.rows.json(1)]);
    expect([event, audit].map((text) => JSON.parse(text ?? '').device)).toEqual(['d2', 'd3']);
    entriesOf(batchOf([]), commands);
    expect(commands.lastData()).toEqual(['', '', '', '']);
  });

  it('has as many records as there are', () => {
    const commands = new Commands();
    for (const count of [257, 1_000, 3]) {
      const batch = batchOf(Array.from({ length: count }, (_, k) => ({ ...FIX, device: `d${k}`, time: T + k })));
      expect(entriesOf(batch, commands)).toEqual(Array.from({ length: count }, (_, k) => `2 d${k} ${k}`));
      const { keys, args } = called(commands.last(batch.rows, batch.resent, ''));
      expect(keys).toEqual(Array.from({ length: count }, (_, k) => `last:d${k}`));
      expect(args).toEqual(Array.from({ length: count }, (_, k) => batch.rows.json(k)));
    }
  });
});

describe('the last position', () => {
  const at = (ms: number, more: Said = {}): Said => ({ ...FIX, time: T + ms, columns: { speedKmh: 1 }, ...more });
  it.each<[what: string, records: readonly Said[], row: number]>([
    ['is the newest, whenever it came', [at(5), at(9), at(7)], 1],
    ['is the later one of two of a time', [at(5), at(5, { attrs: { rpm: 1 } })], 1],
    ['is none that the device does not vouch for', [at(5), at(9, { valid: false })], 0],
    ['is a place', [at(5), { time: T + 9, valid: true }], 0],
    ['is no older for a time that is just believed', [at(1_000 + AHEAD), at(2_000)], 0],
    ['is as new as its receipt, for a time that is not', [at(1_001 + AHEAD), at(2_000)], 1],
    ['is as new as its receipt also against an older one', [at(999), at(1_001 + AHEAD)], 1],
  ])('%s', (_what, records, row) => {
    const batch = batchOf([...records, { ...FIX, device: 'd2' }]);
    const commands = new Commands();
    entriesOf(batch, commands);
    expect(called(commands.last(batch.rows, batch.resent, ''))).toEqual({
      keys: ['last:d1', 'last:d2'],
      args: [batch.rows.json(row), batch.rows.json(records.length)],
    });
  });

  it('is not asked for without one', () => {
    const batch = batchOf([STATUS, { ...FIX, valid: false }]);
    const commands = new Commands();
    entriesOf(batch, commands);
    expect(commands.last(batch.rows, batch.resent, '')).toBeUndefined();
  });
});

type Routes = Readonly<Record<string, ReturnType<Passing['routes']>>>;
const passingOf = (routes: Routes, owns: Passing['owns'] = () => true): Passing => ({ routes: (account) => routes[account] ?? [], owns });

describe('copies for recipients', () => {
  it('follow what they are of, to a stream each, and are counted', () => {
    const passing = passingOf({
      acme: [
        { recipient: 'r1', since: 0 },
        { recipient: 'r2', since: 0, fields: new Set(['rpm']) },
      ],
    });
    const record: Said = { ...FIX, account: 'acme', attrs: { rpm: 9 } };
    const batch = batchOf([record, FIX, { ...record, device: 'd2' }], [{ account: 'acme', time: T + 2_000 }]);
    batch.resent[2] = 1;
    const commands = new Commands();
    expect(entriesOf(batch, commands, passing)).toEqual(['2 d1 0', '6 d1 0', '7 d1 0', '2 d1 0', '4 d1 2000', '6 d1 2000']);
    expect([...commands.passed]).toEqual([
      ['r1', 2],
      ['r2', 1],
    ]);
    const { keys, args } = called(commands.append(batch, KEYS, 10, passing, 'p:'));
    expect(keys).toEqual([...KEYS, 'p:to:r1', 'p:to:r2']);
    expect(args.filter((_, k) => k % 4 === 0).slice(2)).toEqual([
      batch.rows.json(0),
      batch.rows.json(0),
      expect.stringContaining('"attrs":{"rpm":9}'),
      batch.rows.json(1),
      args[24],
      args[24],
    ]);
    // The next batch has no recipients.
    expect(called(commands.append(batchOf([record]), KEYS, 10)).keys).toEqual(KEYS);
    expect([...commands.passed]).toEqual([]);
  });

  it.each<[what: string, since: number, more: { relayed?: true; owns?: Passing['owns']; account?: string }, copies: number]>([
    ['of what came when it was consented to', RECEIVED, {}, 1],
    ['not of what came before', RECEIVED + 1, {}, 0],
    ['not of what is relayed', 0, { relayed: true }, 0],
    ['not of another account', 0, { account: 'other' }, 0],
    ['not of what was another account’s', 0, { owns: () => false }, 0],
    [
      'of what was received and measured in time',
      0,
      { owns: (account, ...when) => `${account} ${when}` === `acme d1,${RECEIVED},${T}` },
      1,
    ],
  ])('are made %s (1, 2)', (_what, since, { relayed, owns, account = 'acme' }, copies) => {
    const passing = passingOf({ acme: [{ recipient: 'r1', since }] }, owns);
    const batch = batchOf([{ ...FIX, account }]);
    if (relayed) batch.relayedRows.add(0);
    expect(copiesOfRow(passing, batch, 0)).toEqual(copies === 0 ? [] : [{ recipient: 'r1', json: undefined }]);
  });

  const WHO = { id: expect.any(String), device: 'd1', account: 'acme', protocol: 'rows', time: T, received: RECEIVED };
  const PLACED = { valid: true, lat: 1, lon: 2 };
  it.each<[fields: readonly string[], said: Said, record: object | undefined]>([
    [['rpm'], { attrs: { rpm: 1, door: true } }, { kind: 'status', ...WHO, attrs: { rpm: 1 } }],
    [['rpm', 'speed_kmh'], {}, { kind: 'status', ...WHO, speed_kmh: 9, attrs: {} }],
    [['place'], {}, { kind: 'fix', ...WHO, ...PLACED, attrs: {} }],
    [['place', 'rpm'], { attrs: { rpm: 1 } }, { kind: 'fix', ...WHO, ...PLACED, attrs: { rpm: 1 } }],
    [['lat', 'lon', 'valid'], {}, undefined],
    [['door'], { attrs: { rpm: 1 } }, undefined],
    [['place'], { at: [Number.NaN, 0] }, undefined],
    [['place', 'rpm'], { at: [Number.NaN, 0], attrs: { rpm: 1 } }, { kind: 'status', ...WHO, attrs: { rpm: 1 } }],
    [['speed_kmh'], { flags: 4 }, { kind: 'status', ...WHO, flags: ['rollover'], speed_kmh: 9, attrs: {} }],
    [['cells'], { cells: [[1, 2, 3, 4, 0]] }, { kind: 'status', ...WHO, cells: [{ mcc: 1, mnc: 2, lac: 3, cid: 4 }], attrs: {} }],
  ])('of a consent to %j have these fields (3)', (fields, said, record) => {
    const passing = passingOf({ acme: [{ recipient: 'r1', since: 0, fields: new Set(fields) }] });
    const batch = batchOf([{ ...FIX, account: 'acme', columns: { speedKmh: 9 }, ...said }]);
    const copies = copiesOfRow(passing, batch, 0).map(({ json }) => JSON.parse(json ?? ''));
    expect(copies).toEqual(record === undefined ? [] : [record]);
  });

  const MONTH = 31 * 86_400_000;
  it.each<[what: string, event: Happened, since: number, fields: ReadonlySet<string> | undefined, copies: number]>([
    ['of what came when it was consented to', {}, RECEIVED, undefined, 1],
    ['not of what came before', {}, RECEIVED + 1, undefined, 0],
    ['not for a consent to some fields', {}, 0, new Set(['rpm']), 0],
    ['of a command of the account', { type: 'command' }, 0, undefined, 1],
    ['not of a command that may be of who had it before', { type: 'command', received: RECEIVED - 1 }, 0, undefined, 0],
    ['of another event of that time', { received: RECEIVED - 1 }, 0, undefined, 1],
    ['not of another account', { account: 'other' }, 0, undefined, 0],
  ])('of an event are made %s (2, 3)', (_what, event, since, fields, copies) => {
    const passing = passingOf({ acme: [{ recipient: 'r1', since, fields }] }, (_account, device, received, begun) => {
      expect([device, received]).toEqual(['d1', event.received ?? RECEIVED]);
      return begun >= RECEIVED - MONTH;
    });
    expect(copiesOfEvent(passing, batchOf([], [{ account: 'acme', ...event }]), 0)).toEqual(
      copies === 0 ? [] : [{ recipient: 'r1', json: undefined }],
    );
  });

  it('of an event are not made of what is relayed (1)', () => {
    const batch = batchOf([], [{ account: 'acme' }]);
    batch.relayedEvents.add(0);
    expect(copiesOfEvent(passingOf({ acme: [{ recipient: 'r1', since: 0 }] }), batch, 0)).toEqual([]);
  });
});
