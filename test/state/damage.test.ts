import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { SecretUrl } from '../../src/base/secret.ts';
import { DeviceCache } from '../../src/fleet/registry/device-cache.ts';
import { checkStore } from '../../src/state/check.ts';
import { type DumpEntry, dumpLines, isEmpty, putEntries, readDump } from '../../src/state/dump.ts';
import { openState, type State } from '../../src/state/open.ts';
import { rebuildStore } from '../../src/state/rebuild.ts';
import { RedisServer } from '../ship/rig.ts';

vi.setConfig({ testTimeout: 90_000 });

const PAGE = 4096;
const FIXTURE = join(import.meta.dirname, '../../fixtures/state/lmdb-0.1.mdb.gz');
const TIME = Date.UTC(2026, 10, 30, 5);

let redis: RedisServer;
const undo: (() => unknown)[] = [];
beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(() => redis.stop());
afterEach(async () => {
  for (const one of undo.splice(0).reverse()) await one();
});

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-damage-'));
  undo.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function lmdb(directory: string): Promise<State> {
  return openState({ url: undefined, prefix: '', directory, log: silentLog });
}

/** A store with so many devices, and of each what devices have. */
async function filled(directory: string, devices: number): Promise<void> {
  const store = await lmdb(directory);
  await putEntries(store, entries(devices));
  await store.close();
}

function* entries(devices: number): Generator<DumpEntry> {
  for (let n = 0; n < devices; n++) {
    const id = `35630704244${String(n).padStart(4, '0')}`;
    yield { table: 'devices', key: id, value: JSON.stringify({ id, name: `Nr ${n} å ${'x'.repeat(n % 300)}`, plan: 'default' }) };
    yield { table: 'usage', key: `${id} 1788220800000`, value: JSON.stringify({ bytes_in: n, records: 1 }) };
    yield { table: 'profiles', key: id, value: JSON.stringify({ codec: 'gt06', memo: n, updated: TIME }) };
  }
}

/** Puts zeros over all leaf pages that hold this text; returns how many there are. */
function zero(file: string, text: string, most = Number.POSITIVE_INFINITY): number {
  const bytes = readFileSync(file);
  let zeroed = 0;
  for (let at = 2 * PAGE; at < bytes.length && zeroed < most; at += PAGE) {
    const page = bytes.subarray(at, at + PAGE);
    if ((page.readUInt16LE(18) & 2) === 0 || !page.includes(text)) continue;
    page.fill(0);
    zeroed++;
  }
  writeFileSync(file, bytes);
  return zeroed;
}

async function dumped(store: State): Promise<string> {
  let text = '';
  for await (const line of dumpLines(store)) text += line;
  return text;
}

async function* linesOf(text: string): AsyncGenerator<string> {
  yield* text.split('\n');
}

async function problemOf(text: string): Promise<string> {
  try {
    for await (const _entry of readDump(linesOf(text)));
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
  return '';
}

describe('the check of the state store', () => {
  it('counts what a sound store holds, also while another process has it open', async () => {
    const directory = temporary();
    const store = await lmdb(directory);
    await putEntries(store, entries(50));
    const open = await checkStore(directory, false);
    expect(open).toMatchObject({ entries: { devices: 50, usage: 50, profiles: 50 }, damage: '' });
    await store.close();
    expect(await checkStore(directory, true)).toEqual(open);
    expect(await checkStore(join(directory, 'nothing'), true)).toEqual({ entries: {}, damage: '' });
  });

  it('finds zeros, a truncated file and an empty one, and outlives them', async () => {
    const directory = temporary();
    await filled(directory, 300);
    const file = join(directory, 'data.mdb');
    const copy = `${file}.sound`;
    copyFileSync(file, copy);
    expect(zero(file, '"bytes_in"', 1)).toBe(1);
    expect((await checkStore(directory, true)).damage).not.toBe('');
    copyFileSync(copy, file);
    truncateSync(file, 20 * PAGE);
    expect((await checkStore(directory, true)).damage).not.toBe('');
    truncateSync(file, 0);
    expect((await checkStore(directory, true)).damage).toBe('it is empty');
    copyFileSync(copy, file);
    expect((await checkStore(directory, true)).damage).toBe('');
  });
});

describe('a rebuilt store', () => {
  it('has everything but what was in the damaged pages, and the damaged one is kept aside', async () => {
    const directory = join(temporary(), 'state');
    mkdirSync(directory);
    await filled(directory, 600);
    expect(zero(join(directory, 'data.mdb'), '"bytes_in"', 2)).toBe(2);
    const damaged = readFileSync(join(directory, 'data.mdb'));
    const { tables, aside } = await rebuildStore(directory, TIME, false);
    const of = (name: string) => tables.find(({ table }) => table === name);
    expect(of('devices')).toEqual({ table: 'devices', kept: 600, lost: 0 });
    expect(of('profiles')).toEqual({ table: 'profiles', kept: 600, lost: 0 });
    const usage = of('usage');
    expect((usage?.kept ?? 0) + (usage?.lost ?? 0)).toBe(600);
    expect(usage?.lost).toBeGreaterThan(0);
    expect(usage?.kept).toBeGreaterThan(300);
    expect(aside).toBe(`${directory}.damaged-2026-11-30T05-00-00.000Z`);
    expect(readFileSync(join(aside, 'data.mdb')).equals(damaged)).toBe(true);
    expect((await checkStore(directory, true)).damage).toBe('');
    const store = await lmdb(directory);
    const wanted = new Map([...entries(600)].map(({ table, key, value }) => [`${table} ${key}`, value]));
    for await (const { table, key, value } of readDump(linesOf(await dumped(store)))) expect(wanted.get(`${table} ${key}`)).toBe(value);
    await store.close();
  });

  it('is not made of nothing, unless that is accepted', async () => {
    const directory = join(temporary(), 'state');
    mkdirSync(directory);
    await filled(directory, 300);
    truncateSync(join(directory, 'data.mdb'), 2 * PAGE);
    await expect(rebuildStore(directory, TIME, false)).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
    expect(existsSync(`${directory}.new`)).toBe(false);
    const { tables } = await rebuildStore(directory, TIME, true);
    expect(tables.every(({ kept }) => kept === 0)).toBe(true);
    expect((await checkStore(directory, true)).damage).toBe('');
  });
});

describe('a dump', () => {
  it('goes from lmdb to Redis and back, and stays the same', async () => {
    const first = temporary();
    await filled(first, 700);
    const source = await lmdb(first);
    const text = await dumped(source);
    await source.close();
    expect(text.split('\n')[0]).toBe('{"fixgate_state":1}');
    const inRedis = await openState({ url: new SecretUrl(redis.url), prefix: 'dump:', directory: '', log: silentLog });
    undo.push(() => inRedis.close());
    expect(await isEmpty(inRedis)).toBe(true);
    expect(await putEntries(inRedis, readDump(linesOf(text)))).toBe(2100);
    expect(await isEmpty(inRedis)).toBe(false);
    const again = await dumped(inRedis);
    expect(again).toBe(text);
    const last = await lmdb(temporary());
    undo.push(() => last.close());
    await putEntries(last, readDump(linesOf(again)));
    expect(await dumped(last)).toBe(text);
  });

  it('is refused when it is cut off, of a later version or not one, with the line', async () => {
    const head = '{"fixgate_state":1}\n';
    const entry = '{"table":"plans","key":"basic","value":"{}"}\n';
    expect(await problemOf(`${head}${entry}{"entries":1}\n`)).toBe('');
    expect(await problemOf(`${head}${entry}`)).toContain('cut off');
    expect(await problemOf(`${head}${entry}{"entries":2}\n`)).toContain('line 3 of the dump says 2 entries, and there are 1');
    expect(await problemOf('{"fixgate_state":2}\n')).toContain('later version');
    expect(await problemOf(`${head}{"table":"boats","key":"a","value":""}\n`)).toContain('line 2 of the dump names a table');
    expect(await problemOf(`${head}{"table":"plans","key":" a","value":""}\n`)).toContain('no valid `key`');
    expect(await problemOf(`${head}{"table":"plans","key":"a","value":{}}\n`)).toContain('no `value` that is text');
    expect(await problemOf(`${head}{"entries":0}\n${entry}`)).toContain('behind the end');
  });
});

describe('a store that an older version has written', () => {
  it('is found sound, is read, and can be salvaged whole', async () => {
    const directory = join(temporary(), 'state');
    mkdirSync(directory);
    writeFileSync(join(directory, 'data.mdb'), gunzipSync(readFileSync(FIXTURE)));
    expect(await checkStore(directory, true)).toMatchObject({
      entries: { devices: 1, aliases: 1, plans: 1, territory: 1, usage: 1, cursors: 1, quarantine: 40, profiles: 1 },
      damage: '',
    });
    const store = await lmdb(directory);
    expect(JSON.parse((await store.get('devices', '356307042441013')) ?? '')).toMatchObject({ name: 'Skåne 1', privacy: 'relay' });
    expect(await store.get('usage', '356307042441013 1788220800000')).toBe('{"bytes_in":9007199254740991,"records":3}');
    const text = await dumped(store);
    await store.close();
    const { tables } = await rebuildStore(directory, TIME, false);
    expect(tables.reduce((sum, { lost }) => sum + lost, 0)).toBe(0);
    const rebuilt = await lmdb(directory);
    undo.push(() => rebuilt.close());
    expect(await dumped(rebuilt)).toBe(text);
  });
});

describe('a registry on a damaged store', () => {
  it('invariant 5: serves whom it knows, and no other, though it is open', async () => {
    const store = await lmdb(temporary());
    await putEntries(store, [
      { table: 'devices', key: 'known', value: JSON.stringify({ id: 'known', plan: 'default', privacy: 'relay' }) },
      { table: 'devices', key: 'broken', value: '{"id":"broken"' },
    ]);
    const registry = new DeviceCache({ store, mode: 'open', now: () => TIME, log: silentLog });
    undo.push(() => registry.close());
    const refusal = (id: string): Promise<string> =>
      new Promise((resolve) => registry.lookup(id, (found) => resolve(found.refusal('1.2.3.4:5'))));
    expect([await refusal('known'), await refusal('stranger'), await refusal('broken')]).toEqual(['', '', 'registry_unreachable']);
    store.abandon('data.mdb is damaged');
    expect([await refusal('known'), await refusal('another'), await refusal('broken')]).toEqual([
      '',
      'registry_unreachable',
      'registry_unreachable',
    ]);
    await expect(store.get('devices', 'known')).rejects.toMatchObject({ code: 'STATE_DAMAGED', message: 'data.mdb is damaged' });
  });
});
