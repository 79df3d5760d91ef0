import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemCode } from '../../src/base/errors.ts';
import { nodeStorage } from '../../src/base/files.ts';
import { JournalReader } from '../../src/journal/reader.ts';
import { retain } from '../../src/journal/retention.ts';
import { FaultStorage } from '../helpers/fault-storage.ts';
import { rounds } from '../support/thorough.ts';
import { directory, drain, open, read, seeded, type Watched } from './slot.ts';

/**
 * Random operations on a journal with a failing disk, next to a model that is a Map. After every step, a reader that
 * lives as long as the directory has given exactly the model's entries up to the watermark that did not fail. A crash is
 * a copy of the directory at any moment: what a killed process leaves.
 */
async function run(seed: number): Promise<void> {
  const random = seeded(seed);
  const below = (n: number) => Math.floor(random() * n);
  let path = await directory();
  let storage = new FaultStorage();
  let slot: Watched = await open(path, { storage, segmentBytes: 2000 });
  let reader = new JournalReader(path, nodeStorage, 1);
  /** Every entry that was appended, and those of them that are in the journal or on their way. */
  const all = new Map<number, string>();
  let model = new Map<number, string>();
  let read0 = 0;
  let removedUpTo = 0;
  let durable = 0;

  const follow = async () => {
    durable = slot.it.durable;
    const found = await drain(reader);
    for (const range of slot.failed.splice(0)) for (let s = range.from; s <= range.to; s++) model.delete(s);
    // Commits go on while the reader reads: it may have seen more than was durable when it began, never less.
    const upTo = Math.max(durable, found.at(-1)?.sequence ?? 0);
    const want = [...model].filter(([sequence]) => sequence > read0 && sequence <= upTo);
    expect(
      found.map((entry) => [entry.sequence, entry.text]),
      `seed ${seed}`,
    ).toEqual(want);
    read0 = upTo;
  };

  /** What was announced is there; of the rest, what is there is as it was appended. */
  const restart = async (next: string, announced: number) => {
    await reader.close();
    for (const range of slot.failed) for (let s = range.from; s <= range.to; s++) model.delete(s);
    path = next;
    storage = new FaultStorage();
    slot = await open(path, { storage, segmentBytes: 2000 });
    expect(slot.it.durable).toBeGreaterThanOrEqual(announced);
    const left = new Map((await read(path)).map((entry) => [entry.sequence, entry.text]));
    for (const [sequence, text] of left) expect(text, `seed ${seed}`).toBe(all.get(sequence));
    for (const sequence of model.keys()) {
      if (sequence > removedUpTo && sequence <= announced) expect(left.has(sequence), `seed ${seed}: ${sequence} was announced`).toBe(true);
    }
    model = left;
    read0 = Math.min(read0, slot.it.durable);
    reader = new JournalReader(path, nodeStorage, read0 + 1);
  };

  for (let step = 0; step < 50; step++) {
    switch (below(12)) {
      case 0: {
        storage.fail(random() < 0.5 ? 'sync' : 'write', /\.seg$/, random() < 0.3 ? 'ENOSPC' : 'EIO', 1 + below(2));
        break;
      }
      case 1: {
        if (random() < 0.5) storage.fail('truncate', /\.seg$/, 'EIO', 1);
        else storage.maxWriteBytes = 20 + below(50);
        break;
      }
      case 2: {
        storage.roomBytes = below(1000);
        break;
      }
      case 3: {
        storage.heal();
        await slot.it.check();
        break;
      }
      case 4: {
        await slot.it.flush();
        await follow();
        await slot.it.close();
        await restart(path, durable);
        break;
      }
      case 5: {
        // Killed: with something in flight, or not.
        const copy = await directory();
        const told = slot.it.durable;
        snapshot(path, copy);
        await slot.it.close();
        await restart(copy, told);
        break;
      }
      case 6: {
        const report = await retain({ directory: path, delivered: read0, now: Number.MAX_SAFE_INTEGER, keepMs: 0 });
        if (report.removedSegments > 0) removedUpTo = read0;
        break;
      }
      default: {
        for (let i = below(6); i >= 0; i--) {
          const text = `${seed}.${step}.${i} ${'x'.repeat(below(300))}`;
          const sequence = slot.append(text);
          if (sequence > 0) {
            expect(model.has(sequence)).toBe(false);
            model.set(sequence, text);
            all.set(sequence, text);
          }
        }
        if (random() < 0.6) await slot.it.flush();
        if (random() < 0.5) await follow();
      }
    }
  }
  storage.heal();
  await slot.it.check();
  await slot.it.check();
  expect(slot.it.state).toBe('open');
  model.set(slot.append('last'), 'last');
  await slot.it.flush();
  await follow();
  await slot.it.close();
  await reader.close();
}

/** In one turn of the event loop, so that the journal moves by one file operation at most meanwhile. */
function snapshot(from: string, to: string): void {
  for (const name of readdirSync(from)) {
    try {
      writeFileSync(join(to, name), readFileSync(join(from, name)));
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }
}

it('model: random operations and faults, many seeds', async () => {
  for (let seed = 1; seed <= rounds(12, 40); seed++) await run(seed);
});
