import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import { type Change, DeviceRecords } from '../../src/fleet/registry/device-records.ts';
import { e164 } from '../../src/fleet/registry/phone.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';

/** The telephone number of a device; the number quotes the invariant of src/fleet/registry/device-records.ts. */

const NUMBER = '+46701234567';
let directory: string;
let store: LmdbStore;
let records: DeviceRecords;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-phone-'));
  store = new LmdbStore({ directory, log: silentLog });
  records = new DeviceRecords({ store, now: () => 1_793_491_200_000, record: () => {} });
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

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

  it('is given to one of those who ask at once (2)', async () => {
    const made = await Promise.all(['d-1', 'd-2', 'd-3'].map((id) => records.create(deviceSchema.parse({ id, phone: NUMBER }), 'me')));
    expect(made.map(fieldsOf).toSorted()).toEqual(['conflict phone', 'conflict phone', 'done']);
  });

  it('is given to one of an upload that names it twice (2)', async () => {
    const counts = { created: 0, changed: 0, unchanged: 0 };
    const rows = ['d-1', 'd-2'].map((id, i) => ({ line: i + 1, id, patch: { phone: i === 0 ? NUMBER : '0046701234567' } }));
    const wrong = await records.upsert(rows, 'me', counts, new Map());
    expect(wrong).toMatchObject([{ line: 2, problems: [{ field: 'phone' }] }]);
    expect(counts).toEqual({ created: 1, changed: 0, unchanged: 0 });
  });
});
