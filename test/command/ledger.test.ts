import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Command, CommandRequest } from '../../src/command/command.ts';
import { Ledger } from '../../src/command/ledger.ts';
import { Shadow } from '../../src/command/shadow.ts';
import { silentLog } from '../../src/log.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';

/** Numbers quote the invariants of src/command/ledger.ts. */

let directory: string;
let store: LmdbStore;
let now = 0;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-ledger-'));
  store = new LmdbStore({ directory, log: silentLog });
  now = 1_000_000;
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

const open = (): Ledger => new Ledger(store, () => now, 3);

function request(more: Partial<CommandRequest> = {}): CommandRequest {
  const rest = { requester: 'me', reason: '', ref: '', not_before: 0, expires: now + 60_000, priority: 0, when: 'any' } as const;
  return { device: 'd01', type: 'version', parameters: {}, ...rest, ...more };
}

async function queued(ledger: Ledger, id = 'c1', more: Partial<CommandRequest> = {}): Promise<Command> {
  const command = await ledger.submit(request(more), id);
  if (command === undefined) throw new Error('not submitted');
  return command;
}

async function sent(ledger: Ledger, command: Command): Promise<Command> {
  const claimed = await ledger.sending(command);
  if (claimed === undefined) throw new Error('not claimed');
  return claimed;
}

describe('the ledger', () => {
  it('leads a command from the request to the reply, with every step and its time', async () => {
    const ledger = open();
    const command = await queued(ledger);
    now += 5;
    const claimed = await sent(ledger, command);
    now += 7;
    await ledger.answered(claimed, 'Ver:1', { firmware: '1' });
    const found = await open().get('d01', 'c1');
    expect(found).toMatchObject({ state: 'answered', ended: 1_000_012, attempts: 1, reply: 'Ver:1', values: { firmware: '1' } });
    expect(found?.history.map(({ state, time }) => [state, time])).toEqual([
      ['queued', 1_000_000],
      ['sent', 1_000_005],
      ['answered', 1_000_012],
    ]);
    expect([await ledger.open('d01'), (await ledger.finished('d01')).map(({ id }) => id)]).toEqual([[], ['c1']]);
  });

  it('takes an id once, whatever has become of the command', async () => {
    const ledger = open();
    const command = await queued(ledger);
    expect(await ledger.submit(request(), 'c1')).toBeUndefined();
    await ledger.cancelled(command, '');
    expect(await ledger.submit(request(), 'c1')).toBeUndefined();
  });

  it('1: of several who want to send it, one may', async () => {
    const ledger = open();
    const command = await queued(ledger);
    const claims = await Promise.all(Array.from({ length: 10 }, () => open().sending(command)));
    expect(claims.filter((claim) => claim !== undefined)).toHaveLength(1);
    expect((await ledger.get('d01', 'c1'))?.attempts).toBe(1);
  });

  it('1: one that has ended stays as it is', async () => {
    const ledger = open();
    const claimed = await sent(ledger, await queued(ledger));
    const end = await ledger.answered(claimed, 'ok', {});
    const late = [
      ledger.unanswered(claimed, '', true),
      ledger.failed(claimed, ''),
      ledger.expired(claimed),
      ledger.cancelled(claimed, ''),
      ledger.sending(claimed),
      ledger.answered(claimed, 'other', {}),
    ];
    expect(await Promise.all(late)).toEqual(late.map(() => undefined));
    expect(await ledger.get('d01', 'c1')).toEqual(end);
  });

  it('3: without a reply it is sent again, later each time, and fails at last', async () => {
    const ledger = open();
    let command = await queued(ledger);
    const pauses: number[] = [];
    for (let attempt = 1; attempt <= 2; attempt++) {
      const back = await ledger.unanswered(await sent(ledger, command), 'no reply', true);
      if (back === undefined) throw new Error('not back');
      expect(back.state).toBe('queued');
      pauses.push(back.next_attempt - now);
      command = back;
    }
    expect(pauses).toEqual([15_000, 30_000]);
    expect(await ledger.unanswered(await sent(ledger, command), 'no reply', true)).toMatchObject({
      state: 'failed',
      attempts: 3,
      ended: now,
    });
  });

  it('3: a reply that comes late counts while the command waits for its next attempt', async () => {
    const ledger = open();
    const claimed = await sent(ledger, await queued(ledger));
    await ledger.unanswered(claimed, 'no reply', true);
    expect(await ledger.answered(claimed, 'ok', {})).toMatchObject({ state: 'answered' });
  });

  it('what could not be put on the wire costs no attempt', async () => {
    const ledger = open();
    const claimed = await sent(ledger, await queued(ledger));
    expect(await ledger.unsent(claimed, '')).toMatchObject({ state: 'queued', attempts: 0 });
  });

  it('cancels and expires what waits, not what has been sent since', async () => {
    const ledger = open();
    const command = await queued(ledger);
    await sent(ledger, command);
    expect([await ledger.cancelled(command, ''), await ledger.expired(command)]).toEqual([undefined, undefined]);
    expect(await ledger.cancelled(await queued(ledger, 'c2'), 'by me')).toMatchObject({ state: 'cancelled' });
    expect(await ledger.expired(await queued(ledger, 'c3'))).toMatchObject({ state: 'expired' });
  });

  it('5: keeps the last hundred of those that ended', async () => {
    const ledger = open();
    for (let n = 100; n < 220; n++) await ledger.cancelled(await queued(ledger, `c${n}`), '');
    await ledger.cancelled(await queued(ledger, 'c001', { device: 'd02' }), '');
    const kept = await ledger.finished('d01');
    expect([kept.length, kept[0]?.id, kept.at(-1)?.id, (await ledger.finished('d02')).length]).toEqual([100, 'c120', 'c219', 1]);
  });
});

describe('the settings shadow', () => {
  const interval = (seconds: number) => ({ type: 'set_interval', parameters: { seconds } });

  it('goes from pending to reported with the reply, and out of pending without', async () => {
    const ledger = open();
    const shadow = new Shadow(store);
    const command = await queued(ledger, 'c1', interval(30));
    expect(await shadow.get('d01')).toEqual({ desired: { interval: 30 }, reported: {}, pending: { interval: 'c1' } });
    await ledger.answered(await sent(ledger, command), 'OK', {});
    expect(await shadow.get('d01')).toEqual({ desired: { interval: 30 }, reported: { interval: 30 }, pending: {} });
    await ledger.expired(await queued(ledger, 'c2', interval(60)));
    expect(await shadow.get('d01')).toEqual({ desired: { interval: 60 }, reported: { interval: 30 }, pending: {} });
  });

  it('the end of an earlier command does not touch a later one', async () => {
    const ledger = open();
    const first = await queued(ledger, 'c1', interval(30));
    await queued(ledger, 'c2', interval(60));
    await ledger.cancelled(first, '');
    expect(await new Shadow(store).get('d01')).toMatchObject({ desired: { interval: 60 }, pending: { interval: 'c2' } });
  });

  it('says what has drifted: the device tells another value, and nothing is on its way', async () => {
    const ledger = open();
    const shadow = new Shadow(store);
    expect(await shadow.told('d01', { interval: 10, firmware: '1' })).toEqual([]);
    const command = await queued(ledger, 'c1', interval(30));
    expect(await shadow.told('d01', { interval: 10 })).toEqual([]);
    await ledger.answered(await sent(ledger, command), 'OK', {});
    expect(await shadow.told('d01', { interval: 10 })).toEqual([{ name: 'interval', value: 10 }]);
    // Said once.
    expect(await shadow.told('d01', { interval: 10 })).toEqual([]);
  });
});
