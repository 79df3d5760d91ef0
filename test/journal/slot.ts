import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { nodeStorage, type Storage } from '../../src/base/files.ts';
import { Definition } from '../../src/journal/definition.ts';
import { checkEntry, EntryKind, EntryView, Origin, readFormat } from '../../src/journal/entry.ts';
import { Journal } from '../../src/journal/journal.ts';
import type { JournalOptions } from '../../src/journal/options.ts';
import { type Damage, JournalReader } from '../../src/journal/reader.ts';

/** What the tests of the journal share: a directory, a journal that notes what it says, and a plain way to read. */

export async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'fixgate-journal-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

export const ORIGIN = new Origin(new Definition('teltonika', 'tcp'), '352093081234567', '192.0.2.7:40123');

export class Watched {
  /** Watermarks as they were announced. */
  readonly durable: number[] = [];
  readonly failed: { from: number; to: number; code: string }[] = [];
  readonly states: string[] = [];
  journal: Journal | null = null;

  get it(): Journal {
    if (this.journal === null) throw new Error('not open');
    return this.journal;
  }

  /** Appends a text and returns its sequence. */
  append(text: string, received = 1_700_000_000_000, origin = ORIGIN): number {
    const bytes = Buffer.from(text);
    return this.it.append(origin, EntryKind.Frame, received, 7, 1, bytes, 0, bytes.length);
  }

  isFailed(sequence: number): boolean {
    return this.failed.some((range) => range.from <= sequence && sequence <= range.to);
  }
}

/** Checks run only when the test asks (`journal.check()`), unless it says otherwise. */
export async function open(path: string, options: Partial<JournalOptions> = {}): Promise<Watched> {
  const watched = new Watched();
  watched.journal = await Journal.open({
    directory: path,
    minFreeBytes: 0,
    checkMs: 1_000_000,
    onDurable: (watermark) => watched.durable.push(watermark),
    onFailed: (from, to, error) => watched.failed.push({ from, to, code: error.code }),
    onState: (state) => watched.states.push(state),
    ...options,
  });
  return watched;
}

export interface Read {
  readonly sequence: number;
  readonly text: string;
}

export async function read(
  path: string,
  from = 1,
  options: { to?: number; onDamage?: (damage: Damage) => void; storage?: Storage } = {},
): Promise<Read[]> {
  const reader = new JournalReader(path, options.storage ?? nodeStorage, from, { to: options.to, onDamage: options.onDamage });
  try {
    return await drain(reader);
  } finally {
    await reader.close();
  }
}

export async function drain(reader: JournalReader): Promise<Read[]> {
  const entries: Read[] = [];
  while (await reader.fill()) {
    for (let entry = reader.peek(); entry !== null; entry = reader.peek()) {
      entries.push({ sequence: entry.sequence, text: entry.bytes.toString('latin1', entry.start, entry.end) });
      reader.advance();
    }
  }
  return entries;
}

/** Paths of the segments, oldest first. */
export async function segments(path: string): Promise<string[]> {
  const names = await readdir(path);
  return names
    .filter((name) => name.endsWith('.seg'))
    .sort()
    .map((name) => join(path, name));
}

/** Numbers 0…1 that depend on the seed alone. */
export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function nth<T>(list: readonly T[], index: number): T {
  const item = list.at(index);
  if (item === undefined) throw new Error(`no item ${index} of ${list.length}`);
  return item;
}

export interface Stands {
  readonly offset: number;
  readonly bytes: number;
  /** 0 for a definition. */
  readonly sequence: number;
}

/** Where definitions and entries stand in a segment that is whole. */
export async function places(file: string): Promise<Stands[]> {
  const bytes = await readFile(file);
  const format = readFormat(bytes, bytes.length, Number.parseInt(file.slice(-20, -4), 16));
  if (format === undefined) throw new Error(`${file} has no header`);
  const found: Stands[] = [];
  const view = new EntryView();
  for (let at = format.begin; at < bytes.length; ) {
    const size = checkEntry(bytes, at, bytes.length, format, at);
    if (size <= 0) throw new Error(`${file} is not whole at ${at}`);
    view.aim(bytes, at, size, format.version);
    found.push({ offset: at, bytes: size, sequence: view.kind === EntryKind.Definition ? 0 : view.sequence });
    at += size;
  }
  return found;
}

export async function entryPlaces(file: string): Promise<Stands[]> {
  return (await places(file)).filter(({ sequence }) => sequence > 0);
}
