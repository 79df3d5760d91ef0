import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import type { Command, CommandRequest } from '../../src/fleet/command/command.ts';
import { CRITICAL_TYPES, isCritical } from '../../src/fleet/command/critical.ts';
import { Ledger } from '../../src/fleet/command/ledger.ts';
import { Shadow } from '../../src/fleet/command/shadow.ts';
import { Holds } from '../../src/fleet/privacy/hold.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';
import { interposed } from '../helpers/interposed-store.ts';

/** Numbers quote the invariants of src/fleet/command/ledger.ts. */

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
  const rest = {
    requester: 'me',
    reason: '',
    ref: '',
    not_before: 0,
    expires: now + 60_000,
    priority: 0,
    when: 'any',
    switches: [],
  } as const;
  const { type = 'version' } = more;
  return { device: 'd01', type, critical: isCritical(type) ? type : '', parameters: {}, ...rest, ...more };
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

  it('6: keeps the last hundred of those that ended', async () => {
    const ledger = open();
    for (let n = 100; n < 220; n++) await ledger.cancelled(await queued(ledger, `c${n}`), '');
    await ledger.cancelled(await queued(ledger, 'c001', { device: 'd02' }), '');
    const kept = await ledger.finished('d01');
    expect([kept.length, kept[0]?.id, kept.at(-1)?.id, (await ledger.finished('d02')).length]).toEqual([100, 'c120', 'c219', 1]);
  });
});

describe('ended commands of a device under a hold', () => {
  const CASE = { reference: 'AZ 1', reason: 'court order' };
  const holds = (): Holds => new Holds({ store, now: () => now, device: async () => undefined });
  const endsOf = async (ledger: Ledger, from: number, to: number): Promise<void> => {
    for (let n = from; n < to; n++) await ledger.cancelled(await queued(ledger, `c${n}`), '');
  };
  const kept = async (ledger: Ledger): Promise<(string | number | undefined)[]> => {
    const all = await ledger.finished('d01');
    return [all.length, all[0]?.id, all.at(-1)?.id];
  };

  it('6: are all kept while it stands, and then go again', async () => {
    const ledger = open();
    await holds().set('d01', { ...CASE, until: now + 1_000 }, 'me');
    await endsOf(ledger, 100, 310);
    expect(await kept(ledger)).toEqual([210, 'c100', 'c309']);
    now += 1_000;
    await endsOf(ledger, 310, 312);
    expect(await kept(ledger)).toEqual([100, 'c212', 'c311']);
  });

  it('6: are kept where it is set while they are being counted, and where it cannot be read', async () => {
    const ledger = open();
    await endsOf(ledger, 100, 200);
    const set = (): Promise<unknown> => holds().set('d01', CASE, 'me');
    // The end of the command itself is the first write to the table.
    let writes = 0;
    const beforeWrite = (tables: readonly string[]): unknown => (tables.includes('finished') && ++writes === 2 ? set() : undefined);
    const late = new Ledger(interposed(store, { beforeWrite }), () => now, 3);
    await late.cancelled(await queued(ledger, 'c200'), '');
    expect([writes, await kept(ledger)]).toEqual([2, [101, 'c100', 'c200']]);
    await store.write([{ table: 'holds', key: 'd01', put: 'damaged' }]);
    await endsOf(ledger, 201, 202);
    expect(await kept(ledger)).toEqual([102, 'c100', 'c201']);
  });
});

describe('a critical command', () => {
  const stop = { type: 'engine_stop', switches: [{ output: 0, on: true, immobilises: true }] };
  const resume = { type: 'engine_resume', switches: [{ output: 0, on: false, immobilises: false }] };

  it.each(CRITICAL_TYPES)('4: %s is sent once, and unknown without a reply', async (type) => {
    const ledger = open();
    const claimed = await sent(ledger, await queued(ledger, 'c1', { type }));
    const lost = await ledger.unanswered(claimed, 'no reply', true);
    expect(lost).toMatchObject({ state: 'unknown', ended: 0, attempts: 1 });
    if (lost === undefined) throw new Error('gone');
    expect([await ledger.open('d01'), (await ledger.unknown('d01')).map(({ id }) => id)]).toEqual([[], ['c1']]);
    const again = [
      ledger.sending(lost),
      ledger.unsent(claimed, ''),
      ledger.cancelled(lost, ''),
      ledger.expired(lost),
      ledger.silent(claimed, ''),
    ];
    expect(await Promise.all(again)).toEqual(again.map(() => undefined));
    expect(await ledger.get('d01', 'c1')).toEqual(lost);
  });

  it('4: it ends by a late reply, or when a person says how it came out, once', async () => {
    const ledger = open();
    const lost = async (id: string): Promise<Command> => {
      const claimed = await ledger.sending(await queued(ledger, id, stop), 4711);
      const unknown = claimed === undefined ? undefined : await ledger.unanswered(claimed, 'no reply', true);
      if (unknown === undefined) throw new Error('not unknown');
      return unknown;
    };
    const [first, second, third] = [await lost('c1'), await lost('c2'), await lost('c3')];
    expect((await ledger.unknownBy('d01', 4711))?.id).toBe('c3');
    expect(await ledger.unknownBy('d01', 4712)).toBeUndefined();
    expect(await ledger.answered(first, 'DYD=Success!', {})).toMatchObject({ state: 'answered', reply: 'DYD=Success!' });
    expect(await ledger.failed(second, 'refused by the device', 'DYD=Fail!')).toMatchObject({ state: 'failed' });
    expect((await ledger.unknownOf('c3'))?.device).toBe('d01');
    expect(await ledger.settled(third, 'answered', 'by me: seen')).toMatchObject({ state: 'answered', ended: now });
    expect([await ledger.settled(third, 'failed', ''), await ledger.unknownOf('c3'), await ledger.unknown('d01')]).toEqual([
      undefined,
      undefined,
      [],
    ]);
    expect((await ledger.finished('d01')).map(({ id }) => id)).toEqual(['c1', 'c2', 'c3']);
    now += 86_400_000;
    await lost('c4');
    now += 50_000_000;
    // The same second of another day.
    expect(await ledger.unknownBy('d01', 4711)).toBeUndefined();
  });

  it('4: its mark waits for the disk, that of others does not', async () => {
    const written = vi.spyOn(store, 'write');
    const ledger = open();
    await sent(ledger, await queued(ledger, 'c1', stop));
    await sent(ledger, await queued(ledger, 'c2'));
    const waits = written.mock.calls.flatMap(([ops, until]) =>
      ops.flatMap((op) => ('put' in op && op.table === 'commands' && op.put.includes('"state":"sent"') ? [until] : [])),
    );
    expect(waits).toEqual([undefined, 'visible']);
  });

  it('4: one that was sent does not expire when its time is over, and what it has ended is found unknown', async () => {
    const ledger = open();
    const claimed = await sent(ledger, await queued(ledger, 'c1', stop));
    now += 600_000;
    expect(await ledger.expired(claimed)).toMatchObject({ state: 'unknown' });
    expect(await ledger.expired(await queued(ledger, 'c2', stop))).toMatchObject({ state: 'expired' });
  });

  it('7: cancels the opposite that has not left, and is there whatever has', async () => {
    const ledger = open();
    await queued(ledger, 'c1', stop);
    await sent(ledger, await queued(ledger, 'c2', stop));
    await queued(ledger, 'c3', { ...stop, switches: [{ output: 2, on: true, immobilises: true }] });
    expect(await queued(ledger, 'c4', resume)).toMatchObject({ state: 'queued', opposes: ['c1', 'c2'] });
    const states = await Promise.all(['c1', 'c2', 'c3', 'c4'].map(async (id) => (await ledger.get('d01', id))?.state));
    expect(states).toEqual(['cancelled', 'sent', 'queued', 'queued']);
    expect((await ledger.get('d01', 'c1'))?.history.at(-1)?.note).toBe('by engine_resume c4');
  });

  it('7: of several that are handed in at once, as many are there as were admitted', async () => {
    const admits = (open: readonly Command[]): boolean => open.length < 3;
    const all = await Promise.all(Array.from({ length: 10 }, (_, n) => open().submit(request(), `c${n}`, admits)));
    expect(all.filter((one) => one !== undefined)).toHaveLength(3);
    expect(await open().open('d01')).toHaveLength(3);
  });
});

describe('commands that an earlier version has written', () => {
  /** As the ledger wrote it before critical commands were sent once. */
  const text = (more: object): string =>
    JSON.stringify({
      device: 'd01',
      type: 'engine_stop',
      parameters: {},
      requester: 'me',
      reason: '',
      ref: '',
      not_before: 0,
      expires: 2_000_000,
      priority: 0,
      when: 'any',
      id: 'c1',
      created: 900_000,
      state: 'queued',
      ended: 0,
      attempts: 0,
      next_attempt: 0,
      history: [{ state: 'queued', time: 900_000, note: '' }],
      reply: '',
      values: {},
      ...more,
    });

  it('a queued stop waits for the vehicle, one that was sent before is not sent again', async () => {
    await store.write([
      { table: 'commands', key: 'd01 c1', put: text({}) },
      { table: 'commands', key: 'd01 c2', put: text({ id: 'c2', attempts: 1 }) },
      { table: 'commands', key: 'd01 c3', put: text({ id: 'c3', type: 'version' }) },
      { table: 'finished', key: 'd01 c0', put: text({ id: 'c0', state: 'answered', ended: 950_000, attempts: 1 }) },
    ]);
    const ledger = open();
    const [first, second, third] = await ledger.open('d01');
    if (first === undefined || second === undefined || third === undefined) throw new Error('not read');
    expect([first.when, third.when, (await ledger.finished('d01'))[0]?.when]).toEqual(['stopped', 'any', 'any']);
    expect(first).toMatchObject({ key: 0, opposes: [], switches: [{ output: 0, on: true, immobilises: true }] });
    expect(await ledger.sending(second)).toBeUndefined();
    expect(await ledger.unanswered(second, 'sent once by an earlier version', false)).toMatchObject({ state: 'unknown' });
    expect(await ledger.sending(third)).toMatchObject({ state: 'sent' });
    expect(await queued(ledger, 'c4', { type: 'engine_resume', switches: [{ output: 0, on: false, immobilises: false }] })).toMatchObject({
      opposes: ['c2', 'c1'],
    });
    expect(await ledger.get('d01', 'c1')).toMatchObject({ state: 'cancelled' });
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
