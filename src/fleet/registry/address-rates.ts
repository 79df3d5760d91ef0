import { networkOf } from '../../base/wire/network.ts';
import { Networks } from './networks.ts';

const MINUTE_MS = 60_000;
/** Addresses that are counted in one minute; what comes from others is not bounded: each of them has said little. */
const MOST_ADDRESSES = 20_000;
const BYTES_OF_IPV4 = 4;
const GROUPS_OF_64_BITS = 4;

/** How often devices name themselves from one address (IPv4, or a /64 of IPv6) in a minute; of one worker, which has an equal share. */
export class AddressRates {
  readonly #exempt: Networks;
  readonly #workers: number;
  /** Monotonic ms. */
  readonly #now: () => number;
  readonly #counts = new Map<string, number>();
  #since = Number.NEGATIVE_INFINITY;

  constructor(exempt: readonly string[], workers: number, now: () => number) {
    this.#exempt = new Networks(exempt);
    this.#workers = workers;
    this.#now = now;
  }

  /** Another one has been named; false when that is more than so many a minute. */
  admit(address: string, perMinute: number): boolean {
    if (this.#exempt.includes(address)) return true;
    const now = this.#now();
    if (now - this.#since >= MINUTE_MS) {
      this.#since = now;
      this.#counts.clear();
    }
    const key = networkOf(address, BYTES_OF_IPV4, GROUPS_OF_64_BITS);
    const count = 1 + (this.#counts.get(key) ?? 0);
    if (count > Math.ceil(perMinute / this.#workers)) return false;
    if (count > 1 || this.#counts.size < MOST_ADDRESSES) this.#counts.set(key, count);
    return true;
  }
}
