import dgram from 'node:dgram';
import { afterEach, describe, expect, it } from 'vitest';
import type { ListenLimits } from '../../src/in/listen/listen-host.ts';
import { listenUdp, type UdpListener } from '../../src/in/listen/udp.ts';
import { openHost } from '../helpers/listen-host.ts';
import toy, { toyAlive, toyFixes, toyLogin } from '../helpers/toy-codec.ts';
import { eventually } from '../support/wait.ts';

const login = toyLogin('12345678', false);
let world: Awaited<ReturnType<typeof openHost>>;
let listener: UdpListener;
const sockets: dgram.Socket[] = [];

async function listen(codec: typeof toy | undefined, limits: Partial<ListenLimits> = {}): Promise<void> {
  world = await openHost([toy], limits);
  listener = await listenUdp({ codec, host: '127.0.0.1', port: 0, idleMs: 60_000 }, world.host);
}

function peer(to = listener): { send(bytes: Uint8Array): void; readonly received: Buffer[] } {
  const socket = dgram.createSocket('udp4');
  sockets.push(socket);
  const received: Buffer[] = [];
  socket.on('message', (datagram) => received.push(datagram));
  return { send: (bytes) => socket.send(bytes, to.port, '127.0.0.1'), received };
}

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  await listener.close(1000);
  await world.close();
});

describe('a UDP listener', () => {
  it('meters for nobody what no codec knows, and for the device what is dropped', async () => {
    await listen(undefined, { pendingBytes: 1 << 20 });
    const [unknownDevice, known] = [peer(), peer()];
    unknownDevice.send(Uint8Array.of(0x99, 0x98));
    await eventually(async () => expect(await world.count('unidentifiedBytes', { transport: 'udp' })).toBe(2));
    known.send(login);
    await eventually(() => expect(known.received).toHaveLength(1));
    world.overload(true);
    known.send(toyFixes(2, 3));
    await eventually(async () => expect(await world.count('rejects', { reason: 'overload' })).toBe(1));
    world.overload(false);
    world.host.meters.flush();
    expect(await world.used('12345678')).toEqual({
      in: login.length + toyFixes(2, 3).length,
      out: known.received[0]?.length,
      segments: 0,
      datagrams: 3,
      records: 0,
    });
  });

  it('keeps a session per peer: who logged in once is known in the next datagram', async () => {
    await listen(toy);
    const [known, unknown] = [peer(), peer()];
    known.send(login);
    await eventually(() => expect(known.received).toHaveLength(1));
    known.send(toyFixes(2, 3));
    unknown.send(toyFixes(3, 3));
    await eventually(() => expect(known.received).toHaveLength(2));
    expect(await world.count('records')).toBe(3);
    await eventually(async () => expect(await world.count('malformed', { reason: 'unidentified' })).toBe(1));
    expect(unknown.received).toEqual([]);
  });

  it('answers each frame of a datagram in a datagram of its own, in order, when it is durable', async () => {
    await listen(undefined);
    const device = peer();
    device.send(Buffer.concat([login, toyFixes(2, 1), toyAlive(3)]));
    await eventually(() =>
      expect(device.received.map((d) => d.toString('hex').slice(0, 10))).toEqual(['5441000001', '5441010002', '5441000003']),
    );
    expect(world.journal.durable).toBeGreaterThanOrEqual(2);
  });

  it('invariant 1: holds a bounded number of peers, and lets the longest silent go', async () => {
    await listen(toy, { connections: 2 });
    const [a, b, c] = [peer(), peer(), peer()];
    a.send(login);
    await eventually(() => expect(a.received).toHaveLength(1));
    b.send(toyLogin('22222222', false));
    await eventually(() => expect(b.received).toHaveLength(1));
    c.send(toyLogin('33333333', false));
    await eventually(() => expect(c.received).toHaveLength(1));
    b.send(toyAlive(2));
    await eventually(() => expect(b.received).toHaveLength(2));
    // The first was forgotten: its records are nobody's.
    a.send(toyFixes(2, 1));
    await eventually(async () => expect(await world.count('malformed', { reason: 'unidentified' })).toBe(1));
  });

  it('invariant 1: over all listeners of the worker, and a peer that has named no device goes before one that has', async () => {
    await listen(toy, { connections: 2 });
    const other = await listenUdp({ codec: toy, host: '127.0.0.1', port: 0, idleMs: 60_000 }, world.host);
    const [device, stranger, second] = [peer(), peer(other), peer(other)];
    device.send(login);
    await eventually(() => expect(device.received).toHaveLength(1));
    stranger.send(toyAlive(1));
    await eventually(() => expect(stranger.received).toHaveLength(1));
    expect(world.host.peers.size).toBe(2);
    second.send(toyLogin('22222222', false));
    await eventually(() => expect(second.received).toHaveLength(1));
    expect(world.host.peers.size).toBe(2);
    // The device is known, though it has been silent longest.
    device.send(toyFixes(2, 1));
    await eventually(() => expect(device.received).toHaveLength(2));
    await other.close(1000);
    expect(world.host.peers.size).toBe(1);
  });

  it('drops a datagram with a forged source port of 0, which nothing can be sent to, and goes on', async () => {
    await listen(toy);
    const forged = { address: '127.0.0.1', family: 'IPv4' as const, port: 0, size: login.length };
    listener.socket.emit('message', Buffer.from(login), forged);
    const device = peer();
    device.send(toyLogin('22222222', false));
    await eventually(() => expect(device.received).toHaveLength(1));
    expect(await world.count('rejects', { reason: 'port_zero' })).toBe(1);
  });

  it('turns away what no codec knows', async () => {
    await listen(undefined);
    peer().send(Buffer.from('hello'));
    await eventually(async () => expect(await world.count('rejects', { reason: 'unrecognised' })).toBe(1));
  });
});
