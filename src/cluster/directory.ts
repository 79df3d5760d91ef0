import type { SessionMove } from './messages.ts';

/**
 * Device to the worker that has its live connection, across all workers. The newest connection wins here as it does
 * within a worker; "newest" by the workers' own monotonic time, for their messages may overtake each other.
 */
export class Directory {
  readonly #live = new Map<string, { readonly slot: number; readonly since: number }>();
  readonly #supersede: (slot: number, device: string, since: number) => void;

  /** `supersede` is told the slot whose connection is the older one, and since when there is a newer one. */
  constructor(supersede: (slot: number, device: string, since: number) => void) {
    this.#supersede = supersede;
  }

  /** Undefined when the device is not connected. */
  slotOf(device: string): number | undefined {
    return this.#live.get(device)?.slot;
  }

  /** What a worker has reported, in its order. */
  moved(slot: number, moves: readonly SessionMove[]): void {
    for (const [device, since] of moves) {
      const live = this.#live.get(device);
      if (since === 0) {
        if (live?.slot === slot) this.#live.delete(device);
        continue;
      }
      if (live !== undefined && live.slot !== slot && live.since > since) {
        this.#supersede(slot, device, live.since);
        continue;
      }
      this.#live.set(device, { slot, since });
      if (live !== undefined && live.slot !== slot) this.#supersede(live.slot, device, since);
    }
  }

  /** The worker has ended, and its connections with it. */
  forget(slot: number): void {
    for (const [device, live] of this.#live) if (live.slot === slot) this.#live.delete(device);
  }
}
