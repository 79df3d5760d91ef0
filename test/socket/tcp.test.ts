import net, { type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { defineCodec } from '../../src/codec/index.ts';
import { ConnectionLimit } from '../../src/in/listen/connection-limit.ts';
import type { ListenLimits } from '../../src/in/listen/listen-host.ts';
import { Listeners } from '../../src/in/listen/listeners.ts';
import { listenTcp, type TcpListener } from '../../src/in/listen/tcp.ts';
import { openHost } from '../helpers/listen-host.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import toy, { toyAlive, toyDefinition, toyFixes, toyLogin } from '../helpers/toy-codec.ts';
import { eventually, pause } from '../support/wait.ts';

const ANSWER = 6;
const login = toyLogin('12345678', false);
/** A second protocol, to be told from the toy by its first byte. */
const other = defineCodec({ ...toyDefinition, name: 'other', recognise: (bytes, start) => bytes[start] === 0x55 });

let world: Awaited<ReturnType<typeof openHost>>;
let listener: TcpListener;
const devices: TcpDevice[] = [];

async function listen(codec: typeof toy | undefined, limits: Partial<ListenLimits> = {}, idleMs = 60_000): Promise<void> {
  world = await openHost([toy, other], limits);
  listener = await listenTcp({ codec, host: '127.0.0.1', port: 0, idleMs }, world.host);
}

async function connect(): Promise<TcpDevice> {
  const device = await TcpDevice.connect(listener.port);
  devices.push(device);
  return device;
}

beforeEach(() => {
  devices.length = 0;
});

afterEach(async () => {
  for (const device of devices) device.close();
  await listener.close(1000);
  await world.close();
});

describe('a TCP listener', () => {
  it('answers a login and, when they are on disk, the records', async () => {
    await listen(toy);
    const device = await connect();
    device.send(login);
    await device.until((d) => d.received.length === ANSWER);
    device.send(toyFixes(2, 3));
    await device.until((d) => d.received.length === 2 * ANSWER);
    expect(world.journal.durable).toBeGreaterThanOrEqual(2);
    expect(await world.count('records')).toBe(3);
    expect(await world.count('connections')).toBe(1);
    expect(await world.count('bytes', { transport: 'tcp', direction: 'in' })).toBe(login.length + toyFixes(2, 3).length);
    expect(await world.count('bytes', { transport: 'tcp', direction: 'out' })).toBe(2 * ANSWER);
  });

  it('invariant 1: every connection ends with one counted reason', async () => {
    await listen(toy);
    const left = await connect();
    left.send(login);
    await left.until((d) => d.received.length === ANSWER);
    left.close();
    const http = await connect();
    http.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await http.until((d) => d.ended);
    await eventually(async () => expect(await world.count('connections')).toBe(0));
    expect(await world.count('closes')).toBe(2);
    expect(await world.count('closes', { reason: 'http' })).toBe(1);
    expect(await world.count('rejects', { reason: 'http' })).toBe(1);
  });

  it('invariant 2: pauses a device that is ahead of the disk, and goes on when the disk has caught up', async () => {
    await listen(toy, { connectionPendingBytes: 4096 });
    const device = await connect();
    const frames = 2000;
    device.send(Buffer.concat([login, ...Array.from({ length: frames }, (_, i) => toyFixes(i & 0xffff, 10))]));
    await device.until((d) => d.received.length === (frames + 1) * ANSWER);
    expect(await world.count('pauses')).toBeGreaterThan(0);
    expect(await world.count('records')).toBe(10 * frames);
  });

  it('invariant 2: closes a device that does not read its answers', async () => {
    await listen(toy);
    const device = await connect();
    device.pause();
    device.send(login);
    const burst = Buffer.concat(Array.from({ length: 4000 }, (_, i) => toyAlive(i & 0xffff)));
    await eventually(async () => {
      for (let i = 0; i < 20; i++) device.send(burst);
      expect(await world.count('closes', { reason: 'unread' })).toBe(1);
    });
  });

  it('invariant 3: closes who does not say who it is, who does not finish a frame, and who is silent', async () => {
    await listen(toy, { identifyMs: 1000, frameMs: 2000, quietMs: 60_000 }, 4000);
    const [mute, slow, silent] = [await connect(), await connect(), await connect()];
    slow.send(login);
    silent.send(toyLogin('22222222', false));
    const frame = toyFixes(2, 3);
    // One byte at a time keeps the connection busy, but the frame is never finished.
    for (let p = 0; p < frame.length - 1 && !slow.ended; p++) {
      slow.send(frame.subarray(p, p + 1));
      await pause(200);
    }
    await slow.until((d) => d.ended);
    await mute.until((d) => d.ended);
    await silent.until((d) => d.ended);
    for (const reason of ['identify_timeout', 'frame_timeout', 'idle'])
      await eventually(async () => expect(await world.count('closes', { reason })).toBe(1));
  });

  it.each<[reason: string, limits: Partial<ListenLimits>, idleMs: number, sends: readonly Uint8Array[]]>([
    ['identify_timeout', { identifyMs: 10_000 }, 60_000, []],
    ['frame_timeout', { identifyMs: 60_000, frameMs: 10_000, quietMs: 60_000 }, 60_000, [login, toyFixes(2, 3).subarray(0, 10)]],
    // Nothing of a frame is in progress, which no frame takes.
    ['idle', { identifyMs: 5_000, frameMs: 5_000 }, 10_000, [login]],
  ])('invariant 3: closes for %s when the time is over, and not before', async (reason, limits, idleMs, sends) => {
    let now = 999;
    world = await openHost([toy], limits);
    const clock = { ...systemClock, elapsed: () => now };
    listener = await listenTcp({ codec: toy, host: '127.0.0.1', port: 0, idleMs }, { ...world.host, clock });
    let bytes = 0;
    const begin = async (): Promise<TcpDevice> => {
      const device = await connect();
      await eventually(async () => expect(await world.count('accepts')).toBe(devices.length));
      for (const chunk of sends) {
        device.send(chunk);
        bytes += chunk.length;
        await eventually(async () => expect(await world.count('bytes', { direction: 'in' })).toBe(bytes));
      }
      return device;
    };
    const first = await begin();
    now = 1000;
    const second = await begin();
    // Both are looked at: the time of the first is over by a millisecond.
    now = 11_000;
    await first.until((d) => d.ended);
    await eventually(async () => expect(await world.count('closes', { reason })).toBe(1));
    expect(second.ended).toBe(false);
    now = 11_250;
    await second.until((d) => d.ended);
    await eventually(async () => expect(await world.count('closes', { reason })).toBe(2));
    expect(await world.count('closes')).toBe(2);
  });

  it('invariant 3: the time to finish a frame does not end while the connection is paused', async () => {
    let now = 1000;
    world = await openHost([toy], { frameMs: 10_000, quietMs: 60_000 });
    const clock = { ...systemClock, elapsed: () => now };
    listener = await listenTcp({ codec: toy, host: '127.0.0.1', port: 0, idleMs: 60_000 }, { ...world.host, clock });
    const begun = Buffer.concat([login, toyFixes(2, 3).subarray(0, 10)]);
    const other = await connect();
    other.send(begun);
    await other.until((d) => d.received.length === ANSWER);
    world.overload(true);
    const paused = await connect();
    paused.send(begun);
    await eventually(async () => expect(await world.count('pauses')).toBe(1));
    now = 12_000;
    await other.until((d) => d.ended);
    await eventually(async () => expect(await world.count('closes', { reason: 'frame_timeout' })).toBe(1));
    expect(paused.ended).toBe(false);
  });

  it('invariant 4: a device that closes its side first gets the answers it earned', async () => {
    await listen(toy);
    const device = await connect();
    device.send(Buffer.concat([login, toyFixes(2, 3), toyFixes(3, 3)]));
    device.half();
    await device.until((d) => d.ended);
    expect(device.received.length).toBe(3 * ANSWER);
  });

  it('drains: what was sent is answered before the connection closes', async () => {
    await listen(toy);
    const device = await connect();
    device.send(login);
    await device.until((d) => d.received.length === ANSWER);
    device.send(toyFixes(2, 3));
    await eventually(async () => expect(await world.count('records')).toBe(3));
    await listener.close(1000);
    await device.until((d) => d.ended);
    expect(device.received.length).toBe(2 * ANSWER);
    await expect(TcpDevice.connect(listener.port)).rejects.toThrow();
  });

  it('invariant 5: spreads the ends of the connections; who has not been asked to go is answered as before', async () => {
    await listen(toy);
    for (let n = 0; n < 50; n++) {
      const device = await connect();
      device.send(toyLogin(String(10_000_000 + n), false));
      await device.until((d) => d.received.length === ANSWER);
    }
    const closed = listener.close(10_000);
    const last = devices.at(-1);
    last?.send(toyFixes(2, 3));
    await last?.until((d) => d.received.length === 2 * ANSWER || d.ended);
    expect(last?.received.length).toBe(2 * ANSWER);
    for (const device of devices) {
      await device.until((d) => d.ended);
      device.close();
    }
    await closed;
    expect(await world.count('closes', { reason: 'drain' })).toBe(50);
  });

  it('invariant 5: ends faster when the time would not do, each connection well before the deadline', async () => {
    let now = 0;
    world = await openHost([toy]);
    listener = await listenTcp(
      { codec: toy, host: '127.0.0.1', port: 0, idleMs: 60_000 },
      { ...world.host, clock: { ...systemClock, elapsed: () => now } },
    );
    for (let n = 0; n < 6; n++) {
      const device = await connect();
      device.send(toyLogin(String(10_000_000 + n), false));
      await device.until((d) => d.received.length === ANSWER);
    }
    const closed = listener.close(10);
    now = 1;
    await eventually(() => expect(devices.filter(({ ended }) => ended)).toHaveLength(2));
    now = 6;
    await eventually(() => expect(devices.filter(({ ended }) => ended)).toHaveLength(6));
    for (const device of devices) device.close();
    await closed;
  });

  it('takes a connection that another process has accepted; for a listener that is not there it is closed', async () => {
    await listen(toy);
    const plan = { codec: 'toy', transport: 'tcp', host: '127.0.0.1', port: 0, idleMs: 60_000 } as const;
    const listeners = new Listeners([plan], new Map([['toy', toy]]), world.host);
    await listeners.openAll();
    let index = 0;
    const acceptor = net.createServer((socket) => listeners.adopt(index, socket));
    await new Promise<void>((resolve) => acceptor.listen(0, '127.0.0.1', resolve));
    const { port } = acceptor.address() as AddressInfo;
    const taken = await TcpDevice.connect(port);
    taken.send(login);
    await taken.until((d) => d.received.length === ANSWER || d.ended);
    expect(taken.received).toHaveLength(ANSWER);
    index = 1;
    const lost = await TcpDevice.connect(port);
    await lost.until((d) => d.ended);
    taken.close();
    acceptor.close();
    await listeners.close(1000, () => {});
  });

  it('meters for nobody what never said who it is, and for the device what comes while its connection ends', async () => {
    await listen(toy);
    const [http, garbage, device] = [await connect(), await connect(), await connect()];
    http.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    garbage.send(Buffer.alloc(100, 0x99));
    await http.until((d) => d.ended);
    await eventually(async () => expect(await world.count('bytes', { direction: 'in' })).toBe(118));
    garbage.close();
    await eventually(async () => expect(await world.count('unidentifiedBytes', { transport: 'tcp' })).toBe(118));
    device.send(login);
    await device.until((d) => d.received.length === ANSWER);
    const closed = listener.close(1000);
    await device.until((d) => d.ended);
    device.send(Buffer.from('still here'));
    await eventually(async () => expect(await world.count('bytes', { direction: 'in' })).toBe(118 + login.length + 10));
    device.close();
    await closed;
    expect(await world.used('12345678')).toMatchObject({ in: login.length + 10, out: ANSWER, segments: 3 });
  });

  it('refuses more connections than its limit', async () => {
    await listen(toy, { connections: 2 });
    const all = [await connect(), await connect(), await connect()];
    await eventually(() => expect(all.filter((d) => d.ended)).toHaveLength(1));
    expect(await world.count('rejects', { reason: 'connections' })).toBe(1);
  });

  it('counts the connections of all listeners of a worker, and logs once that there is no room', async () => {
    const lines: string[] = [];
    world = await openHost([toy], {});
    const connections = new ConnectionLimit(2, { ...silentLog, warn: (_fields, message) => void lines.push(message) });
    const host = { ...world.host, connections };
    listener = await listenTcp({ codec: toy, host: '127.0.0.1', port: 0, idleMs: 60_000 }, host);
    const second = await listenTcp({ codec: toy, host: '127.0.0.1', port: 0, idleMs: 60_000 }, host);
    const [first, other] = [await connect(), await TcpDevice.connect(second.port)];
    const late = [await connect(), await TcpDevice.connect(second.port)];
    await eventually(() => expect(late.filter((d) => d.ended)).toHaveLength(2));
    expect(connections.full).toBe(true);
    expect(lines).toHaveLength(1);
    first.send(login);
    await first.until((d) => d.received.length === ANSWER);
    other.close();
    await eventually(() => expect(connections.full).toBe(false));
    const next = await TcpDevice.connect(second.port);
    next.send(toyLogin('22222222', false));
    await next.until((d) => d.received.length === ANSWER);
    await second.close(0);
  });

  it('survives a connection that cannot be accepted, and a codec that throws at first bytes', async () => {
    const broken = {
      ...toy,
      recognise: () => {
        throw new Error('a defect of a codec');
      },
    };
    world = await openHost([broken, toy], {});
    listener = await listenTcp({ codec: undefined, host: '127.0.0.1', port: 0, idleMs: 60_000 }, world.host);
    listener.socket.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }));
    expect(await world.count('rejects', { reason: 'accept_failed' })).toBe(1);
    const device = await connect();
    device.send(login);
    await device.until((d) => d.received.length === ANSWER);
  });

  it('says that a device of another protocol is on the wrong port, and leaves it connected', async () => {
    await listen(other);
    const device = await connect();
    device.send(login);
    await device.until((d) => d.received.length === ANSWER);
    expect(world.lookalikes).toEqual(['other: toy']);
  });
});

describe('an auto listener', () => {
  it('picks the codec by the first bytes, even one at a time', async () => {
    await listen(undefined);
    const device = await connect();
    for (const byte of login) {
      device.send(Uint8Array.of(byte));
      await pause(1);
    }
    await device.until((d) => d.received.length === ANSWER);
    expect(await world.count('frames', { codec: 'toy', result: 'login' })).toBe(1);
    device.close();
    await eventually(async () => expect(await world.used('12345678')).toMatchObject({ in: login.length, out: ANSWER }));
    expect((await world.used('12345678')).segments).toBeGreaterThan(2);
  });

  it('closes what no codec knows', async () => {
    await listen(undefined);
    const unknownDevice = await connect();
    unknownDevice.send(Uint8Array.of(0x99, 0x98));
    await unknownDevice.until((d) => d.ended);
    await eventually(async () => expect(await world.count('closes', { reason: 'unrecognised' })).toBe(1));
  });
});
