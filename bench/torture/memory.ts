import { type Server, wait } from './server.ts';

/**
 * Resident memory of the server, supervisor and children together. A run must end about where it began: V8 gives pages
 * back late, so the least of several looks counts, and what is allowed is generous against noise but not against a leak
 * or a backlog that is kept in memory.
 */
const LOOKS = 8;
const LOOK_MS = 500;
const GROWTH = 1.5;
const ALLOWANCE_BYTES = 64 * 1024 * 1024;

export interface MemoryResult {
  readonly beforeBytes: number;
  readonly afterBytes: number;
  readonly limitBytes: number;
}

export class Memory {
  readonly #server: Server;
  #before = 0;

  constructor(server: Server) {
    this.#server = server;
  }

  baseline(): void {
    this.#before = this.#server.residentBytes();
  }

  async result(): Promise<MemoryResult> {
    let least = Number.POSITIVE_INFINITY;
    for (let look = 0; look < LOOKS; look++) {
      least = Math.min(least, this.#server.residentBytes());
      await wait(LOOK_MS);
    }
    return { beforeBytes: this.#before, afterBytes: least, limitBytes: this.#before * GROWTH + ALLOWANCE_BYTES };
  }
}
