import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { addressOf } from '../../base/wire/network.ts';

/**
 * Says which addresses have a device on the wrong port: one line an address, and so many a minute over all addresses, however many
 * connect. An address that had no line for want of room has one when it comes again.
 */
const LINES_A_MINUTE = 10;
const MINUTE_MS = 60_000;
const ADDRESSES = 10_000;

export class Lookalikes {
  readonly #log: Log;
  readonly #clock: Clock;
  /** The addresses named, the one named first first. */
  readonly #named = new Set<string>();
  #minuteFrom = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #unsaid = 0;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** `expected`, `found`: names of codecs. `peer`: address and port. */
  seen(expected: string, found: string, peer: string): void {
    const address = addressOf(peer);
    if (this.#named.has(address)) return;
    const now = this.#clock.elapsed();
    if (now - this.#minuteFrom >= MINUTE_MS) {
      this.#minuteFrom = now;
      this.#lines = 0;
    }
    if (this.#lines >= LINES_A_MINUTE) {
      this.#unsaid++;
      return;
    }
    this.#lines++;
    const [oldest] = this.#named;
    if (this.#named.size >= ADDRESSES && oldest !== undefined) this.#named.delete(oldest);
    this.#named.add(address);
    const unsaid = this.#unsaid === 0 ? {} : { notLogged: this.#unsaid };
    this.#unsaid = 0;
    this.#log.warn(
      { address, port: expected, ...unsaid },
      `looks like ${found} on the port of ${expected}: check the device's server port`,
    );
  }
}
