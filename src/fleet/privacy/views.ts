/**
 * Who has looked at where a device was: an event `viewed`, once for each device, caller and kind within AGAIN_MS.
 */
const AGAIN_MS = 600_000;
const MOST = 10_000;

export interface ViewsOptions {
  /** Monotonic ms. */
  readonly now: () => number;
  /** Journals an event. */
  record(device: string, event: object, account?: string): void;
}

export class Views {
  readonly #o: ViewsOptions;
  readonly #seen = new Map<string, number>();

  constructor(options: ViewsOptions) {
    this.#o = options;
  }

  /** `what`: a track, a trace or an export; `by`: name of the token, and of which account it is. */
  note(device: string, what: 'track' | 'trace' | 'export', by: string, account?: string): void {
    const key = JSON.stringify([device, what, by]);
    const now = this.#o.now();
    if (now - (this.#seen.get(key) ?? Number.NEGATIVE_INFINITY) < AGAIN_MS) return;
    // The oldest stand first.
    this.#seen.delete(key);
    if (this.#seen.size >= MOST) for (const first of [...this.#seen.keys()].slice(0, MOST / 10)) this.#seen.delete(first);
    this.#seen.set(key, now);
    this.#o.record(device, { type: 'viewed', what, by }, account);
  }
}
