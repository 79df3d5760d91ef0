import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeStorage } from '../../src/base/files.ts';
import { codecOptions, loadCodecs } from '../../src/codec/registry.ts';
import { EntryKind } from '../../src/journal/entry.ts';
import { JournalReader, readDurable } from '../../src/journal/reader.ts';
import { recover } from '../../src/journal/recovery.ts';
import { Rows } from '../../src/out/record/rows.ts';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { directory, nth, open, read } from './slot.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures/journal');

interface Described {
  readonly rows: readonly object[];
}

/** What the versions of that time read back. Since then every record names its account. */
async function expectedOf(path: string): Promise<Described[]> {
  return (await readFile(path, 'utf8'))
    .trim()
    .split('\n')
    .map((line): Described => JSON.parse(line))
    .map((entry) => ({ ...entry, rows: entry.rows.map((row) => ({ account: '', ...row })) }));
}

/** Every entry of a slot, with its records as a shipper reads them under `time_zone: +08:00`. */
async function described(path: string): Promise<object[]> {
  const codecs = await loadCodecs([]);
  const decoder = new Decoder(codecs, codecOptions(codecs, { gt06: { time_zone: '+08:00' } }, {}));
  const found: object[] = [];
  const reader = new JournalReader(path, nodeStorage, 1);
  for (; await reader.fill(); reader.advance()) {
    const entry = reader.peek();
    if (entry === null) break;
    const { sequence, received, order, kind, codec, transport, device, peer, memo, accepted, relay } = entry;
    const rows = new Rows();
    const reason = kind === EntryKind.Frame ? decoder.decode(entry, rows, '0') : '';
    found.push({
      ...{ sequence, received, order, kind, codec, transport, device, peer, memo, accepted, relay },
      hex: entry.bytes.toString('hex', entry.start, entry.end),
      rows: Array.from({ length: rows.count }, (_, row): unknown => JSON.parse(rows.json(row))),
      reason,
    });
  }
  await reader.close();
  return found;
}

/** Written by the versions that wrote these formats, with what those versions read back. */
describe('segments of earlier formats', () => {
  for (const version of ['v1', 'v2']) {
    it(`${version}: every entry and record reads as it did, ids included, and the slot goes on behind them`, async () => {
      const path = await directory();
      await cp(join(FIXTURES, version), path, { recursive: true });
      const expected = await expectedOf(join(path, 'entries.jsonl'));
      expect(await readDurable(path)).toBe(4095 + expected.length);
      expect(await described(path)).toEqual(expected);
      expect(await recover(path)).toMatchObject({ cutBytes: 0, damages: [], missing: false, nextSequence: 4096 + expected.length });
      const slot = await open(path);
      expect(slot.append('next')).toBe(4096 + expected.length);
      await slot.it.close();
      expect((await described(path)).slice(0, -1)).toEqual(expected);
      expect(nth(await read(path), -1).text).toBe('next');
    });
  }
});
