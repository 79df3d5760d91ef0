import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeStorage, type Storage } from '../../src/base/files.ts';
import { DURABLE_FILE } from '../../src/journal/watermark.ts';
import { Batcher, type BatcherOptions } from '../../src/out/ship/batcher.ts';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { Parking } from '../../src/out/ship/parking.ts';
import { ResendWindow } from '../../src/out/ship/window.ts';
import { Batch } from '../../src/out/sink/sink.ts';
import { dataDirectory, INSTANCE, Slot } from './rig.ts';
import { tiny } from './tiny.ts';

const T = Date.UTC(2026, 9, 1);
const LIMITS = { rows: 100, bytes: 1 << 20 };

function batcherOf(data: string, more: Partial<BatcherOptions> = {}): Batcher {
  const journal = join(data, 'journal');
  return new Batcher({
    journal,
    storage: nodeStorage,
    instance: INSTANCE,
    decoder: new Decoder(new Map([['tiny', tiny]]), () => ({})),
    parking: new Parking(join(data, 'parked.jsonl'), journal, nodeStorage, () => {}),
    window: null,
    takes: 'records',
    erased: () => new Map(),
    relays: false,
    onRelay: () => {},
    onDamage: () => {},
    onTrouble: () => {},
    ...more,
  });
}

test('a slot is read up to its mark, and its files are not looked at for more', async () => {
  const data = dataDirectory();
  const slot = await Slot.open(data, 0);
  for (let i = 0; i < 5; i++) slot.fixes('d', T + i, [{ time: T + i }]);
  await slot.journal.close();
  const opened: string[] = [];
  const storage: Storage = {
    ...nodeStorage,
    open(path, mode) {
      opened.push(path);
      return nodeStorage.open(path, mode);
    },
  };
  const batcher = batcherOf(data, { storage });
  const batch = new Batch();
  const seen: number[] = [];
  for (const mark of [2, 5]) {
    const cut = { marks: new Map([['0', mark]]), horizon: Number.POSITIVE_INFINITY };
    expect(await batcher.fill(batch, cut, LIMITS)).toBe(true);
    seen.push(batch.rows.count);
  }
  expect(seen).toEqual([2, 3]);
  expect(opened.filter((path) => path.endsWith(DURABLE_FILE))).toEqual([]);
  await batcher.close();
});

const DAY = 86_400_000;

test.each([
  ['of now', T, true],
  ['of a day ahead', T + DAY, true],
  ['of more than a day ahead, which is not believed', T + DAY + 1, false],
  ['of before 2010, which is not believed', 1_000_000, false],
  ['of no time', 0, false],
])('a record %s that comes again is known: %j', async (_what, time, isKnown) => {
  const data = dataDirectory();
  const slot = await Slot.open(data, 0);
  for (let times = 0; times < 2; times++) slot.fixes('d', T, [{ time }]);
  await slot.journal.close();
  const batcher = batcherOf(data, { window: new ResendWindow() });
  const batch = new Batch();
  expect(await batcher.fill(batch, { marks: new Map([['0', 2]]), horizon: Number.POSITIVE_INFINITY }, LIMITS)).toBe(true);
  expect([batch.resent[0] === 1, batch.resent[1] === 1]).toEqual([false, isKnown]);
  await batcher.close();
});

/** Rows of a batch, as `device ms-after-T`. */
const rowsOf = ({ rows }: Batch): string[] =>
  Array.from({ length: rows.count }, (_, row) => `${rows.device[row]} ${(rows.received[row] ?? 0) - T}`);

test('entries of all slots come in their order, up to the horizon, and what is left is as old as its first entry', async () => {
  const data = dataDirectory();
  let entries = 0;
  const order = (): number => ++entries;
  const slots = [await Slot.open(data, 0, { order }), await Slot.open(data, 1, { order })];
  for (const [slot, at] of [
    [0, 1],
    [1, 2],
    [1, 3],
    [0, 4],
    [1, 5],
  ] as const)
    slots[slot]?.fixes(`d${slot}`, T + at, [{ time: T }]);
  for (const slot of slots) await slot.journal.close();
  const batcher = batcherOf(data);
  const marks = new Map([
    ['0', 2],
    ['1', 3],
  ]);
  const batch = new Batch();
  expect([batcher.behind(marks), batcher.oldest()]).toEqual([5, 0]);
  const seen: unknown[] = [];
  for (const [rows, horizon] of [
    [2, 9],
    [9, 3],
    [9, 9],
    [9, 9],
  ] as const) {
    const isMore = await batcher.fill(batch, { marks, horizon }, { ...LIMITS, rows });
    seen.push([isMore, rowsOf(batch), batch.ranges, batcher.behind(marks), batcher.oldest() && batcher.oldest() - T]);
  }
  expect(seen).toEqual([
    [true, ['d0 1', 'd1 2'], { 0: { from: 1, to: 1 }, 1: { from: 1, to: 1 } }, 3, 3],
    [true, ['d1 3'], { 1: { from: 2, to: 2 } }, 2, 4],
    [true, ['d0 4', 'd1 5'], { 0: { from: 2, to: 2 }, 1: { from: 3, to: 3 } }, 0, 0],
    [false, [], {}, 0, 0],
  ]);
  await batcher.close();
});

test('a batch that was begun is its ranges and no more; of a slot that is gone there is nothing, and one that is not recovered is waited for', async () => {
  const data = dataDirectory();
  const slot = await Slot.open(data, 0);
  for (let at = 1; at <= 4; at++) slot.fixes('d', T + at, [{ time: T }]);
  await slot.journal.close();
  const batcher = batcherOf(data);
  const batch = new Batch();
  const ranges = { 0: { from: 2, to: 3 }, 7: { from: 1, to: 5 } };
  const begun = (mark: number): Promise<boolean> =>
    batcher.fill(batch, { marks: new Map([['0', mark]]), horizon: 0 }, { rows: 1, bytes: 1 }, ranges);
  await batcher.seek((name) => (name === '0' ? 1 : 0));
  await expect(begun(2)).rejects.toMatchObject({ code: 'JOURNAL_FAILED', message: expect.stringContaining('durable up to 2') });
  expect([await begun(3), rowsOf(batch), batch.ranges]).toEqual([true, ['d 2', 'd 3'], ranges]);
  await batcher.close();
});

test.each([true, false])('what is marked relay is known of each row and event, when the sink takes it: %j', async (relays) => {
  const data = dataDirectory();
  const slot = await Slot.open(data, 0);
  slot.fixes('d', T, [{ time: T }]);
  slot.event('d', T, { type: 'connected' });
  slot.relayed('r', T, [{ time: T + 1 }, { time: T + 2 }]);
  slot.event('r', T, { type: 'connected' }, { keep: null, relay: true });
  slot.event('r', T, 'no event', { keep: null, relay: true });
  slot.event('d', T, { type: 'connected' });
  slot.fixes('d', T, [{ time: T + 3 }]);
  await slot.journal.close();
  const reasons: string[] = [];
  const batcher = batcherOf(data, { relays, onRelay: (reason) => void reasons.push(reason) });
  const batch = new Batch();
  await batcher.fill(batch, { marks: new Map([['0', 7]]), horizon: Number.POSITIVE_INFINITY }, LIMITS);
  const found = {
    rows: batch.rows.device,
    events: batch.events.device,
    relayed: [[...batch.relayedRows], [...batch.relayedEvents]],
    reasons,
  };
  expect(found).toEqual(
    relays
      ? { rows: ['d', 'r', 'r', 'd'], events: ['d', 'r', 'd'], relayed: [[1, 2], [1]], reasons: ['unreadable'] }
      : { rows: ['d', 'd'], events: ['d', 'd'], relayed: [[], []], reasons: ['not_taken', 'not_taken', 'not_taken'] },
  );
  await batcher.close();
});
