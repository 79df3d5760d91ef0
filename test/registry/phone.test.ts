import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { secretUrl } from '../../src/base/secret.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import { type Change, DeviceRecords } from '../../src/fleet/registry/device-records.ts';
import { e164 } from '../../src/fleet/registry/phone.ts';
import { openState } from '../../src/state/open.ts';
import type { StateStore } from '../../src/state/store.ts';
import { RedisServer } from '../ship/rig.ts';

/** The telephone number of a device, in each state store; the number quotes the invariant of src/fleet/registry/device-records.ts. */

const NUMBER = '+46701234567';
let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(() => redis.stop());

function recordsIn(store: StateStore): DeviceRecords {
  return new DeviceRecords({ store, now: () => 1_793_491_200_000, record: () => {} });
}

function fieldsOf(change: Change): string {
  return 'refused' in change ? [change.refused, ...change.problems.map(({ field }) => field)].join(' ') : 'done';
}

describe('a telephone number', () => {
  it.each([
    [NUMBER, NUMBER],
    ['0046 70-123 45 67', NUMBER],
    ['+46 (70) 123.45/67', NUMBER],
    ['070 123 45 67', undefined],
    ['+46701234', '+46701234'],
    ['+467012345678901234', undefined],
    ['+0701234567', undefined],
    ['Fixgate', undefined],
    ['', undefined],
  ])('%j is %j', (text, number) => {
    expect(e164(text)).toBe(number);
    expect(deviceSchema.safeParse({ id: 'd-1', phone: text }).success).toBe(number !== undefined);
  });
});

describe.each(['lmdb', 'redis'])('a telephone number in %s', (kind) => {
  let directory: string;
  let stores: StateStore[];
  let store: StateStore;
  let records: DeviceRecords;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'fixgate-phone-'));
    const url = secretUrl(kind === 'redis' ? redis.url : '');
    const open = (): Promise<StateStore> => openState({ url, prefix: 'test:', directory, log: silentLog });
    stores = [await open(), await open()];
    [store = await open()] = stores;
    records = recordsIn(store);
  });
  afterEach(async () => {
    for (const each of stores) await each.close();
    rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
    const client = redis.client();
    await client.flushall();
    client.disconnect();
  });

  it('leads to its device, and is that of one only (2)', async () => {
    await records.create(deviceSchema.parse({ id: 'd-1', phone: '0046 70 123 45 67' }), 'me');
    expect((await records.get(NUMBER))?.id).toBe('d-1');
    expect((await records.get('d-1'))?.phone).toBe(NUMBER);
    expect(fieldsOf(await records.create(deviceSchema.parse({ id: 'd-2', phone: NUMBER }), 'me'))).toBe('conflict phone');
    expect(fieldsOf(await records.patch('d-1', { account: 'acme' }, 'me'))).toBe('done');
    expect(fieldsOf(await records.patch('d-1', { phone: '+46700000001' }, 'me'))).toBe('done');
    expect(await records.get(NUMBER)).toBeUndefined();
    expect(fieldsOf(await records.create(deviceSchema.parse({ id: 'd-2', phone: NUMBER }), 'me'))).toBe('done');
    await records.patch('d-1', { phone: null }, 'me');
    await records.remove('d-2', 'me');
    expect(await store.list('aliases', { limit: 9 })).toEqual([]);
  });

  it('is given to one of those who ask at once, of whatever process (2)', async () => {
    const of = stores.map(recordsIn);
    const made = await Promise.all(
      ['d-1', 'd-2', 'd-3', 'd-4'].map((id, n) => of[n % 2]?.create(deviceSchema.parse({ id, phone: NUMBER }), 'me')),
    );
    expect(made.map((change) => change && fieldsOf(change)).toSorted()).toEqual([...Array(3).fill('conflict phone'), 'done']);
  });

  it('is given to one of an upload that names it twice (2)', async () => {
    const counts = { created: 0, changed: 0, unchanged: 0 };
    const rows = ['d-1', 'd-2'].map((id, i) => ({ line: i + 1, id, patch: { phone: i === 0 ? NUMBER : '0046701234567' } }));
    const wrong = await records.upsert(rows, 'me', counts, new Map());
    expect(wrong).toMatchObject([{ line: 2, problems: [{ field: 'phone' }] }]);
    expect(counts).toEqual({ created: 1, changed: 0, unchanged: 0 });
  });
});
