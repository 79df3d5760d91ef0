import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { silentLog } from '../../src/base/log.ts';
import { type Command, UNKNOWN } from '../../src/fleet/command/command.ts';
import { CommandIntake, type Draft, type Outcome } from '../../src/fleet/command/intake.ts';
import { Ledger } from '../../src/fleet/command/ledger.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { OWNERS } from '../../src/fleet/registry/owners.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';
import { eventually } from '../support/wait.ts';

/** Numbers quote the invariants of src/fleet/command/intake.ts. */

const NOW = 1_793_491_200_000;
const EXPIRY_MS = 3_600_000;
const YEAR_MS = 366 * 86_400_000;

let directory: string;
let store: LmdbStore;
let ledger: Ledger;
let intake: CommandIntake;
let now: number;
let counts: string[];
let events: { device: string; state: unknown }[];
let poked: string[];
let warned: (string | undefined)[];
const devices = new Map<string, Device>();
const included = new Map<string, readonly string[]>();
/** What others do while a command is handed in. */
let meanwhile: () => Promise<unknown>;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-intake-'));
  store = new LmdbStore({ directory, log: silentLog });
  now = NOW;
  ledger = new Ledger(store, () => now, 3);
  [counts, events, poked, warned] = [[], [], [], []];
  devices.clear();
  included.clear();
  meanwhile = async () => {};
  devices.set('d-1', deviceSchema.parse({ id: 'd-1', aliases: ['a-1'], protocol: 'gt06', transport: 'tcp' }));
  intake = new CommandIntake({
    ledger,
    store,
    device: async (id) => [...devices.values()].find((device) => device.id === id || device.aliases.includes(id)),
    codecs: new Map([gt06, teltonika].map((codec) => [codec.name, codec])),
    optionsOf: (codec) =>
      Object.fromEntries(Object.entries(codec.options).flatMap(([key, { fallback }]) => (fallback === undefined ? [] : [[key, fallback]]))),
    now: () => now,
    expiryMs: EXPIRY_MS,
    included: async (plan) => {
      await meanwhile();
      return included.get(plan);
    },
    log: { ...silentLog, warn: (_fields, message) => void warned.push(message) },
    poke: (device) => poked.push(device),
    record: (device, event) => events.push({ device, state: Reflect.get(event, 'state') }),
    count: (state) => counts.push(state),
  });
});
afterEach(async () => {
  await intake.stop();
  await store.close();
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

const draft = (more: Partial<Draft> = {}): Draft => ({ device: 'd-1', type: 'locate', parameters: {}, requester: 'me', ...more });
const stop = (more: Partial<Draft> = {}): Draft => draft({ type: 'engine_stop', ...more });

it('6: what the plan of the device does not include is refused, unless the plan asks for it', async () => {
  devices.set('d-2', deviceSchema.parse({ id: 'd-2', plan: 'basic', protocol: 'gt06', transport: 'tcp' }));
  included.set('basic', ['locate']);
  expect(await intake.submit(stop({ device: 'd-2' }))).toEqual({
    refused: 'forbidden',
    problems: [{ field: 'type', problem: 'the plan "basic" of the device does not include engine_stop; it includes locate' }],
  });
  await accepted(draft({ device: 'd-2' }));
  await accepted(stop());
  const slower = { device: 'd-2', type: 'set_interval', parameters: { seconds: 60 }, requester: 'plan' };
  expect(await intake.submit(slower)).toMatchObject({ refused: 'forbidden' });
  await accepted({ ...slower, byPlan: true });
  expect((await intake.catalog('d-2'))?.flatMap(({ commands }) => commands.map(({ type }) => type))).toEqual(['locate']);
});

it('8: what was decided for a device of one account does not get to that of another', async () => {
  const [was, is] = ['acme', 'bolt'].map((account) => deviceSchema.parse({ id: 'd-1', account, protocol: 'gt06', transport: 'tcp' }));
  if (was === undefined || is === undefined) return;
  const acme = { account: 'acme', from: 1 };
  devices.set('d-1', was);
  await store.write([OWNERS.put([acme], 'd-1')]);
  const accounts = new Set(['acme']);
  await accepted(draft({ accounts }));
  meanwhile = async () => {
    devices.set('d-1', is);
    await store.write([
      OWNERS.put(
        [
          { ...acme, to: 2 },
          { account: 'bolt', from: 2 },
        ],
        'd-1',
      ),
    ]);
  };
  const open = (await ledger.open('d-1')).length;
  expect(await intake.submit(stop({ accounts }))).toMatchObject({ refused: 'unknown_device' });
  expect((await ledger.open('d-1')).length).toBe(open);
  // Who may command all devices commands it as what it is now.
  meanwhile = async () => {
    meanwhile = async () => {};
    devices.set('d-1', { ...is, plan: 'basic' });
    included.set('basic', ['locate']);
    await store.write([OWNERS.put([acme], 'd-1')]);
  };
  expect(await intake.submit(stop())).toMatchObject({ refused: 'forbidden' });
});

async function accepted(given: Draft): Promise<Command> {
  const outcome = await intake.submit(given);
  if (!('command' in outcome)) throw new Error(JSON.stringify(outcome));
  return outcome.command;
}

/** `refused` and the fields that are wrong; or `accepted`. */
function said(outcome: Outcome): string {
  return 'command' in outcome ? 'accepted' : [outcome.refused, ...outcome.problems.map(({ field }) => field)].join(' ');
}

describe('a command that is handed in', () => {
  it.each<[what: string, given: Draft, outcome: string]>([
    ['the lowest priority', draft({ priority: -9 }), 'accepted'],
    ['the highest priority', draft({ priority: 9 }), 'accepted'],
    ['a priority below', draft({ priority: -10 }), 'invalid priority'],
    ['a priority above', draft({ priority: 10 }), 'invalid priority'],
    ['half a priority', draft({ priority: 0.5 }), 'invalid priority'],
    ['no number as priority', draft({ priority: Number.NaN }), 'invalid priority'],
    ['an end that is now', draft({ expires: NOW }), 'invalid expires'],
    ['an end in a millisecond', draft({ expires: NOW + 1 }), 'accepted'],
    ['an end in 366 days', draft({ expires: NOW + YEAR_MS }), 'accepted'],
    ['a later end', draft({ expires: NOW + YEAR_MS + 1 }), 'invalid expires'],
    ['no number as end', draft({ expires: Number.NaN }), 'invalid expires not_before'],
    ['a beginning just before the end', draft({ expires: NOW + 10, not_before: NOW + 9 }), 'accepted'],
    ['a beginning at the end', draft({ expires: NOW + 10, not_before: NOW + 10 }), 'invalid not_before'],
    ['a negative beginning', draft({ not_before: -1 }), 'invalid not_before'],
    ['while moving', draft({ when: 'moving' }), 'accepted'],
    ['while flying', draft({ when: 'flying' }), 'invalid when'],
    ['a reason of 200 characters', draft({ reason: 'x'.repeat(200) }), 'accepted'],
    ['a reason of 201', draft({ reason: 'x'.repeat(201) }), 'invalid reason'],
    ['a reference of 200', draft({ ref: 'x'.repeat(200) }), 'accepted'],
    ['a reference of 201', draft({ ref: 'x'.repeat(201) }), 'invalid ref'],
    ['a type that the codec has not', draft({ type: 'fly' }), 'invalid type'],
    ['a parameter that the type has not', draft({ parameters: { height: 3 } }), 'invalid parameters.height'],
    ['2: a separator in a text', draft({ type: 'set_server', parameters: { host: 'a;b', port: 5000 } }), 'invalid parameters.host'],
    ['2: the end mark in a text', draft({ type: 'set_server', parameters: { host: 'a#', port: 5000 } }), 'invalid parameters.host'],
    ['2: a line break in custom', draft({ type: 'custom', parameters: { text: 'a\nb' } }), 'invalid parameters.text'],
    ['a device that never connected', draft({ device: 'd-2' }), 'unknown_device device'],
    ['the same with a protocol', draft({ device: 'd-2', protocol: 'gt06' }), 'accepted'],
    ['a protocol that there is not', draft({ device: 'd-2', protocol: 'morse' }), 'invalid protocol'],
    ['5: a stop', stop(), 'accepted'],
    ['5: a stop while moving', stop({ when: 'moving' }), 'invalid when'],
    ['5: a stop at any speed without a reason', stop({ when: 'any' }), 'invalid reason'],
    ['5: with an empty reason', stop({ when: 'any', reason: '  ' }), 'invalid reason'],
    ['5: with a reason', stop({ when: 'any', reason: 'stolen' }), 'accepted'],
    ['several mistakes', draft({ priority: 10, when: 'flying', ref: 'x'.repeat(201) }), 'invalid priority when ref'],
  ])('%s', async (_what, given, outcome) => {
    expect(said(await intake.submit(given))).toBe(outcome);
    const open = await ledger.open(given.device);
    expect([open.length, poked.length, events.length, counts.length]).toEqual(Array(4).fill(outcome === 'accepted' ? 1 : 0));
  });

  it.each<[what: string, given: Draft, expires: number, when: string]>([
    ['ends after the configured time', draft(), NOW + EXPIRY_MS, 'any'],
    ['ends so long after now, though it begins later', draft({ not_before: NOW + 1000 }), NOW + EXPIRY_MS, 'any'],
    ['5: a stop ends after ten minutes, and waits until the vehicle stands', stop(), NOW + 600_000, 'stopped'],
    ['5: a stop ends ten minutes after its beginning', stop({ not_before: NOW + 5000 }), NOW + 605_000, 'stopped'],
    ['5: a stop ends when it says', stop({ expires: NOW + 700_000 }), NOW + 700_000, 'stopped'],
  ])('%s', async (_what, given, expires, when) => {
    expect(await accepted(given)).toMatchObject({ expires, when, state: 'queued', attempts: 0, created: NOW });
  });

  it('stands under the own id of a device that was called by an alias', async () => {
    expect((await accepted(draft({ device: 'a-1' }))).device).toBe('d-1');
    expect([events[0]?.device, poked]).toEqual(['d-1', ['d-1']]);
  });

  it('3: like one that is open is refused, with the other one named, unless `again` is given or it has ended', async () => {
    const first = await accepted(draft());
    expect(await intake.submit(draft())).toMatchObject({ refused: 'conflict', other: first.id });
    expect(said(await intake.submit(draft({ again: true })))).toBe('accepted');
    expect(said(await intake.submit(draft({ type: 'set_interval', parameters: { seconds: 30 } })))).toBe('accepted');
    expect(said(await intake.submit(draft({ type: 'set_interval', parameters: { seconds: '30' } })))).toBe('conflict type');
    expect(said(await intake.submit(draft({ type: 'set_interval', parameters: { seconds: 60 } })))).toBe('accepted');
    for (const { id } of await ledger.open('d-1')) await intake.cancel('d-1', id, 'me');
    expect(said(await intake.submit(draft()))).toBe('accepted');
  });

  it('3: twice at once is one command', async () => {
    const outcomes = await Promise.all([intake.submit(draft()), intake.submit(draft())]);
    expect(outcomes.map(said).toSorted()).toEqual(['accepted', 'conflict type']);
  });

  it('under an id that was used is the command of that id, and no second one', async () => {
    const first = await accepted(draft({ id: 's1-0' }));
    expect(await accepted(draft({ id: 's1-0', again: true }))).toEqual(first);
    expect([(await ledger.open('d-1')).length, counts]).toEqual([1, ['queued']]);
  });

  it('under an id that was used, of which nothing is kept any more, is refused', async () => {
    const first = await accepted(draft({ id: 'mine' }));
    const enter = ledger.submit.bind(ledger);
    vi.spyOn(ledger, 'submit').mockImplementationOnce(async (...given) => {
      const entered = await enter(...given);
      await store.write([{ table: 'commands', key: `d-1 ${first.id}`, remove: true }]);
      return entered;
    });
    expect(await intake.submit(draft({ id: 'mine', again: true }))).toEqual({
      refused: 'conflict',
      problems: [{ field: 'id', problem: 'has been used' }],
    });
  });

  it('is refused when a device has 100 open ones', async () => {
    for (let n = 0; n < 100; n++) await accepted(draft({ again: true }));
    expect(said(await intake.submit(draft({ again: true })))).toBe('full device');
    expect(said(await intake.submit(draft({ again: true, device: 'd-2', protocol: 'gt06' })))).toBe('accepted');
    const [first] = await ledger.open('d-1');
    await intake.cancel('d-1', first?.id ?? '', 'me');
    expect(said(await intake.submit(draft({ again: true })))).toBe('accepted');
  });
});

it('5: a critical one is refused while the device has 100 of unknown outcome', async () => {
  const { id, ...one } = await accepted(stop());
  await intake.cancel('d-1', id, 'me');
  const unknown = (n: number) => UNKNOWN.put({ ...one, id: `u-${n}`, state: 'unknown' }, 'd-1', `u-${n}`);
  await store.write(Array.from({ length: 99 }, (_, n) => unknown(n)));
  expect(said(await intake.submit(stop()))).toBe('accepted');
  await store.write([unknown(99)]);
  expect(said(await intake.submit(stop({ again: true })))).toBe('full device');
  expect(said(await intake.submit(draft()))).toBe('accepted');
});

it('a type that the codec has not is refused with those that it has', async () => {
  const outcome = await intake.submit(draft({ type: 'fly' }));
  const types = gt06.commands.map(({ type }) => type).join(', ');
  expect(outcome).toMatchObject({ problems: [{ field: 'type', problem: `gt06 has no command "fly"; it has ${types}` }] });
});

it('the list of commands is that of a device, of a codec, or of all codecs', async () => {
  const listed = async (...of: Parameters<CommandIntake['catalog']>) =>
    (await intake.catalog(...of))?.map(({ protocol, commands }) => [protocol, commands.map(({ type }) => type).sort()]);
  const all = [gt06, teltonika].map((codec) => [codec.name, codec.commands.map(({ type }) => type).sort()]);
  expect([await listed(undefined), await listed(undefined, 'teltonika'), await listed(undefined, 'morse')]).toEqual([
    all,
    [all[1]],
    undefined,
  ]);
  expect([await listed('d-9'), (await listed('d-1'))?.[0]?.[0]]).toEqual([undefined, 'gt06']);
  expect(Object(await listed('d-1'))[0][1]).toContain('locate');
  included.set('default', ['reboot', 'locate']);
  expect(await listed('d-1')).toEqual([['gt06', ['locate', 'reboot']]]);
});

describe('a command that waits', () => {
  it('is cancelled once; what has ended comes back as it is, what is not there as undefined', async () => {
    const { id } = await accepted(draft());
    expect(await intake.cancel('d-1', id, 'him')).toMatchObject({ state: 'cancelled' });
    expect(await intake.cancel('d-1', id, 'her')).toMatchObject({ state: 'cancelled', history: [{}, { note: 'by him' }] });
    expect(await intake.cancel('d-1', 'nosuch', 'him')).toBeUndefined();
    expect([counts, events.map(({ state }) => state)]).toEqual([
      ['queued', 'cancelled'],
      ['queued', 'cancelled'],
    ]);
  });

  it('is not cancelled when it is on its way', async () => {
    const command = await accepted(draft());
    await ledger.sending(command);
    expect(await intake.cancel('d-1', command.id, 'me')).toMatchObject({ state: 'sent' });
    expect(counts).toEqual(['queued']);
  });

  it('4: ends at its time and not before, also one that was handed in by another process or before the start', async () => {
    const early = await accepted(draft({ expires: NOW + 1000 }));
    const late = await accepted(draft({ expires: NOW + 1001, again: true }));
    intake.start();
    const other = await new Ledger(store, () => now, 3).submit({ ...late, expires: NOW + 1000 }, 'other');
    now = NOW + 1000;
    const states = async (): Promise<(string | undefined)[]> =>
      Promise.all([early, late, other].map(async (command) => (await ledger.get('d-1', command?.id ?? ''))?.state));
    await eventually(async () => expect(await states()).toEqual(['expired', 'queued', 'expired']));
    now = NOW + 1001;
    await eventually(async () => expect(await states()).toEqual(['expired', 'expired', 'expired']));
    expect(counts.filter((state) => state === 'expired')).toHaveLength(3);
  });

  it('4: that another process has ended in the same moment is left as it is, and holds no other up', async () => {
    const first = await accepted(draft({ expires: NOW + 1000 }));
    const second = await accepted(draft({ expires: NOW + 1000, again: true }));
    const get = ledger.get.bind(ledger);
    vi.spyOn(ledger, 'get').mockImplementationOnce(async (device, id) => {
      const found = await get(device, id);
      await ledger.cancelled(found ?? first, 'by another');
      return found;
    });
    intake.start();
    now = NOW + 1000;
    await eventually(async () =>
      expect((await Promise.all([first, second].map(({ id }) => get('d-1', id)))).map((one) => one?.state).toSorted()).toEqual([
        'cancelled',
        'expired',
      ]),
    );
    await intake.stop();
    expect(warned).toEqual([]);
  });

  it('4: that is marked as sent when its time is over, but no one was told of it yet, has that minute too', async () => {
    const command = await accepted(draft({ expires: NOW + 1000 }));
    const get = ledger.get.bind(ledger);
    const looked = vi.spyOn(ledger, 'get').mockImplementationOnce(async (device, id) => {
      await ledger.sending(command);
      return get(device, id);
    });
    intake.start();
    now = NOW + 1000;
    await eventually(() => expect(looked.mock.calls.length).toBeGreaterThan(1));
    expect((await get('d-1', command.id))?.state).toBe('sent');
    await intake.stop();
    expect(counts).toEqual(['queued']);
  });

  it('4: that was sent has a minute more for its reply; a critical one is unknown then, until a person says how it came out', async () => {
    const plain = await accepted(draft({ expires: NOW + 1000 }));
    const critical = await accepted(stop({ expires: NOW + 1000 }));
    const marker = await accepted(draft({ expires: NOW + 60_999, again: true }));
    for (const command of [plain, critical]) await ledger.sending(command);
    intake.start();
    const states = async (): Promise<(string | undefined)[]> =>
      Promise.all([plain, critical, marker].map(async ({ id }) => (await ledger.get('d-1', id))?.state));
    now = NOW + 60_999;
    await eventually(async () => expect(await states()).toEqual(['sent', 'sent', 'expired']));
    now = NOW + 61_000;
    await eventually(async () => expect(await states()).toEqual(['expired', 'unknown', 'expired']));
    expect(await intake.settle(plain.id, 'done', 'me', 'looked')).toBeUndefined();
    expect(await intake.settle(critical.id, 'failed', 'me', 'looked')).toMatchObject({ state: 'failed', ended: now });
    expect(await intake.settle(critical.id, 'done', 'me', 'looked')).toBeUndefined();
    // Both end in one sweep, in the order of their random ids.
    expect([...counts.slice(0, 4), ...counts.slice(4, 6).toSorted(), ...counts.slice(6)]).toEqual([
      ...['queued', 'queued', 'queued', 'expired'],
      ...['expired', 'unknown', 'failed'],
    ]);
  });
});
