import type { FrameResult } from '../../codec/index.ts';
import { liveFix } from './motion.ts';
import type { Notices } from './notices.ts';

/**
 * Notices two devices that speak under one id: live positions from two connections that take turns and that no vehicle could be at
 * (event `clone`). One object a worker; only sessions of devices that have several ask it, on this worker and on others.
 *
 * 19. Said only when each of two connections has spoken twice, in turns, each time too far from the other and near to where it was itself: a
 *    device whose address has changed never speaks from the old one again, and a wrong position is not there twice.
 */

/** The session, as far as it matters here. */
interface Placed extends Notices {
  readonly device: string;
  readonly peer: string;
  readonly terms: { readonly mostKmh: number };
}

/** A live position. */
export interface Sighting {
  /** Address and port. */
  readonly peer: string;
  readonly lat: number;
  readonly lon: number;
  /** Of the position, and of its receipt, epoch ms. */
  readonly time: number;
  readonly received: number;
}

export interface CloneNews {
  readonly type: 'clone';
  readonly addresses: readonly [string, string];
  readonly distance_km: number;
  /** What a vehicle would need to be at both. */
  readonly speed_kmh: number;
  /** When the first of the positions arrived, epoch ms. */
  readonly since: number;
}

const TURNS = 4;
const MOST_DEVICES = 10_000;
/** Not again within. */
const QUIET_MS = 3_600_000;
/** The other workers hear no more often. */
const TELL_MS = 1_000;
/** How far two clocks may differ. */
const CLOCKS_MS = 30_000;
const HOUR_MS = 3_600_000;
const EARTH_KM = 6371;

interface Followed {
  /** From connections by turns. */
  readonly turns: Sighting[];
  saidAt: number;
  /** The other workers. */
  toldAt: number;
}

export class Clones {
  /** By device, the one that was looked at last at the end. */
  readonly #followed = new Map<string, Followed>();
  readonly #tell: (device: string, sighting: Sighting) => void;

  /** `tell`: the other workers. */
  constructor(tell: (device: string, sighting: Sighting) => void = () => {}) {
    this.#tell = tell;
  }

  /** A session of a device that has others has sent a frame, received at `wall`, epoch ms. */
  noticed(session: Placed, frame: FrameResult, wall: number): void {
    const row = liveFix(frame, wall);
    if (row < 0) return;
    const [lat = Number.NaN, lon = Number.NaN, time = wall] = [frame.latitude[row], frame.longitude[row], frame.time[row]];
    const news = this.saw(session.device, { peer: session.peer, lat, lon, time, received: wall }, session.terms.mostKmh);
    if (news !== undefined) session.event(news);
  }

  /** A session here has a live position. Of two sessions the one with the lower address says it. */
  saw(device: string, sighting: Sighting, mostKmh: number): CloneNews | undefined {
    const followed = this.#of(device);
    if (Math.abs(sighting.received - followed.toldAt) >= TELL_MS) {
      followed.toldAt = sighting.received;
      this.#tell(device, sighting);
    }
    return this.#turn(device, sighting, mostKmh, false);
  }

  /** A session of another worker has one. */
  told(device: string, sighting: Sighting, mostKmh: number): void {
    this.#turn(device, sighting, mostKmh, true);
  }

  #turn(device: string, sighting: Sighting, mostKmh: number, isFar: boolean): CloneNews | undefined {
    const followed = this.#of(device);
    const { turns } = followed;
    const last = turns.at(-1);
    if (last?.peer === sighting.peer) turns.pop();
    const [other, own] = [turns.at(-1), turns.at(-2)];
    const isApart = other !== undefined && speedKmh(other, sighting) > mostKmh;
    const isSteady = own === undefined || (own.peer === sighting.peer && speedKmh(own, sighting) <= mostKmh);
    if (!isApart || !isSteady) turns.length = 0;
    turns.push(sighting);
    if (turns.length > TURNS) turns.shift();
    const isSaid = sighting.received - followed.saidAt < QUIET_MS;
    if (turns.length < TURNS || other === undefined || isSaid || isFar || sighting.peer > other.peer) return undefined;
    followed.saidAt = sighting.received;
    return {
      type: 'clone',
      addresses: [sighting.peer, other.peer],
      distance_km: Math.round(10 * distanceKm(other, sighting)) / 10,
      speed_kmh: Math.round(speedKmh(other, sighting)),
      since: turns[0]?.received ?? sighting.received,
    };
  }

  #of(device: string): Followed {
    const known = this.#followed.get(device) ?? { turns: [], saidAt: Number.NEGATIVE_INFINITY, toldAt: Number.NEGATIVE_INFINITY };
    this.#followed.delete(device);
    this.#followed.set(device, known);
    const [oldest] = this.#followed.size > MOST_DEVICES ? this.#followed.keys() : [];
    if (oldest !== undefined) this.#followed.delete(oldest);
    return known;
  }
}

/** From one to the other, at the least. */
function speedKmh(from: Sighting, to: Sighting): number {
  return (distanceKm(from, to) * HOUR_MS) / (Math.abs(to.time - from.time) + CLOCKS_MS);
}

function distanceKm(from: Sighting, to: Sighting): number {
  const rad = Math.PI / 180;
  const [lat, lon] = [Math.sin(((to.lat - from.lat) * rad) / 2), Math.sin(((to.lon - from.lon) * rad) / 2)];
  const h = lat * lat + Math.cos(from.lat * rad) * Math.cos(to.lat * rad) * lon * lon;
  return 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(h)));
}
