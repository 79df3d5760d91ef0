import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeStorage } from '../../src/base/files.ts';
import { JournalReader } from '../../src/journal/reader.ts';
import { Rows } from '../../src/out/record/rows.ts';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { dataDirectory, frameOf, Slot } from './rig.ts';
import { tiny } from './tiny.ts';

const T = Date.UTC(2026, 9, 1);
const SAMPLES = [0, 1, 2].map((n) => ({ time: T + n }));

test('frames that are read anew give what the codec reads now, and of those that were thinned what was kept', async () => {
  const data = dataDirectory();
  const slot = await Slot.open(data, 0);
  // Of an earlier version of the codec: it accepted one record, none, and more than there are now.
  slot.raw('fewer', T, frameOf(SAMPLES), 1);
  slot.raw('none', T, frameOf(SAMPLES), 0);
  slot.raw('more', T, frameOf(SAMPLES), 5);
  slot.thinned('thinned', T, SAMPLES, [1]);
  slot.thinned('emptied', T, SAMPLES, []);
  await slot.journal.close();

  const read = async (decoder: Decoder): Promise<unknown[]> => {
    const found: unknown[] = [];
    const reader = new JournalReader(join(data, 'journal', '0'), nodeStorage, 1, {});
    for (; await reader.fill(); reader.advance()) {
      const entry = reader.peek();
      if (entry === null) continue;
      const rows = new Rows();
      const problem = decoder.decode(entry, rows, '0');
      found.push([entry.device, [...rows.time.subarray(0, rows.count)].map((time) => time - T), problem]);
    }
    await reader.close();
    return found;
  };
  const codecs = new Map([['tiny', tiny]]);
  expect(await read(new Decoder(codecs, () => ({})))).toEqual([
    ['fewer', [0], ''],
    ['none', [], ''],
    ['more', [0, 1, 2], '5 records were accepted, the codec now reads 3'],
    ['thinned', [1], ''],
    ['emptied', [], ''],
  ]);
  expect(await read(new Decoder(codecs, () => ({}), {}))).toEqual([
    ['fewer', [0, 1, 2], ''],
    ['none', [0, 1, 2], ''],
    ['more', [0, 1, 2], ''],
    ['thinned', [1], ''],
    ['emptied', [], ''],
  ]);
});
