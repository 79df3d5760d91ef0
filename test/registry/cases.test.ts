import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { addNote, CASES, caseOps, casesOf } from '../../src/fleet/registry/cases.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { HOLDS, unheld } from '../../src/fleet/registry/hold.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';

/** Cases of recovery and holds in the store. Numbers quote the invariants of src/fleet/registry/cases.ts. */

let directory: string;
let store: LmdbStore;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-cases-'));
  store = new LmdbStore({ directory, log: silentLog });
});
afterAll(async () => {
  await store.close();
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

const device = (id: string, recovery?: object): Device => deviceSchema.parse({ id, account: 'acme', ...(recovery && { recovery }) });
const stolen = (started: number, more: object = {}) => ({ reason: 'stolen', interval_s: 10, started, until: started + 100, ...more });
const change = async (now: number, before: Device | undefined, after: Device | undefined, by: string): Promise<number> => {
  const ops = await caseOps(store, now, [before, after], by);
  expect(await store.write(ops)).toBe(true);
  return ops.length;
};
const row = (id: string, started: number, more: object = {}) => ({
  ...{ id: String(started), device: id, account: 'acme', ...stolen(started), by: 'me', ended: 0, ended_by: '', notes: [] },
  ...more,
});

it('1: a case begins, changes, is followed by another and ends as the recovery of the device does', async () => {
  const [none, first, longer, second] = [undefined, stolen(10), stolen(10, { until: 500, reason: 'seen' }), stolen(20)].map((recovery) =>
    device('d-1', recovery),
  );
  expect(await change(9, none, none, 'me')).toBe(0);
  await change(10, none, first, 'me');
  expect(await casesOf(store, 'd-1')).toEqual([row('d-1', 10)]);
  expect(await change(11, first, first, 'her')).toBe(0);
  await change(12, first, longer, 'her');
  expect(await casesOf(store, 'd-1')).toEqual([row('d-1', 10, { until: 500, reason: 'seen' })]);
  await change(20, longer, second, 'him');
  const ended = row('d-1', 10, { until: 500, reason: 'seen', ended: 20, ended_by: 'him' });
  expect(await casesOf(store, 'd-1')).toEqual([row('d-1', 20, { by: 'him' }), ended]);
  await change(30, second, none, 'time');
  expect(await casesOf(store, 'd-1')).toEqual([row('d-1', 20, { by: 'him', ended: 30, ended_by: 'time' }), ended]);
});

it('1: a case ends when the device is removed, and begins with a device that is made so', async () => {
  const made = device('d-2', stolen(10));
  await change(10, undefined, made, 'me');
  expect(await casesOf(store, 'd-2')).toEqual([row('d-2', 10)]);
  await change(15, made, undefined, 'her');
  expect(await casesOf(store, 'd-2')).toEqual([row('d-2', 10, { ended: 15, ended_by: 'her' })]);
});

it('a case of an earlier version, which has no row, has one when it ends: it is not known who began it', async () => {
  await change(15, device('d-3', stolen(10)), device('d-3'), 'me');
  expect(await casesOf(store, 'd-3')).toEqual([row('d-3', 10, { by: '', ended: 15, ended_by: 'me' })]);
});

it('a damaged case hides no other', async () => {
  await change(10, undefined, device('d-4', stolen(10)), 'me');
  await store.write([{ table: 'cases', key: 'd-4 9', put: '{' }]);
  expect(await casesOf(store, 'd-4')).toEqual([row('d-4', 10)]);
});

it('2: notes are added, to a case that has ended too, up to 200', async () => {
  const note = (n: number) => ({ time: n, by: 'me', text: `note ${n}` });
  expect(await addNote(store, ['d-5', '10'], note(0))).toBeUndefined();
  await change(10, undefined, device('d-5', stolen(10)), 'me');
  await change(11, device('d-5', stolen(10)), device('d-5'), 'me');
  await Promise.all([0, 1].map((n) => addNote(store, ['d-5', '10'], note(n))));
  const [noted] = await casesOf(store, 'd-5');
  expect([noted?.ended, noted?.notes.map(({ time }) => time).sort()]).toEqual([11, [0, 1]]);
  const most = { ...noted, notes: Array.from({ length: 199 }, (_, n) => note(n)) };
  await store.write([{ table: 'cases', key: CASES.key('d-5', '10'), put: JSON.stringify(most) }]);
  expect(await addNote(store, ['d-5', '10'], note(199))).toMatchObject({ notes: { length: 200 } });
  expect(await addNote(store, ['d-5', '10'], note(200))).toBe('full');
});

it.each([
  ['no hold', undefined, true],
  ['a hold without an end', {}, false],
  ['a hold that goes on', { until: 101 }, false],
  ['a hold that has ended', { until: 100 }, true],
])('what is of a device may be removed: %s', async (what, more, may) => {
  const id = `held ${what}`;
  const hold = { device: id, reference: 'AZ 1', reason: 'court order', from: 0, since: 0, by: 'me', ...more };
  if (more !== undefined) await store.write([{ table: 'holds', key: id, put: JSON.stringify(hold) }]);
  expect(more === undefined || HOLDS.read(await store.get('holds', id)) !== undefined).toBe(true);
  const condition = await unheld(store, id, 100);
  expect(condition !== undefined).toBe(may);
  if (condition !== undefined) expect(await store.write([condition])).toBe(true);
});

it('a hold that cannot be read holds', async () => {
  await store.write([{ table: 'holds', key: 'd-6', put: '{' }]);
  expect(await unheld(store, 'd-6', 100)).toBeUndefined();
});
