/**
 * Records seen lately, so that one which a device sends again (it missed the answer) is not delivered twice.
 *
 * Two generations of an open-addressing table on typed arrays: when the young one is half full, it becomes the old one,
 * and the old one is forgotten. So the last 524 288 to 1 048 576 records are remembered in at most 32 MiB, which
 * the system hands out as they are touched. No object per record.
 */
const SLOTS = 1 << 20;

interface Generation {
  readonly high: Uint32Array;
  readonly low: Uint32Array;
  /** Epoch ms; 0 marks a free slot. */
  readonly time: Float64Array;
}

function generation(slots: number): Generation {
  return { high: new Uint32Array(slots), low: new Uint32Array(slots), time: new Float64Array(slots) };
}

export class ResendWindow {
  readonly #mask: number;
  readonly #limit: number;
  #young: Generation;
  #old: Generation;
  #count = 0;

  /** `slots` is a power of two. */
  constructor(slots = SLOTS) {
    this.#mask = slots - 1;
    this.#limit = slots / 2;
    this.#young = generation(slots);
    this.#old = generation(slots);
  }

  /** Remembers a record; false when it is remembered already. `time` is epoch ms and not 0. */
  add(high: number, low: number, time: number): boolean {
    if (this.#find(this.#old, high, low, time) < 0) return false;
    const at = this.#find(this.#young, high, low, time);
    if (at < 0) return false;
    this.#young.high[at] = high;
    this.#young.low[at] = low;
    this.#young.time[at] = time;
    if (++this.#count >= this.#limit) this.#turn();
    return true;
  }

  clear(): void {
    this.#young.time.fill(0);
    this.#old.time.fill(0);
    this.#count = 0;
  }

  #turn(): void {
    const forgotten = this.#old;
    forgotten.time.fill(0);
    this.#old = this.#young;
    this.#young = forgotten;
    this.#count = 0;
  }

  /** The free slot where it belongs, or -1 when it is there. */
  #find(table: Generation, high: number, low: number, time: number): number {
    // The id is a hash already: its low bits spread well.
    for (let at = low & this.#mask; ; at = (at + 1) & this.#mask) {
      const there = table.time[at];
      if (there === 0) return at;
      if (there === time && table.low[at] === low && table.high[at] === high) return -1;
    }
  }
}
