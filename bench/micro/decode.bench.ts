import teltonika from '../../codecs/teltonika/index.ts';
import { Definition } from '../../src/journal/definition.ts';
import { EntryKind, EntryView, entrySize, Origin, writeEntry } from '../../src/journal/entry.ts';
import { Rows } from '../../src/out/record/rows.ts';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { Frames, imeiOf } from '../load/frames.ts';

/**
 * What a record costs from a journal entry to rows, in processor time: `node bench/micro/decode.bench.ts`. At 10 000 records/s a batch has some 200
 * records for the Redis stream and 10 000 for ClickHouse; in a backlog 2 000 and 50 000.
 */
const RECORDS = 20_000;
const BATCHES = [200, 2_000, 10_000];
const T = Date.UTC(2026, 9, 1);

function entriesOf(records: number, attributes: number): EntryView[] {
  const definition = new Definition('teltonika', 'tcp', {});
  const frames = Array.from({ length: 100 }, (_, number) => new Frames(number, records, attributes, false));
  return Array.from({ length: RECORDS / records }, (_, k) => {
    const number = k % frames.length;
    const bytes = frames[number]?.next(T + 1000 * k) ?? new Uint8Array(0);
    const origin = new Origin(definition, imeiOf(number), '192.0.2.1:1000');
    const out = Buffer.alloc(entrySize(origin, bytes.length));
    const entry = new EntryView();
    entry.aim(out, 0, writeEntry(out, 0, k + 1, origin, 1, EntryKind.Frame, T + 1000 * k, k, 0, records, bytes, 0, bytes.length));
    entry.definition = definition;
    return entry;
  });
}

for (const [records, attributes] of [
  [10, 14],
  [1, 14],
  [10, 60],
] as const) {
  const entries = entriesOf(records, attributes);
  const decoder = new Decoder(new Map([['teltonika', teltonika]]), () => ({}));
  for (const batch of BATCHES) {
    const rows = new Rows();
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 20; round++) {
      const from = process.cpuUsage();
      for (const entry of entries) {
        if (rows.count >= batch) rows.clear();
        const reason = decoder.decode(entry, rows, '0');
        if (reason !== '') throw new Error(reason);
      }
      const { user, system } = process.cpuUsage(from);
      best = Math.min(best, user + system);
    }
    const what = `${records} a packet, ${attributes} attributes, batches of ${batch}`;
    console.log(`${what.padEnd(48)} ${(best / RECORDS).toFixed(2)} µs a record`);
  }
}
