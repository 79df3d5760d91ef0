import { spawn } from 'node:child_process';
import { appendFile, copyFile, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeStorage } from '../../src/base/files.ts';
import { EntryKind } from '../../src/journal/entry.ts';
import { type Damage, JournalReader, readDurable } from '../../src/journal/reader.ts';
import { recover } from '../../src/journal/recovery.ts';
import { WatermarkFile } from '../../src/journal/watermark.ts';
import { FaultStorage } from '../helpers/fault-storage.ts';
import { pause } from '../support/wait.ts';
import { directory, drain, entryPlaces, nth, ORIGIN, open, read, seeded, segments } from './slot.ts';
import { textOf } from './writer-text.ts';

const sequences = (entries: readonly { sequence: number }[]) => entries.map((entry) => entry.sequence);
const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** `count` entries of equal size, `each` per segment. */
async function filled(path: string, count: number, each = count): Promise<void> {
  const slot = await open(path, { segmentBytes: each === count ? 1e9 : each * 80 });
  for (let i = 1; i <= count; i++) {
    slot.append(String(i).padStart(3, '0'));
    await slot.it.flush();
  }
  await slot.it.close();
}

describe('reader', () => {
  it('begins anywhere', async () => {
    const path = await directory();
    await filled(path, 12, 3);
    expect((await segments(path)).length).toBeGreaterThan(3);
    for (let from = 1; from <= 13; from++) expect(sequences(await read(path, from))).toEqual(upTo(from, 12));
  });

  it('reads a range again, the same each time, and says when it is through', async () => {
    const path = await directory();
    await filled(path, 12, 3);
    for (let from = 1; from <= 12; from++) {
      for (let to = from; to <= 12; to++) {
        const reader = new JournalReader(path, nodeStorage, from, { to });
        expect(reader.exhausted).toBe(false);
        expect(sequences(await drain(reader))).toEqual(upTo(from, to));
        expect(reader.exhausted).toBe(true);
        await reader.close();
      }
    }
  });

  it('is not through with a range that is not durable yet', async () => {
    const path = await directory();
    const slot = await open(path);
    const reader = new JournalReader(path, nodeStorage, 2, { to: 3 });
    slot.append('1');
    slot.append('2');
    await slot.it.flush();
    expect(sequences(await drain(reader))).toEqual([2]);
    expect(reader.exhausted).toBe(false);
    slot.append('3');
    slot.append('4');
    await slot.it.flush();
    expect(sequences(await drain(reader))).toEqual([3]);
    expect(reader.exhausted).toBe(true);
    expect(await reader.fill()).toBe(false);
    await reader.close();
    await slot.it.close();
  });

  it('peek stays until advance, and survives a fill', async () => {
    const path = await directory();
    await filled(path, 2);
    const reader = new JournalReader(path);
    expect(reader.peek()).toBeNull();
    reader.advance();
    expect(await reader.fill()).toBe(true);
    expect(reader.peek()?.sequence).toBe(1);
    expect(await reader.fill()).toBe(true);
    expect(reader.peek()?.sequence).toBe(1);
    reader.advance();
    expect(reader.peek()?.sequence).toBe(2);
    reader.advance();
    expect(reader.peek()).toBeNull();
    expect(reader.position).toBe(3);
    await reader.close();
    expect(reader.peek()).toBeNull();
  });

  it('entries of every size come whole, across the edges of the window', async () => {
    const path = await directory();
    const random = seeded(3);
    const slot = await open(path, { maxPendingBytes: 1 << 26 });
    const sizes = Array.from({ length: 60 }, () => Math.floor(random() ** 4 * 1_040_000));
    const bytes = Buffer.alloc(1_040_000, 'x');
    for (const size of sizes) expect(slot.it.append(ORIGIN, EntryKind.Event, 5, 0, 0, bytes, 0, size)).toBeGreaterThan(0);
    await slot.it.close();
    expect((await read(path)).map((entry) => entry.text.length)).toEqual(sizes);
  });

  it('waits for files that do not exist yet', async () => {
    const path = join(await directory(), 'later');
    const reader = new JournalReader(path);
    expect(await reader.fill()).toBe(false);
    await filled(path, 2);
    expect(sequences(await drain(reader))).toEqual([1, 2]);
    await reader.close();
  });

  it('follows a writer through rotations, one commit at a time', async () => {
    const path = await directory();
    const slot = await open(path, { segmentBytes: 200 });
    const reader = new JournalReader(path);
    for (let i = 1; i <= 20; i++) {
      slot.append(`${i}`);
      await slot.it.flush();
      expect(sequences(await drain(reader))).toEqual([i]);
      expect(await reader.fill()).toBe(false);
    }
    await reader.close();
    await slot.it.close();
  });

  it('goes on where retention left something, and with what it has open', async () => {
    const path = await directory();
    await filled(path, 12, 3);
    const names = await segments(path);
    const reader = new JournalReader(path);
    await reader.fill();
    const open1 = reader.peek()?.sequence;
    for (const name of names.slice(0, 2)) await rm(name);
    expect(open1).toBe(1);
    const rest = sequences(await drain(reader));
    const third = Number.parseInt(nth(names, 2).slice(-20, -4), 16);
    expect(rest).toEqual([...upTo(1, nextOf(nth(names, 1)) - 1), ...upTo(third, 12)]);
    expect(sequences(await read(path))).toEqual(upTo(third, 12));
    expect(reader.damages).toBe(0);
    await reader.close();
  });

  it('passes over gaps between segments', async () => {
    const path = await directory();
    await filled(path, 3);
    await writeFile(join(path, '0000000000000100.seg'), '');
    const slot = await open(path);
    slot.append('256');
    await slot.it.close();
    const damages: Damage[] = [];
    expect(sequences(await read(path, 1, { onDamage: (damage) => damages.push(damage) }))).toEqual([1, 2, 3, 256]);
    expect(sequences(await read(path, 100))).toEqual([256]);
    const range = new JournalReader(path, nodeStorage, 3, { to: 200 });
    expect(sequences(await drain(range))).toEqual([3]);
    expect(range.exhausted).toBe(true);
    await range.close();
    expect(damages).toEqual([]);
  });

  it('never shows bytes that were loaded before they were durable and have been cut since', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage });
    const reader = new JournalReader(path);
    slot.append('a');
    await slot.it.flush();
    const held = storage.hold('sync', /\.seg$/);
    storage.fail('sync', /\.seg$/, 'EIO', 1);
    slot.append('b');
    await held.reached;
    expect((await drain(reader)).map((entry) => entry.text)).toEqual(['a']);
    held.release();
    await slot.it.flush();
    slot.append('c');
    await slot.it.flush();
    expect((await drain(reader)).map((entry) => entry.text)).toEqual(['c']);
    await reader.close();
    await slot.it.close();
  });

  it('a bad entry costs itself, is reported once, and never stops the rest', async () => {
    const path = await directory();
    await filled(path, 12, 3);
    const file = nth(await segments(path), 1);
    const bytes = await readFile(file);
    const stand = await entryPlaces(file);
    const [one, two] = [nth(stand, 0), nth(stand, 1)];
    for (const at of [one.offset, one.offset + 43, two.offset, two.offset + 4, bytes.length - 1]) {
      const bad = Buffer.from(bytes);
      bad[at] = (bad[at] ?? 0) ^ 0xff;
      await writeFile(file, bad);
      const damages: Damage[] = [];
      const hit = nth(stand, at === bytes.length - 1 ? -1 : at < two.offset ? 0 : 1);
      expect(sequences(await read(path, 1, { onDamage: (damage) => damages.push(damage) }))).toEqual(
        upTo(1, 12).filter((sequence) => sequence !== hit.sequence),
      );
      expect(damages).toEqual([{ file, offset: hit.offset, bytes: hit.bytes }]);
    }
  });

  it('a segment that is torn, empty or all garbage is passed over for the next', async () => {
    const path = await directory();
    await filled(path, 12, 3);
    const names = await segments(path);
    await truncate(nth(names, 0), (await stat(nth(names, 0))).size - 5);
    await truncate(nth(names, 1), 0);
    await writeFile(nth(names, 2), Buffer.alloc(3_000_000, 0x2a));
    const lost = [nextOf(nth(names, 1)) - 1, ...upTo(nextOf(nth(names, 1)), nextOf(nth(names, 3)) - 1)];
    const damages: Damage[] = [];
    expect(sequences(await read(path, 1, { onDamage: (damage) => damages.push(damage) }))).toEqual(
      upTo(1, 12).filter((sequence) => !lost.includes(sequence)),
    );
    expect(damages.map((damage) => damage.file)).toEqual([nth(names, 0), nth(names, 2)]);
  });

  it('with the last durable entry damaged, it does not run ahead into the next segment', async () => {
    const path = await directory();
    await filled(path, 12, 6);
    const file = nth(await segments(path), 0);
    const bytes = await readFile(file);
    const second = nth(await entryPlaces(file), 1);
    bytes[second.offset + second.bytes - 1] = 0;
    await writeFile(file, bytes);
    const mark = (value: number) => writeFile(join(path, 'durable'), Buffer.from([value, 0, 0, 0, 0, 0, 0, 0]));
    await mark(2);
    const reader = new JournalReader(path);
    expect(sequences(await drain(reader))).toEqual([1]);
    await mark(12);
    expect(sequences(await drain(reader))).toEqual(upTo(3, 12));
    expect(reader.damages).toBe(1);
    await reader.close();
  });

  it('with nothing sound up to the watermark it stops, and looks again only when the watermark moves', async () => {
    const path = await directory();
    await filled(path, 3);
    const file = nth(await segments(path), 0);
    await writeFile(file, Buffer.concat([(await readFile(file)).subarray(0, 32), Buffer.alloc(500, 0x55)]));
    const storage = new FaultStorage();
    const reader = new JournalReader(path, storage);
    expect(await reader.fill()).toBe(false);
    storage.log.length = 0;
    expect(await reader.fill()).toBe(false);
    expect(storage.log.filter((step) => step.endsWith('.seg'))).toEqual([]);
    await appendFile(join(path, 'durable'), '');
    const slot = await open(path);
    slot.append('on');
    await slot.it.close();
    expect((await drain(reader)).map((entry) => entry.text)).toEqual(['on']);
    await reader.close();
  });

  it('an error of the disk rejects, and the next fill goes on without loss', async () => {
    const path = await directory();
    await filled(path, 6, 2);
    for (const operation of ['open', 'read'] as const) {
      for (let skip = 0; skip < 6; skip++) {
        const storage = new FaultStorage();
        const reader = new JournalReader(path, storage);
        const found: number[] = [];
        let errors = 0;
        for (let round = 0; round < 40 && found.length < 6; round++) {
          if (round === skip) storage.fail(operation, /\.seg$/, 'EIO', 1);
          try {
            if (!(await reader.fill())) break;
          } catch {
            errors++;
            continue;
          }
          const entry = reader.peek();
          if (entry !== null) found.push(entry.sequence);
          reader.advance();
        }
        expect(found, `${operation} ${skip}`).toEqual([1, 2, 3, 4, 5, 6]);
        expect(errors).toBeLessThanOrEqual(1);
        await reader.close();
      }
    }
  });

  it('notices a position that these files never reached', async () => {
    const path = await directory();
    await filled(path, 3);
    const reader = new JournalReader(path, nodeStorage, 100);
    expect(await reader.fill()).toBe(false);
    expect(reader.ahead).toBe(true);
    const level = new JournalReader(path, nodeStorage, 4);
    expect(await level.fill()).toBe(false);
    expect(level.ahead).toBe(false);
  });

  it('a watermark file that is missing, short or absurd is no watermark', async () => {
    const path = await directory();
    expect(await readDurable(path)).toBe(0);
    const damaged = ['0500000000000000000000000000', '05000000000000000000000001000000', `${'00'.repeat(12)}ffffffff`];
    for (const hex of ['', '01', '01000000000000', 'ffffffffffffffff', ...damaged]) {
      await writeFile(join(path, 'durable'), Buffer.from(hex, 'hex'));
      expect(await readDurable(path)).toBe(0);
    }
  });

  it('a watermark with any bit flipped is the one before, or none; recovery finds it again', async () => {
    const path = await directory();
    const slot = await open(path);
    for (let n = 1; n <= 5; n++) {
      slot.append(`${n}`);
      await slot.it.flush();
    }
    await slot.it.close();
    const file = join(path, 'durable');
    const sound = await readFile(file);
    expect(sound.length).toBe(32);
    const found = new Set<number>();
    for (let bit = 0; bit < 8 * sound.length; bit++) {
      const flipped = Buffer.from(sound);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await writeFile(file, flipped);
      found.add(await readDurable(path));
    }
    expect(found).toEqual(new Set([4, 5]));
    await writeFile(file, Buffer.alloc(32, 7));
    expect(await readDurable(path)).toBe(0);
    expect(await recover(path)).toMatchObject({ durable: 5, entries: 5, missing: false });
    expect(await readDurable(path)).toBe(5);
  });

  it('each write of a watermark leaves the one before, also where the last was left half done', async () => {
    const path = await directory();
    const file = join(path, 'durable');
    const both = async (): Promise<bigint[]> => [0, 16].map((at) => (at < bytes.length ? bytes.readBigUInt64LE(at) : 0n));
    let bytes: Buffer;
    let mark = await WatermarkFile.open(path, nodeStorage);
    const seen: bigint[][] = [];
    for (const [n, half] of [1, 2, 3, 4, 5].map((n) => [n, n === 3] as const)) {
      await mark.write(n);
      bytes = await readFile(file);
      seen.push(await both());
      if (!half) continue;
      // Of a process that has ended.
      await mark.close();
      bytes.fill(0, 8, 16);
      await writeFile(file, bytes);
      expect(await readDurable(path)).toBe(2);
      mark = await WatermarkFile.open(path, nodeStorage);
    }
    await mark.close();
    expect(seen).toEqual([
      [1n, 0n],
      [1n, 2n],
      [3n, 2n],
      [4n, 2n],
      [4n, 5n],
    ]);
  });

  it('watermarks of earlier versions are read and gone on from: one copy, and one without a checksum', async () => {
    for (const name of ['watermark-v1.bin', 'watermark-v2.bin']) {
      const path = await directory();
      await copyFile(join(import.meta.dirname, '../../fixtures/journal', name), join(path, 'durable'));
      expect(await readDurable(path)).toBe(5);
      const slot = await open(path);
      expect(slot.append('next')).toBe(6);
      await slot.it.close();
      expect(await readDurable(path)).toBe(6);
      expect((await readFile(join(path, 'durable'))).length).toBe(32);
    }
  });
});

describe('kill-nine (promise 2)', () => {
  it('a writer killed at any moment: a reader beside it sees every entry once and in order, and recovery keeps all that was announced', async () => {
    const path = await directory();
    const random = seeded(11);
    let announced = 0;
    const reader = new JournalReader(path);
    const seen: number[] = [];
    for (let life = 0; life < 8; life++) {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'writer-child.ts'), path], { stdio: ['ignore', 'pipe', 'inherit'] });
      const over = new Promise<NodeJS.Signals | null>((resolve) => child.on('close', (_, signal) => resolve(signal)));
      let output = '';
      const enough = announced + 50 + Math.floor(random() * 2000);
      const reached = Promise.withResolvers<void>();
      child.stdout.on('data', (data: Buffer) => {
        output += data.toString('latin1');
        const last = Number(output.slice(0, output.lastIndexOf('\n')).split('\n').at(-1));
        if (last >= enough) reached.resolve();
      });
      void over.then(() => reached.resolve());
      let running = true;
      const following = (async () => {
        while (running) {
          for (const entry of await drain(reader)) {
            expect(entry.text).toBe(textOf(entry.sequence));
            seen.push(entry.sequence);
          }
          await pause(1);
        }
      })();
      await reached.promise;
      child.kill('SIGKILL');
      expect(await over).toBe('SIGKILL');
      running = false;
      await following;
      for (const line of output.split('\n')) if (line !== '') announced = Number(line);
      const report = await recover(path);
      expect(report.damages).toEqual([]);
      expect(report.missing).toBe(false);
      expect(report.durable).toBeGreaterThanOrEqual(announced);
      const entries = await read(path);
      expect(sequences(entries)).toEqual(upTo(1, report.durable));
      for (const entry of entries) if (entry.text !== textOf(entry.sequence)) expect(entry.text).toBe(textOf(entry.sequence));
    }
    seen.push(...sequences(await drain(reader)));
    await reader.close();
    expect(seen).toEqual(upTo(1, await readDurable(path)));
    expect((await segments(path)).length).toBeGreaterThan(8);
  });
});

function nextOf(segment: string): number {
  return Number.parseInt(segment.slice(-20, -4), 16);
}
