import dgram from 'node:dgram';
import net from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { addressOf, networkOf, peerOf, placeOf } from '../../src/base/wire/network.ts';
import { claimPorts } from '../../src/cluster/ports.ts';
import type { ListenerConfig } from '../../src/config/schema.ts';
import { listenTcp } from '../../src/in/listen/tcp.ts';
import { listenUdp } from '../../src/in/listen/udp.ts';
import { openHost } from '../helpers/listen-host.ts';
import toy, { toyLogin } from '../helpers/toy-codec.ts';

const ANSWER = 6;
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of undo.splice(0).reverse()) await one();
});

/** A worker's listeners on every address, and the peers of the sessions that they make. */
async function open(): Promise<{ tcp: number; udp: number; peerOfDevice(device: string): string | undefined }> {
  const world = await openHost([toy], {});
  undo.push(() => world.close());
  const at = { codec: toy, host: '::', port: 0, idleMs: 60_000 };
  const tcp = await listenTcp(at, world.host);
  undo.push(() => tcp.close(0));
  const udp = await listenUdp(at, world.host);
  undo.push(() => udp.close(0));
  return { tcp: tcp.port, udp: udp.port, peerOfDevice: (device) => world.host.sessions.get(device)?.peer };
}

async function overTcp(host: string, port: number, device: string): Promise<number> {
  const socket = net.connect({ host, port });
  undo.push(() => socket.destroy());
  socket.write(toyLogin(device, false));
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('data', (bytes) => (bytes.length === ANSWER ? resolve() : reject(new Error('no answer'))));
  });
  return socket.localPort ?? 0;
}

async function overUdp(host: string, port: number, device: string): Promise<number> {
  const socket = dgram.createSocket(net.isIPv6(host) ? 'udp6' : 'udp4');
  undo.push(() => socket.close());
  const answered = new Promise<void>((resolve) => socket.once('message', () => resolve()));
  socket.send(toyLogin(device, false), port, host);
  await answered;
  return socket.address().port;
}

describe('a listener on every address', () => {
  it('serves IPv4 and IPv6, and knows IPv4 devices by their IPv4 address', async () => {
    const { tcp, udp, peerOfDevice } = await open();
    const ports = [
      await overTcp('127.0.0.1', tcp, '11111111'),
      await overTcp('::1', tcp, '22222222'),
      await overUdp('127.0.0.1', udp, '33333333'),
      await overUdp('::1', udp, '44444444'),
    ];
    expect(['11111111', '22222222', '33333333', '44444444'].map(peerOfDevice)).toEqual([
      `127.0.0.1:${ports[0]}`,
      `::1:${ports[1]}`,
      `127.0.0.1:${ports[2]}`,
      `::1:${ports[3]}`,
    ]);
  });

  it('is an IPv4 listener where the machine has no IPv6', async () => {
    const listener = (host: string): ListenerConfig => ({ codec: 'toy', transport: 'tcp', host, port: 0, idleMs: 1000 });
    expect((await claimPorts([listener('::')])).map(({ host }) => host)).toEqual(['::']);
    // What the socket of a machine without IPv6 does.
    const real = net.Server.prototype.listen;
    vi.spyOn(net.Server.prototype, 'listen').mockImplementation(function (this: net.Server, ...args: unknown[]) {
      const [options] = args;
      if (typeof options === 'object' && options !== null && 'host' in options && options.host === '::') {
        queueMicrotask(() => this.emit('error', Object.assign(new Error('listen EAFNOSUPPORT'), { code: 'EAFNOSUPPORT' })));
        return this;
      }
      return Reflect.apply(real, this, args);
    });
    undo.push(() => vi.restoreAllMocks());
    expect((await claimPorts([listener('::'), listener('127.0.0.1')])).map(({ host }) => host)).toEqual(['0.0.0.0', '127.0.0.1']);
  });
});

describe('addresses', () => {
  it('are one text for one device, whichever socket has seen it', () => {
    expect(peerOf('::ffff:192.0.2.1', 4000)).toBe('192.0.2.1:4000');
    expect(peerOf('192.0.2.1', 4000)).toBe('192.0.2.1:4000');
    expect(peerOf('2001:db8::1', 4000)).toBe('2001:db8::1:4000');
    expect(addressOf(peerOf('2001:db8::1', 4000))).toBe('2001:db8::1');
    // As an earlier version has noted it in the journal.
    expect(addressOf('::ffff:192.0.2.1:4000')).toBe('192.0.2.1');
    expect(networkOf(addressOf(peerOf('::ffff:192.0.2.1', 1)), 4, 4)).toBe(networkOf('192.0.2.1', 4, 4));
    expect([placeOf('::', 5027), placeOf('127.0.0.1', 5027)]).toEqual(['[::]:5027', '127.0.0.1:5027']);
  });
});
