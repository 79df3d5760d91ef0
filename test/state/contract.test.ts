import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { SecretUrl, secretUrl } from '../../src/base/secret.ts';
import { openState } from '../../src/state/open.ts';
import type { Profile } from '../../src/state/profile.ts';
import { RedisStore } from '../../src/state/redis.ts';
import { counters, type StateStore } from '../../src/state/store.ts';
import { RedisServer } from '../ship/rig.ts';
import { eventually } from '../support/wait.ts';

/** What src/state/store.ts promises, on each implementation; numbers quote its list. */

let redis: RedisServer;
let directory: string;
const opened: StateStore[] = [];
const children: ChildProcess[] = [];

beforeAll(async () => {
  redis = await RedisServer.start('--appendonly', 'yes');
});
afterAll(() => redis.stop());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-state-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const store of opened.splice(0)) await store.close();
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
  const client = redis.client();
  await client.flushall();
  client.disconnect();
});

describe.each(['lmdb', 'redis'])('the state store in %s', (kind) => {
  const url = (): string => (kind === 'redis' ? redis.url : '');

  const state = (): Parameters<typeof openState>[0] => ({ url: secretUrl(url()), prefix: 'test:', directory, log: silentLog });

  async function open(): Promise<StateStore> {
    const store = await openState(state());
    opened.push(store);
    return store;
  }

  const find = (store: StateStore, key: string): Promise<string | undefined> =>
    new Promise((resolve) => store.find('devices', key, resolve));

  it('holds what was put until it is removed, for every process', async () => {
    const [store, other] = [await open(), await open()];
    expect(await store.get('devices', 'a')).toBeUndefined();
    expect(await store.write([{ table: 'devices', key: 'a', put: '{"x":"ä"}' }])).toBe(true);
    expect([await store.get('devices', 'a'), await other.get('devices', 'a'), await find(other, 'a')]).toEqual(Array(3).fill('{"x":"ä"}'));
    expect(await store.get('plans', 'a')).toBeUndefined();
    await other.write([{ table: 'devices', key: 'a', remove: true }]);
    expect([await store.get('devices', 'a'), await find(store, 'a')]).toEqual([undefined, undefined]);
    expect(await store.list('devices', { limit: 10 })).toEqual([]);
  });

  it('lists in byte order, by prefix, in pages', async () => {
    const store = await open();
    const keys = ['a 1', 'a 10', 'a 2', 'ab', 'b 1', 'B', '~'];
    await store.write(keys.map((key) => ({ table: 'usage', key, put: key })));
    const list = async (page: Parameters<StateStore['list']>[1]): Promise<string[]> =>
      (await store.list('usage', page)).map(({ key, value }) => {
        expect(value).toBe(key);
        return key;
      });
    expect(await list({ limit: 100 })).toEqual(['B', 'a 1', 'a 10', 'a 2', 'ab', 'b 1', '~']);
    expect(await list({ prefix: 'a ', limit: 100 })).toEqual(['a 1', 'a 10', 'a 2']);
    expect(await list({ prefix: 'a ', limit: 2 })).toEqual(['a 1', 'a 10']);
    expect(await list({ prefix: 'a ', after: 'a 10', limit: 2 })).toEqual(['a 2']);
    expect(await list({ after: 'ab', limit: 100 })).toEqual(['b 1', '~']);
    expect(await list({ prefix: 'b', after: 'a', limit: 100 })).toEqual(['b 1']);
    expect(await list({ prefix: 'c', limit: 100 })).toEqual([]);
  });

  it('1: a write is all or nothing', async () => {
    const store = await open();
    await store.write([{ table: 'devices', key: 'a', put: '1' }]);
    const refused = await store.write([
      { table: 'devices', key: 'b', put: '2' },
      { table: 'plans', key: 'p', put: '3' },
      { table: 'devices', key: 'a', remove: true },
      { table: 'devices', key: 'a', expect: 'other' },
    ]);
    expect(refused).toBe(false);
    expect([await store.get('devices', 'a'), await store.get('devices', 'b'), await store.get('plans', 'p')]).toEqual([
      '1',
      undefined,
      undefined,
    ]);
    expect(
      await store.write([
        { table: 'devices', key: 'a', expect: undefined },
        { table: 'devices', key: 'c', put: '1' },
      ]),
    ).toBe(false);
    expect(
      await store.write([
        { table: 'devices', key: 'b', expect: undefined },
        { table: 'devices', key: 'b', put: '2' },
      ]),
    ).toBe(true);
    expect(
      await store.write([
        { table: 'devices', key: 'b', expect: '2' },
        { table: 'devices', key: 'b', put: '3' },
      ]),
    ).toBe(true);
    expect(await store.get('devices', 'b')).toBe('3');
  });

  it('2: of many at once that expect the same, one gets it', async () => {
    const stores = [await open(), await open()];
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        stores[n % 2]?.write([
          { table: 'commands', key: 'c', expect: undefined },
          { table: 'commands', key: 'c', put: String(n) },
        ]),
      ),
    );
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(await stores[0]?.get('commands', 'c')).toBe(String(results.indexOf(true)));
  });

  it('2: counters add up, exactly, whoever adds', async () => {
    const stores = [await open(), await open()];
    const big = 2 ** 52;
    await stores[0]?.write([{ table: 'usage', key: 'u', add: { bytes_in: big, records: 1 } }]);
    await Promise.all(
      Array.from({ length: 100 }, (_, n) => stores[n % 2]?.write([{ table: 'usage', key: 'u', add: { bytes_in: 3, bytes_out: n } }])),
    );
    expect(counters(await stores[1]?.get('usage', 'u'))).toEqual({ bytes_in: big + 300, bytes_out: 4950, records: 1 });
  });

  it('2: updates lose no other', async () => {
    const stores = [await open(), await open()];
    await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        stores[n % 2]?.update('settings', 's', (value) => JSON.stringify([...JSON.parse(value ?? '[]'), n])),
      ),
    );
    const numbers: number[] = JSON.parse((await stores[0]?.get('settings', 's')) ?? '[]');
    expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, n) => n));
    expect(await stores[0]?.update('settings', 's', () => undefined)).toBeUndefined();
    expect(await stores[1]?.get('settings', 's')).toBeUndefined();
    await expect(
      stores[0]?.update('settings', 's', () => {
        throw new RangeError('no');
      }),
    ).rejects.toThrow('no');
  });

  it('3: a change reaches every watcher, until it has enough', async () => {
    const [store, other] = [await open(), await open()];
    const seen: string[] = [];
    const enough: string[] = [];
    const end = other.watch((table, key) => enough.push(`${table} ${key}`));
    other.watch((table, key) => seen.push(`${table} ${key}`));
    // Redis tells a new watcher that anything may have changed, and then perhaps of this as well.
    await store.write([{ table: 'quarantine', key: 'first', put: '1' }]);
    await eventually(() => expect(seen.some((line) => /^quarantine (first|undefined)$/.test(line))).toBe(true));
    end();
    enough.length = 0;
    seen.length = 0;
    await store.write([
      { table: 'devices', key: 'a', put: '1' },
      { table: 'usage', key: 'a 1', add: { bytes_in: 1 } },
      { table: 'plans', key: 'p', expect: undefined },
    ]);
    await other.update('devices', 'b', () => '2');
    await store.write([{ table: 'devices', key: 'a', remove: true }]);
    await eventually(() =>
      expect(seen.filter((line) => !line.startsWith('quarantine')).toSorted()).toEqual([
        'devices a',
        'devices a',
        'devices b',
        'usage a 1',
      ]),
    );
    expect(enough).toEqual([]);
  });

  it('3: a write of many keys tells the table', async () => {
    const store = await open();
    const seen: string[] = [];
    store.watch((table, key) => seen.push(`${table} ${key}`));
    await store.write(Array.from({ length: 1500 }, (_, n) => ({ table: 'devices', key: `d${n}`, put: '1' })));
    await eventually(() => expect(seen).toContain('devices undefined'));
  });

  it('4: a process killed at any moment leaves what was written before, and no lock', async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'counter-child.ts'), url(), directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    let said = 0;
    const lines = createInterface({ input: child.stdout });
    await new Promise<void>((resolve) => {
      lines.on('line', (line) => {
        said = Number(line);
        if (said >= 50) resolve();
      });
    });
    const over = new Promise<void>((resolve) => lines.once('close', resolve));
    child.kill('SIGKILL');
    await over;
    const store = await open();
    const { one = 0, two = 0 } = counters(await store.get('usage', 'u'));
    expect(one).toBe(two);
    expect(one).toBeGreaterThanOrEqual(said);
    expect(one).toBeLessThanOrEqual(said + 1);
    expect(await store.get('cursors', 'c')).toBe(String(one));
    expect(await store.write([{ table: 'usage', key: 'u', add: { one: 1 } }])).toBe(true);
  });
});

describe('the state store in redis', () => {
  it('goes on after its server was away, misses no change, and says what is the matter meanwhile', async () => {
    const server = await RedisServer.start('--appendonly', 'yes');
    const store = await openState({ url: secretUrl(server.url), prefix: 'test:', directory, log: silentLog });
    const other = await openState({ url: secretUrl(server.url), prefix: 'test:', directory, log: silentLog });
    try {
      const seen = new Set<string>();
      store.watch((table, key) => seen.add(`${table} ${key}`));
      await eventually(() => expect(seen).toContain('devices undefined'));
      await other.write([{ table: 'devices', key: 'a', put: '1' }]);
      await eventually(() => expect(seen).toContain('devices a'));
      await server.kill();
      await expect(other.get('devices', 'a')).rejects.toMatchObject({ code: 'STATE_UNREACHABLE' });
      expect(await new Promise((resolve) => store.find('devices', 'a', resolve))).toBeUndefined();
      await server.up('--appendonly', 'yes');
      await eventually(async () => expect(await other.write([{ table: 'devices', key: 'b', put: '2' }])).toBe(true));
      await eventually(() => expect(seen).toContain('devices b'));
      expect(await store.get('devices', 'a')).toBe('1');
    } finally {
      await store.close();
      await other.close();
      await server.stop();
    }
  });
});

it('a store in Redis that is closed has no connection left, also of those that watched', async () => {
  const client = redis.client();
  const ours = async (): Promise<string[]> => String(await client.client('LIST')).match(/(?<=name=)fixgate-state\S*/g) ?? [];
  const store = new RedisStore({ url: new SecretUrl(redis.url), prefix: 'test:', log: silentLog });
  store.watch(() => {});
  await eventually(async () => expect((await ours()).sort()).toEqual(['fixgate-state', 'fixgate-state-watch']));
  await store.close();
  await eventually(async () => expect(await ours()).toEqual([]));
  client.disconnect();
});

it('profiles that are remembered while others are written to Redis are kept, and what is forgotten then is not there', async () => {
  const store = new RedisStore({ url: new SecretUrl(redis.url), prefix: 'test:', log: silentLog });
  opened.push(store);
  const found = (device: string): Promise<unknown> => new Promise((resolve) => store.findProfile(device, resolve));
  const profile = (memo: number): Profile => ({ codec: 'toy', memo, updated: 1 });
  store.remember('first', profile(1));
  store.remember('gone', profile(2));
  const writing = store.flush();
  store.remember('second', profile(3));
  const forgotten = store.forget('gone');
  expect([await found('first'), await found('gone')]).toEqual([profile(1), undefined]);
  await Promise.all([writing, forgotten, store.flush()]);
  expect([await found('first'), await found('second'), await found('gone')]).toEqual([profile(1), profile(3), undefined]);
});
