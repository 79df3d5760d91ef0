import { lookup } from 'node:dns/promises';
import type { Clock } from '../base/clock.ts';
import { AppError, messageOf } from '../base/errors.ts';
import type { SimulatedDevice, Transport } from '../codec/index.ts';
import { Device } from './device.ts';
import { ForeignDevice } from './foreign.ts';
import { GT06_MODELS, Gt06Device } from './gt06.ts';
import { H02_MODELS, H02Device } from './h02.ts';
import { JT808_MODELS, Jt808Device } from './jt808.ts';
import { Ledger } from './ledger.ts';
import type { Obedience } from './obedience.ts';
import { QUECLINK_MODELS, QueclinkDevice } from './queclink.ts';
import { Random } from './random.ts';
import type { Speaker } from './speaker.ts';
import { Tally } from './tally.ts';
import { TELTONIKA_CODECS, TELTONIKA_FAMILIES, TeltonikaDevice } from './teltonika.ts';
import { Track } from './track.ts';
import { type Fault, Workshop } from './workshop.ts';

/**
 * Many simulated devices in one process.
 *
 * 1. Devices of all models of the chosen protocols, on the chosen transports, in turn; the same seed gives the same
 *    devices on the same tracks.
 * 2. After the given duration nothing new is sampled; devices go on until all they sent is acknowledged, or the
 *    grace time is over.
 * 3. The ledger holds what was acknowledged and nothing else.
 */
export const PROTOCOLS = ['teltonika', 'gt06', 'h02', 'queclink', 'jt808'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** The customary ports (docs/configuration.md). */
export const DEFAULT_PORTS: Readonly<Record<Protocol, number>> = { teltonika: 5027, gt06: 5023, h02: 5013, queclink: 5004, jt808: 5015 };

/** A protocol whose codec is not of this repository: its devices all go to one port. */
export interface Foreign {
  readonly name: string;
  readonly port: number;
  readonly made: (n: number, transport: Transport) => SimulatedDevice | undefined;
}

/** One machine, a port for each protocol. */
export interface Target {
  readonly host: string;
  readonly ports: Readonly<Record<Protocol, number>>;
}

export interface FleetSettings {
  readonly protocols: readonly Protocol[];
  /** Behind `protocols`, in turn with them. */
  readonly foreign?: readonly Foreign[];
  readonly transports: readonly Transport[];
  readonly target: Target;
  readonly devices: number;
  readonly intervalMs: number;
  /** Infinity: until `finish` is called. */
  readonly durationMs: number;
  /** After it, how long to wait for what is not acknowledged. */
  readonly graceMs: number;
  /** How long a device waits for an answer. */
  readonly timeoutMs: number;
  /** Teltonika packets on their way at once. */
  readonly window: number;
  /** Records in a Teltonika packet. */
  readonly records: number;
  readonly seed: number;
  /** How devices take commands; as they should when absent. */
  readonly obedience?: Obedience | undefined;
  /** They lose neither coverage nor answers. */
  readonly steady?: boolean | undefined;
  /** All stand in a workshop, with this fault, and are steady; they drive when absent. */
  readonly workshop?: Fault | undefined;
  /** Path, or undefined for none. */
  readonly ledger: string | undefined;
  readonly clock: Clock;
}

export interface WrongAnswer {
  readonly device: string;
  readonly transport: Transport;
  readonly expected: string;
  readonly got: string;
}

/** How often devices are looked at, and how often the patience of each is. */
const TICK_MS = 20;
const CHECK_EVERY = 5;
/** Connections begun per second: more would overflow a listen queue before the server had its turn. */
const CONNECTS_PER_S = 2000;
/** An interval that is not kept is as often right as so many times longer, at least. */
const UNSTABLE = 3;
/** Wrong answers kept to be shown. */
const SHOWN = 10;

interface Member {
  readonly device: Device;
  /** Monotonic ms. */
  connectAt: number;
  sampleAt: number;
  samples: number;
}

export class Fleet {
  readonly tallies = new Map<string, Tally>();
  /** The first wrong answers. */
  readonly wrong: WrongAnswer[] = [];
  /** System code of the last attempt to connect that failed, or ''. */
  lastFailure = '';
  readonly #settings: FleetSettings;
  readonly #clock: Clock;
  readonly #members: Member[] = [];
  #ledger: Ledger | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ticks = 0;
  #startedAt = 0;
  /** Monotonic ms at which nothing new is sampled. */
  #endsAt = Number.POSITIVE_INFINITY;
  #finishing = false;
  #done: () => void = () => {};

  constructor(settings: FleetSettings) {
    this.#settings = settings;
    this.#clock = settings.clock;
  }

  /** Starts the devices; resolves when the run is over. Throws AppError USAGE for a host or ledger that cannot be used. */
  async run(): Promise<void> {
    const settings = this.#settings;
    if (settings.ledger !== undefined) this.#ledger = new Ledger(settings.ledger);
    const host = await resolved(settings.target.host);
    this.#startedAt = this.#clock.elapsed();
    this.#endsAt = this.#startedAt + settings.durationMs;
    for (let i = 0; i < settings.devices; i++) this.#members.push(this.#member(i, host));
    const over = new Promise<void>((resolve) => {
      this.#done = resolve;
    });
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    await over;
    clearInterval(this.#timer);
    for (const { device } of this.#members) device.close();
    this.#ledger?.close();
  }

  /** Ends the sampling now; what is under way is still brought to its end. */
  finish(): void {
    this.#endsAt = Math.min(this.#endsAt, this.#clock.elapsed());
  }

  /** The SOS button of every device is pressed. */
  alarm(): void {
    for (const { device } of this.#members) device.alarm();
  }

  /** Milliseconds since the start, at most until the end of the sampling. */
  get sampledMs(): number {
    return Math.min(this.#clock.elapsed(), this.#endsAt) - this.#startedAt;
  }

  get finishing(): boolean {
    return this.#finishing;
  }

  total(): Tally {
    const total = new Tally();
    for (const tally of this.tallies.values()) total.merge(tally);
    return total;
  }

  #tick(): void {
    const elapsed = this.#clock.elapsed();
    const { intervalMs, records } = this.#settings;
    const checks = ++this.#ticks % CHECK_EVERY === 0;
    if (!this.#finishing && elapsed >= this.#endsAt) {
      this.#finishing = true;
      for (const { device } of this.#members) device.finish();
    }
    let settled = true;
    for (const member of this.#members) {
      if (!this.#finishing && elapsed >= member.sampleAt) {
        const everyMs = (member.device.intervalMs ?? intervalMs) * this.#pace(member.samples++);
        member.sampleAt = Math.max(member.sampleAt + everyMs, elapsed - everyMs);
        member.device.sample(records, everyMs);
      }
      if (checks && elapsed >= member.connectAt) member.device.check();
      settled &&= member.device.settled;
    }
    if (checks) this.#ledger?.flush();
    if (this.#finishing && (settled || elapsed > this.#endsAt + this.#settings.graceMs)) this.#done();
  }

  #member(index: number, host: string): Member {
    const { protocols, foreign = [], transports, seed, intervalMs, devices, target, timeoutMs } = this.#settings;
    const kinds = [...protocols, ...foreign];
    const kind = kinds[index % kinds.length] ?? 'teltonika';
    const turn = Math.floor(index / kinds.length);
    const random = new Random(seed * 1_000_003 + index);
    const wanted = transports[turn % transports.length] ?? 'tcp';
    const [protocol, port] = typeof kind === 'string' ? [kind, target.ports[kind]] : [kind.name, kind.port];
    const { speaker, transport } =
      typeof kind === 'string'
        ? { speaker: this.#speaker(kind, index, Math.floor(turn / transports.length), wanted), transport: wanted }
        : foreigner(kind, (seed % 100) * 100_000 + index, wanted);
    const to = { host, port };
    const { workshop, steady = workshop !== undefined } = this.#settings;
    const ground = random.int(0x7fffffff);
    const track = workshop === undefined ? new Track(ground, speaker.resolutionMs) : new Workshop(ground, speaker.resolutionMs, workshop);
    const device = new Device(speaker, transport, to, track, random, this.#tally(protocol), {
      timeoutMs,
      steady,
      obedience: this.#settings.obedience ?? 'honest',
      now: () => this.#clock.now(),
      elapsed: () => this.#clock.elapsed(),
      acknowledged: (id, fix) => this.#ledger?.add(id, fix),
      wrongAnswer: (id, on, expected, got) => {
        if (this.wrong.length < SHOWN) this.wrong.push({ device: id, transport: on, expected, got });
      },
      failed: (code) => {
        this.lastFailure = code;
      },
    });
    const share = random.next();
    const spreadMs = (1000 * devices) / CONNECTS_PER_S;
    const sampleAt = this.#startedAt + share * Math.max(spreadMs, intervalMs);
    return { device, connectAt: this.#startedAt + share * spreadMs, sampleAt, samples: 0 };
  }

  /** Intervals until the next sample. */
  #pace(samples: number): number {
    return this.#settings.workshop === 'unstable_interval' && samples % 2 === 1 ? UNSTABLE + (samples % 3) : 1;
  }

  /** Models take turns; `number` makes the identity. */
  #speaker(protocol: Protocol, number: number, turn: number, transport: Transport): Speaker {
    const now = (): number => this.#clock.now();
    const { seed, window } = this.#settings;
    // Another seed gives other devices, as far as the digits reach.
    const identity = (seed % 100) * 100_000 + number;
    switch (protocol) {
      case 'teltonika':
        return new TeltonikaDevice(
          identity,
          TELTONIKA_CODECS[turn % TELTONIKA_CODECS.length] ?? 0x08,
          transport,
          window,
          // Every family on every codec after nine devices, every codec and every family after three.
          TELTONIKA_FAMILIES[(turn + Math.floor(turn / TELTONIKA_CODECS.length)) % TELTONIKA_FAMILIES.length] ?? 'car',
        );
      case 'gt06':
        return new Gt06Device(identity, GT06_MODELS[turn % GT06_MODELS.length] ?? 'gt06', now);
      case 'h02':
        return new H02Device(identity, H02_MODELS[turn % H02_MODELS.length] ?? 'text', now);
      case 'queclink':
        return new QueclinkDevice(identity, QUECLINK_MODELS[turn % QUECLINK_MODELS.length] ?? 'personal', now);
      case 'jt808':
        return new Jt808Device(identity, JT808_MODELS[turn % JT808_MODELS.length] ?? '2013');
    }
  }

  #tally(protocol: string): Tally {
    let tally = this.tallies.get(protocol);
    if (tally === undefined) {
      tally = new Tally();
      this.tallies.set(protocol, tally);
    }
    return tally;
  }
}

/** On the other transport, where it has no device for the one that is its turn. */
function foreigner(kind: Foreign, n: number, wanted: Transport): { readonly speaker: Speaker; readonly transport: Transport } {
  for (const transport of [wanted, wanted === 'tcp' ? 'udp' : 'tcp'] as const) {
    const made = kind.made(n, transport);
    if (made !== undefined) return { speaker: new ForeignDevice(made), transport };
  }
  throw new AppError('USAGE', `the codec ${kind.name} makes no simulated device ${n}, neither for tcp nor for udp`);
}

async function resolved(host: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch (error) {
    throw new AppError('USAGE', `cannot find the host ${host}: ${messageOf(error)}`, error);
  }
}
