import { closeSync, constants, fdatasync, fdatasyncSync, openSync, write, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { nodeStorage } from '../../src/base/files.ts';
import { Definition } from '../../src/journal/definition.ts';
import { EntryKind, Origin } from '../../src/journal/entry.ts';
import { Journal } from '../../src/journal/journal.ts';
import { JournalReader } from '../../src/journal/reader.ts';

/**
 * What the journal costs: an append, a commit, reading back; and what the pieces it is made of cost in other ways.
 *
 *     node bench/micro/journal.bench.ts [directory on the disk to measure]
 */

const base = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'fixgate-bench-'));
const origin = new Origin(new Definition('teltonika', 'tcp', { integrity: 'verify', family: 'fm' }), '352093081234567', '192.0.2.7:40123');
const source = Buffer.allocUnsafe(1 << 20);
for (let i = 0; i < source.length; i++) source[i] = Math.imul(i, 2654435761) >>> 24;

function line(what: string, value: string): void {
  process.stdout.write(`${what.padEnd(58)}${value}\n`);
}

function perCall(calls: number, run: (i: number) => unknown): string {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 4; round++) {
    const from = performance.now();
    for (let i = 0; i < calls; i++) run(i);
    best = Math.min(best, ((performance.now() - from) * 1e6) / calls);
  }
  return `${best.toFixed(0)} ns`;
}

/** CRC-32 by eight tables, 8 bytes a step: the best there is without leaving JavaScript. */
const TABLES = new Int32Array(2048);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  TABLES[n] = c;
}
for (let n = 256; n < 2048; n++) {
  const below = TABLES[n - 256] ?? 0;
  TABLES[n] = (below >>> 8) ^ (TABLES[below & 255] ?? 0);
}
const t = (table: number, byte: number) => TABLES[table * 256 + byte] ?? 0;
const b = (bytes: Uint8Array, at: number) => bytes[at] ?? 0;

function crcByTables(bytes: Uint8Array, start: number, end: number): number {
  let c = -1;
  let p = start;
  for (; p + 8 <= end; p += 8) {
    const x = c ^ (b(bytes, p) | (b(bytes, p + 1) << 8) | (b(bytes, p + 2) << 16) | (b(bytes, p + 3) << 24));
    c = t(7, x & 255) ^ t(6, (x >>> 8) & 255) ^ t(5, (x >>> 16) & 255) ^ t(4, x >>> 24);
    c ^= t(3, b(bytes, p + 4)) ^ t(2, b(bytes, p + 5)) ^ t(1, b(bytes, p + 6)) ^ t(0, b(bytes, p + 7));
  }
  for (; p < end; p++) c = (c >>> 8) ^ t(0, (c ^ b(bytes, p)) & 255);
  return ~c >>> 0;
}

async function pieces(): Promise<void> {
  line('\nPieces of an append', '');
  const out = Buffer.allocUnsafe(source.length);
  let sum = 0;
  for (const size of [100, 200, 400, 1300]) {
    const at = (i: number) => (i * 1301) % (source.length - size);
    line(
      `  ${size} B  crc32 of zlib, on a view`,
      perCall(200_000, (i) => (sum ^= crc32(source.subarray(at(i), at(i) + size)))),
    );
    line(
      `  ${size} B  crc by tables, no view`,
      perCall(200_000, (i) => (sum ^= crcByTables(source, at(i), at(i) + size))),
    );
    line(
      `  ${size} B  copy by set, of a view`,
      perCall(200_000, (i) => out.set(source.subarray(at(i), at(i) + size), at(i))),
    );
    const loop = (i: number) => {
      for (let p = at(i), end = p + size; p < end; p++) out[p] = source[p] ?? 0;
    };
    line(`  ${size} B  copy by loop`, perCall(100_000, loop));
  }
  if (crcByTables(source, 3, 1000) !== crc32(source.subarray(3, 1000)) || Number.isNaN(sum)) throw new Error('the tables are wrong');
}

async function appends(): Promise<void> {
  line('\nAppend (copy, checksum, sequence; no disk in the measured part)', '');
  for (const size of [100, 200, 400, 1000, 1300]) {
    const directory = join(base, `append-${size}`);
    const journal = await Journal.open({ directory, minFreeBytes: 0, onDurable: () => undefined, onFailed: () => undefined });
    const batch = Math.floor((24 << 20) / (size + 100));
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 5; round++) {
      const from = performance.now();
      for (let i = 0; i < batch; i++) {
        const at = (i * 1301) % (source.length - size);
        if (journal.append(origin, EntryKind.Frame, 1_700_000_000_000, 0, 1, source, at, at + size) < 0) throw new Error(journal.reason);
      }
      best = Math.min(best, ((performance.now() - from) * 1e6) / batch);
      await journal.flush();
    }
    await journal.close();
    line(`  ${size} B`, `${best.toFixed(0)} ns`);
    await rm(directory, { recursive: true });
  }
}

/** `devices` that send the next frame once the last one is durable, as a fleet with window 1 does. */
async function commits(devices: number, size: number): Promise<void> {
  const directory = join(base, 'commits');
  let over = false;
  let unanswered = 0;
  const next = () => {
    for (; unanswered > 0; unanswered--) journal.append(origin, EntryKind.Frame, 1_700_000_000_000, 0, 1, source, 0, size);
  };
  let before = 0;
  const journal = await Journal.open({
    directory,
    minFreeBytes: 0,
    onFailed: () => process.exit(1),
    onDurable: (watermark) => {
      unanswered += watermark - before;
      before = watermark;
      if (!over) setImmediate(next);
    },
  });
  unanswered = devices;
  next();
  const cpu = process.cpuUsage();
  const from = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const seconds = (performance.now() - from) / 1000;
  const used = process.cpuUsage(cpu);
  const { commits: count, entries, bytesWritten } = journal;
  over = true;
  await journal.flush();
  await journal.close();
  const each = (used.user + used.system) / count;
  line(
    `  ${devices} in flight, ${size} B`,
    `${(count / seconds).toFixed(0)} commits/s  ${(entries / seconds).toFixed(0)} entries/s  ${(bytesWritten / seconds / 1e6).toFixed(0)} MB/s  ${each.toFixed(0)} µs CPU a commit`,
  );
  await rm(directory, { recursive: true });
}

async function reading(): Promise<void> {
  const directory = join(base, 'reading');
  const journal = await Journal.open({ directory, minFreeBytes: 0, onDurable: () => undefined, onFailed: () => undefined });
  for (let i = 0; i < 200_000; i++) {
    journal.append(origin, EntryKind.Frame, 1_700_000_000_000, 0, 1, source, i, i + 1000);
    if (i % 10_000 === 0) await journal.flush();
  }
  await journal.close();
  const reader = new JournalReader(directory, nodeStorage);
  const from = performance.now();
  let count = 0;
  while (await reader.fill()) {
    for (; reader.peek() !== null; reader.advance()) count++;
  }
  const ms = performance.now() - from;
  await reader.close();
  line(
    '\nReading back, 1000 B, from the page cache',
    `${((count / ms) * 1000).toFixed(0)} entries/s, ${((ms * 1e6) / count).toFixed(0)} ns each`,
  );
  await rm(directory, { recursive: true });
}

const asked = (run: (done: (error: Error | null) => void) => void) =>
  new Promise<void>((resolve, reject) => run((error) => (error === null ? resolve() : reject(error))));

/** The ways to get one batch onto the disk, in turn, so that a change in the disk's mood hits all of them. */
async function ways(size: number): Promise<void> {
  const mark = openSync(join(base, 'mark'), 'w');
  const eight = Buffer.alloc(8);
  const plain = constants.O_CREAT | constants.O_TRUNC | constants.O_RDWR;
  const list: {
    readonly name: string;
    readonly fd: number;
    readonly step: (fd: number, at: number) => Promise<void>;
    readonly ms: number[];
  }[] = [
    {
      name: 'write, fdatasync',
      fd: openSync(join(base, 'way0'), plain),
      step: async (fd, at) => {
        await asked((done) => write(fd, source, 0, size, at, done));
        await asked((done) => fdatasync(fd, done));
      },
      ms: [],
    },
    {
      name: 'write, fdatasync, watermark (what the journal does)',
      fd: openSync(join(base, 'way1'), plain),
      step: async (fd, at) => {
        await asked((done) => write(fd, source, 0, size, at, done));
        await asked((done) => fdatasync(fd, done));
        await asked((done) => write(mark, eight, 0, 8, 0, done));
      },
      ms: [],
    },
    {
      name: 'write, fdatasync, watermark by a blocking call',
      fd: openSync(join(base, 'way2'), plain),
      step: async (fd, at) => {
        await asked((done) => write(fd, source, 0, size, at, done));
        await asked((done) => fdatasync(fd, done));
        writeSync(mark, eight, 0, 8, 0);
      },
      ms: [],
    },
    {
      name: 'write to a file opened O_DSYNC',
      fd: openSync(join(base, 'way3'), plain | constants.O_DSYNC),
      step: (fd, at) => asked((done) => write(fd, source, 0, size, at, done)),
      ms: [],
    },
    {
      name: 'blocking write, then fdatasync',
      fd: openSync(join(base, 'way4'), plain),
      step: async (fd, at) => {
        writeSync(fd, source, 0, size, at);
        await asked((done) => fdatasync(fd, done));
      },
      ms: [],
    },
    {
      name: 'both blocking',
      fd: openSync(join(base, 'way5'), plain),
      step: async (fd, at) => {
        writeSync(fd, source, 0, size, at);
        fdatasyncSync(fd);
      },
      ms: [],
    },
  ];
  const rounds = 300;
  for (let round = 0; round < rounds; round++) {
    for (const way of list) {
      const from = performance.now();
      await way.step(way.fd, round * size);
      way.ms.push(performance.now() - from);
    }
  }
  line(`\nWays to make ${size} B durable`, 'p50 ms   p99 ms');
  for (const way of list) {
    way.ms.sort((x, y) => x - y);
    const at = (share: number) => (way.ms[Math.floor(share * rounds)] ?? 0).toFixed(3).padEnd(9);
    line(`  ${way.name}`, `${at(0.5)}${at(0.99)}`);
    closeSync(way.fd);
  }
  closeSync(mark);
}

try {
  await pieces();
  await appends();
  line('\nCommits with real fdatasync', '');
  for (const devices of [1, 20, 200, 2000]) await commits(devices, 1000);
  await commits(200, 100);
  await reading();
  for (const size of [1100, 16_384, 220_000]) await ways(size);
} finally {
  await rm(base, { recursive: true, force: true });
}
