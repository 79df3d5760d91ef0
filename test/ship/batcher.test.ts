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
