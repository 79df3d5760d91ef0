import { BlockEncoder } from '../../src/out/sink/clickhouse/encode.ts';
import { Commands } from '../../src/out/sink/redis-stream/encode.ts';
import { Batch } from '../../src/out/sink/sink.ts';
import { Fleet } from '../fleet-rows.ts';

/**
 * What a row with 13 attributes costs on its way into a sink, in processor time: `node bench/micro/clickhouse-encode.bench.ts`.
 * Native block: columns to the insert body. Stream: the JSON and arguments that Redis gets of the same rows.
 */
const ROWS = 20_000;
const batch = new Batch();
new Fleet(500).fill(batch, ROWS);
batch.ranges = { 0: { from: 1, to: ROWS } };
const encoder = new BlockEncoder();
const pick = { list: Int32Array.from({ length: ROWS }, (_, row) => row), from: 0, to: ROWS };

function measure(what: string, run: () => number): void {
  let best = Number.POSITIVE_INFINITY;
  let bytes = 0;
  for (let round = 0; round < 40; round++) {
    const from = process.cpuUsage();
    bytes = run();
    const { user, system } = process.cpuUsage(from);
    best = Math.min(best, user + system);
  }
  console.log(`${what.padEnd(14)} ${(best / ROWS).toFixed(2)} µs a row, ${(bytes / ROWS).toFixed(0)} bytes`);
}

measure('Native block', () => {
  for (const _ of encoder.positions(batch.rows, pick));
  return encoder.writer.length;
});
const commands = new Commands();
measure('stream', () => commands.append(batch, ['cursor', 'positions', 'statuses', 'events'], 1000).length);
