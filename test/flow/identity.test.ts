import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import h02 from '../../codecs/h02/index.ts';
import { silentLog } from '../../src/base/log.ts';
import { createMetrics } from '../../src/base/metrics/catalog.ts';
import { Directory } from '../../src/cluster/directory.ts';
import { isCritical } from '../../src/fleet/command/critical.ts';
import { Delivery } from '../../src/fleet/command/delivery.ts';
import { Ledger } from '../../src/fleet/command/ledger.ts';
import { Shadow } from '../../src/fleet/command/shadow.ts';
import { AddressRates } from '../../src/fleet/registry/address-rates.ts';
import { pickAddress, Standings } from '../../src/fleet/registry/standing.ts';
import type { IdBounds, IntakeHost, Link } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import type { Claim } from '../../src/in/session/claim.ts';
import type { Session } from '../../src/in/session/session.ts';
import { SessionTable } from '../../src/in/session/table.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { intakeHost, MemoryJournal } from '../support/intake-rig.ts';
import { eventually } from '../support/wait.ts';

/**
 * Identity of devices (intake invariant 14, in/session/claim.ts): attacks with another device's id, against queued engine stops.
 * Real session tables, directory, delivery, ledger and state store; only sockets and clocks are the test's.
 */

const A = '4106011660';
const HOME = '10.1.1.5:1000';
const AWAY = '10.9.9.5:1000';
const ATTACKER = '203.0.113.9:4000';
const STOP = 'S20';
const FENCE = 'S26';

let directory: string;
let store: LmdbStore;
let clock: FakeClock;
let ledger: Ledger;
let workers: Worker[];
let directoryOfAll: Directory;
let journal: MemoryJournal;
let metrics: ReturnType<typeof createMetrics>;
let ids = 0;
let seconds = 0;

/** Reports on their way to the directory; undefined: they arrive at once. */
let underWay: (() => void)[] | undefined;
const report = (arrives: () => void): void => {
  if (underWay === undefined) arrives();
  else underWay.push(arrives);
};

class Worker {
  readonly sessions: SessionTable<Session>;
  readonly delivery: Delivery;
  readonly host: IntakeHost;
  readonly #unwatch: () => void;

  constructor(slot: number) {
    const { now } = { now: () => clock.now() };
    const others = (): Worker[] => directoryOfAll.spoke(slot, A).flatMap((other) => workers[other] ?? []);
    this.sessions = new SessionTable<Session>({
      moved: (device: string, claims: readonly Claim[]) => report(() => directoryOfAll.moved(slot, [[device, claims]])),
      confirms: true,
      spoke: (device, peer) => {
        for (const other of others()) other.sessions.heard(device, peer);
      },
      takenOver: () => metrics.takeovers.inc(),
      now: () => clock.elapsed(),
    });
    this.delivery = new Delivery({ ledger, shadow: new Shadow(store), now, log: silentLog, count: () => {}, ended: () => {} });
    this.#unwatch = store.watch((table, key) => {
      if (table === 'standing' && key !== undefined) for (const session of this.sessions.of(key)) session.reviewStanding();
      if (table === 'commands' && key !== undefined) this.delivery.poke(key.slice(0, key.indexOf(' ')));
    });
    this.host = intakeHost({
      journal,
      sessions: this.sessions,
      standings: new Standings(store, now, silentLog),
      delivery: this.delivery,
      metrics,
      clock,
    });
  }

  async close(): Promise<void> {
    this.#unwatch();
    await this.delivery.close();
  }
}

/** A connection or datagram peer, and what reaches it. */
class Peer implements Link {
  readonly intake: Intake;
  readonly sent: string[] = [];
  readonly ends: string[] = [];

  constructor(peer: string, { slot = 0, transport = 'tcp', bounds }: { slot?: number; transport?: 'tcp' | 'udp'; bounds?: IdBounds } = {}) {
    const worker = workers[slot];
    if (worker === undefined) throw new Error(`no worker ${slot}`);
    this.intake = new Intake(worker.host, h02, transport, peer, this, bounds);
  }

  send(bytes: Uint8Array): void {
    this.sent.push(new TextDecoder().decode(bytes));
  }

  close(reason: string): void {
    this.ends.push(reason);
  }

  finish(reason: string): void {
    this.ends.push(reason);
    this.intake.closed(reason);
  }

  drained(): void {}

  speaks(id = A): this {
    seconds++;
    const time = `12${String(Math.floor(seconds / 60)).padStart(2, '0')}${String(seconds % 60).padStart(2, '0')}`;
    this.intake.push(Buffer.from(`*HQ,${id},V1,${time},A,5133.8290,N,00000.0000,E,000.00,090.00,011126,FFFFFFFF#`));
    return this;
  }

  /** To the fence. */
  replies(id = A): void {
    const key = /,S26,(\d{6})/.exec(this.sent.findLast((text) => text.includes(',S26,')) ?? '')?.[1];
    this.intake.push(Buffer.from(`*HQ,${id},V4,S26,${key},120000,A,5133.8290,N,00000.0000,E,000.00,090.00,011126,FFFFFFFF#`));
  }

  got(command: string, id = A): number {
    return this.sent.filter((text) => text.includes(`,${id},${command},`) || text.includes(`,${id},${command}#`)).length;
  }
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-identity-'));
  store = new LmdbStore({ directory, log: silentLog });
  clock = new FakeClock();
  ledger = new Ledger(store, () => clock.now(), 3);
  metrics = createMetrics();
  journal = new MemoryJournal(1000);
  seconds = 0;
  underWay = undefined;
  directoryOfAll = new Directory(
    (slot, device, told) => workers[slot]?.sessions.rivals(device, told),
    () => clock.elapsed(),
  );
  workers = [];
  for (const slot of [0, 1]) workers.push(new Worker(slot));
});
afterEach(async () => {
  for (const worker of workers) await worker.close();
  await store.close();
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

async function queue(type: string, device = A): Promise<void> {
  const rest = { requester: 'me', reason: '', ref: '', not_before: 0, expires: clock.now() + 3_600_000, switches: [] };
  const more = { priority: type === 'engine_stop' ? 9 : 0, when: 'any', critical: isCritical(type) ? type : '' } as const;
  const command = await ledger.submit({ device, type, parameters: {}, ...rest, ...more }, `c${String(ids++).padStart(6, '0')}`);
  if (command === undefined) throw new Error('not submitted');
  for (const { delivery } of workers) delivery.poke(device);
}

/** The session of the device that has got the fence: a command that waits for nothing. What is more urgent had its chance before. */
async function fence(peers: readonly Peer[], device = A): Promise<Peer | undefined> {
  await queue('status', device);
  await eventually(() => expect(peers.some((peer) => peer.got(FENCE, device) > 0)).toBe(true));
  const found = peers.find((peer) => peer.got(FENCE, device) > 0);
  found?.replies(device);
  return found;
}

const stopped = (peer: Peer, device = A): Promise<void> => eventually(() => expect(peer.got(STOP, device)).toBe(1));

/** The device has spoken from there, and its first network is on record. */
async function atHome(options: { slot?: number } = {}): Promise<Peer> {
  const device = new Peer(HOME, options).speaks();
  await eventually(async () => expect(await store.get('standing', A)).toBeDefined());
  return device;
}

/** What was before is forgotten by everybody but the store; the device is somewhere else now. */
async function moved(): Promise<Peer> {
  (await atHome()).intake.closed('device');
  return new Peer(AWAY).speaks();
}

const contested = (): unknown[] => journal.events.filter(({ type }) => type === 'identity_contested');

describe.each([
  ['on one worker', 0],
  ['on another worker', 1],
])('a second login with the id of a device, %s', (_where, slot) => {
  it('does not get its queued engine stop, nor close its connection; both are stored', async () => {
    const device = await atHome();
    const attacker = new Peer(ATTACKER, { slot }).speaks();
    await queue('engine_stop');
    await stopped(device);
    attacker.speaks();
    device.speaks();
    expect([attacker.got(STOP), device.ends, attacker.ends]).toEqual([0, [], []]);
    expect(journal.frames.map(({ peer }) => peer)).toEqual([HOME, ATTACKER, ATTACKER, HOME]);
  });

  it('that comes while the device is away waits for a minute with a critical command, which the device gets if it speaks', async () => {
    (await atHome()).intake.closed('device');
    await queue('engine_stop');
    const attacker = new Peer(ATTACKER, { slot }).speaks();
    expect(await fence([attacker])).toBe(attacker);
    const device = new Peer(HOME).speaks();
    await stopped(device);
    expect(attacker.got(STOP)).toBe(0);
  });

  it('is a contradiction when neither is where the device was: the stop is held until an operator picks one', async () => {
    const device = await moved();
    const attacker = new Peer(ATTACKER, { slot }).speaks();
    await queue('engine_stop');
    // The older one has the commands, and a critical one waits there.
    expect(await fence([device, attacker])).toBe(device);
    clock.step(2_000);
    attacker.speaks();
    await eventually(() => expect(contested()).toHaveLength(1));
    expect(contested()).toEqual([{ device: A, type: 'identity_contested', addresses: ['10.9.9.5', '203.0.113.9'], transport: 'tcp' }]);
    await eventually(async () => expect(JSON.parse((await store.get('standing', A)) ?? '{}')).toHaveProperty('contested'));
    clock.step(61_000);
    device.speaks();
    await queue('status');
    await eventually(() => expect(device.got(FENCE)).toBe(2));
    device.replies();
    expect([device.got(STOP), attacker.got(STOP)]).toEqual([0, 0]);
    await pickAddress(store, A, '10.9.9.5', clock.now());
    await stopped(device);
    expect(attacker.got(STOP)).toBe(0);
  });

  it('takes over, as after any reconnect, where the device was before', async () => {
    const before = await atHome();
    clock.step(1_000);
    const after = new Peer('10.1.1.77:2000', { slot }).speaks();
    expect(before.ends).toEqual([]);
    expect(await fence([before, after])).toBe(after);
  });
});

describe('a device without another', () => {
  it('gets a critical command after a minute from a network that is new', async () => {
    const device = await moved();
    await queue('engine_stop');
    await fence([device]);
    expect(device.got(STOP)).toBe(0);
    clock.step(60_001);
    workers[0]?.delivery.poke(A);
    await stopped(device);
    expect(contested()).toEqual([]);
  });

  it('has standing in a network where nothing contradicted it for ten minutes', async () => {
    const device = await moved();
    clock.step(600_000);
    device.speaks();
    device.intake.closed('device');
    await eventually(async () => expect(JSON.parse((await store.get('standing', A)) ?? '{}').networks).toHaveProperty('10.9.9'));
    const again = new Peer('10.9.9.88:1').speaks();
    expect(again.intake.session?.standing).toBe(true);
  });

  it('has none there after thirty days', async () => {
    (await atHome()).intake.closed('device');
    clock.step(30 * 86_400_000 + 1);
    expect(new Peer(HOME).speaks().intake.session?.standing).toBe(false);
  });
});

describe('a datagram with the id of a connected device', () => {
  it.each([HOME, ATTACKER])('does not close its connection, nor move the way of commands: from %s', async (from) => {
    const device = await atHome();
    // It has been silent for longer than two intervals, and the connection has not timed out.
    clock.step(600_000);
    const spoofed = new Peer(from.replace('1000', '1001'), { transport: 'udp' }).speaks();
    await queue('engine_stop');
    await stopped(device);
    spoofed.speaks();
    expect([device.ends, spoofed.got(STOP), journal.frames.length]).toEqual([[], 0, 3]);
  });
});

describe('one socket that names many ids', () => {
  const victims = ['4106011660', '4106011661', '4106011662'];

  it('gets none of their engine stops, whether they are connected or not', async () => {
    const devices = victims.slice(0, 2).map((id) => new Peer(HOME).speaks(id));
    new Peer(HOME).speaks(victims[2]).intake.closed('device');
    for (const id of victims) await eventually(async () => expect(await store.get('standing', id)).toBeDefined());
    for (const id of victims) await queue('engine_stop', id);
    const attacker = new Peer(ATTACKER);
    for (let round = 0; round < 3; round++) for (const id of victims) attacker.speaks(id);
    for (const [n, device] of devices.entries()) await stopped(device, victims[n]);
    await fence([attacker], victims[2]);
    expect(victims.map((id) => attacker.got(STOP, id))).toEqual([0, 0, 0]);
    expect(devices.map(({ ends }) => ends)).toEqual([[], []]);
  });

  it('may name so many; what is beyond is refused, counted, and leaves the others alone', async () => {
    const peer = new Peer(ATTACKER, { bounds: { perConnection: 5, admit: () => true } });
    for (let round = 0; round < 2; round++) for (let n = 0; n < 50; n++) peer.speaks(String(4_106_011_000 + n));
    expect([journal.frames.length, peer.ends]).toEqual([10, []]);
    const { values } = await metrics.rejects.get();
    expect(values).toMatchObject([{ labels: { reason: 'ids_per_connection' }, value: 90 }]);
  });

  it('may do so so often a minute, together with others of its address', async () => {
    const rates = new AddressRates([], 1, () => clock.elapsed());
    const bounds = { perConnection: 1000, admit: (address: string) => rates.admit(address, 20) };
    for (let n = 0; n < 50; n++) new Peer(`203.0.113.9:${n}`, { bounds }).speaks(String(4_106_011_000 + n));
    new Peer('203.0.113.10:1', { bounds }).speaks();
    expect(journal.frames).toHaveLength(21);
    clock.step(60_000);
    new Peer(ATTACKER, { bounds }).speaks();
    expect(journal.frames).toHaveLength(22);
  });
});

describe('a half-open connection', () => {
  it('is closed by the next login when it was not heard for two intervals', async () => {
    const device = await atHome();
    clock.step(120_001);
    const after = new Peer(AWAY).speaks();
    expect(device.ends).toEqual(['superseded']);
    expect(await fence([device, after])).toBe(after);
    expect(journal.events.filter(({ type }) => type === 'duplicate_connection')).toHaveLength(1);
  });

  it.each([0, 1])('stays for two of the intervals that it has taught, then gives way: worker %s', async (slot) => {
    const device = await atHome();
    for (let n = 0; n < 5; n++) {
      clock.step(30_000);
      device.speaks();
    }
    clock.step(55_000);
    const after = new Peer(AWAY, { slot }).speaks();
    expect(device.ends).toEqual([]);
    clock.step(6_000);
    after.speaks();
    expect(device.ends).toEqual(['superseded']);
    expect(await fence([after])).toBe(after);
  });
});

describe('bounds', () => {
  it('four sessions of one device: a fifth takes the place of one that has not the commands, first of one without standing', async () => {
    const device = await atHome();
    const attackers = Array.from({ length: 5 }, (_, n) => new Peer(`203.0.113.${n}:1`).speaks());
    expect([device.ends, attackers.map(({ ends }) => ends.length)]).toEqual([[], [1, 1, 0, 0, 0]]);
    const again = new Peer('10.1.1.6:1').speaks();
    expect([device.ends, again.ends, attackers.map(({ ends }) => ends.length)]).toEqual([[], [], [1, 1, 1, 0, 0]]);
    expect(journal.frames).toHaveLength(7);
  });

  it('a device whose NAT gives each datagram another port is stored, and its newest port has the commands', async () => {
    await atHome().then(({ intake }) => intake.closed('device'));
    await pickAddress(store, A, '10.1.1.5', clock.now());
    await store.update('standing', A, (text) => (text ?? '').replace('"tcp"', '"udp"'));
    const ports = Array.from({ length: 20 }, (_, n) => {
      clock.step(10_000);
      return new Peer(`10.1.1.5:${2000 + n}`, { transport: 'udp' }).speaks();
    });
    expect(journal.frames).toHaveLength(21);
    expect(workers[0]?.sessions.get(A)).toBe(ports.at(-1)?.intake.session);
  });

  it('two that take turns do not get the way of commands by turns', async () => {
    await atHome();
    for (let n = 0; n < 20; n++) {
      clock.step(100);
      new Peer(`10.1.1.${n}:1`).speaks().intake.closed('device');
    }
    const { values } = await metrics.takeovers.get();
    expect(values[0]?.value).toBeLessThanOrEqual(2);
  });

  it('nor do they on other workers, and every time is counted', async () => {
    const device = await atHome();
    const leaders = new Set<number>();
    for (let n = 0; n < 40; n++) {
      clock.step(1_000);
      device.speaks();
      const other = new Peer(`10.1.1.${n}:1`, { slot: 1 }).speaks();
      if (workers[1]?.sessions.get(A) !== undefined) leaders.add(n);
      // Between them the device has the commands, never both.
      expect(workers.filter(({ sessions }) => sessions.get(A) !== undefined)).toHaveLength(1);
      other.intake.closed('device');
      expect(workers[0]?.sessions.get(A)).toBe(device.intake.session);
    }
    expect([...leaders]).toEqual([0, 30]);
    expect((await metrics.takeovers.get()).values[0]?.value).toBe(2);
  });

  it('a session gets no command before it is known whether another worker has one of the device', async () => {
    await atHome();
    underWay = [];
    const other = new Peer('10.1.1.9:1', { slot: 1 }).speaks();
    expect(workers[1]?.sessions.get(A)).toBeUndefined();
    for (const arrives of underWay.splice(0)) arrives();
    underWay = undefined;
    expect(workers[1]?.sessions.get(A)).toBe(other.intake.session);
    expect(workers[0]?.sessions.get(A)).toBeUndefined();
  });
});
