import dgram from 'node:dgram';
import net from 'node:net';
import { systemClock } from '../../src/base/clock.ts';
import { Latency } from '../../src/simulate/latency.ts';
import { Frames, imeiOf, login } from './frames.ts';
import { type FleetOrder, isToLoad, type RunOrder, type RunReport } from './messages.ts';

/**
 * A process of Teltonika devices that cost next to nothing: each makes its frames in place, sends one at a time and
 * compares the answer. What is measured is the server.
 *
 * At a rate the packets are due at fixed moments, whatever the server does (open loop): a packet that its device cannot
 * send yet waits, and its latency begins when it was due.
 */
const TICK_MS = 1;
const PARALLEL_CONNECTS = 500;
/** For the last answers of a run. */
const GRACE_MS = 30_000;

async function connect(order: FleetOrder): Promise<void> {
  const began = systemClock.elapsed();
  devices = Array.from({ length: order.devices }, (_, k) => new LoadDevice(order, k));
  if (!order.churn)
    for (let k = 0; k < devices.length; k += PARALLEL_CONNECTS)
      await Promise.all(devices.slice(k, k + PARALLEL_CONNECTS).map((device) => device.connect()));
  process.send?.({ type: 'connected', tookMs: systemClock.elapsed() - began, lost: run.lost });
}

async function send({ rate, runMs }: RunOrder): Promise<void> {
  run = new Run();
  run.closedLoop = rate === 0;
  run.until = run.began + runMs;
  if (rate === 0) for (const device of devices) device.due(run.began);
  await paced(rate, run.until);
  const deadline = systemClock.elapsed() + GRACE_MS;
  while (devices.some((device) => device.waiting) && systemClock.elapsed() < deadline) await new Promise((done) => setTimeout(done, 10));
  const unsent = devices.reduce((sum, device) => sum + device.abandon(), 0);
  process.send?.({ type: 'done', report: run.report(unsent) });
}

/** Hands out packets as they fall due, to the devices in turn, until `until`. */
function paced(rate: number, until: number): Promise<void> {
  return new Promise((resolve) => {
    const step = 1000 / rate;
    let next = systemClock.elapsed();
    let turn = 0;
    const timer = setInterval(() => {
      const now = systemClock.elapsed();
      if (rate > 0) for (; next <= now && next < until; next += step) devices[turn++ % devices.length]?.due(next);
      if (now < until) return;
      clearInterval(timer);
      resolve();
    }, TICK_MS);
  });
}

/** What is counted between two orders. */
class Run {
  readonly began = systemClock.elapsed();
  until = Number.POSITIVE_INFINITY;
  closedLoop = false;
  wrong = 0;
  lost = 0;
  readonly #latency = new Latency();
  #packets = 0;
  #records = 0;
  #last = 0;

  answered(now: number, due: number, records: number): void {
    this.#packets++;
    this.#records += records;
    this.#last = now;
    this.#latency.add(now - due);
  }

  report(unsent: number): RunReport {
    const { wrong, lost } = this;
    const tookMs = Math.max(0, this.#last - this.began);
    return { packets: this.#packets, records: this.#records, latency: this.#latency.toJSON(), tookMs, unsent, wrong, lost };
  }
}

class LoadDevice {
  /** A packet is on its way. */
  waiting = false;
  readonly #order: FleetOrder;
  readonly #frames: Frames;
  readonly #login: Uint8Array;
  /** When the packets that wait for this device were due. */
  readonly #due: number[] = [];
  #socket: net.Socket | dgram.Socket | undefined;
  #loggedIn: () => void = () => {};
  #online = false;
  #sentFor = 0;

  constructor(order: FleetOrder, index: number) {
    const number = order.first + index;
    this.#order = order;
    this.#frames = new Frames(number, order.records, order.attributes, order.transport === 'udp');
    this.#login = login(imeiOf(number));
  }

  /** Resolves when the device is logged in; a connection that is lost before is counted, and tried again. */
  connect(): Promise<void> {
    return new Promise((resolve) => {
      this.#loggedIn = resolve;
      if (this.#order.transport === 'udp') this.#bind();
      else this.#dial();
    });
  }

  due(at: number): void {
    this.#due.push(at);
    if (this.#online) {
      if (!this.waiting) this.#send();
    } else if (this.#order.churn && this.#socket === undefined) void this.connect();
  }

  /** Forgets the packets that were due and not sent; returns how many there are. */
  abandon(): number {
    return this.#due.splice(0).length;
  }

  #bind(): void {
    const socket = dgram.createSocket('udp4');
    this.#socket = socket;
    socket.on('message', (bytes) => this.#stored(bytes.length === 7 && bytes[5] === this.#frames.packetId ? (bytes[6] ?? 0) : -1));
    socket.connect(this.#order.port, '127.0.0.1', () => this.#ready());
  }

  #dial(): void {
    const socket = net.connect({ host: '127.0.0.1', port: this.#order.port, noDelay: true });
    this.#socket = socket;
    socket.on('connect', () => void socket.write(this.#login));
    socket.on('data', (bytes) => this.#answer(bytes));
    socket.on('error', () => {});
    socket.on('close', () => this.#gone(socket));
  }

  #gone(socket: net.Socket): void {
    if (this.#socket !== socket) return;
    const finished = this.#order.churn && this.#online && !this.waiting;
    if (!finished) run.lost++;
    if (this.waiting) this.#due.unshift(this.#sentFor);
    this.#socket = undefined;
    this.#online = false;
    this.waiting = false;
    if (!this.#order.churn || this.#due.length > 0) this.#dial();
  }

  #ready(): void {
    this.#online = true;
    this.#loggedIn();
    if (this.#due.length > 0) this.#send();
  }

  #send(): void {
    const due = this.#due.shift();
    if (due === undefined) return;
    const frame = this.#frames.next(systemClock.now());
    this.waiting = true;
    this.#sentFor = due;
    if (this.#socket instanceof net.Socket) this.#socket.write(frame);
    else this.#socket?.send(frame);
  }

  #answer(bytes: Uint8Array): void {
    if (!this.#online) {
      if (bytes.length === 1 && bytes[0] === 1) this.#ready();
      else run.wrong++;
      return;
    }
    this.#stored(bytes.length === 4 && bytes[0] === 0 && bytes[1] === 0 && bytes[2] === 0 ? (bytes[3] ?? 0) : -1);
  }

  /** The server says that it has stored so many records; -1: that was no such answer. */
  #stored(records: number): void {
    if (!this.waiting || records !== this.#order.records) {
      run.wrong++;
      return;
    }
    const now = systemClock.elapsed();
    this.waiting = false;
    run.answered(now, this.#sentFor, records);
    if (this.#order.churn) {
      if (this.#socket instanceof net.Socket) this.#socket.end();
      return;
    }
    if (run.closedLoop && now < run.until) this.#due.push(now);
    if (this.#due.length > 0) this.#send();
  }
}

let devices: readonly LoadDevice[] = [];
let run = new Run();

process.on('message', (message) => {
  if (!isToLoad(message)) return;
  if (message.type === 'connect') void connect(message);
  else void send(message);
});
// The benchmark has finished with these devices, or is gone.
process.on('disconnect', () => process.exit(0));
