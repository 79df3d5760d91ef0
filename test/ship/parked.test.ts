import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { wholeBefore } from '../../src/base/erased.ts';
import { type Codec, defineCodec } from '../../src/codec/index.ts';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { listParked, type Parked, parkedPaths, type RetryOptions, retryParked } from '../../src/out/ship/parked.ts';
import { type Batch, type Park, tokenOf } from '../../src/out/sink/sink.ts';
import { MemorySink } from './memory-sink.ts';
import { RECORD_BYTES, tiny } from './tiny.ts';

/** What was set aside, without a server. Numbers quote the invariants of `retryParked`. */

const T = Date.UTC(2026, 9, 1);

/** A record of this time, as the tiny codec reads it. */
function hexOf(...times: readonly number[]): string {
  const bytes = Buffer.alloc(RECORD_BYTES * times.length);
  for (const [i, time] of times.entries()) bytes.writeBigUInt64BE(BigInt(time), i * RECORD_BYTES);
  return bytes.toString('hex');
}

const LINE: Parked = {
  kind: 'frame',
  slot: '0',
  sequence: 1,
  received: T,
  codec: 'tiny',
  transport: 'tcp',
  device: 'd-1',
  memo: 0,
  accepted: 1,
  reason: 'codec "tiny" is not installed',
  hex: hexOf(T),
  tries: 0,
};
const line = (more: object = {}): object => ({ ...LINE, ...more });

let directory: string;
let sink: RefusingSink;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-parked-'));
  sink = new RefusingSink();
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Refuses entries of some devices. */
class RefusingSink extends MemorySink {
  refused: readonly string[] = [];
  /** What was parked anew, as it stands in the file in that moment. */
  readonly stood: Parked[][] = [];

  override async deliver(batch: Batch, park: Park): Promise<void> {
    if (batch.rows.device.some((device) => this.refused.includes(device))) {
      await park(batch.slot[0] ?? '', batch.sequence[0] ?? 0, 'too large');
      this.stood.push(await listParked(directory, 'memory'));
      batch.rows.clear();
    }
    await super.deliver(batch, park);
  }
}

/** `part`: '' for what the shipper adds to, `taken` and `retry` for what an earlier retry has left. */
function write(part: '' | 'taken' | 'retry', ...lines: readonly unknown[]): void {
  const text = lines.map((one) => `${typeof one === 'string' ? one : JSON.stringify(one)}\n`).join('');
  writeFileSync(join(directory, `memory${part === '' ? '' : `.${part}`}.jsonl`), text);
}

async function retried(options: RetryOptions = {}, codecs: readonly Codec[] = [tiny]) {
  const decoder = new Decoder(new Map(codecs.map((codec) => [codec.name, codec])), () => ({}));
  return retryParked(directory, sink, decoder, 'rig', options);
}
const left = async () =>
  (await listParked(directory, 'memory')).map(({ slot, sequence, tries, reason }) => [`${slot}.${sequence}`, tries, reason]);
const times = () => sink.rows.map((row) => Number(row.split('\t')[1]) - T);

describe('a line', () => {
  it.each<[what: string, more: object, read: object]>([
    ['as it is written', {}, {}],
    ['of an earlier version, without kind and tries', { kind: undefined, tries: undefined }, {}],
    [
      'with all there is',
      { account: 'a', format: 3, keep: '01', options: { x: 1, y: 'z', w: true } },
      { account: 'a', format: 3, keep: '01' },
    ],
  ])('is read: %s', async (_what, more, read) => {
    write('', line(more), '');
    expect(await listParked(directory, 'memory')).toMatchObject([{ ...LINE, ...read }]);
  });

  it.each<[what: string, text: unknown]>([
    ...['slot', 'codec', 'transport', 'device', 'reason', 'hex'].map((name): [string, unknown] => [
      `with a number for ${name}`,
      line({ [name]: 1 }),
    ]),
    ...['sequence', 'received', 'memo', 'accepted'].map((name): [string, unknown] => [`without ${name}`, line({ [name]: undefined })]),
    ['with a mask that is no text', line({ keep: 1 })],
    ['with a format that is no number', line({ format: '3' })],
    ['with an account that is no text', line({ account: null })],
    ['with options that are a list', line({ options: [1] })],
    ['with options of another kind', line({ options: { a: {} } })],
    ['that is null', 'null'],
    ['that is a number', '1'],
    ['that was cut off', '{"slot":'],
  ])('is none, and is named: %s', async (_what, text) => {
    write('', line(), text);
    await expect(listParked(directory, 'memory')).rejects.toMatchObject({
      code: 'JOURNAL_FAILED',
      message: expect.stringContaining(`${join(directory, 'memory.jsonl')}:2 is not a parked entry`),
    });
  });

  it('stands in one of three files; those of a retry that was interrupted come first', async () => {
    expect(await listParked(directory, 'memory')).toEqual([]);
    write('', line({ sequence: 3 }));
    write('retry', line({ sequence: 9 }));
    expect((await left()).map(([name]) => name)).toEqual(['0.9', '0.3']);
    expect(parkedPaths('x', 's')).toEqual(['x/s.jsonl', 'x/s.taken.jsonl', 'x/s.retry.jsonl']);
  });
});

describe('a retry', () => {
  it('gives each entry under a place of its own, and leaves no file (1)', async () => {
    write('retry', line(), line({ sequence: 2, tries: 3, hex: hexOf(T + 5) }));
    expect(await retried()).toEqual({ delivered: 2, refused: 0 });
    expect(times()).toEqual([0, 5]);
    const ranges = [{ '0.1.0': { from: 1, to: 1 } }, { '0.2.3': { from: 1, to: 1 } }];
    expect(sink.batches).toEqual(ranges.map((one) => ({ ranges: one, token: tokenOf('rig.parked', one), rows: 1 })));
    expect(readdirSync(directory)).toEqual([]);
  });

  it('does not give what is delivered already (1)', async () => {
    sink.position = { '0.1.2': 1 };
    write('retry', line({ tries: 2 }), line({ sequence: 2 }));
    expect(await retried()).toEqual({ delivered: 2, refused: 0 });
    expect(sink.batches.map(({ ranges }) => Object.keys(ranges))).toEqual([['0.2.0']]);
  });

  it('takes what the shipper has set aside behind what an earlier one has left, each once', async () => {
    write('retry', line({ tries: 2 }));
    write('taken', line({ tries: 1 }), line({ sequence: 2 }), line({ sequence: 2, reason: 'twice' }), line({ slot: '1' }));
    write('', line({ sequence: 7 }));
    expect(await retried({}, [])).toEqual({ delivered: 0, refused: 3 });
    const reason = 'codec "tiny" is not installed';
    // What came in meanwhile waits for the next one.
    expect(await left()).toEqual([
      ['0.1', 2, reason],
      ['0.2', 0, reason],
      ['1.1', 0, reason],
      ['0.7', 0, reason],
    ]);
    expect(existsSync(join(directory, 'memory.taken.jsonl'))).toBe(false);
    expect(await retried()).toEqual({ delivered: 4, refused: 0 });
    expect(readdirSync(directory)).toEqual([]);
  });

  it('keeps what the sink refuses, with the reason and a place for the next try, before it goes on (1)', async () => {
    sink.refused = ['d-2'];
    write('retry', line({ device: 'd-2', tries: 4 }), line({ sequence: 2 }));
    expect(await retried()).toEqual({ delivered: 1, refused: 1 });
    expect(await left()).toEqual([['0.1', 5, 'too large']]);
    expect(sink.stood.map((lines) => lines.map(({ sequence, tries }) => [sequence, tries]))).toEqual([
      [
        [1, 5],
        [2, 0],
      ],
    ]);
    sink.refused = [];
    expect(await retried()).toEqual({ delivered: 1, refused: 0 });
  });

  it('keeps what cannot be read under its place, with the new reason', async () => {
    write('retry', line({ hex: 'ff', tries: 1 }), line({ sequence: 2, hex: 'fe' }), line({ sequence: 3, accepted: 2 }));
    expect(await retried()).toEqual({ delivered: 0, refused: 3 });
    expect(await left()).toEqual([
      ['0.1', 1, 'codec "tiny" threw: the tiny codec is broken'],
      ['0.2', 0, 'malformed: BAD'],
      ['0.3', 0, '2 records were accepted, the codec now reads 1'],
    ]);
    expect(sink.batches).toEqual([]);
  });

  it('keeps what is left when the sink goes away', async () => {
    sink.fate = () => (sink.attempts === 2 ? 'not-stored' : 'delivered');
    write('retry', line(), line({ sequence: 2 }), line({ sequence: 3 }));
    await expect(retried()).rejects.toThrow('not stored');
    expect((await left()).map(([name]) => name)).toEqual(['0.2', '0.3']);
  });

  it.each<[only: string, answer: object, left: string[]]>([
    ['0.2', { delivered: 1, refused: 0 }, ['0.1', '0.3']],
    ['0.3', { delivered: 0, refused: 1 }, ['0.1', '0.2', '0.3']],
    ['0.9', { delivered: 0, refused: 0 }, ['0.1', '0.2', '0.3']],
  ])('may be of one entry: %s', async (only, answer, names) => {
    write('retry', line(), line({ sequence: 2 }), line({ sequence: 3, hex: 'fe' }));
    expect(await retried({ only })).toEqual(answer);
    expect((await left()).map(([name]) => name)).toEqual(names);
  });

  it('neither delivers nor keeps what was erased (3)', async () => {
    write(
      'retry',
      line(),
      line({ sequence: 2, received: T + 1 }),
      line({ sequence: 3, device: 'd-2' }),
      line({ sequence: 4, received: T + 9, hex: hexOf(T - 1) }),
    );
    const erased = new Map([['d-1', [wholeBefore(T + 1)]]]);
    expect(await retried({ erased })).toEqual({ delivered: 3, refused: 0 });
    // Of the second and the last, the records were measured before then.
    expect(sink.rows.map((row) => row.split('\t')[0])).toEqual(['d-2']);
    expect(await left()).toEqual([]);
  });

  it("does not keep what is erased of an account's time, unless it is another's (3)", async () => {
    const stretch = { from: T - 5, to: T + 5, until: T + 5, account: 'acme' };
    write('retry', line({ account: 'acme' }), line({ sequence: 2, account: 'other' }), line({ sequence: 3 }));
    expect(await retried({ erased: new Map([['d-1', [stretch]]]) })).toEqual({ delivered: 1, refused: 0 });
    expect(await left()).toEqual([]);
  });
});

describe('an entry is made again as it was', () => {
  it.each(['tcp', 'udp', 'sms'] as const)('by the dialect of its transport: %s', async (transport) => {
    const { tcp } = tiny;
    if (tcp === undefined) throw new Error('no dialect');
    const { open, decode, encodeAck } = tcp;
    const dialect = { open, decode, encodeAck };
    const one = { tcp, udp: { ...dialect, frame: tcp.frame }, sms: dialect };
    const other = transport === 'tcp' ? { udp: one.udp } : { tcp };
    const of = (dialects: object) => defineCodec({ ...bare(), ...dialects });
    write('retry', line({ transport }), line({ sequence: 2, transport: 'pigeon' }));
    await retried({}, [of(other)]);
    const lacking = `codec "tiny" has no ${transport} dialect`;
    expect((await left())[0]).toEqual(['0.1', 0, lacking]);
    // What no version has written is TCP.
    expect((await left())[1]).toEqual(transport === 'tcp' ? ['0.2', 0, lacking] : undefined);
    expect((await retried({}, [of({ tcp, [transport]: one[transport] })])).refused).toBe(0);
  });

  it.each<[kind: string, text: string, has: (batch: MemorySink) => number]>([
    ['event', '{"type":"connected"}', ({ events }) => events.length],
    ['frame', '', ({ rows }) => rows.length],
    ['of a kind that is not known', '', ({ rows }) => rows.length],
  ])('as %s', async (kind, text, has) => {
    write('retry', line({ kind, ...(text === '' ? {} : { hex: Buffer.from(text).toString('hex') }) }));
    expect(await retried()).toEqual({ delivered: 1, refused: 0 });
    expect(has(sink)).toBe(1);
  });

  it.each([
    ['usage', 'a usage entry that is not a JSON object of counters'],
    ['audit', 'an audit entry that is not a JSON object with id, time and type'],
    ['event', 'an event that is not a JSON object with a type'],
  ])('as %s, which says what is wrong with it', async (kind, reason) => {
    write('retry', line({ kind }));
    await retried();
    expect(await left()).toEqual([['0.1', 0, reason]]);
  });

  it('with its mask, however many records it has', async () => {
    const all = Array.from({ length: 10 }, (_, n) => T + n);
    write('retry', line({ accepted: 10, hex: hexOf(...all), keep: '0402' }));
    expect(await retried()).toEqual({ delivered: 1, refused: 0 });
    expect(times()).toEqual([2, 9]);
  });

  it('in the format of its journal: before the third, its place did not name it', async () => {
    const timeless = (sequence: number, format?: number) => line({ sequence, hex: hexOf(0), ...(format === undefined ? {} : { format }) });
    write('retry', timeless(1), timeless(2), timeless(3, 2), timeless(4, 3), timeless(5, 3));
    await retried();
    const ids = sink.rows.map((row) => row.split('\t')[2]);
    expect([ids[1], ids[2], new Set(ids).size]).toEqual([ids[0], ids[0], 3]);
  });
});

/** The tiny codec without its dialects. */
function bare() {
  const { name, about, maxFrameBytes, maxAnswerBytes, attributePrefix, attributes, messages, reasons, recognise } = tiny;
  return { name, about, maxFrameBytes, maxAnswerBytes, attributePrefix, attributes, messages, reasons, recognise };
}
