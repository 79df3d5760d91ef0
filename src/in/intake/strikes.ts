/**
 * What bad frames cost one connection: each is a strike, each good frame forgives one. A device with a bad radio or one
 * odd message stays; a stream of nonsense does not.
 */
const LIMIT = 16;
/** Noise without one good frame in between that ends a connection. */
const NOISE_LIMIT = 8192;

export class Strikes {
  #count = 0;
  #noiseSeen = 0;

  good(noise: number): void {
    if (this.#count > 0) this.#count--;
    this.#noiseSeen = noise;
  }

  /** One more bad frame; true when that was one too many. */
  bad(): boolean {
    return ++this.#count >= LIMIT;
  }

  /** `noise`: bytes of noise on this connection so far; true when too many since the last good frame. */
  noisy(noise: number): boolean {
    return noise - this.#noiseSeen > NOISE_LIMIT;
  }
}
