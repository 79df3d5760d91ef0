import dgram from 'node:dgram';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { Listeners } from '../../src/in/listen/listeners.ts';
import { listenTcp } from '../../src/in/listen/tcp.ts';
import type { Sender } from '../../src/in/listen/udp.ts';
import { openHost } from '../helpers/listen-host.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import toy, { toyFixes, toyLogin } from '../helpers/toy-codec.ts';
import { eventually } from '../support/wait.ts';

/** A worker that is replaced gives its open sockets to the next one: no connection is refused, no datagram lost. */

const ANSWER = 6;
const LOGIN = toyLogin('12345678', false);
const IDLE_MS = 60_000;
const CODECS = new Map([['toy', toy]]);
const plan = (transport: 'tcp' | 'udp', port = 0) => ({ codec: 'toy', transport, host: '127.0.0.1', port, idleMs: IDLE_MS }) as const;

let world: Awaited<ReturnType<typeof openHost>>;
beforeEach(async () => {
  world = await openHost([toy]);
});
afterEach(() => world.close());

it('a listening socket of another worker serves as an own one, also a device that closes its side first', async () => {
  // As the operating system gives it to a process: without the settings of the listener.
  const given = net.createServer().listen(0, '127.0.0.1');
  await once(given, 'listening');
  const { port } = given.address() as AddressInfo;
  const listener = await listenTcp({ codec: toy, host: '127.0.0.1', port: 1, idleMs: IDLE_MS }, world.host, given);
  expect([listener.port, listener.socket]).toEqual([port, given]);
  const device = await TcpDevice.connect(port);
  device.send(Buffer.concat([LOGIN, toyFixes(2, 3), toyFixes(3, 3)]));
  device.half();
  await device.until((d) => d.ended);
  expect(device.received).toHaveLength(3 * ANSWER);
  expect(await world.count('records')).toBe(6);
  await listener.close(1000);
  expect(given.listening).toBe(false);
});

it('each listener has its own socket to hand over, and none where none is open', async () => {
  const listeners = new Listeners([plan('udp'), plan('tcp'), plan('tcp')], CODECS, world.host);
  onTestFinished(() => listeners.close(1000, () => {}));
  await listeners.open(0);
  await listeners.open(1);
  expect(listeners.handOver(0)).toBeInstanceOf(dgram.Socket);
  expect(listeners.handOver(1)).toBeInstanceOf(net.Server);
  expect([listeners.handOver(2), listeners.handOver(3)]).toEqual([undefined, undefined]);
  await listeners.open(3);
  expect(listeners.handOver(3)).toBeUndefined();
});

it('a port that another program holds is named with its listener', async () => {
  const [other, socket] = [net.createServer().listen(0, '127.0.0.1'), dgram.createSocket('udp4').bind(0, '127.0.0.1')];
  onTestFinished(() => void [other.close(), socket.close()]);
  await Promise.all([once(other, 'listening'), once(socket, 'listening')]);
  const { port } = other.address() as AddressInfo;
  const refusal = async (of: 'tcp' | 'udp', at: number): Promise<unknown> =>
    await new Listeners([plan(of, at)], CODECS, world.host).openAll().catch((error) => [error.code, error.message]);
  expect(await refusal('tcp', port)).toEqual([
    'PORT_IN_USE',
    expect.stringMatching(`^cannot listen on tcp 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`),
  ]);
  const bound = socket.address().port;
  expect(await refusal('udp', bound)).toEqual([
    'PORT_IN_USE',
    expect.stringMatching(`^cannot listen on udp 127\\.0\\.0\\.1:${bound}: .*EADDRINUSE`),
  ]);
});

it('what arrives at a datagram socket that was handed over, while it is closed, goes to the next worker', async () => {
  const listeners = new Listeners([plan('tcp'), plan('udp')], CODECS, world.host);
  await listeners.openAll();
  const socket = listeners.handOver(1);
  const from: Sender = { address: '127.0.0.1', port: 4711 };
  const passed: unknown[] = [];
  socket?.emit('message', LOGIN, from);
  expect(await world.count('accepts')).toBe(1);
  const closed = listeners.close(1000, (...received) => passed.push(received));
  socket?.emit('message', toyFixes(2, 3), from);
  expect(passed).toEqual([[1, toyFixes(2, 3), from]]);
  await closed;
  // The device was served here before, and nothing of what came later was.
  expect(await world.count('bytes', { transport: 'udp', direction: 'in' })).toBe(LOGIN.length);
});

it('a datagram that another process has read is served by the listener it was sent to, and dropped where there is none', async () => {
  const listeners = new Listeners([plan('udp'), plan('udp')], CODECS, world.host);
  onTestFinished(() => listeners.close(1000, () => {}));
  await listeners.open(1);
  const device = dgram.createSocket('udp4').bind(0, '127.0.0.1');
  onTestFinished(() => void device.close());
  await once(device, 'listening');
  const answers: number[] = [];
  device.on('message', (_, { port }) => answers.push(port));
  const from: Sender = { address: '127.0.0.1', port: device.address().port };
  listeners.receive(0, LOGIN, from);
  expect(await world.count('accepts')).toBe(0);
  listeners.receive(1, LOGIN, from);
  const own = listeners.handOver(1);
  await eventually(() => expect(answers).toEqual([own instanceof dgram.Socket ? own.address().port : 0]));
});
