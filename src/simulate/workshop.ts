import { Random } from './random.ts';
import type { Sample, Track } from './track.ts';

/** What is wrong with a unit that was just installed; a deaf one is made with `silent` of `OBEDIENCE`. */
export const FAULTS = ['none', 'wrong_zone', 'no_ignition', 'low_supply', 'unstable_interval'] as const;
export type Fault = (typeof FAULTS)[number];

/** Where all of them stand. */
export const WORKSHOP = { latitude: 52.52, longitude: 13.405 } as const;

const ZONE_MS = 2 * 3_600_000;
/** Samples between two turns of the key. */
const TURN = 3;

/** A vehicle in a workshop: it stands, and its ignition is turned off and on again and again. */
export class Workshop implements Pick<Track, 'at' | 'alarm'> {
  readonly #random: Random;
  readonly #resolutionMs: number;
  readonly #fault: Fault;
  #samples = 0;
  #time = 0;
  #pressed = false;

  constructor(seed: number, resolutionMs: number, fault: Fault) {
    this.#random = new Random(seed);
    this.#resolutionMs = resolutionMs;
    this.#fault = fault;
  }

  at(now: number): Sample {
    const step = this.#resolutionMs;
    const aheadMs = this.#fault === 'wrong_zone' ? ZONE_MS : 0;
    this.#time = Math.max(Math.floor((now + aheadMs) / step) * step, this.#time + step);
    const ignition = this.#fault !== 'no_ignition' && Math.floor(this.#samples++ / TURN) % 2 === 0;
    const happening = this.#pressed ? 'sos' : undefined;
    this.#pressed = false;
    return {
      time: this.#time,
      latitude: WORKSHOP.latitude,
      longitude: WORKSHOP.longitude,
      altitudeM: 34,
      speedKmh: 0,
      courseDeg: 0,
      satellites: 8 + this.#random.int(4),
      ignition,
      odometerM: 120_000_000,
      externalMv: (this.#fault === 'low_supply' ? 9_000 : 12_300) + this.#random.int(200),
      batteryMv: 3_900 + this.#random.int(200),
      happening,
    };
  }

  alarm(): void {
    this.#pressed = true;
  }
}
