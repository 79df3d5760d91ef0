import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { nodeStorage, OpenMode } from '../../src/base/files.ts';
import type { LockFile } from '../../src/base/lock/lock.ts';
import { newOwner, type Owner, OwnerReader, readOwner, writeOwner } from '../../src/base/lock/owner.ts';
import { Ownership, type OwnershipOptions } from '../../src/base/lock/ownership.ts';
import { Tenure } from '../../src/base/lock/tenure.ts';
import { silentLog } from '../../src/base/log.ts';
import { ownedStorage } from '../../src/cluster/owned-storage.ts';
import { Durability } from '../../src/roles/durability.ts';
import { freshDirectory, hold } from './rig.ts';

const unable: LockFile = () => 'unable';
/** Of another machine: no process of this one can be looked at. */
const elsewhere: Owner = { ...newOwner('elsewhere', null), host: 'other-host', boot: 'another boot', pid: 7 };

function take(directory: string, options: Partial<OwnershipOptions> = {}): Promise<Ownership> {
  return Ownership.take(directory, { waitMs: 0, log: silentLog, lost: () => {}, settleMs: 200, renewMs: 20, ...options });
}

/** Writes the record of another machine again and again, as a server there would. */
async function movingRecord(directory: string): Promise<void> {
  let ended = false;
  await writeOwner(directory, elsewhere);
  const moving = (async () => {
    for (let beat = 0; !ended; beat++) await writeOwner(directory, { ...elsewhere, renewed: String(beat) });
  })();
  onTestFinished(async () => {
    ended = true;
    await moving;
  });
}

async function recordOf(directory: string): Promise<Owner | null> {
  return (await readOwner(directory))?.owner ?? null;
}

describe('the record of a data directory', () => {
  it('names the server, moves while it is held, and says that it was given back', async () => {
    const directory = freshDirectory();
    const ownership = await take(directory);
    await ownership.name('0123456789abcdef');
    const first = await recordOf(directory);
    expect(first).toMatchObject({ pid: process.pid, instance: '0123456789abcdef', random: ownership.random, ended: false });
    while ((await recordOf(directory))?.renewed === first?.renewed);
    expect(statSync(join(directory, 'owner')).mode & 0o777).toBe(0o600);
    await ownership.close();
    expect(await recordOf(directory)).toMatchObject({ random: ownership.random, ended: true });
    await (await take(directory)).close();
  });

  it('that cannot be renewed is told once, until it could be again', async () => {
    const directory = freshDirectory();
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (_fields: object, message: string) => void warnings.push(message) };
    const ownership = await take(directory, { log, renewMs: 60_000 });
    for (const [exists, told] of [
      [false, 1],
      [false, 1],
      [true, 1],
      [false, 2],
    ] as const) {
      if (exists) mkdirSync(directory);
      else rmSync(directory, { recursive: true, force: true });
      await ownership.name('0123456789abcdef');
      expect(warnings).toHaveLength(told);
    }
    expect(new Set(warnings)).toEqual(new Set(['the owner record of the data directory cannot be renewed']));
    mkdirSync(directory);
    await ownership.close();
  });

  it('is written only when the lock is held', async () => {
    const directory = freshDirectory();
    const holder = await hold(directory);
    const before = readFileSync(join(directory, 'owner'), 'utf8');
    await expect(take(directory)).rejects.toThrow(`process ${holder.process.pid} on host`);
    expect(readFileSync(join(directory, 'owner'), 'utf8')).toBe(before);
    holder.process.kill('SIGKILL');
    await once(holder.process, 'exit');
    // A holder of this machine is known to be gone: nothing is waited for.
    await (await take(directory, { settleMs: 3_600_000 })).close();
  });
});

describe('a holder whose lock says nothing (invariant 3)', () => {
  it.each([
    ['another machine had it', undefined],
    ['there are no locks', unable],
  ])('%s: refused while its record moves', async (_, lockFile) => {
    const directory = freshDirectory();
    await movingRecord(directory);
    await expect(take(directory, { lockFile, settleMs: 4_000 })).rejects.toThrow('process 7 on host other-host');
  });

  it.each([
    ['another machine had it', undefined],
    ['there are no locks', unable],
  ])('%s: taken when its record stands still', async (_, lockFile) => {
    const directory = freshDirectory();
    await writeOwner(directory, elsewhere);
    const ownership = await take(directory, { lockFile });
    expect(await recordOf(directory)).toMatchObject({ random: ownership.random });
    await ownership.close();
  });

  it('one that was given back, or never taken, is not waited for', async () => {
    const directory = freshDirectory();
    await (await take(directory, { lockFile: unable, settleMs: 3_600_000 })).close();
    await (await take(directory, { lockFile: unable, settleMs: 3_600_000 })).close();
  });

  it('of a record that a power cut has torn is waited for', async () => {
    const directory = freshDirectory();
    writeFileSync(join(directory, 'owner'), '{"random":');
    const ownership = await take(directory);
    await ownership.close();
  });

  it('one of two that start at the same moment stands', async () => {
    const directory = freshDirectory();
    const both = await Promise.allSettled([take(directory, { lockFile: unable }), take(directory, { lockFile: unable })]);
    const standing = both.filter((result) => result.status === 'fulfilled');
    expect(standing).toHaveLength(1);
    for (const { value } of standing) await value.close();
  });
});

describe('the record of another server (invariant 2 and 4)', () => {
  it('is not written over, and ends the tenure', async () => {
    const directory = freshDirectory();
    let lost: (owner: Owner) => void = () => {};
    const told = new Promise<Owner>((resolve) => {
      lost = resolve;
    });
    const ownership = await take(directory, { lost });
    await ownership.tenure.confirm();
    await writeOwner(directory, elsewhere);
    expect(await told).toMatchObject({ host: 'other-host', pid: 7 });
    expect(ownership.tenure.sure).toBe(false);
    await ownership.close();
    expect(await recordOf(directory)).toEqual(elsewhere);
  });
});

describe('a tenure', () => {
  function tenure(directory: string, options: { lost?: () => void; sureMs?: number } = {}): Tenure {
    const made = new Tenure({ directory, random: 'mine', lost: options.lost ?? (() => {}), lookMs: 3_600_000, sureMs: options.sureMs });
    onTestFinished(() => made.stop());
    return made;
  }
  const mine: Owner = newOwner('mine', null);

  it('is sure for a time after it has seen its record (invariant 1)', async () => {
    const directory = freshDirectory();
    await writeOwner(directory, mine);
    const watched = tenure(directory);
    expect(watched.sure).toBe(false);
    await watched.confirm();
    expect(watched.sure).toBe(true);
    const short = tenure(directory, { sureMs: 50 });
    await short.confirm();
    while (short.sure);
  });

  it('is looked at each 400 ms while somebody asks, else every two seconds (invariant 4)', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const looks = vi.spyOn(OwnerReader.prototype, 'read').mockResolvedValue({ text: '', owner: mine });
    onTestFinished(() => looks.mockRestore());
    const watched = new Tenure({ directory: 'none', random: 'mine', lost: () => {} });
    onTestFinished(() => watched.stop());
    await watched.confirm();
    looks.mockClear();
    for (let n = 0; n < 5; n++) {
      expect(watched.sure).toBe(true);
      await vi.advanceTimersByTimeAsync(400);
    }
    expect(looks).toHaveBeenCalledTimes(5);
    looks.mockClear();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(looks).toHaveBeenCalledTimes(10);
  });

  it('waits while the record cannot be read (invariant 2)', async () => {
    const directory = freshDirectory();
    const watched = tenure(directory);
    let confirmed = false;
    const confirming = watched.confirm().then(() => {
      confirmed = true;
    });
    writeFileSync(join(directory, 'owner'), 'torn');
    expect([confirmed, watched.sure]).toEqual([false, false]);
    await writeOwner(directory, mine);
    await confirming;
  });

  it('stays sure when no descriptor is left', async () => {
    const directory = freshDirectory();
    await writeOwner(directory, mine);
    const script = `
      import { openSync } from 'node:fs';
      const { Tenure } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/base/lock/tenure.ts'))});
      const tenure = new Tenure({ directory: ${JSON.stringify(directory)}, random: 'mine', lost() {}, sureMs: 50 });
      await tenure.confirm();
      try { for (;;) openSync('/dev/null'); } catch (error) { console.log(error.code); }
      while (tenure.sure);
      await tenure.confirm();
      console.log('sure');
      process.exit();
    `;
    const child = spawn('sh', ['-c', 'ulimit -n 100; exec "$@"', 'sh', process.execPath, '--input-type=module', '-e', script]);
    onTestFinished(() => void child.kill('SIGKILL'));
    expect(await text(child.stdout)).toBe('EMFILE\nsure\n');
  });

  it('lets no answer go, and no byte be written or cut, once there is another owner (invariant 3)', async () => {
    const directory = freshDirectory();
    await writeOwner(directory, mine);
    let lost = 0;
    const told = new Promise<void>((resolve) => {
      const watched = tenure(directory, {
        sureMs: 50,
        lost: () => {
          lost++;
          resolve();
        },
      });
      void touch(watched);
    });
    const done: string[] = [];
    async function touch(watched: Tenure): Promise<void> {
      const storage = ownedStorage(nodeStorage, watched);
      await watched.confirm();
      const file = await storage.open(join(directory, 'file'), OpenMode.Update);
      await file.write(Buffer.from('before'), 0, 6, 0);
      await writeOwner(directory, elsewhere);
      while (watched.sure);
      const durability = new Durability(watched);
      durability.owing.add({ release: () => done.push('released'), failed: () => {} });
      durability.durable(1);
      durability.durable(2);
      const touched = [
        file.write(Buffer.from('after'), 0, 5, 0),
        file.truncate(0),
        storage.remove(join(directory, 'file')),
        storage.rename(join(directory, 'file'), join(directory, 'other')),
        storage.open(join(directory, 'file'), OpenMode.Replace),
      ];
      for (const each of touched) void Promise.resolve(each).then(() => done.push('touched'));
    }
    await told;
    // Another look would tell again, and what waits would go on.
    await new Promise((resolve) => setImmediate(resolve));
    expect([lost, done]).toEqual([1, []]);
    expect(readFileSync(join(directory, 'file'), 'utf8')).toBe('before');
  });

  it('lets the answers go together when it becomes sure again, the highest watermark once', async () => {
    const directory = freshDirectory();
    const watched = tenure(directory);
    const released: number[] = [];
    const gone = new Promise<void>((resolve) => {
      const durability = new Durability(watched);
      durability.owing.add({
        release(watermark) {
          released.push(watermark);
          resolve();
        },
        failed: () => {},
      });
      durability.durable(5);
      durability.durable(9);
    });
    await writeOwner(directory, mine);
    await gone;
    expect(released).toEqual([9]);
  });
});
