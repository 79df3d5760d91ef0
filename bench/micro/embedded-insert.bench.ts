import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from '../../src/embedded/engine.ts';

/** What an insert of 400 rows costs the embedded ClickHouse, all threads, merges included: `node bench/micro/embedded-insert.bench.ts`. */
const TABLES = 12;
const ROWS = 400;
const WARM = 20;
const INSERTS = 150;
const MIB = 1024 * 1024;

const directory = mkdtempSync(join(tmpdir(), 'fixgate-bench-'));
const engine = await Engine.open({ directory, resultBytes: 128 * MIB });
await engine.run('CREATE DATABASE fleet', '', 'Null');
for (let n = 0; n < TABLES; n++) {
  const settings = 'fsync_after_insert = 1, non_replicated_deduplication_window = 100';
  const columns = '(id UInt64, name String, value Float64)';
  await engine.run(`CREATE TABLE fleet.t${n} ${columns} ENGINE = MergeTree ORDER BY id SETTINGS ${settings}`, '', 'Null');
}
const rows = join(directory, 'rows');
writeFileSync(rows, Array.from({ length: ROWS }, (_, row) => `${row}\tname${row}\t${row / 3}\n`).join(''));
const insert = { database: 'fleet', table: 't0', target: 'INSERT INTO fleet.t0', settings: '', format: 'TabSeparated' };

async function run(inserts: number): Promise<void> {
  for (let n = 0; n < inserts; n++) await engine.insert(`${insert.target} FROM INFILE '${rows}' FORMAT ${insert.format}`, '', insert);
}

await run(WARM);
const from = performance.now();
const before = process.cpuUsage();
await run(INSERTS);
const { user, system } = process.cpuUsage(before);
const wallMs = (performance.now() - from) / INSERTS;
console.log(`${((user + system) / 1000 / INSERTS).toFixed(2)} ms of processor time an insert, ${wallMs.toFixed(2)} ms until it is on disk`);
await engine.close();
rmSync(directory, { recursive: true, force: true });
