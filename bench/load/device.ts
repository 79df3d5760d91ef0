import net from 'node:net';
import { systemClock } from '../../src/clock.ts';
import { Latency } from '../../src/simulate/latency.ts';
import { TeltonikaDevice } from '../../src/simulate/teltonika.ts';
import { Track } from '../../src/simulate/track.ts';
import { crc16Arc, putU32be, putU64be } from '../../src/wire/index.ts';
import { isLoadOrder, type LoadOrder, type LoadReport } from './messages.ts';

/**
 * A process of Teltonika devices on TCP that cost next to nothing: each sends one frame over and over, with new times
 * and a new checksum, one at a time, and compares the answer. What is measured is the server.
 */
const TICK_MS = 1;
const PARALLEL_CONNECTS = 200;
/** For the last answers, after the end. */
const GRACE_MS = 30_000;

process.on('message', (message) => {
  if (isLoadOrder(message)) void load(message);
});
// The benchmark is gone.
process.on('disconnect', () => process.exit(1));

async function load(order: LoadOrder): Promise<void> {
  const counters = new Counters();
  const devices: LoadDevice[] = [];
  for (let k = 0; k < order.devices; k += PARALLEL_CONNECTS) {
    const some = Array.from({ length: Math.min(PARALLEL_CONNECTS, order.devices - k) }, (_, i) => new LoadDevice(order, k + i, counters));
    await Promise.all(some.map((device) => device.connect()));
    devices.push(...some);
  }
  process.send?.({ type: 'connected' });
  if (order.records === 0) return;

  const clock = systemClock;
  const from = clock.elapsed() + order.warmMs;
  const until = from + order.runMs;
  counters.from = from;
  counters.until = until;
  if (order.rate === 0) for (const device of devices) device.send();
  await new Promise<void>((resolve) => {
    let due = 0;
    let turn = 0;
    let last = clock.elapsed();
    const timer = setInterval(() => {
      const now = clock.elapsed();
      if (now >= until) {
        clearInterval(timer);
        resolve();
        return;
      }
      due += (order.rate * (now - last)) / 1000;
      last = now;
      for (; due >= 1; due--) {
        let tries = 0;
        while (tries < devices.length && devices[turn % devices.length]?.waiting === true) {
          turn++;
          tries++;
        }
        if (tries === devices.length) counters.late++;
        else devices[turn++ % devices.length]?.send();
      }
    }, TICK_MS);
  });
  const deadline = clock.elapsed() + GRACE_MS;
  while (devices.some((device) => device.waiting) && clock.elapsed() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
  for (const device of devices) device.close();
  const report: LoadReport = {
    packets: counters.packets,
    latency: counters.latency.toJSON(),
    acknowledged: counters.acknowledged,
    late: counters.late,
    wrong: counters.wrong,
    connected: devices.length,
  };
  process.send?.({ type: 'done', report }, undefined, undefined, () => process.exit(0));
}

class Counters {
  from = Number.POSITIVE_INFINITY;
  until = Number.POSITIVE_INFINITY;
  packets = 0;
  acknowledged = 0;
  late = 0;
  wrong = 0;
  readonly latency = new Latency();
}

class LoadDevice {
  /** A packet is on its way. */
  waiting = false;
  readonly #order: LoadOrder;
  readonly #counters: Counters;
  readonly #speaker: TeltonikaDevice;
  readonly #frame: Uint8Array;
  readonly #recordBytes: number;
  #socket: net.Socket | undefined;
  #loggedIn: () => void = () => {};
  #sentAt = 0;
  #time = 0;

  constructor(order: LoadOrder, index: number, counters: Counters) {
    this.#order = order;
    this.#counters = counters;
    const number = order.first + index;
    this.#speaker = new TeltonikaDevice(number, 0x08, 'tcp', 1);
    const records = Math.max(1, order.records);
    const track = new Track(number + 1, 1);
    const [packet] = this.#speaker.packets(Array.from({ length: records }, (_, k) => track.at(systemClock.now() - records + k)));
    const body = packet?.body ?? new Uint8Array(0);
    this.#recordBytes = (body.length - 3) / records;
    this.#frame = new Uint8Array(12 + body.length);
    putU32be(this.#frame, 4, body.length);
    this.#frame.set(body, 8);
  }

  connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host: '127.0.0.1', port: this.#order.port, noDelay: true });
      this.#socket = socket;
      this.#loggedIn = resolve;
      socket.on('connect', () => void socket.write(this.#speaker.hello()?.bytes ?? new Uint8Array(0)));
      socket.on('data', (bytes) => this.#answer(bytes));
      socket.on('error', reject);
    });
  }

  send(): void {
    const { records } = this.#order;
    const frame = this.#frame;
    this.#time = Math.max(systemClock.now() - records + 1, this.#time);
    for (let k = 0; k < records; k++) putU64be(frame, 10 + k * this.#recordBytes, this.#time++);
    const end = frame.length - 4;
    putU32be(frame, end, crc16Arc(frame, 8, end));
    this.waiting = true;
    this.#sentAt = systemClock.elapsed();
    this.#socket?.write(frame);
  }

  close(): void {
    this.#socket?.end();
  }

  #answer(bytes: Uint8Array): void {
    if (!this.waiting) {
      if (bytes.length !== 1 || bytes[0] !== 1) this.#counters.wrong++;
      this.#loggedIn();
      return;
    }
    const counters = this.#counters;
    const { records, rate } = this.#order;
    this.waiting = false;
    if (bytes.length !== 4 || bytes[0] !== 0 || bytes[1] !== 0 || bytes[2] !== 0 || bytes[3] !== records) {
      counters.wrong++;
      return;
    }
    counters.acknowledged += records;
    const now = systemClock.elapsed();
    if (now >= counters.from && now < counters.until) {
      counters.packets++;
      counters.latency.add(now - this.#sentAt);
    }
    if (rate === 0 && now < counters.until) this.send();
  }
}
