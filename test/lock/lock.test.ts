import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type LockFile, lockDirectory } from '../../src/base/lock/lock.ts';
import { newOwner, readOwner, writeOwner } from '../../src/base/lock/owner.ts';
import { isAlive, processOf } from '../../src/base/lock/process.ts';
import { bystander, freshDirectory, hold } from './rig.ts';

/** As on a file server without locks. */
const unable: LockFile = () => 'unable';
/** As on one that says of any file that it is locked. */
const alwaysHeld: LockFile = () => 'held';

describe('a directory has one holder (invariant 1)', () => {
  it('in one process', async () => {
    const directory = freshDirectory();
    const held = await lockDirectory(directory, 0);
    await expect(lockDirectory(directory, 100)).rejects.toMatchObject({ code: 'DATA_DIR_UNUSABLE' });
    await held.close();
    await (await lockDirectory(directory, 0)).close();
  });

  it('across network namespaces, and the error names it (invariant 2)', async () => {
    const directory = freshDirectory();
    const held = await lockDirectory(directory, 0);
    const other = await hold(directory, ['unshare', '--map-root-user', '--net']);
    expect(other.said).toMatch(
      new RegExp(
        `^${directory} is in use by another fixgate: process ${process.pid} on host ${hostname()}, since 20.*Z; stop it or set FIXGATE_DATA_DIR`,
      ),
    );
    await held.close();
  });

  it('until it is killed', async () => {
    const directory = freshDirectory();
    const holder = await hold(directory);
    expect(holder.said).toBe('held');
    await expect(lockDirectory(directory, 0)).rejects.toThrow(`process ${holder.process.pid} on host`);
    holder.process.kill('SIGKILL');
    await once(holder.process, 'exit');
    await (await lockDirectory(directory, 0)).close();
  });

  it('also when its program has let go of the lock and the collector has run; nothing is printed', async () => {
    const directory = freshDirectory();
    const holder = await hold(directory, [], ['--expose-gc']);
    await expect(lockDirectory(directory, 0)).rejects.toThrow(`process ${holder.process.pid} on host`);
    expect(holder.stderr()).toBe('');
  });

  it('whose files are for the owner only, and are no more than two', async () => {
    const directory = freshDirectory();
    const held = await lockDirectory(directory, 0);
    await expect(lockDirectory(directory, 0)).rejects.toThrow();
    for (const name of ['lock', 'owner']) expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
    await held.close();
  });

  it('waits as long as it is told for one that ends', async () => {
    const directory = freshDirectory();
    const held = await lockDirectory(directory, 0);
    const next = lockDirectory(directory, 5000);
    await held.close();
    await (await next).close();
  });

  it('is given back by the lock alone: the disk, which may hang, is not written to', async () => {
    const directory = freshDirectory();
    const held = await lockDirectory(directory, 0);
    const before = await readOwner(directory);
    await held.close();
    expect(await readOwner(directory)).toEqual(before);
  });

  it('refuses a directory in which it cannot lock', async () => {
    await expect(lockDirectory(join(freshDirectory(), 'none'), 0)).rejects.toMatchObject({
      code: 'DATA_DIR_UNUSABLE',
      message: expect.stringContaining('cannot lock'),
    });
  });
});

describe('an orphan (invariant 3)', () => {
  /** Holds the directory, and its record says that its parent is gone. */
  async function orphan(directory: string): Promise<ReturnType<typeof hold>> {
    const holder = await hold(directory);
    const parent = spawn('true');
    const gone = processOf(parent.pid ?? 0);
    await once(parent, 'exit');
    const found = await readOwner(directory);
    if (found === null || found.owner === null) throw new Error('no record');
    await writeOwner(directory, { ...found.owner, parent: gone });
    return holder;
  }

  it('is ended when it does not end by itself', async () => {
    const directory = freshDirectory();
    const holder = await orphan(directory);
    const ended = once(holder.process, 'exit');
    await (await lockDirectory(directory, 0, { orphanMs: 100 })).close();
    expect(await ended).toEqual([null, 'SIGKILL']);
  });

  it('is ended also when it is stopped', async () => {
    const directory = freshDirectory();
    const holder = await orphan(directory);
    holder.process.kill('SIGSTOP');
    const ended = once(holder.process, 'exit');
    await (await lockDirectory(directory, 0, { orphanMs: 100 })).close();
    expect(await ended).toEqual([null, 'SIGKILL']);
  });

  it('is not what only has its number: another process, or one of another boot', async () => {
    const directory = freshDirectory();
    const holder = await orphan(directory);
    const found = await readOwner(directory);
    if (found === null || found.owner === null) throw new Error('no record');
    const pid = bystander();
    const { started } = processOf(pid);
    await writeOwner(directory, { ...found.owner, pid, started: started - 1 });
    await expect(lockDirectory(directory, 200, { orphanMs: 0 })).rejects.toThrow('in use');
    await writeOwner(directory, { ...found.owner, pid, started, boot: 'another' });
    await expect(lockDirectory(directory, 200, { orphanMs: 0 })).rejects.toThrow('in use');
    expect(isAlive({ pid, started })).toBe(true);
    expect(holder.process.signalCode).toBe(null);
  });

  it('is not a child whose parent is there, nor a server that has none', async () => {
    const directory = freshDirectory();
    const held = await lockDirectory(directory, 0, { parent: process.ppid });
    await expect(lockDirectory(directory, 200, { orphanMs: 0 })).rejects.toThrow('in use');
    await held.close();
  });
});

describe('without locks the record decides (invariant 4)', () => {
  it.each([
    ['says that it has none', unable],
    ['says that every file is locked', alwaysHeld],
  ])('on a file system that %s', async (_, lockFile) => {
    const directory = freshDirectory();
    const held = await lockDirectory(directory, 0, { lockFile });
    expect(held.works).toBe(false);
    await expect(lockDirectory(directory, 100, { lockFile })).rejects.toThrow(`process ${process.pid} on host`);
    await held.close();
    const again = await lockDirectory(directory, 0, { lockFile });
    await again.close();
    // A holder that was killed could not say so.
    const dead = spawn('true');
    const { pid, started } = processOf(dead.pid ?? 0);
    await once(dead, 'exit');
    await writeOwner(directory, { ...newOwner('x', null), pid, started });
    await (await lockDirectory(directory, 0, { lockFile })).close();
  });

  it('and a record that is no record decides nothing', async () => {
    const directory = freshDirectory();
    writeFileSync(join(directory, 'owner'), '{"random":');
    await (await lockDirectory(directory, 0, { lockFile: unable })).close();
  });
});
