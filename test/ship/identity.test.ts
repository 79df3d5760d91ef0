import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeStorage } from '../../src/base/files.ts';
import { Definition } from '../../src/journal/definition.ts';
import { EntryKind, Origin } from '../../src/journal/entry.ts';
import { rewriteSegment } from '../../src/journal/rewrite.ts';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { retryParked } from '../../src/out/ship/parked.ts';
import { MemorySink } from './memory-sink.ts';
import { DEADLINE, dataDirectory, frameOf, INSTANCE, Slot, ship } from './rig.ts';
import { tiny } from './tiny.ts';

const T = Date.UTC(2026, 6, 15, 12, 0, 0);
const TIMELESS = { time: 0, place: false };
const codecs = new Map([['tiny', tiny]]);

async function delivered(data: string, sink = new MemorySink(), options: Parameters<typeof ship>[2] = {}): Promise<MemorySink> {
  const { shipper } = ship(data, [sink], options);
  expect(await shipper.drained(DEADLINE)).toBe(true);
  await shipper.close();
  return sink;
}

/** Rows by what names them in a table: device, time and id. */
const distinct = (sink: MemorySink) => new Set(sink.rows).size;

describe('a record without a time of its own', () => {
  test('is as many rows as there were: equal replies of one millisecond, in one frame and in several', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    for (let i = 0; i < 660; i++) slot.fixes('d1', T, [TIMELESS]);
    slot.fixes('d1', T, [TIMELESS, TIMELESS, TIMELESS]);
    await slot.journal.close();
    const sink = await delivered(data);
    expect([sink.rows.length, distinct(sink)]).toEqual([663, 663]);
  });

  test('keeps its id when the journal is read again, by another process, in another batch, behind a rewriting, and from parking', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 3, { segmentBytes: 2000 });
    for (let i = 0; i < 60; i++) {
      slot.fixes(i % 3 === 0 ? 'gone' : 'd1', T + (i >> 2), [TIMELESS, { time: T - 1000 * i, number: i }, TIMELESS]);
      if (i % 7 === 0) await slot.journal.flush();
    }
    await slot.journal.close();
    const first = await delivered(data);
    expect(distinct(first)).toBe(180);
    const small = await delivered(data, new MemorySink({ limits: { rows: 7 } }), { instance: 'another' });
    expect(small.rows).toEqual(first.rows);
    const directory = join(data, 'journal', '3');
    await rewriteSegment({ storage: nodeStorage, directory, first: 1, goes: (entry) => entry.device === 'gone', onDamage: () => {} });
    const left = await delivered(data);
    expect(left.rows.length).toBeLessThan(first.rows.length);
    expect(first.rows.filter((row) => left.rows.includes(row))).toEqual(left.rows);
    const broken = await delivered(data, new MemorySink(), { codecs: new Map() });
    expect(broken.rows).toEqual([]);
    broken.position = {};
    await retryParked(join(data, 'parked'), broken, new Decoder(codecs, () => ({})), INSTANCE);
    expect([...broken.rows].sort()).toEqual([...left.rows].sort());
  });

  test('and one whose clock is unusable has no time of its own either', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    const broken = { time: Date.UTC(1980, 0, 6), number: 1 };
    for (let i = 0; i < 3; i++) slot.fixes('d1', T, [broken]);
    await slot.journal.close();
    expect(distinct(await delivered(data))).toBe(3);
  });
});

test('a record with a time of its own has one id, wherever it stands: a resend is no second row', async () => {
  const data = dataDirectory();
  const slot = await Slot.open(data, 0);
  const other = await Slot.open(data, 1);
  const sample = { time: T - 5000, number: 4 };
  slot.fixes('d1', T, [sample]);
  slot.fixes('d1', T + 1000, [TIMELESS, sample]);
  other.fixes('d1', T + 2000, [sample]);
  await slot.journal.close();
  await other.journal.close();
  const sink = await delivered(data);
  expect(sink.rows).toHaveLength(2);
  expect((await delivered(data)).rows).toEqual(sink.rows);
});

test('an entry of another account has the same ids', async () => {
  const ids = await Promise.all(
    ['', 'acme'].map(async (account) => {
      const data = dataDirectory();
      const slot = await Slot.open(data, 0);
      const bytes = frameOf([TIMELESS, { time: T, number: 1 }]);
      const origin = new Origin(new Definition('tiny', 'tcp', {}, account), 'd1', '');
      slot.journal.append(origin, EntryKind.Frame, T, 0, 2, bytes, 0, bytes.length);
      await slot.journal.close();
      return (await delivered(data)).rows;
    }),
  );
  expect(ids[0]).toEqual(ids[1]);
});
