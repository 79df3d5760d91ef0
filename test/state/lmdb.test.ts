import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';
import type { Profile } from '../../src/state/profile.ts';
import { rounds } from '../support/thorough.ts';
import { eventually } from '../support/wait.ts';

let directory: string;
const opened: LmdbStore[] = [];
const children: ChildProcess[] = [];

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'fixgate-state-')), 'state');
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const store of opened.splice(0)) await store.close();
  rmSync(join(directory, '..'), { recursive: true, maxRetries: 20, retryDelay: 50 });
});

function open(maxDevices?: number): LmdbStore {
  const store = new LmdbStore({ directory, log: silentLog, ...(maxDevices === undefined ? {} : { maxDevices }) });
  opened.push(store);
  return store;
}

async function reopen(store: LmdbStore): Promise<LmdbStore> {
  opened.splice(opened.indexOf(store), 1);
  await store.close();
  return open();
}

/** What `find` says at once; fails when it says nothing or says it twice. */
function found(store: LmdbStore, device: string): Profile | undefined {
  const answers: (Profile | undefined)[] = [];
  store.findProfile(device, (profile) => answers.push(profile));
  expect(answers).toHaveLength(1);
  return answers[0];
}

const profile = (memo: number): Profile => ({ codec: 'toy', memo, updated: 1793491200000 });

/** Starts a writer and waits until it has committed some; returns how many it has said by the time it is killed. */
async function killedWriter(prefix: string): Promise<number> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'writer-child.ts'), directory, prefix], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  let said = 0;
  const lines = createInterface({ input: child.stdout });
  const enough = new Promise<void>((resolve) => {
    lines.on('line', (line) => {
      said = Number(line);
      if (said >= 500) resolve();
    });
  });
  const over = new Promise<void>((resolve) => lines.once('close', resolve));
  await enough;
  child.kill('SIGKILL');
  await over;
  return said;
}

describe('the state store on one machine', () => {
  it('1: finds at once what was remembered, before and while and after it is committed', async () => {
    const store = open();
    expect(found(store, '123456789012345')).toBeUndefined();
    store.remember('123456789012345', profile(7));
    expect(found(store, '123456789012345')).toEqual(profile(7));
    const committed = store.flush();
    expect(found(store, '123456789012345')).toEqual(profile(7));
    store.remember('123456789012345', profile(8));
    await committed;
    expect(found(store, '123456789012345')).toEqual(profile(8));
    expect(found(await reopen(store), '123456789012345')).toEqual(profile(8));
  });

  it('2: commits by itself, soon', async () => {
    const store = open();
    store.remember('device', profile(1));
    const other = open();
    await eventually(() => expect(found(other, 'device')).toEqual(profile(1)));
  });

  it('3: two processes that are killed in the middle of their writes leave everything that was committed, and no lock', async () => {
    const store = open();
    store.remember('before', profile(1));
    await store.flush();
    const counts = await Promise.all([killedWriter('a'), killedWriter('b')]);
    for (const [index, prefix] of ['a', 'b'].entries())
      for (let n = 0; n < (counts[index] ?? 0); n++) expect(found(store, `${prefix}${n}`)?.memo).toBe(n);
    store.remember('after', profile(2));
    await store.flush();
    const again = await reopen(store);
    expect([found(again, 'before'), found(again, 'after'), found(again, 'a0')?.memo]).toEqual([profile(1), profile(2), 0]);
  });

  it('3: a process that opens the store again and again undoes nothing that another commits meanwhile', async () => {
    const store = open();
    const opener = spawn(process.execPath, [join(import.meta.dirname, 'opener-child.ts'), directory, String(rounds(300, 20_000))], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(opener);
    let ended: number | null | undefined;
    opener.once('exit', (code) => {
      ended = code;
    });
    await new Promise((resolve) => opener.stdout.once('data', resolve));
    let written = 0;
    while (ended === undefined) await store.write([{ table: 'devices', key: `device${++written}`, put: 'x' }], 'visible');
    expect(ended).toBe(0);
    const lost: string[] = [];
    for (let n = 1; n <= written; n++) if ((await store.get('devices', `device${n}`)) !== 'x') lost.push(`device${n}`);
    expect(lost).toEqual([]);
  });

  it('4: keeps no value that is too large, no more devices than it may, and no endless queue', async () => {
    const store = open(2);
    store.remember('large', { codec: 'x'.repeat(1000), memo: 1, updated: 1 });
    for (const device of ['one', 'two', 'three']) store.remember(device, profile(1));
    await store.flush();
    store.remember('one', profile(2));
    await store.flush();
    expect(['large', 'one', 'two', 'three'].map((device) => found(store, device)?.memo)).toEqual([undefined, 2, 1, undefined]);
    for (let n = 0; n < 50_000; n++) store.remember(`waiting${n}`, profile(n));
    expect(found(store, 'waiting19999')?.memo).toBe(19_999);
    expect(found(store, 'waiting20000')).toBeUndefined();
  });

  it('says in one error what to do when it cannot be opened', () => {
    writeFileSync(directory, 'a file where the directory should be');
    expect(() => open()).toThrow(expect.objectContaining({ code: 'DATA_DIR_UNUSABLE', message: expect.stringContaining(directory) }));
  });
});
