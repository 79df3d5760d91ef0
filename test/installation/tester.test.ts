import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import type { Command } from '../../src/fleet/command/command.ts';
import type { Draft } from '../../src/fleet/command/intake.ts';
import { putTest, type TestRow, testsOf } from '../../src/fleet/installation/test-records.ts';
import { type HeardFrame, InstallationTester } from '../../src/fleet/installation/tester.ts';
import { Holds } from '../../src/fleet/privacy/hold.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import type { StateStore } from '../../src/state/store.ts';
import { interposed, times } from '../helpers/interposed-store.ts';
import { Stores } from '../registry/stores.ts';
import { eventually } from '../support/wait.ts';

/** Numbers quote the list of src/fleet/installation/tester.ts. */

const stores = new Stores();
const testers: InstallationTester[] = [];
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(async () => {
  for (const one of testers.splice(0)) await one.stop();
  await stores.clear();
});

const NOW = 1_796_083_200_000;

type Replies = 'answered' | 'sent' | 'queued';

/** A tester, and a device that answers commands; one of the relay, and others, as it is said. */
function rig(store: StateStore, replies: Replies = 'answered', relay: Replies = replies) {
  const time = { elapsed: 0 };
  const owner = { account: 'acme' };
  const drafts: Draft[] = [];
  const cancelled: string[] = [];
  const events: object[] = [];
  const counts: string[] = [];
  let heard: (frame: HeardFrame) => void = () => {};
  let isListening = false;
  const commandOf = (device: string, id: string): Command | undefined => {
    const draft = drafts[Number(id.slice(1))];
    if (draft === undefined) return undefined;
    const state = cancelled.includes(id) ? 'cancelled' : draft.type.startsWith('engine') ? relay : replies;
    const command: Pick<Command, 'id' | 'device' | 'type' | 'state' | 'reply' | 'values' | 'history'> = {
      id,
      device,
      type: draft.type,
      state,
      reply: 'yes',
      values: { firmware: '1.2' },
      history: [],
    };
    return Object.assign(Object.create(null), command);
  };
  const tester = new InstallationTester({
    store,
    instance: 'one',
    listen: (_device, told) => {
      heard = told;
      isListening = true;
      return () => {
        isListening = false;
      };
    },
    device: async (id) => deviceSchema.parse({ id, ...owner }),
    intervalOf: async () => 1,
    typesOf: async () => ['locate', 'engine_stop', 'engine_resume', 'version'],
    async submit(draft) {
      const id = `c${drafts.push(draft) - 1}`;
      const command = commandOf(draft.device, id);
      if (command === undefined) throw new Error('no command');
      return { command };
    },
    cancel: async (_device, id) => {
      if (relay === 'queued') cancelled.push(id);
    },
    command: async (device, id) => commandOf(device, id),
    record: (device, event) => events.push({ device, ...event }),
    count: (state) => counts.push(state),
    now: () => NOW + time.elapsed,
    elapsed: () => time.elapsed,
    log: silentLog,
    tickMs: 10,
  });
  testers.push(tester);
  tester.start();
  const reports = (from = 0): void => {
    for (let i = from; i < from + 6; i++) {
      const at = NOW + 1000 * i;
      const record = {
        kind: 'fix',
        valid: true,
        time: at,
        lat: 1,
        lon: 2,
        attrs: { ignition: i % 2 === 0, external_v: 12.5, gsm_level: 4 },
      };
      heard({ at, protocol: 'teltonika', transport: 'tcp', records: [record] });
    }
  };
  return { tester, time, owner, drafts, cancelled, events, counts, reports, isListening: () => isListening };
}

const types = (drafts: readonly Draft[]): string[] => drafts.map(({ type }) => type);

describe.each(['lmdb', 'redis'] as const)('installation tests, with the state in %s', (kind) => {
  it('1, 2: end when everything was seen, and are kept without a place', async () => {
    const store = await stores.open(kind);
    const { tester, drafts, events, counts, reports, isListening } = rig(store);
    const begun = await tester.begin('d-1', { profile: 'basic' }, 'workshop');
    if ('refused' in begun) throw new Error(begun.refused);
    expect(begun.test).toMatchObject({ device: 'd-1', by: 'workshop', state: 'running', seconds: 60, interval_s: 1, ended: 0 });
    expect(await tester.begin('d-1', { profile: 'basic' }, 'workshop')).toEqual({ refused: 'running' });
    reports();
    const ended = await eventually(async () => {
      const found = await tester.get('d-1', begun.test.id);
      expect(found?.state).toBe('passed');
      return found;
    });
    expect(ended?.items.every(({ state }) => state === 'passed')).toBe(true);
    expect(ended?.items.find(({ name }) => name === 'identity')?.measured).toBe('firmware 1.2');
    expect(drafts).toMatchObject([{ type: 'version', requester: 'workshop', ref: `test ${begun.test.id}`, expires: NOW + 60_000 }]);
    const told = { device: 'd-1', type: 'installation_tested', test: begun.test.id, profile: 'basic', state: 'passed', failed: [] };
    await eventually(() => expect(events).toEqual([{ ...told, by: 'workshop' }]));
    expect([counts, isListening()]).toEqual([['passed'], false]);
    expect(JSON.stringify(await store.list('tests', { limit: 9 }))).not.toContain('lat');
    expect(await tester.list('d-1')).toEqual([ended]);
  });

  it('1: end when their time is over, and name what was not seen', async () => {
    const store = await stores.open(kind);
    const { tester, time, events, reports } = rig(store, 'sent');
    const begun = await tester.begin('d-1', { profile: 'basic', seconds: 30 }, 'me');
    if ('refused' in begun) throw new Error(begun.refused);
    reports();
    await eventually(async () => {
      const items = (await tester.get('d-1', begun.test.id))?.items ?? [];
      expect(items.filter(({ state }) => state !== 'passed')).toEqual([{ name: 'command', state: 'waiting', measured: 'version sent' }]);
    });
    time.elapsed = 30_000;
    await eventually(() => expect(events).toMatchObject([{ state: 'failed', failed: ['command'] }]));
    // The last 20 are kept.
    for (let i = 0; i < 22; i++) {
      time.elapsed += 1;
      await tester.begin('d-1', { profile: 'asset', seconds: 5 }, 'me');
      time.elapsed += 5_000;
      await eventually(() => expect(events).toHaveLength(2 + i));
    }
    expect(await tester.list('d-1')).toHaveLength(20);
  });

  it('are all kept while the device is under a hold, also one that is set in that moment', async () => {
    const store = await stores.open(kind);
    const holds = new Holds({ store, now: () => NOW, device: async () => undefined });
    const hold = (): Promise<unknown> => holds.set('d-1', { reference: 'AZ 1', reason: 'court order' }, 'me');
    const row = (n: number): TestRow => ({
      ...{
        id: `t${n}`,
        device: 'd-1',
        by: 'me',
        profile: 'basic',
        seconds: 5,
        started: NOW + n,
        ended: NOW + n,
        state: 'passed',
        items: [],
      },
      ...{ server: 'one', relay: [] },
    });
    const ids = async (): Promise<string[]> => (await testsOf(store, 'd-1')).map(({ id }) => id);
    for (let n = 100; n < 121; n++) expect(await putTest(store, row(n))).toBe(true);
    expect([(await ids()).length, (await ids())[0]]).toEqual([20, 't101']);
    // Between the look at the hold and the write.
    expect(await putTest(interposed(store, { beforeWrite: times(1, 'tests', hold) }), row(121))).toBe(true);
    for (let n = 122; n < 170; n++) await putTest(store, row(n));
    expect([(await ids()).length, (await ids())[0], (await ids()).at(-1)]).toEqual([69, 't101', 't169']);
    await holds.end('d-1');
    await putTest(store, row(170));
    expect([(await ids()).length, (await ids())[0]]).toEqual([20, 't151']);
  });

  it('3: the relay is tested last, and a stop that may have left is followed by its resume', async () => {
    const store = await stores.open(kind);
    const { tester, drafts, events, reports } = rig(store);
    await tester.begin('d-1', { profile: 'immobiliser', consent: 'Jo' }, 'me');
    reports();
    await eventually(() => expect(events).toMatchObject([{ state: 'passed' }]));
    expect(types(drafts)).toEqual(['version', 'engine_stop', 'engine_resume']);
    expect(drafts[1]?.reason).toBe('installation test, Jo at the vehicle');
  });

  it.each([
    ['sent', ['version', 'engine_stop', 'engine_resume'], []],
    ['queued', ['version', 'engine_stop'], ['c1']],
  ] as const)('3: a stop that stays %s is followed by its resume or taken back', async (state, handed, takenBack) => {
    const store = await stores.open(kind);
    const { tester, time, drafts, cancelled, events, reports } = rig(store, 'answered', state);
    await tester.begin('d-1', { profile: 'immobiliser', consent: 'Jo', seconds: 10 }, 'me');
    reports();
    await eventually(() => expect(types(drafts)).toContain('engine_stop'));
    time.elapsed = 10_000;
    await eventually(() => expect(events).toMatchObject([{ state: 'failed', failed: ['relay'] }]));
    expect([types(drafts), cancelled]).toEqual([handed, takenBack]);
  });

  it('3: a server that ended between stop and resume hands the resume in at its next start', async () => {
    const store = await stores.open(kind);
    const row = {
      ...{ id: '1-00000000', device: 'd-1', by: 'me', profile: 'immobiliser', seconds: 60, started: NOW, ended: 0, state: 'running' },
      ...{ items: [], server: 'one', relay: ['c0'] },
    };
    await store.write([
      { table: 'tests', key: 'd-1 1-00000000', put: JSON.stringify(row) },
      { table: 'tests', key: 'd-2 1-00000000', put: JSON.stringify({ ...row, device: 'd-2', server: 'another' }) },
    ]);
    const { tester, drafts, events } = rig(store);
    await eventually(() => expect(events).toMatchObject([{ device: 'd-1', state: 'interrupted' }]));
    expect(drafts).toMatchObject([{ device: 'd-1', type: 'engine_resume', requester: 'me' }]);
    expect([(await tester.get('d-1', row.id))?.state, (await tester.get('d-2', row.id))?.state]).toEqual(['interrupted', 'running']);
    expect(await tester.begin('d-2', { profile: 'basic' }, 'me')).toEqual({ refused: 'running' });
  });

  it.each([
    ['sent', ['version', 'engine_stop', 'engine_resume']],
    ['queued', ['version', 'engine_stop']],
  ] as const)(
    '4: one of a device that is passed on is interrupted, and says nothing to who has it then: the stop is %s',
    async (state, handed) => {
      const store = await stores.open(kind);
      const { tester, time, owner, drafts, events, counts, reports, isListening } = rig(store, 'answered', state);
      const begun = await tester.begin('d-1', { profile: 'immobiliser', consent: 'Jo', seconds: 10 }, 'me');
      if ('refused' in begun) throw new Error(begun.refused);
      reports();
      await eventually(() => expect(types(drafts)).toContain('engine_stop'));
      owner.account = 'bolt';
      // Also when its time is over in the same moment.
      time.elapsed = 10_000;
      await eventually(() => expect(counts).toEqual(['interrupted']));
      expect([types(drafts), events, isListening()]).toEqual([handed, [], false]);
      const [, stop, resume] = drafts;
      expect(stop).toMatchObject({ requester: 'me', accounts: new Set(['acme']) });
      if (resume !== undefined) expect(resume).toMatchObject({ requester: 'installation', accounts: new Set(['bolt']) });
      expect(JSON.stringify(resume ?? {})).not.toContain('Jo');
      expect(await tester.get('d-1', begun.test.id)).toMatchObject({ by: 'me', consent: 'Jo', state: 'interrupted' });
    },
  );

  it('4: one of a server that ended, of a device that was passed on meanwhile', async () => {
    const store = await stores.open(kind);
    const row = {
      ...{ id: '1-00000000', device: 'd-1', by: 'me', profile: 'immobiliser', seconds: 60, started: NOW, ended: 0, state: 'running' },
      ...{ items: [], server: 'one', account: 'bolt', relay: ['c0'] },
    };
    await store.write([{ table: 'tests', key: 'd-1 1-00000000', put: JSON.stringify(row) }]);
    const { drafts, events, counts } = rig(store);
    await eventually(() => expect(counts).toEqual(['interrupted']));
    expect(drafts).toMatchObject([{ device: 'd-1', type: 'engine_resume', requester: 'installation', accounts: new Set(['acme']) }]);
    expect(events).toEqual([]);
  });
});
