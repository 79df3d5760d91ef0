import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/base/clock.ts';
import { silentLog } from '../../../src/base/log.ts';
import { FrameResult } from '../../../src/codec/index.ts';
import { type Adapter, type Answer, type Registered, TooMany } from '../../../src/out/sink/forward/adapter.ts';
import { createForwardSink, Subjects } from '../../../src/out/sink/forward/sink.ts';
import { Batch, type Sink } from '../../../src/out/sink/sink.ts';
import toy from '../../helpers/toy-codec.ts';

/** Forwarding to an authority that is asked in memory. Numbers quote the invariants of src/out/sink/forward/sink.ts. */

const T = Date.UTC(2026, 9, 1);
const TAKEN: Answer = { taken: true, code: 0, message: '' };

/** Takes records unless one of them is bad; a call may fail, before or after it has taken them. */
class Authority implements Adapter {
  readonly name = 'authority';
  most = 4;
  /** Numbers of records: refused, and such as cannot be sent. */
  bad = (_number: number): boolean => false;
  impossible = (_number: number): boolean => false;
  received: number | undefined = undefined;
  /** What the next calls end with, in place of an answer. */
  failures: (Error | undefined)[] = [];
  /** Numbers of the records of each call. */
  calls: number[][] = [];
  /** Calls with master data, and what they end with. */
  masters: string[] = [];
  master: () => Answer = () => TAKEN;

  async open(): Promise<void> {}

  subject({ id, labels }: Registered) {
    const unit = labels?.['unit'];
    return unit === undefined ? undefined : { unit, master: { id, plate: labels?.['plate'] ?? '' } };
  }

  record(_rows: unknown, _row: number, _subject: unknown, number: number): object | string {
    return this.impossible(number) ? `cannot be sent: ${number}` : { number };
  }

  async send(records: readonly { readonly number?: number }[]): Promise<Answer> {
    const numbers = records.map(({ number = 0 }) => number);
    this.calls.push(numbers);
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    const bad = numbers.filter((number) => this.bad(number));
    if (bad.length > 0) return { taken: false, code: 7, message: `bad ${bad[0]}` };
    return { ...TAKEN, received: this.received };
  }

  async register({ unit, master }: { unit: string; master: object }): Promise<Answer> {
    this.masters.push(`${unit} ${Object.values(master).join(' ')}`);
    return this.master();
  }

  async unregister(unit: string): Promise<Answer> {
    this.masters.push(`without ${unit}`);
    return this.master();
  }
}

let directory: string;
let authority: Authority;
let subjects: Subjects;
let counts: Record<string, number>;
let said: string[];
/** A second passes between two looks at it, so that there are always calls left; a test may hold it. */
let step: number;
let elapsed: number;
const clock: Clock = { now: () => T, elapsed: () => (elapsed += step) };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-forward-'));
  authority = new Authority();
  subjects = new Subjects(authority);
  subjects.all(new Map([['d-1', device('d-1', 'u-1')]]));
  [counts, said, step, elapsed] = [{}, [], 1_000, 0];
});
afterEach(() => rmSync(directory, { recursive: true }));

const device = (id: string, unit: string, plate = 'P'): Registered => ({ id, labels: { unit, plate } });

async function opened(): Promise<Sink> {
  const sink = createForwardSink({
    adapter: authority,
    directory,
    callsPerMinute: 60,
    subjects,
    log: Object.assign(Object.create(silentLog), { warn: (_fields: object, message: string) => said.push(message) }),
    count: (outcome, kind) => {
      counts[`${kind} ${outcome}`] = (counts[`${kind} ${outcome}`] ?? 0) + 1;
    },
    clock,
  });
  await sink.open();
  return sink;
}

/** A record a device, entries 1, 2, 3 … of slot 0. `status`: one without a place. */
function batchOf(devices: readonly (string | { device: string; status?: boolean; resent?: boolean })[], from = 1): Batch {
  const batch = new Batch();
  for (const [i, one] of devices.entries()) {
    const { device: id, status = false, resent = false } = typeof one === 'string' ? { device: one } : one;
    const frame = new FrameResult();
    frame.reset(0, 1);
    const row = frame.row();
    frame.time[row] = T;
    if (!status) [frame.latitude[row], frame.longitude[row]] = [13, 100];
    batch.rows.append(frame, toy, id, T, 1, Buffer.from([i]));
    batch.locate('0', from + i);
    if (resent) batch.resent[i] = 1;
  }
  batch.ranges = { 0: { from, to: from + devices.length - 1 } };
  batch.token = `token ${from}`;
  return batch;
}
const many = (count: number, id = 'd-1'): string[] => Array.from({ length: count }, () => id);
const upTo = (last: number, first = 1): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);

/** Delivers, and returns what was parked: the entries and why. */
async function delivered(sink: Sink, batch: Batch): Promise<[sequence: number, reason: string][]> {
  const parked: [number, string][] = [];
  await sink.deliver(batch, async (_slot, sequence, reason) => void parked.push([sequence, reason]));
  return parked;
}

/** What the file of the day says, without the moment. */
function evidence(): Record<string, unknown>[] {
  const days = readdirSync(directory).filter((name) => /^authority-2026-10-01\.jsonl$/.test(name));
  return days.flatMap((name) => readFileSync(join(directory, name), 'utf8').trim().split('\n')).map((line) => JSON.parse(line));
}

describe('records', () => {
  it.each<[what: string, count: number, most: number, bad: number[], impossible: number[], calls: number[][], parked: [number, string][]]>([
    [
      'are handed over in order, no more at a time than the authority takes',
      10,
      4,
      [],
      [],
      [
        [1, 2],
        [3, 4, 5, 6],
        [7, 8, 9, 10],
      ],
      [],
    ],
    ['are one call where that is enough', 4, 4, [], [], [[1, 2, 3, 4]], []],
    [
      'that are refused are found by halving, and those behind them are taken',
      6,
      4,
      [4],
      [],
      [[1, 2], [3, 4, 5, 6], [3, 4], [3], [4], [5, 6]],
      [[4, 'refused: 7 bad 4']],
    ],
    [
      'that are all refused, but few, are set aside at the end',
      3,
      4,
      [1, 2, 3],
      [],
      [[1, 2, 3], [1], [2, 3], [2], [3]],
      [
        [1, 'refused: 7 bad 1'],
        [2, 'refused: 7 bad 2'],
        [3, 'refused: 7 bad 3'],
      ],
    ],
    ['that cannot be sent are set aside, and cost no call', 3, 4, [], [1, 2, 3], [], upTo(3).map((n) => [n, `cannot be sent: ${n}`])],
    ['that cannot be sent stand in the way of no other', 4, 4, [], [2], [[1, 3, 4]], [[2, 'cannot be sent: 2']]],
    [
      'of which one is left to send are not halved when that is refused',
      2,
      4,
      [2],
      [1],
      [[2]],
      [
        [1, 'cannot be sent: 1'],
        [2, 'refused: 7 bad 2'],
      ],
    ],
    [
      'that cannot be sent do not make the authority one that refuses all',
      20,
      4,
      [],
      upTo(20),
      [],
      upTo(20).map((n) => [n, `cannot be sent: ${n}`]),
    ],
    [
      'that are refused before the first is taken are set aside when it is',
      16,
      1,
      upTo(15),
      [],
      upTo(16).map((n) => [n]),
      upTo(15).map((n) => [n, `refused: 7 bad ${n}`]),
    ],
  ])('%s (1, 3)', async (_what, count, most, bad, impossible, calls, parked) => {
    authority.most = most;
    authority.bad = (number) => bad.includes(number);
    authority.impossible = (number) => impossible.includes(number);
    const sink = await opened();
    expect(sink.limits.rows).toBe(most);
    expect(await delivered(sink, batchOf(many(count)))).toEqual(parked);
    expect(authority.calls).toEqual(calls);
    const position = await sink.open();
    expect([position.delivered('0'), position.delivered('1'), position.pending]).toEqual([count, 0, null]);
    const refused = calls.filter((call) => call.some((number) => bad.includes(number))).length;
    expect([counts['locations refused'] ?? 0, counts['locations taken'] ?? 0]).toEqual([refused, calls.length - refused]);
  });

  it('that are all refused, and many, are not at fault: nothing is set aside, and all go with the same numbers later (2, 3)', async () => {
    authority.bad = () => true;
    const sink = await opened();
    const batch = batchOf(many(17));
    const parked: number[] = [];
    const deliver = sink.deliver(batch, async (_slot, sequence) => void parked.push(sequence));
    await expect(deliver).rejects.toMatchObject({ code: 'SINK_UNREACHABLE', message: 'authority refuses every record: 7 bad 16' });
    expect(parked).toEqual([]);
    const again = await opened();
    expect((await again.open()).pending).toEqual({ 0: { from: 1, to: 17 } });
    authority.bad = () => false;
    authority.calls = [];
    expect(await delivered(again, batch)).toEqual([]);
    expect(authority.calls.flat()).toEqual(upTo(17));
  });

  it.each([
    ['where the answer was lost', 1],
    ['where the first call failed', 0],
  ])('go on %s, with the same numbers, also in another process (2)', async (_what, before) => {
    authority.failures = [...Array.from({ length: before }, () => undefined), new Error('cut off')];
    const batch = batchOf(many(10));
    await expect(delivered(await opened(), batch)).rejects.toMatchObject({ code: 'SINK_UNREACHABLE', message: 'authority: cut off' });
    const failed = authority.calls.at(-1);
    authority.calls = [];
    const again = await opened();
    await delivered(again, batch);
    expect(authority.calls[0]).toEqual(before === 0 ? [1, 2] : failed);
    expect(authority.calls.flat()).toEqual(upTo(10, before === 0 ? 1 : 3));
    expect(counts['locations unanswered']).toBe(1);
    await delivered(again, batchOf(many(1), 11));
    expect(authority.calls.at(-1)).toEqual([11]);
  });

  it('without a place, sent again by the device, or of others are left out, and have no number', async () => {
    subjects.changed('d-2', device('d-2', 'u-2'));
    const sink = await opened();
    const [status, resent] = [
      { device: 'd-1', status: true },
      { device: 'd-1', resent: true },
    ];
    await delivered(sink, batchOf(['d-1', status, 'd-2', resent, 'd-3', 'd-1', 'd-2']));
    expect(authority.calls).toEqual([[1, 1, 2, 2]]);
    expect([sink.wants?.('d-1'), sink.wants?.('d-3')]).toEqual([true, false]);
    expect((await sink.open()).delivered('0')).toBe(7);
  });

  it('of two devices that are one unit are counted together', async () => {
    subjects.changed('d-2', device('d-2', 'u-1'));
    await delivered(await opened(), batchOf(['d-1', 'd-2', 'd-1']));
    expect(authority.calls).toEqual([[1, 2, 3]]);
  });

  it('leave a line of evidence for each call: who, which numbers, what was answered', async () => {
    subjects.changed('d-2', device('d-2', 'u-2'));
    authority.bad = (number) => number === 3;
    authority.impossible = (number) => number === 4;
    await delivered(await opened(), batchOf(['d-1', 'd-2', 'd-1', 'd-1', 'd-1']));
    const lines = evidence().filter(({ token }) => token !== undefined);
    const common = { at: '2026-10-01T00:00:00.000Z', token: 'token 1' };
    expect(lines).toEqual([
      { ...common, taken: true, code: 0, message: '', records: 1, numbers: { 'd-1': [1, 1] } },
      { ...common, taken: true, code: 0, message: '', records: 2, numbers: { 'd-2': [1, 1], 'd-1': [2, 2] } },
      { ...common, taken: false, code: 7, message: 'bad 3', records: 1, numbers: { 'd-1': [3, 3] } },
    ]);
  });

  it.each([
    [2, 0],
    [1, 1],
    [undefined, 0],
  ])('are said to be another number when the authority says that: %j of 2', async (received, warnings) => {
    authority.received = received;
    await delivered(await opened(), batchOf(many(2)));
    expect(said).toHaveLength(warnings);
  });

  it('wait for no call when the server ends, and for no sink that is not open', async () => {
    const sink = await opened();
    sink.ending?.();
    await expect(delivered(sink, batchOf(many(1)))).rejects.toMatchObject({ message: 'the shipper is ending' });
    const closed = await opened();
    await closed.close();
    await expect(delivered(closed, batchOf(many(1)))).rejects.toMatchObject({ message: 'the shipper is ending' });
    const unopened = createForwardSink({ adapter: authority, directory, callsPerMinute: 60, subjects, log: silentLog, count: () => {} });
    await expect(delivered(unopened, batchOf(many(1)))).rejects.toMatchObject({ message: 'authority is not open' });
    expect([authority.calls, unopened.limits]).toEqual([[], { rows: 4, bytes: 67_108_864, ageMs: 45_000 }]);
  });
});

describe('master data (5)', () => {
  it('are told once, and again when they change', async () => {
    const sink = await opened();
    await sink.check();
    await sink.check();
    expect(authority.masters).toEqual(['u-1 d-1 P']);
    subjects.changed('d-1', device('d-1', 'u-1', 'Q'));
    await sink.check();
    expect(authority.masters).toEqual(['u-1 d-1 P', 'u-1 d-1 Q']);
    expect(evidence()).toMatchObject([
      { master: 'd-1', taken: true },
      { master: 'd-1', taken: true },
    ]);
    await (await opened()).check();
    expect([authority.masters.length, counts]).toEqual([2, { 'master taken': 2 }]);
  });

  it.each<[what: string, change: () => void]>([
    ['is not in the list any more', () => subjects.all(new Map([['d-2', device('d-2', 'u-2')]]))],
    ['is removed', () => subjects.changed('d-1', undefined)],
    ['has no label any more', () => subjects.changed('d-1', { id: 'd-1', labels: {} })],
  ])('are taken back of a device that %s', async (_what, change) => {
    const sink = await opened();
    await sink.check();
    change();
    await sink.check();
    await sink.check();
    expect(authority.masters.filter((call) => call.includes('u-1'))).toEqual(['u-1 d-1 P', 'without u-1']);
    expect(evidence().at(-1)).toMatchObject({ removed: 'u-1', taken: true });
    expect(sink.wants?.('d-1')).toBe(false);
  });

  it('that are refused are told again only when they are others', async () => {
    authority.master = () => ({ taken: false, code: 9, message: 'no such plate' });
    const sink = await opened();
    await sink.check();
    await sink.check();
    expect([authority.masters, said]).toEqual([['u-1 d-1 P'], ['master data were refused']]);
    subjects.changed('d-1', device('d-1', 'u-1', 'Q'));
    await sink.check();
    expect([authority.masters.at(-1), counts]).toEqual(['u-1 d-1 Q', { 'master refused': 2 }]);
  });

  it('are ten calls between two batches at most, and those to be taken back count', async () => {
    const fleet = (from: number, to: number) => new Map(upTo(to, from).map((n) => [`d-${n}`, device(`d-${n}`, `u-${n}`)]));
    subjects.all(fleet(1, 12));
    const sink = await opened();
    const calls = async (): Promise<number> => {
      const before = authority.masters.length;
      await sink.check();
      return authority.masters.length - before;
    };
    expect([await calls(), await calls(), await calls()]).toEqual([10, 2, 0]);
    subjects.all(fleet(20, 22));
    expect([await calls(), await calls(), await calls()]).toEqual([10, 5, 0]);
  });

  it('that cannot be told fail no batch; after five failures an operator is told, until it is over', async () => {
    authority.master = () => {
      throw new Error('away');
    };
    const sink = await opened();
    const concerns: (string | undefined)[] = [];
    for (const n of upTo(5)) {
      await delivered(sink, batchOf(many(1), n));
      concerns.push(sink.concern);
    }
    expect(concerns).toEqual(['', '', '', '', 'master data cannot be handed over: authority: away']);
    expect(authority.calls.flat()).toEqual(upTo(5));
    await expect(sink.check()).rejects.toMatchObject({ message: 'authority: away' });
    authority.master = () => TAKEN;
    await sink.check();
    expect([sink.concern, counts['master unanswered']]).toEqual(['', 6]);
    authority.master = () => {
      throw new Error('away again');
    };
    subjects.changed('d-1', device('d-1', 'u-1', 'Q'));
    await expect(sink.check()).rejects.toThrow();
    expect(sink.concern).toBe('');
  });

  it('leave the last call to records, and wait as long as the authority wants', async () => {
    const sink = await opened();
    step = 0;
    // Three calls after a rest: a record, and master data of one that leave one behind.
    subjects.all(new Map(upTo(3).map((n) => [`d-${n}`, device(`d-${n}`, `u-${n}`)])));
    await delivered(sink, batchOf(many(1)));
    expect([authority.calls.length, authority.masters.length]).toEqual([1, 1]);
    elapsed += 2_000;
    authority.failures = [new TooMany(5_000)];
    await expect(delivered(sink, batchOf(many(1), 2))).rejects.toMatchObject({ message: 'authority: too many calls' });
    elapsed += 4_999;
    await sink.check();
    expect(authority.masters).toHaveLength(1);
    elapsed += 1;
    await sink.check();
    expect(authority.masters).toHaveLength(3);
  });

  it('are not asked for before the sink is open', async () => {
    const sink = createForwardSink({ adapter: authority, directory, callsPerMinute: 60, subjects, log: silentLog, count: () => {} });
    await sink.check();
    expect(authority.masters).toEqual([]);
  });
});
