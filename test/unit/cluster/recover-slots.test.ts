import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { lockDirectory } from '../../../src/base/lock/lock.ts';
import { recoverSlots } from '../../../src/cluster/recover-slots.ts';
import { Definition } from '../../../src/journal/definition.ts';
import { EntryKind, Origin } from '../../../src/journal/entry.ts';
import { Journal } from '../../../src/journal/journal.ts';
import { readDurable } from '../../../src/journal/reader.ts';
import { remains } from '../../support/wait.ts';

const ENTRIES = 5;

/** A slot as a power cut leaves it: the entries are there, the watermark is not. */
async function afterPowerCut(journals: string, slot: string): Promise<string> {
  const directory = join(journals, slot);
  const journal = await Journal.open({ directory, minFreeBytes: 0, onDurable: () => {}, onFailed: () => {} });
  const origin = new Origin(new Definition('gt06', 'tcp'), '868120100000001', '192.0.2.1:1000');
  for (let i = 0; i < ENTRIES; i++) journal.append(origin, EntryKind.Frame, 1_700_000_000_000, 0, 1, Buffer.of(i), 0, 1);
  await journal.close();
  writeFileSync(join(directory, 'durable'), Buffer.alloc(8));
  return directory;
}

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'fixgate-slots-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

it('recovers every slot there is, whether it has a worker or not', async () => {
  const journals = directory();
  const slots = [await afterPowerCut(journals, '0'), await afterPowerCut(journals, '1'), await afterPowerCut(journals, '7')];
  await recoverSlots(journals);
  expect(await Promise.all(slots.map((slot) => readDurable(slot)))).toEqual([ENTRIES, ENTRIES, ENTRIES]);
  // Nothing is left in the way of the workers.
  for (const slot of slots) await (await lockDirectory(slot, 0)).close();
});

it('touches nothing while the process that had the slot before is still there', async () => {
  const journals = directory();
  const slot = await afterPowerCut(journals, '0');
  const held = await lockDirectory(slot, 0);
  const recovered = recoverSlots(journals);
  // The lock is asked for again and again meanwhile.
  await remains(async () => expect(await readDurable(slot)).toBe(0));
  await held.close();
  await recovered;
  expect(await readDurable(slot)).toBe(ENTRIES);
});
