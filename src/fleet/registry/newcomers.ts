import { networkOf } from '../../base/wire/network.ts';
import { Networks } from './networks.ts';

/**
 * How many ids that the registry does not know become devices, so that invented ids cannot fill an open one.
 *
 * 1. In each minute so many of one address (an IPv4 address, a /64 of IPv6), and so many in all. Each worker has an equal share: the
 *    kernel spreads connections over them, and a datagram must not wait for a counter elsewhere.
 * 2. Memory: addresses with an admitted id in this minute, which the bound in all bounds.
 * 3. What is beyond is news once a minute of an address, and once a minute in all.
 */
const MINUTE_MS = 60_000;
const GROUPS_OF_64_BITS = 4;
const BYTES_OF_IPV4 = 4;

export interface NewcomerRates {
  /** New ids a minute of one address, and in all. */
  readonly address: number;
  readonly total: number;
  /** Networks without a bound, CIDR. */
  readonly exempt: readonly string[];
}

/** Admitted; not; or not, and that is worth an event. */
export type Verdict = 'admitted' | 'excess' | 'excess_news';

export class Newcomers {
  readonly #address: number;
  readonly #total: number;
  readonly #exempt: Networks;
  /** Monotonic ms. */
  readonly #now: () => number;
  readonly #admitted = new Map<string, { count: number; told: boolean }>();
  #count = 0;
  #told = false;
  #since = Number.NEGATIVE_INFINITY;

  constructor(rates: NewcomerRates, workers: number, now: () => number) {
    this.#address = Math.ceil(rates.address / workers);
    this.#total = Math.ceil(rates.total / workers);
    this.#exempt = new Networks(rates.exempt);
    this.#now = now;
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#admitted.size;
  }

  /** An id that the registry does not know has come from this address. */
  admit(address: string): Verdict {
    if (this.#exempt.includes(address)) return 'admitted';
    const now = this.#now();
    if (now - this.#since >= MINUTE_MS) {
      this.#since = now;
      this.#admitted.clear();
      this.#count = 0;
      this.#told = false;
    }
    const key = networkOf(address, BYTES_OF_IPV4, GROUPS_OF_64_BITS);
    const of = this.#admitted.get(key);
    if (of !== undefined && of.count >= this.#address) {
      const isNews = !of.told;
      of.told = true;
      return isNews ? 'excess_news' : 'excess';
    }
    if (this.#count >= this.#total) {
      const isNews = !this.#told;
      this.#told = true;
      return isNews ? 'excess_news' : 'excess';
    }
    this.#count++;
    if (of === undefined) this.#admitted.set(key, { count: 1, told: false });
    else of.count++;
    return 'admitted';
  }
}
