import dgram from 'node:dgram';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet, udpPacket } from '../helpers/teltonika.ts';
import { rounds } from '../support/thorough.ts';
import { eventually, pause, until } from '../support/wait.ts';

let server: Server;

/** With several, it listens on every address, too. */
function serverWith(workers: '1' | '2'): void {
  beforeAll(async () => {
    const listen = workers === '1' ? 'teltonika@127.0.0.1:0' : 'teltonika@127.0.0.1:0,auto@[::]:0';
    // Devices that report without end are heard as long as a worker may finish.
    server = await Server.start({ FIXGATE_WORKERS: workers, FIXGATE_LISTEN: listen, FIXGATE_DRAIN_MS: '4000' });
  });
  afterAll(async () => {
    await server.stop();
  });
}

function imei(n: number): string {
  return String(356307042000000 + n);
}

/** A device that holds its connection and reports without pause; when it is closed it comes back. Counts what was acknowledged. */
async function report(port: number, id: string, isOver: () => boolean): Promise<{ acknowledged: number; connections: number }> {
  let [acknowledged, connections] = [0, 0];
  while (!isOver()) {
    const device = await TcpDevice.connect(port);
    connections++;
    device.send(handshake(id));
    await device.until((d) => d.received.length >= 1 || d.ended);
    for (let answers = 0; !isOver() && !device.ended; ) {
      device.send(packet(Date.UTC(2026, 9, 1) + acknowledged * 1000));
      await device.until((d) => d.received.length >= 1 + 4 * (answers + 1) || d.ended);
      if (device.received.length < 1 + 4 * (answers + 1)) break;
      answers++;
      acknowledged++;
      await pause(50);
    }
    device.close();
  }
  return { acknowledged, connections };
}

/** Connects again and again, as a few devices. Counts how often, and has every error. */
class Door {
  tries = 0;
  readonly errors: string[] = [];
  readonly over: Promise<void>;

  constructor(port: number, isOver: () => boolean, host = '127.0.0.1') {
    this.over = this.#knock(port, isOver, host);
  }

  async #knock(port: number, isOver: () => boolean, host: string): Promise<void> {
    for (; !isOver(); this.tries++) {
      await new Promise<void>((resolve) => {
        const socket = net.connect({ port, host }, () => socket.write(handshake(imei(900_000 + (this.tries % 20)))));
        socket.once('data', () => socket.end());
        socket.on('error', (error) => this.errors.push(error.message));
        socket.once('close', () => resolve());
      });
      await pause(10);
    }
  }
}

/**
 * Datagrams in both families, each from a port of its own and sent once; answers come from the sockets of two processes. Returns when
 * all are answered.
 */
async function datagrams(port: number, isOver: () => boolean): Promise<void> {
  const open = new Map<number, dgram.Socket>();
  onTestFinished(() => {
    for (const socket of open.values()) socket.close();
  });
  for (let sent = 0; sent <= 100 || !isOver(); sent++) {
    const host = sent % 2 === 0 ? '127.0.0.1' : '::1';
    const socket = dgram.createSocket(sent % 2 === 0 ? 'udp4' : 'udp6');
    const n = sent;
    open.set(n, socket);
    socket.once('message', () => {
      open.delete(n);
      socket.close();
    });
    socket.send(udpPacket(imei(100 + (n % 20)), Date.UTC(2026, 9, 1) + n * 1000), port, host);
    await pause(10);
    // As many as a device's patience.
    if (open.size >= 50) await new Promise<void>((resolve) => open.values().next().value?.once('close', resolve));
  }
  await eventually(() => expect([...open.keys()]).toEqual([]));
}

/** SIGHUP under devices that report, that come again and again, and, with several workers, that send datagrams. */
async function replaced(workers: '1' | '2'): Promise<void> {
  const port = await server.port('teltonika');
  const before = server.children('worker');
  let done = false;
  const isOver = (): boolean => done;
  const fleet = Array.from({ length: 6 }, (_, n) => report(port, imei(n), isOver));
  const doors = [new Door(port, isOver)];
  let answered = Promise.resolve();
  if (workers === '2') {
    const [tcp, udp] = [await server.port('auto'), await server.port('auto', 'udp')];
    doors.push(...['127.0.0.1', '::1'].map((host) => new Door(tcp, isOver, host)));
    answered = datagrams(udp, isOver);
  }
  for (const door of doors) await until(() => door.tries > 10);
  // What has replaced others is replaced, too.
  for (let round = 0; round < (workers === '1' ? 2 : rounds(1, 2)); round++) {
    server.log.length = server.log.findIndex((line) => line.msg === 'listening') + 1;
    server.signal('SIGHUP');
    await server.logged('the workers are replaced');
  }
  for (const door of doors) await until(() => door.tries > 50);
  done = true;
  const devices = await Promise.all(fleet);
  await Promise.all(doors.map(({ over }) => over));
  for (const { errors } of doors) expect(errors).toEqual([]);
  await answered;
  const after = server.children('worker');
  expect(after).toHaveLength(Number(workers));
  expect(after.filter((pid) => before.includes(pid))).toEqual([]);
  // The change did reach the devices.
  for (const device of devices) expect(device.connections).toBeGreaterThan(1);
  const acknowledged = devices.reduce((sum, device) => sum + device.acknowledged, 0);
  const counted = `SELECT count() >= ${acknowledged}, count() = uniqExact(device, time, id) FROM positions FINAL WHERE device < '${imei(10)}' FORMAT TSV`;
  await eventually(async () => expect(await server.query(counted)).toBe('1\t1\n'));
  await eventually(async () => expect(await (await server.http('/readyz')).json()).toMatchObject({ status: 'ready' }));
}

describe('SIGHUP replaces the only worker', () => {
  serverWith('1');

  it('and no connection is refused, and what is acknowledged is stored, once', () => replaced('1'));
});

describe('two workers', () => {
  const TWICE = imei(1000);
  serverWith('2');

  it('are replaced by SIGHUP one by one: no connection is refused and no datagram lost, in either family of addresses, and what is acknowledged is stored, once', () =>
    replaced('2'));

  it('keep the connections of one device while they are heard, on whichever worker, and store what each sends', async () => {
    const port = await server.port('teltonika');
    const devices: TcpDevice[] = [];
    // As many as one worker keeps of one device.
    for (let n = 0; n < 4; n++) {
      const device = await TcpDevice.connect(port);
      device.send(handshake(TWICE));
      await device.until((d) => d.received.length === 1);
      device.send(packet(Date.UTC(2026, 9, 1) + n * 1000));
      await device.until((d) => d.received.length === 5);
      devices.push(device);
    }
    for (const [n, device] of devices.entries()) {
      device.send(packet(Date.UTC(2026, 9, 2) + n * 1000));
      await device.until((d) => d.received.length === 9 || d.ended);
    }
    expect(devices.map(({ ended }) => ended)).toEqual([false, false, false, false]);
    const records = `SELECT count() FROM positions FINAL WHERE device = '${TWICE}'`;
    await eventually(async () => expect(await server.query(records)).toBe('8\n'));
    for (const device of devices) device.close();
  });
});
