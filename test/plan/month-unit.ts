import type { Clock } from '../../src/base/clock.ts';
import { Device } from '../../src/simulate/device.ts';
import { GT06_MODELS, Gt06Device } from '../../src/simulate/gt06.ts';
import { H02Device } from '../../src/simulate/h02.ts';
import type { Address } from '../../src/simulate/line.ts';
import { Random } from '../../src/simulate/random.ts';
import type { Speaker } from '../../src/simulate/speaker.ts';
import { Tally } from '../../src/simulate/tally.ts';
import { TELTONIKA_CODECS, TeltonikaDevice } from '../../src/simulate/teltonika.ts';
import { Track } from '../../src/simulate/track.ts';
import { until } from '../support/wait.ts';

export const PROTOCOLS = ['teltonika', 'gt06', 'h02'] as const;
export type Protocol = (typeof PROTOCOLS)[number];
/** Mobile country codes of the network at home. */
export const HOME: Readonly<Record<Protocol, readonly number[]>> = { teltonika: [246], gt06: [460, 310], h02: [505] };

const SEED = 31_000;
const PATIENCE_MS = 240_000;
const FIRST_IDENTITY = 7_700_000;

/** One simulated unit that is switched on and off, and what has passed its sockets. */
export class Unit {
  readonly protocol: Protocol;
  readonly transport: 'tcp' | 'udp';
  readonly track: Track;
  readonly tally = new Tally();
  /** What it was told that no document prescribes. */
  readonly wrong: string[] = [];
  readonly #speaker: Speaker;
  readonly #random: Random;
  readonly #clock: Clock;
  #device: Device | undefined;

  constructor(number: number, protocol: Protocol, transport: 'tcp' | 'udp', clock: Clock) {
    const turn = Math.floor(number / PROTOCOLS.length);
    this.protocol = protocol;
    this.transport = transport;
    this.#clock = clock;
    this.#random = new Random(SEED + number);
    this.#speaker = speakerOf(FIRST_IDENTITY + number, turn, protocol, transport, clock);
    this.track = new Track(SEED - number, this.#speaker.resolutionMs);
  }

  get id(): string {
    return this.#speaker.device;
  }

  get isOn(): boolean {
    return this.#device !== undefined;
  }

  on(to: Address): void {
    this.#device ??= new Device(this.#speaker, this.transport, to, this.track, this.#random, this.tally, {
      timeoutMs: PATIENCE_MS,
      steady: true,
      obedience: 'honest',
      now: () => this.#clock.now(),
      elapsed: () => this.#clock.elapsed(),
      acknowledged: () => {},
      wrongAnswer: (device, on, expected, got) => this.wrong.push(`${device} over ${on}: ${got} instead of ${expected}`),
      failed: (code) => this.wrong.push(code),
    });
  }

  /** Positions up to now, the last one is of now. */
  report(positions: number, overMs: number): void {
    this.#device?.sample(positions, overMs);
    this.#device?.finish();
  }

  off(): void {
    this.#device?.close();
    this.#device = undefined;
  }

  /** Lets it go on; true when all that it has sent is acknowledged. */
  look(): boolean {
    this.#device?.check();
    return this.#device?.settled ?? true;
  }
}

/** Until all that they have sent is acknowledged. */
export async function settled(units: readonly Unit[]): Promise<void> {
  await until(() => units.map((unit) => unit.look()).every((isSettled) => isSettled));
}

function speakerOf(number: number, turn: number, protocol: Protocol, transport: 'tcp' | 'udp', clock: Clock): Speaker {
  const now = (): number => clock.now();
  switch (protocol) {
    case 'teltonika':
      return new TeltonikaDevice(number, TELTONIKA_CODECS[turn % TELTONIKA_CODECS.length] ?? 0x08, transport, 1, 'car');
    case 'gt06':
      return new Gt06Device(number, GT06_MODELS[turn % GT06_MODELS.length] ?? 'gt06', now);
    case 'h02':
      return new H02Device(number, 'text', now);
  }
}
