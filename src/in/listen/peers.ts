/** A UDP peer as the worker's table of them sees it. */
export interface HeldPeer {
  /** A device has been served there. */
  readonly identified: boolean;
  close(reason: string): void;
}

/**
 * The UDP peers of one worker, over all its listeners.
 *
 * 1. They are bounded in number: the one that has been silent longest goes for a new one, first of those that have not named a device.
 *    So a flood of invented sources takes no place of a device that is served.
 * 2. Each step costs the same, however many there are.
 */
export class Peers<P extends HeldPeer> {
  readonly #most: number;
  /** The longest silent first. */
  readonly #identified = new Set<P>();
  readonly #strangers = new Set<P>();

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#identified.size + this.#strangers.size;
  }

  /** Makes room for a new peer, which is to be `heard`. */
  admit(): void {
    if (this.size < this.#most) return;
    const [longestSilent] = this.#strangers.size > 0 ? this.#strangers : this.#identified;
    longestSilent?.close('peers');
  }

  heard(peer: P): void {
    this.leave(peer);
    if (peer.identified) this.#identified.add(peer);
    else this.#strangers.add(peer);
  }

  leave(peer: P): void {
    if (!this.#identified.delete(peer)) this.#strangers.delete(peer);
  }
}
