import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Policy } from '../../src/fleet/plan/steps.ts';
import { listenTcp, type TcpListener } from '../../src/in/listen/tcp.ts';
import type { Session } from '../../src/in/session/session.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { openHost } from '../helpers/listen-host.ts';
import { NO_CAPS } from '../helpers/open-registry.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import toy, { toyAlive, toyFixes, toyLogin } from '../helpers/toy-codec.ts';
import { eventually, remains } from '../support/wait.ts';

/** Invariant 6 of src/in/listen/tcp.ts: the rate at which a throttled connection is read, on a clock that the test moves. */

const ID = '12345678';
const LOGIN = toyLogin(ID, false);
const ALIVE = toyAlive(7);
const LONG = Buffer.concat(Array.from({ length: 10 }, (_, n) => toyFixes(n + 2, 20)));
const RATE = 125;
/** How long bytes keep a throttled connection from being read, ms. */
const costs = (bytes: Uint8Array): number => (1000 * bytes.length) / RATE;

let world: Awaited<ReturnType<typeof openHost>>;
let clock: FakeClock;
let listener: TcpListener;
let device: TcpDevice;
let isHeld: boolean;
let sent: number;

beforeEach(async () => {
  // Of the connection; what the sockets and the tests wait for is of the machine.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  world = await openHost([toy], { frameMs: 30_000, quietMs: 3_600_000, identifyMs: 3_600_000 });
  clock = new FakeClock();
  clock.step(1_000_000_000);
  isHeld = true;
  sent = 0;
  const held: Policy = {
    cycle: 0,
    cycle_end: Number.MAX_SAFE_INTEGER,
    used_pct: 100,
    held: [{ action: 'throttle', at_pct: 90, bytes_per_s: RATE }],
    news: [],
  };
  const service = { ...NO_CAPS, policy: () => (isHeld ? held : undefined) };
  listener = await listenTcp({ codec: toy, host: '127.0.0.1', port: 0, idleMs: 3_600_000 }, { ...world.host, clock, service });
  device = await TcpDevice.connect(listener.port);
  send(LOGIN);
  await isRead();
});
afterEach(async () => {
  vi.useRealTimers();
  device.close();
  await listener.close(1000);
  await world.close();
});

function send(bytes: Uint8Array): void {
  device.send(bytes);
  sent += bytes.length;
}

const read = (): Promise<number> => world.count('bytes', { transport: 'tcp', direction: 'in' });
/** All that was sent. */
const isRead = (): Promise<void> => eventually(async () => expect(await read()).toBe(sent));
/** Nothing of the bytes that were sent last. */
const waits = (last: Uint8Array): Promise<void> => remains(async () => expect(await read()).toBe(sent - last.length), 50);

function pass(ms: number): void {
  clock.step(ms);
  vi.advanceTimersByTime(ms);
}

it('a chunk is followed by the next one when its bytes are due, and not before', async () => {
  send(ALIVE);
  pass(costs(LOGIN) - 1);
  await waits(ALIVE);
  pass(1);
  await isRead();
  send(LOGIN);
  pass(costs(ALIVE) - 1);
  await waits(LOGIN);
  pass(1);
  await isRead();
});

it('time in which nothing came is not saved up', async () => {
  pass(costs(LOGIN) + 600_000);
  send(ALIVE);
  await isRead();
  send(LOGIN);
  pass(costs(ALIVE) - 1);
  await waits(LOGIN);
  pass(1);
  await isRead();
});

it('no pause lasts longer than 20 s; more than 20 s of it are forgotten then', async () => {
  pass(costs(LOGIN));
  expect(costs(LONG)).toBeGreaterThan(25_000);
  send(LONG);
  await isRead();
  send(ALIVE);
  pass(19_999);
  await waits(ALIVE);
  pass(1);
  await isRead();
  // What was left of the long chunk counts on, and so does the short one.
  const left = costs(LONG) - 20_000 + costs(ALIVE);
  expect(left).toBeLessThan(20_000);
  send(LOGIN);
  pass(left - 1);
  await waits(LOGIN);
  pass(1);
  await isRead();
});

it('a device that is throttled no more is read at once', async () => {
  send(ALIVE);
  await waits(ALIVE);
  isHeld = false;
  for (const session of sessions()) session.planChanged();
  await isRead();
  send(LOGIN);
  await isRead();
  send(ALIVE);
  await isRead();
});

it('the time to finish a frame does not end during a pause', async () => {
  pass(costs(LOGIN));
  send(Buffer.concat([LONG, ALIVE.subarray(0, 3)]));
  await isRead();
  // A frame is begun, and its time is over before it may be read on.
  send(ALIVE.subarray(3));
  pass(19_000);
  clock.step(20_000);
  await remains(async () => expect(await world.count('closes')).toBe(0), 1500);
  pass(1000);
  await isRead();
  await eventually(async () => expect(await world.count('closes')).toBe(0));
});

it('a connection that is being ended has no pause any more: what still comes is read into nothing', async () => {
  send(ALIVE);
  await waits(ALIVE);
  for (const session of sessions()) session.supersede();
  await isRead();
  send(LONG);
  await isRead();
  send(ALIVE);
  await isRead();
  expect(await world.count('records')).toBe(0);
});

function sessions(): readonly Session[] {
  return world.host.sessions.of(ID);
}
