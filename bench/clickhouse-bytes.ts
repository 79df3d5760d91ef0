/**
 * What a row of `positions` takes on disk, by column: `node bench/clickhouse-bytes.ts [rows]`, a million by default.
 * Loads a fleet's records into the embedded ClickHouse through the sink, merges, and asks the engine.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { SecretUrl } from '../src/base/secret.ts';
import { startEmbeddedClickHouse } from '../src/embedded/clickhouse.ts';
import { createClickHouseSink } from '../src/out/sink/clickhouse/sink.ts';
import { Batch } from '../src/out/sink/sink.ts';
import { Fleet } from './fleet-rows.ts';

const BATCH_ROWS = 50_000;
const rows = Number(process.argv[2] ?? 1_000_000);
const directory = mkdtempSync(join(tmpdir(), 'fixgate-bytes-'));
const embedded = await startEmbeddedClickHouse({ directory: join(directory, 'clickhouse'), port: 0 });
const sink = createClickHouseSink({
  url: new SecretUrl(embedded.url),
  password: embedded.secret,
  cursorPath: join(directory, 'cursor.json'),
});
const client = createClient({
  url: embedded.url,
  password: embedded.secret.reveal(),
  request_timeout: 300_000,
  log: { level: ClickHouseLogLevel.OFF },
});

interface Column {
  readonly name: string;
  readonly type: string;
  readonly raw: string;
  readonly packed: string;
}

try {
  await sink.open();
  // The engine counts by column only where each has a file of its own, which a table has from some size on.
  await client.command({ query: 'ALTER TABLE fixgate.positions MODIFY SETTING min_bytes_for_wide_part = 0' });
  const fleet = new Fleet(1000);
  const batch = new Batch();
  const begun = performance.now();
  for (let done = 0; done < rows; done += BATCH_ROWS) {
    batch.clear();
    fleet.fill(batch, Math.min(BATCH_ROWS, rows - done));
    batch.ranges = { 0: { from: done + 1, to: done + BATCH_ROWS } };
    batch.token = `bytes ${done}`;
    await sink.deliver(batch, async () => {});
  }
  const seconds = (performance.now() - begun) / 1000;
  console.log(`${rows} rows loaded in ${seconds.toFixed(1)} s; merging …\n`);
  await client.command({ query: 'OPTIMIZE TABLE fixgate.positions FINAL' });
  const query = `SELECT column AS name, any(type) AS type, sum(column_data_uncompressed_bytes) AS raw, sum(column_data_compressed_bytes) AS packed
    FROM system.parts_columns WHERE active AND database = 'fixgate' AND table = 'positions' GROUP BY column ORDER BY packed DESC`;
  const columns = await (await client.query({ query, format: 'JSONEachRow' })).json<Column>();
  const line = (name: string, type: string, before: number, after: number): void =>
    console.log(
      `${name.padEnd(14)} ${type.slice(0, 44).padEnd(44)} ${(before / rows).toFixed(2).padStart(8)} ${(after / rows).toFixed(2).padStart(8)}`,
    );
  console.log(`${'column'.padEnd(14)} ${'type'.padEnd(44)} ${'raw'.padStart(8)} ${'on disk'.padStart(8)}   bytes a row`);
  let raw = 0;
  let packed = 0;
  for (const column of columns) {
    raw += Number(column.raw);
    packed += Number(column.packed);
    line(column.name, column.type, Number(column.raw), Number(column.packed));
  }
  line('all', '', raw, packed);
} finally {
  await client.close();
  await sink.close();
  await embedded.close();
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}
