import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { digestOf, settleMarks, TEXTS } from '../../../src/in/sms/mark.ts';
import { Definition } from '../../../src/journal/definition.ts';
import { EntryKind, Origin } from '../../../src/journal/entry.ts';
import { Journal } from '../../../src/journal/journal.ts';
import { interposed } from '../../helpers/interposed-store.ts';
import { TextRig } from '../../support/text-rig.ts';

/** What a killed server has left behind: 2, in src/in/sms/inbox.ts. */

const BYTES = Buffer.from('http://maps.google.com/maps?q=N22.571707,E113.857025');
let rig: TextRig;
let directory: string;
beforeEach(() => {
  rig = new TextRig();
  directory = mkdtempSync(join(tmpdir(), 'fixgate-marks-'));
});
afterEach(async () => {
  await rig.stop();
  rmSync(directory, { recursive: true });
});

const plans = { of: async () => ({ cycle: { start: 0, end: 1 } }) as never };
const settle = (): Promise<void> => settleMarks(rig.store, plans, 'killed', directory);
const put = (key: string, more: object): Promise<boolean> =>
  rig.store.write([{ table: 'texts', key, put: JSON.stringify({ server: 'killed', digest: digestOf(BYTES), ...more }) }]);
const read = async (key: string): Promise<unknown> => TEXTS.read(await rig.store.get('texts', key));

async function journaled(
  entries: readonly (readonly [received: number, bytes: Buffer, device?: string, kind?: EntryKind])[],
): Promise<void> {
  const journal = await Journal.open({ directory, onDurable: () => {}, onFailed: () => {}, minFreeBytes: 0 });
  for (const [received, bytes, device = 'tracker-9', kind = EntryKind.Frame] of entries) {
    const origin = new Origin(new Definition('gt06', 'sms', {}, ''), device, '');
    journal.append(origin, kind, received, 0, 1, bytes, 0, bytes.length);
  }
  await journal.flush();
  await journal.close();
}

it('has arrived if it is in the journal, and counts; else it never came', async () => {
  await journaled([
    [1_000, BYTES],
    [2_000, Buffer.from('another')],
    [4_000, BYTES, 'tracker-9', EntryKind.Event],
    [5_000, BYTES, ''],
  ]);
  await put('in', { received: 1_000 });
  await put('other text', { received: 2_000 });
  await put('never', { received: 3_000 });
  await put('an event', { received: 4_000 });
  await put('of no known device', { received: 5_000 });
  await put('of another server', { received: 1_000, server: 'other' });
  await put('settled', { received: 3_000, done: true });
  await settle();
  await settle();
  const keys = ['in', 'other text', 'never', 'an event', 'of no known device', 'of another server', 'settled'];
  expect(await Promise.all(keys.map(read))).toEqual([
    { received: 1_000, server: 'killed', done: true },
    undefined,
    undefined,
    undefined,
    { received: 5_000, server: 'killed', done: true },
    expect.objectContaining({ server: 'other' }),
    expect.objectContaining({ received: 3_000, done: true }),
  ]);
  expect(await rig.store.get('usage', 'tracker-9 0')).toBe('{"texts_in":1}');
  expect(await rig.store.get('usage', ' 0')).toBeUndefined();
});

it('is left alone when another has settled it meanwhile', async () => {
  await journaled([[1_000, BYTES]]);
  await put('in', { received: 1_000 });
  const other = interposed(rig.store, { beforeWrite: () => put('in', { received: 1_000, server: 'other' }) });
  await settleMarks(other, plans, 'killed', directory);
  expect(await read('in')).toMatchObject({ server: 'other' });
  expect(await rig.store.get('usage', 'tracker-9 0')).toBeUndefined();
});
