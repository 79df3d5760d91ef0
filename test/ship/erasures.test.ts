import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Erased, wholeBefore } from '../../src/base/erased.ts';
import { nodeStorage } from '../../src/base/files.ts';
import { Erasures, erasuresPath } from '../../src/out/ship/erasures.ts';
import { FaultStorage } from '../helpers/fault-storage.ts';

/** The file that says what was erased. Numbers quote the invariants of src/out/ship/erasures.ts. */

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-erasures-'));
  path = erasuresPath(directory);
});
afterEach(() => rmSync(directory, { recursive: true }));

const PART = { from: 1, to: 5, until: 6, account: 'acme' };
const of = (device: string, ...stretches: readonly (typeof PART | ReturnType<typeof wholeBefore>)[]): Erased =>
  new Map([[device, stretches]]);
const load = (): Promise<Erasures> => Erasures.load(path, nodeStorage);
const text = (): unknown => JSON.parse(readFileSync(path, 'utf8'));

describe('what is added', () => {
  it('is in the file, as earlier versions wrote it while whole devices were erased, and is read again', async () => {
    const erasures = await load();
    expect(erasures.of('a')).toEqual(new Map());
    await Promise.all([
      erasures.add('a', of('d-1', wholeBefore(5))),
      erasures.add('b', of('d-1', wholeBefore(7))),
      erasures.add('a', of('d-2', wholeBefore(9))),
    ]);
    expect(text()).toEqual({ version: 1, sinks: { a: { 'd-1': 5, 'd-2': 9 }, b: { 'd-1': 7 } } });
    const again = await load();
    expect([again.of('a').get('d-1'), again.of('a').get('d-2'), again.of('b').get('d-1'), again.of('b').has('d-2')]).toEqual([
      [wholeBefore(5)],
      [wholeBefore(9)],
      [wholeBefore(7)],
      false,
    ]);
  });

  it('of a part of a device is a list, in a version that others refuse; what covers it takes its place', async () => {
    const erasures = await load();
    await erasures.add('a', of('d-1', PART));
    await erasures.add('a', of('d-2', wholeBefore(9)));
    expect(text()).toEqual({ version: 2, sinks: { a: { 'd-1': [PART], 'd-2': 9 } } });
    expect((await load()).of('a').get('d-1')).toEqual([PART]);
    await erasures.add('a', of('d-1', wholeBefore(6)));
    expect(text()).toEqual({ version: 1, sinks: { a: { 'd-1': 6, 'd-2': 9 } } });
  });

  it('holds when it is on disk, and not before (1); one that fails stands in the way of no other', async () => {
    const storage = new FaultStorage();
    const erasures = await Erasures.load(path, storage);
    storage.fail('write', /erased/, 'ENOSPC');
    const failing = erasures.add('a', of('d-1', wholeBefore(5)));
    const after = failing.catch(() => {
      storage.heal();
      return erasures.add('a', of('d-2', wholeBefore(5)));
    });
    await expect(failing).rejects.toThrow();
    await after;
    expect([erasures.of('a').has('d-1'), erasures.of('a').has('d-2')]).toEqual([false, true]);
    expect(text()).toEqual({ version: 1, sinks: { a: { 'd-2': 5 } } });
  });
});

describe('a file', () => {
  it.each<[what: string, value: unknown]>([
    ['of another version', { version: 3, sinks: {} }],
    ['without sinks', { version: 1 }],
    ['with sinks that are a list', { version: 1, sinks: [] }],
    ['with a sink that is no list of devices', { version: 1, sinks: { a: 5 } }],
    ['with a device without a time', { version: 1, sinks: { a: { 'd-1': 'x' } } }],
    ['with a stretch without an end', { version: 2, sinks: { a: { 'd-1': [{ from: 1, to: 2 }] } } }],
    ['that is null', null],
    ['that is a list', []],
  ])('%s is not believed', async (_what, value) => {
    await mkdir(dirname(path));
    writeFileSync(path, JSON.stringify(value));
    await expect(load()).rejects.toMatchObject({ code: 'JOURNAL_FAILED', message: expect.stringContaining(path) });
  });

  it('that was cut off is not believed', async () => {
    await mkdir(dirname(path));
    writeFileSync(path, '{"version":1,');
    await expect(load()).rejects.toMatchObject({ code: 'JOURNAL_FAILED' });
  });
});
