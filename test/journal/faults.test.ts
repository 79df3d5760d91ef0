import { appendFile, cp, readdir, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Cursor } from '../../src/journal/cursor.ts';
import { recover } from '../../src/journal/recovery.ts';
import { retain } from '../../src/journal/retention.ts';
import { FaultStorage } from '../helpers/fault-storage.ts';
import { directory, nth, open, type Read, read, segments } from './slot.ts';

/** One operation on the disk fails, each in turn: nothing is lost, no file stays open, and doing it again does all of it. */

/**
 * Does `work` on copies of `template` until no operation is left that could fail. `after` looks at what each failure left. Returns what
 * failed, as `operation name`.
 */
async function sweep(
  template: string,
  work: (path: string, storage: FaultStorage) => Promise<unknown>,
  after: (path: string, failed: string) => Promise<void>,
): Promise<readonly string[]> {
  const failures: string[] = [];
  for (;;) {
    const path = join(await directory(), 'copy');
    await cp(template, path, { recursive: true, preserveTimestamps: true });
    const storage = new FaultStorage();
    storage.failNth(failures.length);
    const said: unknown = await work(path, storage).then(
      () => 'done',
      (error: unknown) => error,
    );
    expect(storage.openFiles, storage.failed).toBe(0);
    if (storage.failed === undefined) {
      expect(said).toBe('done');
      return failures;
    }
    failures.push(storage.failed);
    expect(String(said), storage.failed).toContain('EIO');
    await after(path, storage.failed);
  }
}

/** A slot of several segments: its directory, and what is in it. */
async function slot(): Promise<{ path: string; entries: readonly Read[] }> {
  const path = join(await directory(), 'slot');
  const writer = await open(path, { segmentBytes: 4096, paceMs: 0 });
  const entries: Read[] = [];
  while ((await segments(path)).length < 3) {
    const text = `entry ${entries.length} ${'.'.repeat(1500)}`;
    entries.push({ sequence: writer.append(text), text });
    await writer.it.flush();
  }
  await writer.it.close();
  return { path, entries };
}

const operations = (failures: readonly string[]): string[] => [...new Set(failures.map((one) => one.split(' ')[0] ?? ''))].sort();

describe('with one fault of the disk', () => {
  it('a recovery makes the slot whole when it is done again', async () => {
    const { path, entries } = await slot();
    // As after a crash: a torn tail, and a watermark from before the last two segments.
    await appendFile(nth(await segments(path), -1), Buffer.alloc(300, 7));
    await truncate(join(path, 'durable'), 0);
    const failures = await sweep(
      path,
      (copy, storage) => recover(copy, storage),
      async (copy, failed) => {
        const { durable, damages } = await recover(copy);
        expect([durable, damages], failed).toEqual([entries.length, []]);
        expect(await read(copy), failed).toEqual(entries);
      },
    );
    expect(operations(failures)).toEqual(['open', 'read', 'sync', 'syncDirectory', 'truncate', 'write']);
  });

  it('a reader gives nothing twice, and everything when it is made again', async () => {
    const { path, entries } = await slot();
    const failures = await sweep(
      path,
      (copy, storage) => read(copy, 1, { storage }),
      async (copy, failed) => expect(await read(copy), failed).toEqual(entries),
    );
    expect(operations(failures)).toEqual(['open', 'read']);
  });

  it('retention removes nothing that is not delivered, and the rest when it is done again', async () => {
    const { path, entries } = await slot();
    const delivered = Number.parseInt(nth(await segments(path), 1).slice(-20, -4), 16) - 1;
    const options = { delivered, now: 4e12, keepMs: 0 };
    const undelivered = entries.slice(delivered);
    const failures = await sweep(
      path,
      (copy, storage) => retain({ directory: copy, storage, ...options }),
      async (copy, failed) => {
        expect(await read(copy, delivered + 1), failed).toEqual(undelivered);
        const { segments: left } = await retain({ directory: copy, ...options });
        expect([left, (await segments(copy)).length], failed).toEqual([2, 2]);
        expect(await read(copy, delivered + 1), failed).toEqual(undelivered);
      },
    );
    expect(operations(failures)).toEqual(['open', 'read', 'remove', 'stat']);
  });

  it('a cursor is refused, and not taken for one at the beginning', async () => {
    const path = await directory();
    const cursor = await Cursor.load(join(path, 'a.cursor'));
    await cursor.begin({ 0: { from: 1, to: 10 } });
    await cursor.commit();
    const text = await readFile(join(path, 'a.cursor'), 'utf8');
    const failures = await sweep(
      path,
      (copy, storage) => Cursor.load(join(copy, 'a.cursor'), storage),
      async (copy, failed) => {
        expect(await readdir(copy), failed).toEqual(['a.cursor']);
        expect(await readFile(join(copy, 'a.cursor'), 'utf8'), failed).toBe(text);
      },
    );
    expect(operations(failures)).toEqual(['open', 'read']);
  });
});
