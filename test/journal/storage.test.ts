import { readdirSync, readFileSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeStorage, replaceFile, type Storage } from '../../src/base/files.ts';
import { FaultStorage } from '../helpers/fault-storage.ts';
import { directory } from './slot.ts';

const SOURCE = join(import.meta.dirname, '../../src');

describe('what must survive a power cut', () => {
  it('a replaced file: its bytes are on disk before its name is, and its name before the call returns', async () => {
    const path = join(await directory(), 'state.json');
    const storage = new FaultStorage();
    await replaceFile(storage, path, 'first');
    await replaceFile(storage, path, 'second', 1_700_000_000_000);
    expect(await readFile(path, 'utf8')).toBe('second');
    expect((await stat(path)).mtimeMs).toBe(1_700_000_000_000);
    const steps = storage.log.filter((step) => /^(write|sync|rename|syncDirectory) /.test(step)).map((step) => step.split(' ')[0]);
    expect(steps).toEqual(['write', 'sync', 'rename', 'syncDirectory', 'write', 'sync', 'rename', 'syncDirectory']);
  });

  it('a file that cannot be replaced stays as it was', async () => {
    for (const operation of ['open', 'write', 'sync', 'rename'] as const) {
      const path = join(await directory(), 'state.json');
      await writeFile(path, 'old');
      const storage = new FaultStorage();
      storage.fail(operation, /state/, 'EIO');
      await expect(replaceFile(storage, path, 'new')).rejects.toMatchObject({ code: 'EIO' });
      expect(await readFile(path, 'utf8')).toBe('old');
    }
  });

  it('what the system refuses is an error of the call', async () => {
    const root = await directory();
    const path = join(root, 'file');
    await writeFile(path, 'old');
    const bytes = new Uint8Array(4);
    const [file, folder, device] = [
      await nodeStorage.open(path, 'read'),
      await nodeStorage.open(root, 'read'),
      await nodeStorage.open('/dev/null', 'read'),
    ];
    await expect(file.write(bytes, 0, 4, 0)).rejects.toMatchObject({ code: 'EBADF' });
    await expect(file.truncate(0)).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(folder.read(bytes, 0, 4, 0)).rejects.toMatchObject({ code: 'EISDIR' });
    await expect(device.sync()).rejects.toMatchObject({ code: 'EINVAL' });
    expect([await file.size(), await file.read(bytes, 1, 3, 1), Buffer.from(bytes).toString('latin1')]).toEqual([3, 2, '\0ld\0']);
    for (const one of [file, folder, device]) await one.close();
  });

  it('a new directory: its name, and those of the parents that were made with it, are kept by the ones above', async () => {
    const root = await directory();
    const synced: string[] = [];
    const real = nodeStorage.syncDirectory;
    const watched: Storage = { ...nodeStorage };
    try {
      nodeStorage.syncDirectory = async (path) => {
        synced.push(path);
        await real(path);
      };
      await watched.makeDirectory(join(root, 'journal', '0'));
      await watched.makeDirectory(join(root, 'journal', '0'));
    } finally {
      nodeStorage.syncDirectory = real;
    }
    expect(synced).toEqual([join(root, 'journal'), root]);
  });

  it('nothing in the source replaces files in another way', () => {
    const found: string[] = [];
    for (const entry of readdirSync(SOURCE, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
      const path = join(entry.parentPath, entry.name);
      if (/\brename(Sync)?\(|renameSync/.test(readFileSync(path, 'utf8'))) found.push(path.slice(SOURCE.length + 1));
    }
    // parked.ts takes a file over and rebuild.ts moves a directory, whose contents stay: both synchronise the directory above
    // themselves. owned-storage.ts passes on.
    expect(found.sort()).toEqual(['base/files.ts', 'cluster/owned-storage.ts', 'out/ship/parked.ts', 'state/rebuild.ts']);
  });
});
