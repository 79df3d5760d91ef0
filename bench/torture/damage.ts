import { closeSync, ftruncateSync, openSync, readdirSync, readFileSync, readSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { nodeStorage } from '../../src/base/files.ts';
import { Cursor } from '../../src/journal/cursor.ts';
import { EntryView } from '../../src/journal/entry.ts';
import { listSegments, SegmentReader, segmentName, WINDOW_BYTES } from '../../src/journal/segment.ts';
import type { Random } from '../../src/simulate/random.ts';
import type { Rig } from './rig.ts';

/** What is done to the journal's files while no process has them open. */

const MOST_TORN = 400;
const LENGTH_BYTES = 8;

/** Puts behind the last entry of each slot what a write that never ended may leave: part of an entry, or anything. */
export async function tearTails(rig: Rig, random: Random): Promise<number> {
  let torn = 0;
  for (const slot of rig.slots()) {
    const path = await newestSegment(slot);
    if (path === undefined) continue;
    const { size } = statSync(path);
    const bytes = Buffer.alloc(1 + random.int(MOST_TORN));
    const file = openSync(path, 'r+');
    try {
      // The beginning of the file is entries, so it begins to look like one.
      if (random.next() < 0.5) readSync(file, bytes, 0, bytes.length, Math.max(0, Math.min(size - bytes.length, LENGTH_BYTES)));
      else for (let i = 0; i < bytes.length; i++) bytes[i] = random.int(256);
      writeSync(file, bytes, 0, bytes.length, size);
    } finally {
      closeSync(file);
    }
    torn += bytes.length;
  }
  return torn;
}

/**
 * Flips one bit of an entry that both stores have and that no device will send again: what the copy in the journal was
 * still good for is a replay. Returns the number of flipped bits: none when there is no such entry.
 */
export async function flipBit(rig: Rig, random: Random, receivedBefore: number): Promise<number> {
  const delivered = await deliveredEverywhere(rig);
  const candidates: { path: string; from: number; to: number }[] = [];
  for (const slot of rig.slots()) {
    const limit = delivered.get(basename(slot)) ?? 0;
    const window = Buffer.allocUnsafeSlow(WINDOW_BYTES);
    const view = new EntryView();
    for (const first of (await listSegments(nodeStorage, slot)).filter((sequence) => sequence <= limit)) {
      const segment = await SegmentReader.open(nodeStorage, slot, first, window, view, () => {});
      if (segment === null) continue;
      while ((await segment.load(0, limit)) === 'entry') {
        const to = segment.entryEnd;
        if (view.received < receivedBefore) candidates.push({ path: segment.path, from: to - (view.end - view.at), to });
        segment.pass();
      }
      await segment.close();
    }
  }
  const chosen = candidates[random.int(candidates.length)];
  if (chosen === undefined) return 0;
  const file = openSync(chosen.path, 'r+');
  try {
    const at = chosen.from + random.int(chosen.to - chosen.from);
    const byte = Buffer.alloc(1);
    readSync(file, byte, 0, 1, at);
    writeSync(file, Buffer.of((byte[0] ?? 0) ^ (1 << random.int(8))), 0, 1, at);
  } finally {
    closeSync(file);
  }
  return 1;
}

/**
 * Takes back what was written and never synchronised: segments are cut to what the last fdatasync of each covered, the
 * watermark files, which are overwritten in place, get back what they held at theirs. Returns the bytes taken back.
 */
export async function takeBackUnsynced(rig: Rig): Promise<number> {
  const synced = new Map<string, { size: number; content: string }>();
  for (const line of readFileSync(join(rig.controlDir, 'synced'), 'utf8').split('\n')) {
    const [path = '', size, content = ''] = line.split('\t');
    if (path !== '') synced.set(path, { size: Number(size), content });
  }
  let bytes = 0;
  for (const slot of rig.slots()) {
    for (const name of readdirSync(slot)) {
      const path = join(slot, name);
      const kept = synced.get(path) ?? { size: 0, content: '' };
      if (name.endsWith('.seg')) {
        const { size } = statSync(path);
        if (size <= kept.size) continue;
        const file = openSync(path, 'r+');
        ftruncateSync(file, kept.size);
        closeSync(file);
        bytes += size - kept.size;
      } else if (name === 'durable') writeFileSync(path, Buffer.from(kept.content, 'hex'));
    }
  }
  return bytes;
}

async function newestSegment(slot: string): Promise<string | undefined> {
  const first = (await listSegments(nodeStorage, slot)).at(-1);
  return first === undefined ? undefined : join(slot, segmentName(first));
}

/** By slot, the last sequence that ClickHouse and Redis both have. */
async function deliveredEverywhere(rig: Rig): Promise<Map<string, number>> {
  const directory = join(rig.dataDir, 'cursor');
  const file = readdirSync(directory).find((name) => name.startsWith('clickhouse-') && name.endsWith('.json'));
  // Nothing has reached the table yet.
  if (file === undefined) return new Map();
  const table = await Cursor.load(join(directory, file));
  const instance = readFileSync(join(rig.dataDir, 'instance'), 'utf8').trim();
  const client = rig.redisClient();
  try {
    const stream = Object.entries(await client.hgetall(`fixgate:cursor:${instance}`));
    return new Map(stream.map(([slot, sequence]) => [slot, Math.min(Number(sequence), table.position(slot))]));
  } finally {
    client.disconnect();
  }
}
