import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { CAMPAIGNS, type CampaignWanted, nextOf, TARGETS, type Target, targetStateOf } from '../../src/fleet/command/campaign.ts';
import { Campaigner } from '../../src/fleet/command/campaigner.ts';
import type { Command } from '../../src/fleet/command/command.ts';
import type { Draft } from '../../src/fleet/command/intake.ts';
import type { StateStore } from '../../src/state/store.ts';
import { Api, fieldsOf } from '../api/rig.ts';
import { fixgate } from '../cli/command.ts';
import { Stores } from '../registry/stores.ts';
import { eventually, remains } from '../support/wait.ts';

/** Numbers quote the list of src/fleet/command/campaigner.ts. */

const stores = new Stores();
const campaigners: Campaigner[] = [];
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(async () => {
  for (const one of campaigners.splice(0)) await one.stop();
  await stores.clear();
});

const NOW = 1_796_083_200_000;
const WANTED: CampaignWanted = {
  ...{ type: 'version', parameters: {}, reason: 'new', selection: { plan: 'gold' } },
  ...{ rate: 6_000, canary_pct: 20, expires_s: 600 },
};
const IDS = Array.from({ length: 10 }, (_, i) => `d-${i}`);

/** The ledger, the devices and the clock that campaigners of several servers share. */
function world() {
  const commands = new Map<string, { draft: Draft; state: Command['state'] }>();
  return {
    now: NOW,
    commands,
    reply: 'answered' as Command['state'],
    events: [] as object[],
    counts: [] as string[],
    fails: '',
    onLook: [] as (() => unknown)[],
  };
}

function server(store: StateStore, shared: ReturnType<typeof world>, instance = 'one'): Campaigner {
  const commandOf = (id: string): Command | undefined => {
    const known = shared.commands.get(id);
    if (known === undefined) return undefined;
    return Object.assign(Object.create(null), { id, device: known.draft.device, state: known.state, ended: 0, history: [] });
  };
  const made = new Campaigner({
    store,
    instance,
    select: async function* () {
      yield* IDS;
    },
    async submit(draft) {
      const problem = draft.permits?.(draft.type === 'custom' ? 'custom' : 'engine_stop');
      if (draft.type !== 'version' && problem !== undefined) return { refused: 'forbidden', problems: [problem] };
      const id = String(draft.id);
      if (!shared.commands.has(id)) shared.commands.set(id, { draft, state: draft.device === shared.fails ? 'failed' : shared.reply });
      const command = commandOf(id);
      if (command === undefined) throw new Error('no command');
      return { command };
    },
    async cancel(_device, id) {
      const known = shared.commands.get(id);
      if (known !== undefined) known.state = 'cancelled';
    },
    async command(_device, id) {
      const found = commandOf(id);
      await shared.onLook.shift()?.();
      return found;
    },
    record: (device, event) => shared.events.push({ device, ...event }),
    count: (state) => shared.counts.push(state),
    now: () => shared.now,
    log: silentLog,
    tickMs: 5,
  });
  campaigners.push(made);
  made.start();
  return made;
}

const sentTo = ({ commands }: ReturnType<typeof world>): string[] => [...commands.values()].map(({ draft }) => draft.device);
const begin = async (campaigner: Campaigner, wanted: Partial<CampaignWanted> = {}, permits: string[] = []): Promise<string> => {
  const campaign = await campaigner.begin({ ...WANTED, ...wanted }, 'me', permits);
  if (campaign === undefined) throw new Error('no device');
  return campaign.id;
};

describe.each(['lmdb', 'redis'] as const)('campaigns, with the state in %s', (kind) => {
  it('reach each device once, the canary share first, and the others when it has succeeded', async () => {
    const [store, shared] = [await stores.open(kind), world()];
    shared.reply = 'queued';
    const campaigner = server(store, shared);
    const id = await begin(campaigner);
    await eventually(() => expect(sentTo(shared)).toEqual(['d-0']));
    shared.now += 5_000;
    await eventually(() => expect(sentTo(shared)).toEqual(['d-0', 'd-1']));
    await remains(() => expect(sentTo(shared)).toHaveLength(2), 50);
    expect(await campaigner.get(id)).toMatchObject({ state: 'running', devices: 10, canaries: 2 });
    for (const one of shared.commands.values()) one.state = 'answered';
    shared.reply = 'answered';
    await eventually(async () => {
      shared.now += 1_000;
      expect(await campaigner.get(id)).toMatchObject({ state: 'done', ended: expect.any(Number), counts: { succeeded: 10, open: 0 } });
    });
    expect(sentTo(shared).sort()).toEqual(IDS);
    expect([...shared.commands.values()][0]?.draft).toMatchObject({ requester: 'me', ref: `campaign ${id}`, expires: NOW + 600_000 });
    await eventually(() =>
      expect(shared.events).toMatchObject([
        { device: '', type: 'campaign_started', campaign: id, devices: 10 },
        { device: '', type: 'campaign_ended', campaign: id, state: 'done', succeeded: 10, failed: 0 },
      ]),
    );
    expect(shared.counts).toEqual(['done']);
  });

  it('stop when a canary fails', async () => {
    const [store, shared] = [await stores.open(kind), world()];
    shared.fails = 'd-1';
    const campaigner = server(store, shared);
    const id = await begin(campaigner);
    await eventually(async () => {
      shared.now += 1_000;
      expect(await campaigner.get(id)).toMatchObject({ state: 'stopped', note: 'canary d-1: failed', counts: { waiting: 8, failed: 1 } });
      expect((await campaigner.get(id))?.ended).toBeGreaterThan(0);
    });
    expect(sentTo(shared)).toEqual(['d-0', 'd-1']);
    expect(await campaigner.change(id, 'resume', 'me')).toMatchObject({ state: 'stopped' });
  });

  it('keep their rate, wait while they are paused, and take back what is queued when they are cancelled', async () => {
    const [store, shared] = [await stores.open(kind), world()];
    shared.reply = 'queued';
    const campaigner = server(store, shared);
    const id = await begin(campaigner, { canary_pct: 0, rate: 60 });
    await eventually(() => expect(sentTo(shared)).toEqual(['d-0']));
    await remains(() => expect(sentTo(shared)).toHaveLength(1), 50);
    shared.now += 2_000;
    await eventually(() => expect(sentTo(shared)).toHaveLength(3));
    expect(await campaigner.change(id, 'pause', 'me')).toMatchObject({ state: 'paused', note: 'pause by me' });
    // No more at once than of five seconds.
    shared.now += 20_000;
    await remains(() => expect(sentTo(shared)).toHaveLength(3), 50);
    await campaigner.change(id, 'resume', 'me');
    await eventually(() => expect(sentTo(shared)).toHaveLength(8));
    await remains(() => expect(sentTo(shared)).toHaveLength(8), 50);
    await campaigner.change(id, 'cancel', 'me');
    await eventually(async () => expect(await campaigner.get(id)).toMatchObject({ state: 'cancelled', counts: { cancelled: 10 } }));
    await eventually(async () => expect((await campaigner.get(id))?.ended).toBeGreaterThan(0));
    expect([...shared.commands.values()].every(({ state }) => state === 'cancelled')).toBe(true);
    expect(await campaigner.change('1-00000000', 'pause', 'me')).toBeUndefined();
  });

  it('stay cancelled when a canary fails in that moment, and send nothing more', async () => {
    const [store, shared] = [await stores.open(kind), world()];
    shared.fails = 'd-0';
    const campaigner = server(store, shared);
    const ids: string[] = [];
    shared.onLook.push(() => eventually(() => campaigner.change(ids[0] ?? '', 'cancel', 'me')));
    const id = await begin(campaigner, { canary_pct: 10 });
    ids.push(id);
    await eventually(async () => expect((await campaigner.get(id))?.ended).toBeGreaterThan(0));
    expect(await campaigner.get(id)).toMatchObject({ state: 'cancelled', note: 'cancel by me', counts: { failed: 1, cancelled: 9 } });
    expect(sentTo(shared)).toEqual(['d-0']);
  });

  it('1, 2: are left alone by a server that was slow, and that another has followed meanwhile', async () => {
    const [store, shared] = [await stores.open(kind), world()];
    const [slow, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    shared.onLook.push(() => {
      slow.resolve();
      return release.promise;
    });
    const first = server(store, shared);
    const id = await begin(first, { canary_pct: 0, rate: 60 });
    await slow.promise;
    expect(sentTo(shared)).toEqual(['d-0']);
    // Its lease runs out in this moment.
    shared.now += 30_000;
    const second = server(await stores.open(kind), shared, 'two');
    await eventually(() => expect(sentTo(shared)).toHaveLength(2));
    await second.stop();
    shared.now += 31_000;
    release.resolve();
    await eventually(async () => {
      shared.now += 1_000;
      expect(await first.get(id)).toMatchObject({ state: 'done', counts: { succeeded: 10 } });
    });
    expect(sentTo(shared).sort()).toEqual(IDS);
  });

  it('1, 2: go on after the end of a server, at another one on the same store, and reach no device twice', async () => {
    const [store, shared] = [await stores.open(kind), world()];
    const first = server(store, shared);
    const id = await begin(first, { canary_pct: 0, rate: 60 });
    await eventually(() => expect(sentTo(shared)).toHaveLength(1));
    await first.stop();
    // It had stored the id of the next command, handed the command in, and was killed before it noted that.
    const command = '0000000000000000';
    shared.commands.set(command, { draft: { device: 'd-1', type: 'version', parameters: {}, requester: 'me' }, state: 'answered' });
    await store.write([TARGETS.put({ device: 'd-1', canary: false, state: 'waiting', command, command_state: '', note: '' }, id, 'd-1')]);
    const second = server(await stores.open(kind), shared, 'two');
    await remains(() => expect(sentTo(shared)).toHaveLength(2), 50);
    await eventually(async () => {
      shared.now += 5_000;
      expect(await second.get(id)).toMatchObject({ state: 'done', counts: { succeeded: 10 } });
    });
    expect(sentTo(shared).sort()).toEqual(IDS);
    expect((await CAMPAIGNS.get(store, id))?.lease.by).toBe('two');
  });

  it('3: send no command that may keep a vehicle from driving, and critical ones as the token may', async () => {
    const [store, shared] = [await stores.open(kind), world()];
    const campaigner = server(store, shared);
    const stop = await begin(campaigner, { type: 'engine_stop', canary_pct: 0 }, ['engine_stop', 'custom']);
    const custom = await begin(campaigner, { type: 'custom', canary_pct: 0 });
    await eventually(async () => {
      shared.now += 1_000;
      for (const id of [stop, custom]) expect(await campaigner.get(id)).toMatchObject({ state: 'done', counts: { failed: 10 } });
    });
    expect(sentTo(shared)).toEqual([]);
    const allowed = await begin(campaigner, { type: 'custom', canary_pct: 0 }, ['custom']);
    await eventually(async () => {
      shared.now += 1_000;
      expect(await campaigner.get(allowed)).toMatchObject({ state: 'done', counts: { succeeded: 10 } });
    });
  });
});

describe('what comes next', () => {
  const target = (device: string, canary: boolean, state: Target['state']): Target => ({
    device,
    canary,
    state,
    command: '',
    command_state: '',
    note: '',
  });

  it.each([
    ['the canaries', [target('a', true, 'waiting'), target('b', false, 'waiting')], ['a'], undefined, false],
    ['nothing while one is open', [target('a', true, 'open'), target('b', false, 'waiting')], [], undefined, false],
    ['the others', [target('a', true, 'succeeded'), target('b', false, 'waiting'), target('c', false, 'waiting')], ['b'], undefined, false],
    ['nothing when one has failed', [target('a', true, 'failed'), target('b', false, 'waiting')], [], 'a', false],
    ['the end', [target('a', true, 'succeeded'), target('b', false, 'failed')], [], undefined, true],
  ] as const)('is %s', (_what, targets, send, failed, isDone) => {
    const next = nextOf(targets, 1);
    expect([next.send.map(({ device }) => device), next.failed?.device, next.isDone]).toEqual([send, failed, isDone]);
  });

  it('follows from the state of the command', () => {
    const all = ['queued', 'sent', 'answered', 'failed', 'expired', 'cancelled', 'unknown'].map((state) =>
      targetStateOf({ state, ended: 0 }),
    );
    expect(all).toEqual(['open', 'open', 'succeeded', 'failed', 'failed', 'cancelled', 'failed']);
    expect([targetStateOf({ state: 'sent', ended: 5 }), targetStateOf(undefined)]).toEqual(['succeeded', 'failed']);
  });
});

describe('campaigns over HTTP and on the command line', () => {
  it('select by protocol, account, label, plan and id, and show the result of each device', async () => {
    const api = await Api.start();
    try {
      const authorization = await api.token(['admin']);
      const env = { FIXGATE_URL: api.url, FIXGATE_TOKEN: authorization };
      await api.call('POST', '/v1/accounts', { id: 'acme', labels: { region: 'north' } });
      await api.call('PUT', '/v1/plans/gold', {});
      await api.call('POST', '/v1/devices', { id: 'd-01', protocol: 'teltonika', account: 'acme', plan: 'gold', aliases: ['a-01'] });
      await api.call('POST', '/v1/devices', { id: 'd-02', protocol: 'gt06', plan: 'gold', model: 'GT06N', labels: { depot: 'west' } });
      for (const [selection, devices] of [
        [{ protocol: 'gt06' }, ['d-02']],
        [{ account: 'acme' }, ['d-01']],
        [{ label: 'region=north' }, ['d-01']],
        [{ label: 'depot=west' }, ['d-02']],
        [{ model: 'GT06N' }, ['d-02']],
        [{ plan: 'gold' }, ['d-01', 'd-02']],
        [{ plan: 'gold', devices: ['a-01', 'd-09'] }, ['d-01']],
      ] as const) {
        const begun = await api.call('POST', '/v1/campaigns', { type: 'version', reason: 'new', selection });
        expect([begun.status, begun.body['devices']]).toEqual([201, devices.length]);
        const shown = await fixgate(['campaigns', 'devices', String(begun.body['id']), '--json'], '', env);
        expect(shown.lines.map((line) => JSON.parse(line).device)).toEqual(devices);
      }
      for (const selection of [{ model: 'none' }, { label: 'region=south' }])
        expect(fieldsOf(await api.call('POST', '/v1/campaigns', { type: 'version', reason: 'new', selection }))).toEqual(['selection']);
      expect((await api.call('POST', '/v1/campaigns', { type: 'version', reason: 'new', selection: {} })).status).toBe(400);
      const started = await fixgate(
        ['campaigns', 'start', 'reboot', '--reason', 'x', '--plan', 'gold', '--canary', '0', '--json'],
        '',
        env,
      );
      const { id } = JSON.parse(started.out);
      await eventually(async () => {
        const { open } = (await api.call('GET', '/v1/devices/d-02/commands')).body;
        expect(open).toContainEqual(expect.objectContaining({ ref: `campaign ${id}`, type: 'reboot' }));
      });
      expect((await fixgate(['campaigns', 'cancel', id], '', env)).code).toBe(0);
      await eventually(async () => expect((await fixgate(['campaigns', 'show', id], '', env)).out).toMatch(/state +cancelled/));
      expect((await fixgate(['campaigns', 'list'], '', env)).lines).toHaveLength(9);
    } finally {
      await api.stop();
    }
  });
});
