/**
 * Who is to be looked at when. Time is cut into slots of SLOT_MS, each with those that are due in it: what costs time is what is due, and not how
 * much there is. Who has been heard again meanwhile stays where it is, and waits anew when it is looked at.
 */
const SLOT_MS = 250;

/** What can be waited for. `due`: its slot; 0: it waits for none. Only Deadlines writes it. */
export interface Due {
  due: number;
}

export class Deadlines<T extends Due> {
  readonly #slots = new Map<number, Set<T>>();
  /** The last slot that was taken. */
  #taken: number;

  /** `now` and all other times: ms of one clock. */
  constructor(now: number) {
    this.#taken = Math.floor(now / SLOT_MS);
  }

  /** It is to be looked at soon after `at`, or before that if it waits for something earlier. */
  wait(one: T, at: number): void {
    if (at === Number.POSITIVE_INFINITY) return;
    const slot = Math.max(this.#taken + 1, Math.ceil(at / SLOT_MS));
    if (one.due !== 0) {
      if (one.due <= slot) return;
      this.forget(one);
    }
    one.due = slot;
    const there = this.#slots.get(slot);
    if (there === undefined) this.#slots.set(slot, new Set([one]));
    else there.add(one);
  }

  forget(one: T): void {
    const there = this.#slots.get(one.due);
    if (there?.delete(one) === true && there.size === 0) this.#slots.delete(one.due);
    one.due = 0;
  }

  /** Calls `look` with each whose time has come; it waits for nothing then. */
  take(now: number, look: (one: T) => void): void {
    const last = Math.floor(now / SLOT_MS);
    // The clock was set back.
    if (last < this.#taken) this.#taken = last;
    const come: Set<T>[] = [];
    while (this.#taken < last) {
      const there = this.#slots.get(++this.#taken);
      if (there === undefined) continue;
      this.#slots.delete(this.#taken);
      come.push(there);
    }
    for (const there of come)
      for (const one of there) {
        // Forgotten by the look at another, or waits anew.
        if (one.due === 0 || one.due > last) continue;
        one.due = 0;
        look(one);
      }
  }
}
