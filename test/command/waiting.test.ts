import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { WITHHELD } from '../../src/fleet/command/command.ts';
import { Ledger } from '../../src/fleet/command/ledger.ts';
import { Waiting } from '../../src/fleet/command/waiting.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';

async function opened(): Promise<LmdbStore> {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-waiting-'));
  const store = new LmdbStore({ directory, log: silentLog });
  onTestFinished(async () => {
    await store.close();
    rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
  });
  return store;
}

/** The ledger has that the command was answered, and not what was said. `now`: its clock. */
async function withheld(store: LmdbStore, now: () => number): Promise<Ledger> {
  const ledger = new Ledger(store, now, 3);
  const parts = { parameters: {}, requester: 'me', reason: '', ref: '', not_before: 0, priority: 0, when: 'any', switches: [] } as const;
  const made = await ledger.submit({ device: 'd01', type: 'locate', critical: '', ...parts, expires: now() + 60_000 }, 'c1');
  const claimed = made === undefined ? undefined : await ledger.sending(made);
  if (claimed === undefined) throw new Error('not claimed');
  await ledger.answered(claimed, '', {}, WITHHELD);
  return ledger;
}

it('invariant 2: a reply that is not reported within five seconds of the end is not waited for', async () => {
  const store = await opened();
  const ledger = await withheld(store, () => systemClock.now() - 5_000);
  const waiting = new Waiting(ledger, store, silentLog);
  expect(await waiting.settled('d01', 'c1', 60_000)).toMatchObject({ state: 'answered', reply: '' });
});

it('invariant 2: a withheld reply reaches who waits, however often the ledger changes before it is reported', async () => {
  const store = await opened();
  const changed = new Set<() => void>();
  const watched = {
    watch(listener: Parameters<LmdbStore['watch']>[0]): () => void {
      const change = (): void => listener('finished', 'd01 c1');
      changed.add(change);
      return () => void changed.delete(change);
    },
  };
  const ledger = await withheld(store, () => systemClock.now());
  const waiting = new Waiting(ledger, watched, silentLog);
  const answer = waiting.settled('d01', 'c1', 60_000);
  for (let round = 0; round < 50; round++) {
    await new Promise(setImmediate);
    for (const change of [...changed]) change();
  }
  waiting.ended('d01', 'c1', { reply: 'Lat:5', values: { lat: 5 } });
  expect(await answer).toMatchObject({ state: 'answered', reply: 'Lat:5', values: { lat: 5 } });
});
