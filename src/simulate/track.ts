import type { SimulatedPlace } from '../codec/index.ts';
import { Random } from './random.ts';

/** What may befall a vehicle, by the standard event names. */
export type Happening =
  | 'sos'
  | 'power_cut'
  | 'power_restored'
  | 'ignition_on'
  | 'ignition_off'
  | 'overspeed'
  | 'harsh_acceleration'
  | 'harsh_braking'
  | 'harsh_cornering';

/** What a device knows about itself at one moment. */
export interface Sample extends SimulatedPlace {
  readonly happening: Happening | undefined;
  /** Over which it sends: one in another country than usual. */
  readonly abroad?: boolean;
}

/** Country and network code of a network abroad; at home each protocol has its own. */
export const ABROAD = [262, 1] as const;

export const SPEED_LIMIT_KMH = 100;
/** What a harsh manoeuvre changes of the speed in a second, and the same as an acceleration. */
const HARSH_KMH_PER_S = 14;
export const HARSH_G = 0.4;
const GENTLE_KMH_PER_S = 7;
const MOST_UNTOLD = 8;

/** Where tracks begin: every combination of hemispheres, both sides of Greenwich and a high latitude. */
const TOWNS: readonly (readonly [number, number, number])[] = [
  [54.6872, 25.2797, 112],
  [22.5431, 114.0579, 20],
  [-34.6037, -58.3816, 25],
  [40.7128, -74.006, 10],
  [-33.8688, 151.2093, 40],
  [51.5074, -0.1278, 11],
  [5.6037, -0.187, 61],
  [-26.2041, 28.0473, 1753],
  [69.6492, 18.9553, 5],
  [-0.1807, -78.4678, 2850],
];

const METRES_PER_DEGREE = 111_320;
const HOUR_S = 3600;

/**
 * A vehicle that drives through a town, turns, stops at times, and starts again. Now and then it is driven harshly or too
 * fast, loses its supply for a while, or the SOS button is pressed; nothing of that in the first seconds.
 */
export class Track {
  readonly #random: Random;
  readonly #resolutionMs: number;
  #time = 0;
  #latitude: number;
  #longitude: number;
  #altitude: number;
  #speed = 0;
  #course: number;
  #target: number;
  #ignition = true;
  /** The ignition goes off when the vehicle stands. */
  #parking = false;
  #harsh = false;
  #tooFast = false;
  /** Seconds until the driver changes his mind. */
  #until = 0;
  /** Seconds until the supply is back; 0: it is there. */
  #unplugged = 0;
  /** Not told yet: one sample tells one. */
  readonly #happenings: Happening[] = [];
  #odometer: number;
  /** It has crossed a border. */
  abroad = false;

  /** `resolutionMs`: step of the device's clock. */
  constructor(seed: number, resolutionMs: number) {
    const random = new Random(seed);
    const [latitude, longitude, altitude] = TOWNS[random.int(TOWNS.length)] ?? [0.1, 0.1, 0];
    this.#random = random;
    this.#resolutionMs = resolutionMs;
    this.#latitude = latitude + random.between(-0.2, 0.2);
    this.#longitude = longitude + random.between(-0.2, 0.2);
    this.#altitude = altitude;
    this.#course = random.int(360);
    this.#target = random.between(20, 90);
    this.#odometer = random.int(200_000_000);
  }

  /** Drives on to `now` (epoch ms). Two samples never carry the same time: on a coarse clock the later one is put ahead. */
  at(now: number): Sample {
    const step = this.#resolutionMs;
    const before = this.#time;
    this.#time = Math.max(Math.floor(now / step) * step, before + step);
    this.#drive(before === 0 ? 0 : Math.min(60, (this.#time - before) / 1000));
    const moving = this.#speed > 1;
    return {
      time: this.#time,
      latitude: this.#latitude,
      longitude: this.#longitude,
      altitudeM: Math.round(this.#altitude),
      speedKmh: Math.round(this.#speed),
      courseDeg: Math.round(this.#course) % 360,
      satellites: 6 + this.#random.int(9),
      ignition: this.#ignition,
      odometerM: Math.round(this.#odometer),
      externalMv: (this.#unplugged > 0 ? 0 : 1) * (moving ? 13_600 + this.#random.int(600) : 12_200 + this.#random.int(400)),
      batteryMv: 3_900 + this.#random.int(200),
      happening: this.#happenings.shift(),
      abroad: this.abroad,
    };
  }

  /** The SOS button is pressed: the next sample carries it. */
  alarm(): void {
    this.#happenings.unshift('sos');
  }

  #drive(seconds: number): void {
    const random = this.#random;
    this.#until -= seconds;
    if (this.#until <= 0) this.#decide(seconds === 0);
    if (this.#unplugged > 0) {
      this.#unplugged = Math.max(0, this.#unplugged - seconds);
      if (this.#unplugged === 0) this.#happenings.push('power_restored');
    }
    const reach = (this.#harsh ? HARSH_KMH_PER_S : GENTLE_KMH_PER_S) * seconds;
    this.#speed += Math.max(-reach, Math.min(reach, this.#target - this.#speed));
    if (this.#parking && this.#ignition && this.#speed < 1) {
      this.#ignition = false;
      this.#happenings.push('ignition_off');
    }
    if (this.#speed > SPEED_LIMIT_KMH !== this.#tooFast) {
      this.#tooFast = !this.#tooFast;
      if (this.#tooFast) this.#happenings.push('overspeed');
    }
    if (this.#speed > 1) this.#course = (this.#course + random.between(-12, 12) * Math.min(seconds, 3) + 360) % 360;
    const metres = (this.#speed / 3.6) * seconds;
    const north = Math.cos((this.#course * Math.PI) / 180) * metres;
    const east = Math.sin((this.#course * Math.PI) / 180) * metres;
    // A receiver at rest wanders a little, too.
    this.#latitude = clamp(this.#latitude + (north + random.between(-1, 1)) / METRES_PER_DEGREE, 84);
    const shrink = Math.cos((this.#latitude * Math.PI) / 180);
    this.#longitude = clamp(this.#longitude + (east + random.between(-1, 1)) / (METRES_PER_DEGREE * shrink), 179);
    this.#altitude = Math.max(0, this.#altitude + random.between(-0.5, 0.5));
    this.#odometer += metres;
    if (this.#odometer > HOUR_S * 1e6) this.#odometer = 0;
  }

  /** Where the speed goes next, how, and what else befalls the vehicle. */
  #decide(first: boolean): void {
    const random = this.#random;
    this.#until = random.between(5, 60);
    const parked = random.next() < 0.2;
    this.#target = parked ? 0 : random.between(20, 120);
    if (first) return;
    this.#parking = parked && random.next() < 0.7;
    if (!parked && !this.#ignition) {
      this.#ignition = true;
      this.#happenings.push('ignition_on');
    }
    this.#harsh = random.next() < 0.2;
    const change = this.#target - this.#speed;
    if (this.#harsh && Math.abs(change) > HARSH_KMH_PER_S) this.#happenings.push(change > 0 ? 'harsh_acceleration' : 'harsh_braking');
    else if (this.#harsh && this.#speed > 20) {
      this.#course = (this.#course + random.between(60, 120)) % 360;
      this.#happenings.push('harsh_cornering');
    }
    if (this.#unplugged === 0 && random.next() < 0.08) {
      this.#unplugged = random.between(5, 40);
      this.#happenings.push('power_cut');
    }
    if (random.next() < 0.05) this.#happenings.push('sos');
    if (this.#happenings.length > MOST_UNTOLD) this.#happenings.length = MOST_UNTOLD;
  }
}

function clamp(value: number, limit: number): number {
  return Math.max(-limit, Math.min(limit, value));
}
