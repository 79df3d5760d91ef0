import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Cursor } from '../../src/journal/cursor.ts';
import { FaultStorage } from '../helpers/fault-storage.ts';
import { directory } from './slot.ts';

describe('cursor', () => {
  it('begins at 0, and 2: moves by committed batches', async () => {
    const path = join(await directory(), 'clickhouse.cursor');
    const cursor = await Cursor.load(path);
    expect(cursor.position('0')).toBe(0);
    expect(cursor.pending).toBeNull();
    await cursor.begin({ 0: { from: 1, to: 10 }, 1: { from: 5, to: 6 } });
    expect(cursor.position('0')).toBe(0);
    await cursor.commit();
    await cursor.begin({ 0: { from: 12, to: 12 } });
    await cursor.commit();
    expect([cursor.position('0'), cursor.position('1'), cursor.position('2')]).toEqual([12, 6, 0]);
    const again = await Cursor.load(path);
    expect([again.position('0'), again.position('1'), again.pending]).toEqual([12, 6, null]);
    expect(await readdir(join(path, '..'))).toEqual(['clickhouse.cursor']);
  });

  it('1: what was begun and not committed is pending after a restart, exactly', async () => {
    const path = join(await directory(), 'a.cursor');
    const cursor = await Cursor.load(path);
    await cursor.begin({ 0: { from: 1, to: 10 } });
    await cursor.commit();
    await cursor.begin({ 0: { from: 11, to: 20 }, 3: { from: 1, to: 2 ** 53 - 1 } });
    const again = await Cursor.load(path);
    expect(again.pending).toEqual({ 0: { from: 11, to: 20 }, 3: { from: 1, to: 2 ** 53 - 1 } });
    expect(again.position('0')).toBe(10);
    await again.commit();
    expect((await Cursor.load(path)).position('3')).toBe(2 ** 53 - 1);
  });

  it('1: begin is on disk, under its name, before it resolves', async () => {
    const path = join(await directory(), 'a.cursor');
    const storage = new FaultStorage();
    const cursor = await Cursor.load(path, storage);
    storage.log.length = 0;
    await cursor.begin({ 0: { from: 1, to: 1 } });
    expect(storage.log.map((step) => step.split(' ')[0])).toEqual(['open', 'write', 'sync', 'rename', 'syncDirectory']);
  });

  it('3: a failure at any step leaves the old state or the new one, in the file and in memory', async () => {
    for (const operation of ['open', 'write', 'sync', 'rename', 'syncDirectory'] as const) {
      const path = join(await directory(), 'a.cursor');
      const storage = new FaultStorage();
      const cursor = await Cursor.load(path, storage);
      await cursor.begin({ 0: { from: 1, to: 10 } });
      storage.fail(operation, /./, 'EIO', 1);
      await expect(cursor.commit()).rejects.toMatchObject({ code: 'EIO' });
      expect(cursor.position('0')).toBe(0);
      expect(cursor.pending).not.toBeNull();
      const onDisk = await Cursor.load(path);
      expect([0, 10]).toContain(onDisk.position('0'));
      await cursor.commit();
      expect((await Cursor.load(path)).position('0')).toBe(10);
    }
  });

  it('refuses a batch that goes back, overlaps or is empty, a second one, and a commit of none', async () => {
    const cursor = await Cursor.load(join(await directory(), 'a.cursor'));
    await expect(cursor.commit()).rejects.toThrow(RangeError);
    await cursor.begin({ 0: { from: 1, to: 10 } });
    await expect(cursor.begin({ 0: { from: 11, to: 12 } })).rejects.toThrow(RangeError);
    await cursor.commit();
    for (const range of [
      { from: 10, to: 12 },
      { from: 12, to: 11 },
    ]) {
      await expect(cursor.begin({ 0: range })).rejects.toThrow(RangeError);
    }
  });

  it('takes the least and the greatest sequence in the file, and names what holds another', async () => {
    const path = join(await directory(), 'a.cursor');
    const loaded = async (positions: unknown, pending: unknown = null): Promise<string> => {
      await writeFile(path, JSON.stringify({ version: 1, positions, pending }));
      return Cursor.load(path).then(
        (cursor) => `${cursor.position('4')} ${JSON.stringify(cursor.pending)}`,
        (error: unknown) => /damaged \((.*)\)/.exec(String(error))?.[1] ?? String(error),
      );
    };
    const most = Number.MAX_SAFE_INTEGER;
    for (const [positions, pending, said] of [
      [{}, null, '0 null'],
      [{ 4: 0 }, null, '0 null'],
      [{ 4: most }, {}, `${most} {}`],
      [{ 4: 7 }, { 4: { from: 0, to: 0 } }, '7 {"4":{"from":0,"to":0}}'],
      [{ 4: 7 }, { 4: { from: 8, to: most } }, `7 {"4":{"from":8,"to":${most}}}`],
      [{ 4: most + 1 }, null, 'position of 4'],
      [{ 4: 0.5 }, null, 'position of 4'],
      [{ 4: null }, null, 'position of 4'],
      [[], null, 'no positions'],
      [{}, [], 'pending batch'],
      [{}, { 4: [1, 2] }, 'pending batch of 4'],
      [{}, { 4: { from: -1, to: 2 } }, 'pending batch of 4'],
      [{}, { 4: { from: 1, to: 2.5 } }, 'pending batch of 4'],
      [{}, { 4: { from: 1 } }, 'pending batch of 4'],
      [{}, { 4: { from: 3, to: 2 } }, 'pending batch of 4'],
    ] as const)
      expect(await loaded(positions, pending), JSON.stringify([positions, pending])).toBe(said);
    for (const [text, said] of [
      ['', 'empty'],
      ['{', 'not JSON'],
      ['7', 'not an object'],
      ['{"positions":{},"pending":null}', 'version undefined, this version reads 1'],
      ['{"version":1,"positions":{}}', 'pending batch'],
      ['{"version":2,"positions":{},"pending":null}', 'version 2, this version reads 1'],
    ] as const) {
      await writeFile(path, text);
      await expect(Cursor.load(path), text).rejects.toThrow(`(${said})`);
    }
  });

  it('a damaged file is refused with its name and what to do, at every length and for every wrong value', async () => {
    const path = join(await directory(), 'a.cursor');
    const cursor = await Cursor.load(path);
    await cursor.begin({ 0: { from: 1, to: 10 } });
    const whole = await readFile(path, 'utf8');
    const texts = Array.from({ length: whole.length - 2 }, (_, length) => whole.slice(0, length));
    texts.push('null', '[]', '{"version":2,"positions":{},"pending":null}', '{"version":1,"pending":null}');
    texts.push('{"version":1,"positions":{"0":-1},"pending":null}', '{"version":1,"positions":{"0":"7"},"pending":null}');
    texts.push('{"version":1,"positions":{},"pending":{"0":{"from":2,"to":1}}}', '{"version":1,"positions":{},"pending":7}');
    for (const text of texts) {
      await writeFile(path, text);
      await expect(Cursor.load(path), text).rejects.toMatchObject({
        code: 'JOURNAL_FAILED',
        message: expect.stringMatching(/a\.cursor is damaged.*restore it.*or remove it/),
      });
    }
  });
});
