/** What the table needs of a device's live connection. */
export interface LiveSession {
  /** A newer connection of the same device took over: finish what is owed and close. */
  supersede(): void;
}

/**
 * Device to its live connection, within one worker. The newest connection wins: a device whose old connection died
 * without a word must not wait for a deadline.
 */
export class SessionTable<S extends LiveSession> {
  readonly #live = new Map<string, S>();

  get size(): number {
    return this.#live.size;
  }

  claim(device: string, session: S): void {
    const older = this.#live.get(device);
    this.#live.set(device, session);
    if (older !== undefined && older !== session) older.supersede();
  }

  /** Does nothing when a newer connection has taken over. */
  leave(device: string, session: S): void {
    if (this.#live.get(device) === session) this.#live.delete(device);
  }
}
