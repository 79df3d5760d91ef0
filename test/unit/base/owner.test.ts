import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  describe as described,
  isHere,
  isOrphan,
  isRunning,
  newOwner,
  OwnerReader,
  readOwner,
  writeOwner,
} from '../../../src/base/lock/owner.ts';
import { isAlive, parentOf, processOf, thisProcess } from '../../../src/base/lock/process.ts';

/** No process has this number: Linux gives none above 2^22. */
const NO_PROCESS = 2 ** 22 + 1;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-owner-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('the record of an owner', () => {
  it('is read as it was written, has one size, and is for its owner only', async () => {
    for (const owner of [newOwner('r1', process.ppid), { ...newOwner('r2', null), instance: 'i', ended: true }]) {
      expect(await writeOwner(directory, owner)).toBe(true);
      expect((await readOwner(directory))?.owner).toEqual(owner);
      const { size, mode } = statSync(join(directory, 'owner'));
      expect([size, mode & 0o777]).toEqual([1024, 0o600]);
    }
  });

  it('names this process, and the parent that it is told', () => {
    expect(newOwner('r', null)).toMatchObject({ ...thisProcess(), parent: null, random: 'r', ended: false });
    expect(newOwner('r', process.ppid).parent).toEqual(processOf(process.ppid));
  });

  it('stays when the one that is there is to stay', async () => {
    const first = newOwner('r1', null);
    await writeOwner(directory, first);
    expect(await writeOwner(directory, newOwner('r2', null), ({ owner }) => owner?.random === 'r1')).toBe(false);
    expect((await readOwner(directory))?.owner).toEqual(first);
  });

  it.each(['', '{"random":', '[]', 'null', '{"random":""}', '{"random":7}', '{"pid":1}'])('is none in %j', async (text) => {
    writeFileSync(join(directory, 'owner'), text);
    expect(await readOwner(directory)).toEqual({ text, owner: null });
  });

  it.each(['null', '"7"', '7'])('of parent %s has no parent', async (parent) => {
    writeFileSync(join(directory, 'owner'), `{"random":"r","pid":7,"started":8,"parent":${parent}}`);
    expect((await readOwner(directory))?.owner).toMatchObject({ pid: 7, started: 8, parent: null, ended: false });
  });

  it('is null where there is no file, also to one that reads it again and again', async () => {
    const reader = new OwnerReader(directory);
    expect([await readOwner(directory), await reader.read()]).toEqual([null, null]);
    await writeOwner(directory, newOwner('r1', null));
    expect((await reader.read())?.owner?.random).toBe('r1');
    rmSync(join(directory, 'owner'));
    expect(await reader.read()).toBeNull();
    await reader.close();
  });
});

describe('an owner', () => {
  const here = newOwner('r', process.ppid);
  const gone = { pid: NO_PROCESS, started: 1 };
  it.each([
    ['whose parent runs', here, true, false],
    ['whose parent is gone', { ...here, parent: gone }, true, true],
    ['without a parent', { ...here, parent: null }, true, false],
    ['that is gone, as is its parent', { ...here, ...gone, parent: gone }, false, false],
    ['of another boot', { ...here, boot: 'another', parent: gone }, false, false],
    ['of no boot that is known', { ...here, boot: '', parent: gone }, false, false],
  ])('%s runs or is an orphan: %#', (_what, owner, runs, isLost) => {
    expect([isRunning(owner), isOrphan(owner)]).toEqual([runs, isLost]);
    expect(isHere(owner)).toBe(owner.boot === here.boot);
  });

  it('is described by process, host and time, and no owner by nothing', () => {
    expect(described({ ...here, pid: 7, host: 'h', since: 's' })).toBe(': process 7 on host h, since s');
    expect(described(null)).toBe('');
  });
});

it('a process is alive under its number and the time of its start, where that is known', () => {
  const { pid, started } = thisProcess();
  const asked = [
    { pid, started },
    { pid, started: 0 },
    { pid, started: started + 1 },
    { pid: NO_PROCESS, started: 0 },
    { pid: 0, started: 0 },
    { pid: -1, started: 0 },
  ];
  expect(asked.map(isAlive)).toEqual([true, true, false, false, false, false]);
  expect([parentOf(pid), parentOf(NO_PROCESS), processOf(NO_PROCESS)]).toEqual([process.ppid, null, { pid: NO_PROCESS, started: 0 }]);
});
