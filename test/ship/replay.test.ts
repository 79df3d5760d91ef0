import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Definition } from '../../src/journal/definition.ts';
import { EntryKind, type Marks, Origin } from '../../src/journal/entry.ts';
import { Journal } from '../../src/journal/journal.ts';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { placeKey, Replay, type ReplayOptions, ReplayPiece } from '../../src/out/ship/replay.ts';
import { FaultStorage } from '../helpers/fault-storage.ts';
import { RECORD_BYTES, tiny } from './tiny.ts';

/** What is read of a span, and in which pieces; numbers quote the invariants of src/out/ship/replay.ts. */

const T = Math.floor(Date.now() / 1000) * 1000;
const MINUTE = 60_000;
const DEFINITION = new Definition('tiny', 'tcp');
const RELAY: Marks = { keep: null, relay: true };

let directory: string;
let written: number;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-replay-'));
  written = 0;
});
afterEach(() => rmSync(directory, { recursive: true }));

interface Written {
  readonly device?: string;
  /** After T, ms. */
  readonly at: number;
  readonly marks?: Marks;
  readonly kind?: EntryKind;
  /** First byte: what the codec makes of the frame. */
  readonly first?: number;
  readonly records?: number;
}

async function write(entries: readonly Written[], slot = '0', more: { segmentBytes?: number } = {}): Promise<void> {
  const order = (): number => ++written;
  const journal = await Journal.open({
    directory: join(directory, slot),
    onDurable: () => {},
    onFailed: () => {},
    minFreeBytes: 0,
    order,
    ...more,
  });
  for (const { device = 'd', at, marks, kind = EntryKind.Frame, first = 0, records = 1 } of entries) {
    const bytes = Buffer.alloc(RECORD_BYTES * records, 1);
    bytes.fill(0, 0, 8);
    bytes[0] = first;
    journal.append(new Origin(DEFINITION, device, ''), kind, T + at, 0, records, bytes, 0, bytes.length, marks);
    await journal.flush();
  }
  await journal.close();
}

function replay(more: Partial<ReplayOptions> = {}): Replay {
  const decoder = new Decoder(new Map([['tiny', tiny]]), () => ({}));
  const all = { device: '', delivered: () => Number.MAX_SAFE_INTEGER };
  return new Replay({ journal: directory, decoder, from: T, to: T + 10, ...all, ...more });
}

/** Of each piece, its rows as `device at`. */
async function pieces(one: Replay): Promise<string[][]> {
  const piece = new ReplayPiece();
  const found: string[][] = [];
  while (await one.next(piece)) {
    const rows = Array.from({ length: piece.rows.count }, (_, row) => `${piece.rows.device[row]} ${(piece.rows.received[row] ?? 0) - T}`);
    found.push(rows);
  }
  return found;
}

describe('frames are read anew', () => {
  it.each<[what: string, entries: readonly Written[], more: Partial<ReplayOptions>, rows: readonly string[]]>([
    ['those of the span, both ends', [{ at: -1 }, { at: 0 }, { at: 10 }, { at: 11 }], {}, ['d 0', 'd 10']],
    ['those of one device', [{ at: 1 }, { at: 2, device: 'e' }, { at: 3 }], { device: 'e' }, ['e 2']],
    ['up to what is delivered (1)', [{ at: 1 }, { at: 2 }, { at: 3 }], { delivered: () => 2 }, ['d 1', 'd 2']],
    ['of a slot of which nothing is delivered none (1)', [{ at: 1 }], { delivered: () => 0 }, []],
    ['not what is marked relay (3)', [{ at: 1, marks: RELAY }, { at: 2 }], {}, ['d 2']],
    ['not events', [{ at: 1, kind: EntryKind.Event }, { at: 2 }], {}, ['d 2']],
    ['not what is of no device', [{ at: 1, device: '' }, { at: 2 }], {}, ['d 2']],
    ['also behind one that is a little out of order', [{ at: 10 + 10 * MINUTE }, { at: 6 }], {}, ['d 6']],
    ['not behind one that is far behind the end', [{ at: 11 + 10 * MINUTE }, { at: 6 }], {}, []],
  ])('%s', async (_what, entries, more, rows) => {
    await write(entries);
    expect((await pieces(replay(more))).flat()).toEqual(rows);
  });

  it('of all slots in the order in which they came, and each row says where it stands', async () => {
    await write([{ at: 1 }, { at: 2, records: 2 }]);
    await write([{ at: 3, device: 'e' }], '1');
    await write([{ at: 4 }]);
    const piece = new ReplayPiece();
    expect(await replay().next(piece)).toBe(true);
    const { slot, sequence, from, to, frames } = piece;
    expect({ slot, sequence, from, to, frames }).toEqual({
      slot: ['0', '0', '0', '1', '0'],
      sequence: [1, 2, 2, 1, 3],
      from: T + 1,
      to: T + 4,
      frames: 4,
    });
    expect(piece.places.get(placeKey('e', T + 3))).toEqual({ device: 'e', received: T + 3, slot: '1', sequence: 1 });
  });

  it('and what is beside the slots, or was written before the span, is not opened', async () => {
    await write([{ at: 1 }], '0', { segmentBytes: 1 });
    await write([{ at: 2 }]);
    writeFileSync(join(directory, 'notes'), '');
    const [first = ''] = readdirSync(join(directory, '0'))
      .filter((name) => name.endsWith('.seg'))
      .sort();
    utimesSync(join(directory, '0', first), T / 1000, (T - MINUTE) / 1000);
    const storage = new FaultStorage();
    expect(await pieces(replay({ storage }))).toEqual([['d 2']]);
    expect(storage.log.filter((line) => line.startsWith('open'))).toEqual([expect.not.stringContaining(first)]);
    expect(storage.openFiles).toBe(0);
  });
});

describe('a piece', () => {
  it('is full with so many rows, and has all frames of its last millisecond (2)', async () => {
    await write([{ at: 1 }, { at: 2 }, { at: 2, device: 'e' }, { at: 2 }, { at: 3 }]);
    expect(await pieces(replay({ rows: 2 }))).toEqual([['d 1', 'd 2', 'e 2', 'd 2'], ['d 3']]);
  });

  it('names the first of several frames that came in one millisecond', async () => {
    await write([{ at: 2 }, { at: 2 }]);
    const piece = new ReplayPiece();
    await replay().next(piece);
    expect(piece.places.get(placeKey('d', T + 2))?.sequence).toBe(1);
  });

  it('names what cannot be read, with the reason', async () => {
    await write([{ at: 1, first: 0xfe }, { at: 2 }, { at: 3, first: 0xff }]);
    const piece = new ReplayPiece();
    await replay().next(piece);
    const place = { device: 'd', slot: '0' };
    expect(piece.unreadable).toEqual([
      { ...place, received: T + 1, sequence: 1, reason: expect.stringContaining('BAD') },
      { ...place, received: T + 3, sequence: 3, reason: 'codec "tiny" threw: the tiny codec is broken' },
    ]);
    expect([piece.frames, piece.rows.count]).toEqual([3, 1]);
  });

  it('holds nothing of the piece before', async () => {
    await write([{ at: 1, first: 0xfe }, { at: 1 }, { at: 3, device: 'e' }]);
    const piece = new ReplayPiece();
    const one = replay({ rows: 1 });
    await one.next(piece);
    await one.next(piece);
    const { slot, sequence, unreadable, from, to, frames, places } = piece;
    expect({ slot, sequence, unreadable, from, to, frames }).toEqual({
      slot: ['0'],
      sequence: [3],
      unreadable: [],
      from: T + 3,
      to: T + 3,
      frames: 1,
    });
    expect([...places.keys()]).toEqual([placeKey('e', T + 3)]);
  });
});
