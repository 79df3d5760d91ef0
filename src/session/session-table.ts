/** What the table needs of a device's live connection. */
export interface LiveSession {
  /** A newer connection of the same device took over: finish what is owed and close. */
  supersede(): void;
}

/**
 * Device to its live connection, within one worker; the supervisor's directory does the same across workers. The newest
 * connection wins: a device whose old connection died without a word must not wait for a deadline.
 */
export class SessionTable<S extends LiveSession> {
  readonly #live = new Map<string, { readonly session: S; readonly since: number }>();
  readonly #moved: (device: string, since: number) => void;

  /** `moved` is told each device that came (`since`: when, monotonic ms) or left (`since` 0). */
  constructor(moved: (device: string, since: number) => void = () => {}) {
    this.#moved = moved;
  }

  get size(): number {
    return this.#live.size;
  }

  get(device: string): S | undefined {
    return this.#live.get(device)?.session;
  }

  *[Symbol.iterator](): Generator<S> {
    for (const { session } of this.#live.values()) yield session;
  }

  /** The connection speaks for the device from `since` on, monotonic ms. */
  claim(device: string, session: S, since: number): void {
    const older = this.#live.get(device)?.session;
    this.#live.set(device, { session, since });
    if (older === session) return;
    this.#moved(device, since);
    older?.supersede();
  }

  /** Does nothing when a newer connection has taken over. */
  leave(device: string, session: S): void {
    if (this.#live.get(device)?.session !== session) return;
    this.#live.delete(device);
    this.#moved(device, 0);
  }

  /** Another worker has a connection of the device since `since`; the one here goes if it is older. */
  yield(device: string, since: number): void {
    const live = this.#live.get(device);
    if (live === undefined || live.since >= since) return;
    this.#live.delete(device);
    live.session.supersede();
  }
}
