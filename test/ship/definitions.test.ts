import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import { nodeStorage } from '../../src/base/files.ts';
import { keptOptions, readingOptions, withClockOffset } from '../../src/codec/options.ts';
import { codecOptions } from '../../src/codec/registry.ts';
import { Definition } from '../../src/journal/definition.ts';
import { EntryKind, Origin } from '../../src/journal/entry.ts';
import { JournalReader } from '../../src/journal/reader.ts';
import { rewriteSegment } from '../../src/journal/rewrite.ts';
import type { Damage } from '../../src/journal/segment.ts';
import { Rows } from '../../src/out/record/rows.ts';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { listParked, retryParked } from '../../src/out/ship/parked.ts';
import { nth, places, segments } from '../journal/slot.ts';
import { MemorySink } from './memory-sink.ts';
import { DEADLINE, dataDirectory, INSTANCE, parkedLines, Slot, ship } from './rig.ts';

const DEVICE = '123456789012345';
const codecs = new Map([['gt06', gt06]]);
const configured = (options: Record<string, string>) => codecOptions(codecs, { gt06: options }, {});
const UTC = configured({ time_zone: 'utc' });
const EAST = configured({ time_zone: '+08:00' });
const T = Date.UTC(2026, 6, 15, 12, 40, 0);

/** A fix of a GT06 at 12:34 and n seconds, message 12: its date is a local one, read under `time_zone`. */
function fix(n: number): Buffer {
  const bytes = Buffer.from('78781f121a070f0c2238c90339f5b00d0a78783c145a01cc00287d001f710001d9dc0d0a', 'hex');
  bytes[9] = n;
  return bytes;
}

/** As a worker journals them under options. */
function origin(optionsOf: ReturnType<typeof codecOptions>, account = '', device = DEVICE): Origin {
  return new Origin(new Definition('gt06', 'tcp', keptOptions(gt06, optionsOf(gt06, device)), account), device, '192.0.2.1:1000');
}

function append(slot: Slot, from: Origin, n: number, received = T): number {
  const bytes = fix(n);
  return slot.journal.append(from, EntryKind.Frame, received, 0, 1, bytes, 0, bytes.length);
}

async function delivered(data: string, optionsOf: ReturnType<typeof codecOptions>, sink = new MemorySink()): Promise<MemorySink> {
  const { shipper } = ship(data, [sink], { codecs, optionsOf });
  expect(await shipper.drained(DEADLINE)).toBe(true);
  await shipper.close();
  return sink;
}

const timesOf = (rows: readonly string[]) => rows.map((row) => Number(row.split('\t')[1]));

/** Rows that a decoder under `optionsOf` reads of a slot, and what is damaged. */
async function decoded(
  directory: string,
  optionsOf: ReturnType<typeof codecOptions>,
  column: 'time' | 'deviceTime' = 'time',
): Promise<{ times: number[]; damages: Damage[] }> {
  const damages: Damage[] = [];
  const rows = new Rows();
  const decoder = new Decoder(codecs, optionsOf);
  const reader = new JournalReader(directory, nodeStorage, 1, { onDamage: (damage) => damages.push(damage) });
  for (; await reader.fill(); reader.advance()) {
    const entry = reader.peek();
    if (entry !== null && entry.kind === EntryKind.Frame) expect(decoder.decode(entry, rows, '0')).toBe('');
  }
  await reader.close();
  return { times: [...rows[column].subarray(0, rows.count)], damages };
}

async function flip(file: string, at: number): Promise<void> {
  const bytes = await readFile(file);
  bytes[at] = (bytes[at] ?? 0) ^ 4;
  await writeFile(file, bytes);
}

describe('a clock offset that was learned', () => {
  test('corrects the time, keeps the device’s own, and makes no second row of what was delivered before', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    const none = codecOptions(codecs, {}, {});
    for (const n of [1, 2]) append(slot, origin(none), n);
    const learned: typeof none = (codec, device) => withClockOffset(codec, none(codec, device), 480, undefined);
    for (const n of [1, 3, 2, 3]) append(slot, origin(learned), n);
    await slot.journal.close();
    const { rows } = await delivered(data, none);
    const local = (n: number) => Date.UTC(2026, 6, 15, 12, 34, n);
    expect(timesOf(rows)).toEqual([local(1), local(2), local(3) - 8 * 3_600_000]);
    const own = await decoded(join(data, 'journal', '0'), none, 'deviceTime');
    expect(own.times.slice(3)).toEqual([local(3), local(2), local(3)]);
  });
});

describe('a stored frame reads the same for ever', () => {
  test('acknowledged under time_zone utc, delivered behind a restart with +08:00: the same rows, and a resend is no second one', async () => {
    const expected = Array.from({ length: 5 }, (_, n) => Date.UTC(2026, 6, 15, 12, 34, n));
    const data = dataDirectory();
    const before = await Slot.open(data, 0);
    for (let n = 0; n < 5; n++) append(before, origin(UTC), n);
    await before.journal.close();
    const sink = await delivered(data, EAST);
    expect(timesOf(sink.rows)).toEqual(expected);
    // The devices missed their answers, and send again to a server that now reads them in another zone.
    const after = await Slot.open(data, 0);
    for (let n = 0; n < 5; n++) append(after, origin(EAST), n, T + 60_000);
    append(after, origin(EAST), 6, T + 60_000);
    await after.journal.close();
    const rows = sink.rows.length;
    await delivered(data, EAST, sink);
    expect(sink.rows.length).toBe(rows + 1);
    // What was delivered first counts, whatever is read first: a new sink gets each record once, too.
    expect((await delivered(data, UTC)).rows.length).toBe(rows + 1);
  });

  test('every segment says it itself, also when it is all that is left', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0, { segmentBytes: 300 });
    for (let n = 0; n < 12; n++) {
      append(slot, origin(n % 2 === 0 ? UTC : EAST, 'acme'), n);
      await slot.journal.flush();
    }
    await slot.journal.close();
    const directory = join(data, 'journal', '0');
    const whole = await decoded(directory, configured({ time_zone: '-05:00' }));
    expect(whole.times).toHaveLength(12);
    expect(whole.times[1]).toBe((whole.times[0] ?? 0) + 1000 - 8 * 3_600_000);
    const files = await segments(directory);
    expect(files.length).toBeGreaterThan(3);
    const alone: number[] = [];
    for (const file of files) {
      const one = dataDirectory();
      await cp(file, join(one, file.slice(-20)));
      await cp(join(directory, 'durable'), join(one, 'durable'));
      alone.push(...(await decoded(one, EAST)).times);
    }
    expect(alone).toEqual(whole.times);
  });

  test('a parked entry is retried under what it was acknowledged under', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    append(slot, origin(UTC, 'acme'), 7);
    await slot.journal.close();
    const expected = timesOf((await delivered(data, UTC)).rows);
    const sink = new MemorySink();
    const broken = ship(data, [sink], { codecs: new Map(), optionsOf: UTC });
    expect(await broken.shipper.drained(DEADLINE)).toBe(true);
    await broken.shipper.close();
    expect(parkedLines(data, 'memory')).toMatchObject([{ options: { time_zone: 'utc' }, account: 'acme', format: 3 }]);
    expect(JSON.stringify(parkedLines(data, 'memory'))).not.toContain('relay');
    sink.position = {};
    expect(await retryParked(join(data, 'parked'), sink, new Decoder(codecs, EAST), INSTANCE)).toMatchObject({ delivered: 1 });
    expect(timesOf(sink.rows)).toEqual(expected);
    expect(await listParked(join(data, 'parked'), 'memory')).toEqual([]);
  });

  test('erasing a device keeps what the others are read under, and drops what only it was', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    for (let n = 0; n < 4; n++) {
      append(slot, origin(UTC, 'acme'), n);
      append(slot, origin(EAST, 'secretive', '123456789012346'), n);
    }
    await slot.journal.close();
    const directory = join(data, 'journal', '0');
    const file = nth(await segments(directory), 0);
    const before = await decoded(directory, EAST);
    expect(await readFile(file, 'latin1')).toContain('secretive');
    const goes = (entry: { device: string }) => entry.device === '123456789012346';
    const onDamage = () => {};
    expect(await rewriteSegment({ storage: nodeStorage, directory, first: 1, goes, onDamage })).toBe(4);
    const after = await decoded(directory, EAST);
    expect(after).toEqual({ times: before.times.filter((_, n) => n % 2 === 0), damages: [] });
    expect(await readFile(file, 'latin1')).not.toContain('secretive');
    // Again: of what was rewritten, too.
    expect(await rewriteSegment({ storage: nodeStorage, directory, first: 1, goes: (entry) => entry.sequence === 1, onDamage })).toBe(1);
    expect((await decoded(directory, EAST)).times).toEqual(after.times.slice(1));
  });
});

describe('a damaged definition', () => {
  async function two(): Promise<{ directory: string; file: string; times: number[] }> {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    for (let n = 0; n < 3; n++) append(slot, origin(UTC), n);
    await slot.journal.flush();
    for (let n = 3; n < 6; n++) append(slot, origin(EAST), n);
    await slot.journal.close();
    const directory = join(data, 'journal', '0');
    return { directory, file: nth(await segments(directory), 0), times: (await decoded(directory, UTC)).times };
  }

  test('costs nothing while there is another copy, and says so', async () => {
    const { directory, file, times } = await two();
    const first = nth(await places(file), 0);
    await flip(file, first.offset + 50);
    expect(await decoded(directory, EAST)).toEqual({ times, damages: [{ file, offset: first.offset, bytes: first.bytes }] });
  });

  test('costs the entries that refer to it when all copies are, and nothing is read under other options', async () => {
    const { directory, file, times } = await two();
    const stand = await places(file);
    const copies = stand.filter(({ sequence }) => sequence === 0).slice(0, 2);
    for (const { offset } of copies) await flip(file, offset + 50);
    const { times: left, damages } = await decoded(directory, EAST);
    expect(left).toEqual(times.slice(3));
    const lost = stand.filter(({ sequence }) => sequence >= 1 && sequence <= 3);
    expect(damages).toEqual([
      { file, offset: nth(copies, 0).offset, bytes: nth(copies, 0).bytes + nth(copies, 1).bytes },
      ...lost.map(({ offset, bytes }) => ({ file, offset, bytes })),
    ]);
    // A rewriting that takes something else out leaves them where they are: they are evidence, and no more readable than before.
    await rewriteSegment({ storage: nodeStorage, directory, first: 1, goes: (entry) => entry.sequence === 5, onDamage: () => {} });
    const after = await decoded(directory, EAST);
    expect(after.times).toEqual([times[3], times[5]]);
    expect(after.damages).toHaveLength(3);
  });

  test('is looked for further on: in a long segment it stands again', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    for (let n = 0; n < 300; n++) {
      append(slot, origin(UTC), n % 60, T + n);
      if (n % 10 === 0) await slot.journal.flush();
    }
    await slot.journal.close();
    const directory = join(data, 'journal', '0');
    const file = nth(await segments(directory), 0);
    const { times } = await decoded(directory, UTC);
    const copies = (await places(file)).filter(({ sequence }) => sequence === 0);
    expect(copies.length).toBeGreaterThan(3);
    for (const { offset } of copies.slice(0, 2)) await flip(file, offset + 50);
    const found = await decoded(directory, EAST);
    expect(found.times).toEqual(times);
    expect(found.damages).toHaveLength(1);
    for (const { offset } of copies.slice(2, -1)) await flip(file, offset + 50);
    expect((await decoded(directory, EAST)).times).toEqual(times);
  });
});

describe('options that are kept', () => {
  const codec = {
    ...gt06,
    options: {
      zone: { type: 'string', fallback: 'utc', about: '' },
      answer: { type: 'string', fallback: 'a', about: '', decodes: false },
      password: { type: 'string', fallback: '', about: '', secret: true },
    },
  } as const;

  test('are those that affect decoding, and never secrets', () => {
    const kept = keptOptions(codec, { zone: '+08:00', answer: 'b', password: 'hunter2' });
    expect(kept).toEqual({ zone: '+08:00' });
    const options = { zone: 'utc', answer: 'a', password: '' };
    expect(keptOptions(codec, options)).toBe(keptOptions(codec, options));
    const now = { zone: '-05:00', answer: 'c', password: 'swordfish' };
    expect(readingOptions(codec, kept, now)).toEqual({ zone: '+08:00', answer: 'a', password: 'swordfish' });
    // An option that came with a newer version of the codec, and one that it has no more.
    expect(readingOptions(codec, { old: 1 }, now)).toEqual({ zone: 'utc', answer: 'a', password: 'swordfish' });
  });
});
