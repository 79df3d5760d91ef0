import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { nodeStorage } from '../../../src/base/files.ts';
import { silentLog } from '../../../src/base/log.ts';
import { findInstance, instancePeer, journalInstance, openInstance, SUPERVISOR_SLOT } from '../../../src/cluster/instance.ts';
import { NO_DEFINITION } from '../../../src/journal/definition.ts';
import { EntryKind, Origin } from '../../../src/journal/entry.ts';
import { Journal } from '../../../src/journal/journal.ts';
import { listSegments, segmentName } from '../../../src/journal/segment.ts';

const EVENT = Buffer.from('{"type":"plan_changed"}');

let dataDir = '';
let file = '';
let warned: string[] = [];
const log = { ...silentLog, warn: (_: object, message: string): void => void warned.push(message) };

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'fixgate-instance-'));
  file = join(dataDir, 'instance');
  warned = [];
  onTestFinished(() => rmSync(dataDir, { recursive: true }));
});

const slot = (): string => join(dataDir, 'journal', SUPERVISOR_SLOT);

/** A server that starts, records so many events, each in a segment of its own, and ends. */
async function run(events = 0): Promise<string> {
  const instance = await openInstance(dataDir, log);
  const journal = await Journal.open({ directory: slot(), minFreeBytes: 0, onDurable: () => {}, onFailed: () => {} });
  journalInstance(journal, instance);
  for (let i = 0; i < events; i++) {
    await journal.rotate();
    journal.append(new Origin(NO_DEFINITION, '', instancePeer(instance)), EntryKind.Event, 1, 0, 0, EVENT, 0, EVENT.length);
    await journal.flush();
  }
  await journal.close();
  return instance;
}

test('is made once, and a copy of it is kept beside the journal', async () => {
  expect(await findInstance(dataDir)).toBeUndefined();
  const made = await run();
  expect(made).toMatch(/^[0-9a-f]{16}$/);
  expect(readFileSync(file, 'utf8')).toBe(`${made}\n`);
  expect([await run(), await findInstance(dataDir), warned]).toEqual([made, made, []]);
});

test.each(['gone', 'empty', 'of another'])('a copy that is %s is restored from the journal', async (how) => {
  const made = await run();
  if (how === 'gone') rmSync(file);
  else writeFileSync(file, how === 'empty' ? '' : '0123456789abcdef\n');
  expect(await findInstance(dataDir)).toBe(made);
  expect([await run(), readFileSync(file, 'utf8'), warned.length]).toEqual([made, `${made}\n`, 1]);
});

test('is in whatever segment is left of the journal', async () => {
  const made = await run(3);
  rmSync(file);
  const firsts = await listSegments(nodeStorage, slot());
  expect(firsts.length).toBeGreaterThan(3);
  for (const first of firsts.slice(0, -1)) rmSync(join(slot(), segmentName(first)));
  expect(await run()).toBe(made);
});

test('a file of an earlier version, whose journal does not have it, is taken over', async () => {
  const journal = await Journal.open({ directory: slot(), minFreeBytes: 0, onDurable: () => {}, onFailed: () => {} });
  journal.append(new Origin(NO_DEFINITION, '', ''), EntryKind.Event, 1, 0, 0, EVENT, 0, EVENT.length);
  await journal.close();
  writeFileSync(file, '0123456789abcdef\n');
  expect([await run(), warned]).toEqual(['0123456789abcdef', []]);
  rmSync(file);
  expect(existsSync(file)).toBe(false);
  expect(await run()).toBe('0123456789abcdef');
});
