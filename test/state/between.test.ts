import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import teltonika from '../../codecs/teltonika/index.ts';
import { silentLog } from '../../src/base/log.ts';
import type { Command, CommandRequest } from '../../src/fleet/command/command.ts';
import { Delivery } from '../../src/fleet/command/delivery.ts';
import type { DeliveryPort } from '../../src/fleet/command/delivery-line.ts';
import { Ledger } from '../../src/fleet/command/ledger.ts';
import { Shadow } from '../../src/fleet/command/shadow.ts';
import { PlanCache } from '../../src/fleet/plan/plan-cache.ts';
import { POLICIES, type Policy } from '../../src/fleet/plan/steps.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceRecords } from '../../src/fleet/registry/device-records.ts';
import { QuarantineList } from '../../src/fleet/registry/quarantine-list.ts';
import { QUARANTINE } from '../../src/fleet/registry/unknown-device.ts';
import type { ProfileStore } from '../../src/state/profile.ts';
import type { StateStore } from '../../src/state/store.ts';
import { interposed, times } from '../helpers/interposed-store.ts';
import { Stores } from '../registry/stores.ts';
import { eventually } from '../support/wait.ts';

/** Another process is faster between a read and the write that depends on it. */

const stores = new Stores();
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(() => stores.clear());

const NOW = 1_793_491_200_000;
const ledgerOf = (store: StateStore): Ledger => new Ledger(store, () => NOW, 3);

function request(more: Partial<CommandRequest> = {}): CommandRequest {
  const rest = {
    requester: 'me',
    reason: '',
    ref: '',
    not_before: 0,
    expires: NOW + 60_000,
    priority: 0,
    when: 'any',
    switches: [],
    critical: '',
  } as const;
  return { device: 'd-1', type: 'version', parameters: {}, ...rest, ...more };
}

async function queued(store: StateStore, id: string, more: Partial<CommandRequest> = {}): Promise<Command> {
  const command = await ledgerOf(store).submit(request(more), id);
  if (command === undefined) throw new Error('not submitted');
  return command;
}

describe.each(['lmdb', 'redis'] as const)('in %s, between a read and a write', (kind) => {
  const open = (): Promise<StateStore & ProfileStore> => stores.open(kind);

  it('another command is handed in: the decision is made again with it', async () => {
    const store = await open();
    const other = times(1, 'submitted', () => queued(store, 'c1'));
    const asked: string[][] = [];
    const late = await ledgerOf(interposed(store, { beforeWrite: other })).submit(request(), 'c2', (open) => {
      asked.push(open.map(({ id }) => id));
      return open.length === 0;
    });
    expect([late, asked]).toEqual([undefined, [[], ['c1']]]);
    expect((await ledgerOf(store).open('d-1')).map(({ id }) => id)).toEqual(['c1']);
  });

  it('a command is cancelled: it is not marked sent', async () => {
    const store = await open();
    const command = await queued(store, 'c1');
    const cancelled = times(1, 'commands', () => ledgerOf(store).cancelled(command, 'by somebody'));
    expect(await ledgerOf(interposed(store, { beforeWrite: cancelled })).sending(command)).toBeUndefined();
    expect(await ledgerOf(store).get('d-1', 'c1')).toMatchObject({ state: 'cancelled', attempts: 0 });
  });

  it('a reply ends a command: it does not expire as well', async () => {
    const store = await open();
    const sent = await ledgerOf(store).sending(await queued(store, 'c1'));
    if (sent === undefined) throw new Error('not sent');
    const answered = times(1, 'commands', () => ledgerOf(store).answered(sent, 'OK', {}));
    expect(await ledgerOf(interposed(store, { beforeWrite: answered })).expired(sent)).toBeUndefined();
    expect((await ledgerOf(store).get('d-1', 'c1'))?.state).toBe('answered');
  });

  it('the settings of a device change: neither change is lost', async () => {
    const store = await open();
    const other = times(1, 'settings', () => new Shadow(store).told('d-1', { time_zone: 60 }));
    await ledgerOf(interposed(store, { beforeWrite: other })).submit(request({ type: 'set_interval', parameters: { seconds: 30 } }), 'c1');
    expect(await new Shadow(store).get('d-1')).toEqual({
      desired: { interval: 30 },
      reported: { time_zone: 60 },
      pending: { interval: 'c1' },
    });
  });

  it('a device is changed: both changes are in the record, and each is one event', async () => {
    const store = await open();
    const events: object[] = [];
    const deviceRecordsOf = (at: StateStore): DeviceRecords =>
      new DeviceRecords({ store: at, now: () => NOW, record: (_device, event) => events.push(event) });
    await deviceRecordsOf(store).create(deviceSchema.parse({ id: 'd-1' }), 'test');
    const other = times(1, 'devices', () => deviceRecordsOf(store).patch('d-1', { account: 'acme' }, 'other'));
    await deviceRecordsOf(interposed(store, { beforeWrite: other })).patch('d-1', { interval_s: 30 }, 'test');
    expect(await deviceRecordsOf(store).get('d-1')).toMatchObject({ account: 'acme', interval_s: 30 });
    expect(events.slice(1)).toEqual([
      { type: 'device_changed', fields: ['account'], by: 'other' },
      { type: 'device_changed', fields: ['interval_s'], by: 'test' },
    ]);
  });

  it('a command is cancelled after the downlink has chosen it: it is not transmitted', async () => {
    const store = await open();
    const command = await queued(store, 'c1');
    const cancelled = times(1, 'commands', () => ledgerOf(store).cancelled(command, 'by somebody'));
    const at = interposed(store, { beforeWrite: cancelled });
    const delivery = new Delivery({
      ledger: ledgerOf(at),
      shadow: new Shadow(at),
      now: () => NOW,
      log: silentLog,
      count: () => {},
      ended: () => {},
    });
    const sent: string[] = [];
    delivery.attached(contactThat((type) => sent.push(type)));
    await eventually(async () => expect((await ledgerOf(store).get('d-1', 'c1'))?.state).toBe('cancelled'));
    await delivery.close();
    expect([sent, (await ledgerOf(store).get('d-1', 'c1'))?.attempts]).toEqual([[], 0]);
  });

  it('a policy changes while it is read: the worker has the later one', async () => {
    const store = await open();
    const policy = (used_pct: number): Policy => ({ cycle: 1, cycle_end: 2, used_pct, held: [], news: [] });
    await store.write([POLICIES.put(policy(1), 'd-1')]);
    let n = 1;
    const changing = times(5, 'policies', () => store.write([POLICIES.put(policy(++n), 'd-1')]));
    const service = new PlanCache(interposed(store, { afterRead: changing }), silentLog);
    onTestFinished(() => service.close());
    await eventually(() => expect(service.policy('d-1')?.used_pct).toBe(6));
  });

  it('a device that waits in quarantine comes again: the bound does not remove it', async () => {
    const store = await open();
    const seen = (last_seen: number): Parameters<typeof QUARANTINE.put>[0] => ({
      first_seen: 1,
      last_seen,
      count: 1,
      protocol: 'toy',
      transport: 'tcp',
      frames: [],
    });
    await store.write([QUARANTINE.put(seen(1), 'old'), QUARANTINE.put(seen(2), 'middle'), QUARANTINE.put(seen(3), 'new')]);
    const comesAgain = times(1, 'quarantine', () => store.write([QUARANTINE.put(seen(4), 'old')]));
    const counts: number[] = [];
    const at = interposed(store, { beforeWrite: comesAgain });
    const list = new QuarantineList({ store: at, most: 2, log: silentLog, count: (devices) => counts.push(devices) });
    list.start();
    onTestFinished(() => list.stop());
    await eventually(() => expect(counts.at(-1)).toBe(2));
    expect((await list.list(undefined, 9)).devices.map(({ id }) => id)).toEqual(['new', 'old']);
  });
});

function contactThat(transmits: (type: string) => void): DeliveryPort {
  return {
    device: 'd-1',
    codec: teltonika,
    transport: 'tcp',
    clear: true,
    relay: false,
    moving: undefined,
    contested: false,
    standing: true,
    contest: () => {},
    wantsFix: false,
    wantsMotion: false,
    wait: () => {},
    transmit(type) {
      transmits(type);
      return true;
    },
    event: () => {},
  };
}
