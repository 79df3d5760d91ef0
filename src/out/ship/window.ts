/**
 * Records seen lately, so that one which a device sends again (it missed the answer) is not delivered twice.
 *
 * Two generations of an open-addressing table on typed arrays: when the young one is half full, it becomes the old one,
 * and the old one is forgotten. So the last 524 288 to 1 048 576 records are remembered in at most 36 MiB, which
 * the system hands out as they are touched. No object per record.
 *
 * A record is the same when its id and its time are. Between two readings under different options the time may also be shifted by the
 * difference of two zones: the device sends the same bytes, and an operator has corrected its zone meanwhile. By whole days it is not:
 * bytes that hold a time of day and no date come again on the next day.
 */
const SLOTS = 1 << 20;
/** Zones and offsets are whole minutes, from -12 to +14 hours. */
const MINUTE_MS = 60_000;
const MOST_SHIFT_MS = 26 * 3_600_000;
const DAY_MS = 86_400_000;

interface Generation {
  readonly high: Uint32Array;
  readonly low: Uint32Array;
  /** Epoch ms; 0 marks a free slot. */
  readonly time: Float64Array;
  /** Number of the reading, modulo 2^16. */
  readonly reading: Uint16Array;
}

function generation(slots: number): Generation {
  return { high: new Uint32Array(slots), low: new Uint32Array(slots), time: new Float64Array(slots), reading: new Uint16Array(slots) };
}

export class ResendWindow {
  readonly #mask: number;
  readonly #limit: number;
  #young: Generation;
  #old: Generation;
  /** In the young one. */
  #count = 0;
  /** The old one holds something. */
  #turned = false;

  /** `slots` is a power of two. */
  constructor(slots = SLOTS) {
    this.#mask = slots - 1;
    this.#limit = slots / 2;
    this.#young = generation(slots);
    this.#old = generation(slots);
  }

  /**
   * Remembers a record; false when it is remembered already. `time` is epoch ms and not 0; `reading` is the same number for records that
   * were read under the same options.
   */
  add(high: number, low: number, time: number, reading = 0): boolean {
    if (this.#find(this.#old, high, low, time, reading) < 0) return false;
    const at = this.#find(this.#young, high, low, time, reading);
    if (at < 0) return false;
    this.#young.high[at] = high;
    this.#young.low[at] = low;
    this.#young.time[at] = time;
    this.#young.reading[at] = reading;
    if (++this.#count >= this.#limit) this.#turn();
    return true;
  }

  clear(): void {
    const slots = this.#mask + 1;
    // New tables: to write zeros would touch every page, most of which were never used.
    if (this.#count > 0) this.#young = generation(slots);
    if (this.#turned) this.#old = generation(slots);
    this.#count = 0;
    this.#turned = false;
  }

  #turn(): void {
    const forgotten = this.#old;
    forgotten.time.fill(0);
    this.#old = this.#young;
    this.#young = forgotten;
    this.#count = 0;
    this.#turned = true;
  }

  /** The free slot where it belongs, or -1 when it is there. */
  #find(table: Generation, high: number, low: number, time: number, reading: number): number {
    // The id is a hash already: its low bits spread well.
    for (let at = low & this.#mask; ; at = (at + 1) & this.#mask) {
      const there = table.time[at];
      if (there === 0) return at;
      if (there === undefined || table.low[at] !== low || table.high[at] !== high) continue;
      if (there === time || (table.reading[at] !== (reading & 0xffff) && isZoneShift(there - time))) return -1;
    }
  }
}

function isZoneShift(ms: number): boolean {
  return ms % MINUTE_MS === 0 && ms % DAY_MS !== 0 && Math.abs(ms) <= MOST_SHIFT_MS;
}
