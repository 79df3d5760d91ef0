import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeStorage, type Storage } from '../../src/base/files.ts';
import { DURABLE_FILE } from '../../src/journal/watermark.ts';
import { Batcher } from '../../src/out/ship/batcher.ts';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { Parking } from '../../src/out/ship/parking.ts';
import { Batch } from '../../src/out/sink/sink.ts';
import { dataDirectory, INSTANCE, Slot } from './rig.ts';
import { tiny } from './tiny.ts';

const T = Date.UTC(2026, 9, 1);
const LIMITS = { rows: 100, bytes: 1 << 20 };

test('a slot is read up to its mark, and its files are not looked at for more', async () => {
  const data = dataDirectory();
  const journal = join(data, 'journal');
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
  const batcher = new Batcher({
    journal,
    storage,
    instance: INSTANCE,
    decoder: new Decoder(new Map([['tiny', tiny]]), () => ({})),
    parking: new Parking(join(data, 'parked.jsonl'), journal, storage, () => {}),
    window: null,
    takes: 'records',
    erased: () => new Map(),
    relays: false,
    onRelay: () => {},
    onDamage: () => {},
    onTrouble: () => {},
  });
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
