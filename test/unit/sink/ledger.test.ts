import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Ledger } from '../../../src/out/sink/forward/ledger.ts';

/** What a forwarder has written down: src/out/sink/forward/ledger.ts. */

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'fixgate-ledger-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

it('is empty where there is no file, whose directory is made', async () => {
  const ledger = await Ledger.load(join(directory(), 'forward'), 'dlt');
  expect([ledger.positions, ledger.pending, ledger.done, ledger.registered]).toEqual([{}, null, 0, {}]);
});

it.each([
  ['{"positions":{"0":7},"pending":null,"done":3,"numbers":{},"registered":{"a":"b"}}', { '0': 7 }, 3, { a: 'b' }],
  // Of an earlier version, which registered none.
  ['{"positions":{"0":7},"done":3,"numbers":{}}', { '0': 7 }, 3, {}],
])('has what stands in the file: %s', async (text, positions, done, registered) => {
  const path = directory();
  writeFileSync(join(path, 'dlt.json'), text);
  const ledger = await Ledger.load(path, 'dlt');
  expect([ledger.positions, ledger.pending, ledger.done, ledger.registered]).toEqual([positions, null, done, registered]);
});

it.each(['', '{', '[]', '{}', 'null', '{"numbers":3}'])('says which file is damaged, and what can be done: %j', async (text) => {
  const path = directory();
  const file = join(path, 'dlt.json');
  writeFileSync(file, text);
  await expect(Ledger.load(path, 'dlt')).rejects.toMatchObject({
    code: 'JOURNAL_FAILED',
    message: expect.stringContaining(`${file} is damaged: restore it from a backup, or remove it`),
  });
});
