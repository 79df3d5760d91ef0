import { connectionsWithin, descriptorLimit } from '../../base/descriptors.ts';
import type { Log } from '../../base/log.ts';

/**
 * How many TCP connections one worker holds, over all of its listeners.
 *
 * 1. The bound lies below the limit of file descriptors, by what the journal, the state store, the log and the listeners need: a
 *    connection never takes the last one.
 * 2. A newcomer beyond it is accepted and closed at once. A listener that stopped accepting would still be given its share by the
 *    kernel, and those devices would hang.
 * 3. That there is no room is logged once, until there is room again.
 */

/** Room again: this share of the bound. */
const ROOM = 0.95;

export class ConnectionLimit {
  readonly most: number;
  /** Newcomers are being closed. */
  full = false;
  readonly #log: Log;
  #held = 0;

  constructor(wanted: number, log: Log, descriptors = descriptorLimit()) {
    this.most = connectionsWithin(wanted, descriptors);
    this.#log = log;
    if (this.most < wanted)
      log.info(
        { connections: this.most, wanted, descriptors },
        'the limit of file descriptors allows fewer connections than limits.connections; raise it (ulimit -n, LimitNOFILE) or lower the option',
      );
  }

  /** False: there is no room for a newcomer. */
  enter(): boolean {
    if (this.#held < this.most) {
      this.#held++;
      return true;
    }
    if (!this.full) {
      this.full = true;
      this.#log.warn({ connections: this.most }, 'connection limit reached; new connections are closed');
    }
    return false;
  }

  leave(): void {
    this.#held--;
    if (this.#held <= ROOM * this.most) this.full = false;
  }
}
