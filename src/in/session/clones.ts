import { addressOf, networkOf } from '../../base/wire/network.ts';
import type { Sighting } from './sightings.ts';

/**
 * Notices two devices that speak under one id: live positions that come by turns from two places no vehicle could be at (event `clone`).
 * Runs in the supervisor, on what `sightings.ts` tells of connections of all workers.
 *
 * 19. Each of the two has spoken again where it was before: a wrong position is not there twice. Its turns came from one connection, twice; or,
 *     where connections are short, four times from one network, the other's from another: a device that is given another address at each connection
 *     does not get the same network each time that its position is wrong.
 * 20. Of a device whose network changed while it stayed where it was, networks say nothing for half a day.
 */
export interface CloneNews {
  readonly type: 'clone';
  readonly addresses: readonly [string, string];
  readonly distance_km: number;
  /** What a vehicle would need to be at both. */
  readonly speed_kmh: number;
  /** When the first of the positions arrived, epoch ms. */
  readonly since: number;
}

/** Of both together: of two connections, and of two networks. */
const TURNS = 4;
const TURNS_OF_NETWORKS = 8;
const MOST_DEVICES = 50_000;
/** Not again within. */
const QUIET_MS = 3_600_000;
const CHANGED_MS = 43_200_000;
/** How far two clocks may differ. */
const CLOCKS_MS = 30_000;
const HOUR_MS = 3_600_000;
const EARTH_KM = 6371;
/** A network: an IPv4 /16, or an IPv6 /32. */
const BYTES_OF_16_BITS = 2;
const GROUPS_OF_32_BITS = 2;

interface Followed {
  /** The last one of each turn. */
  turns: Sighting[];
  saidAt: number;
  /** Invariant 20. */
  changedAt: number;
}

export class Clones {
  /** By device, the one that was looked at last at the end. */
  readonly #followed = new Map<string, Followed>();
  readonly #record: (device: string, event: CloneNews, account: string) => void;

  /** `record`: journals an event of a device that an account has. */
  constructor(record: (device: string, event: CloneNews, account: string) => void) {
    this.#record = record;
  }

  saw(sighting: Sighting): void {
    const { device, account, received } = sighting;
    const followed = this.#of(device);
    const last = followed.turns.at(-1);
    // Another account's time is not its business.
    if (last?.account !== account) followed.turns = [];
    else if (received < last.received) return;
    this.#take(followed, sighting);
    const { turns } = followed;
    const [other, since] = [turns.at(-2), turns[0]?.received ?? received];
    if (other === undefined || !isProof(turns) || received - followed.saidAt < QUIET_MS) return;
    followed.saidAt = received;
    const addresses = [sighting.peer, other.peer].sort();
    this.#record(
      device,
      {
        type: 'clone',
        addresses: [addresses[0] ?? '', addresses[1] ?? ''],
        distance_km: Math.round(10 * distanceKm(other, sighting)) / 10,
        speed_kmh: Math.round(speedKmh(other, sighting)),
        since,
      },
      account,
    );
  }

  /** Puts it where it belongs; what does not go on by turns begins anew with it. */
  #take(followed: Followed, sighting: Sighting): void {
    const { turns } = followed;
    const last = turns.at(-1);
    if (last !== undefined && isNear(last, sighting)) {
      if (!isSame(last, sighting)) followed.changedAt = sighting.received;
      // The same turn goes on, also after a short connection.
      if (isSame(last, sighting)) turns.pop();
      else turns.length = 0;
    }
    const [other, own] = [turns.at(-1), turns.at(-2)];
    const isTurn = other === undefined || (!isNear(other, sighting) && other.peer !== sighting.peer);
    if (!isTurn || !(own === undefined || this.#isBack(followed, own, other, sighting))) turns.length = 0;
    turns.push(sighting);
    if (turns.length > TURNS_OF_NETWORKS) turns.shift();
  }

  /** The one that spoke before the other does again. */
  #isBack(followed: Followed, own: Sighting, other: Sighting | undefined, sighting: Sighting): boolean {
    if (!isNear(own, sighting)) return false;
    if (own.peer === sighting.peer) return true;
    const isOwn = network(own) === network(sighting);
    if (!isOwn) followed.changedAt = sighting.received;
    return isOwn && other !== undefined && network(other) !== network(sighting) && sighting.received - followed.changedAt >= CHANGED_MS;
  }

  #of(device: string): Followed {
    const known = this.#followed.get(device) ?? {
      turns: [],
      saidAt: Number.NEGATIVE_INFINITY,
      changedAt: Number.NEGATIVE_INFINITY,
    };
    this.#followed.delete(device);
    this.#followed.set(device, known);
    const [oldest] = this.#followed.size > MOST_DEVICES ? this.#followed.keys() : [];
    if (oldest !== undefined) this.#followed.delete(oldest);
    return known;
  }
}

/** Invariant 19. */
function isProof(turns: readonly Sighting[]): boolean {
  const [a, b, c, d] = turns.slice(-TURNS);
  if (a === undefined || b === undefined || c === undefined || d === undefined) return false;
  return (a.peer === c.peer && b.peer === d.peer) || turns.length >= TURNS_OF_NETWORKS;
}

function isSame(one: Sighting, other: Sighting): boolean {
  return one.peer === other.peer || network(one) === network(other);
}

function network({ peer }: Sighting): string {
  return networkOf(addressOf(peer), BYTES_OF_16_BITS, GROUPS_OF_32_BITS);
}

/** A vehicle could have been at both. */
function isNear(one: Sighting, other: Sighting): boolean {
  return speedKmh(one, other) <= other.mostKmh;
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
