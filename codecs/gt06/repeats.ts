import type { Bytes } from '../../src/base/wire/index.ts';

/** A record that came so often waits for an answer. */
const OFTEN = 3;
/** Records told apart: more than a device sends in one burst. */
const SLOTS = 32;

/**
 * Finds the device that repeats a record until it is answered. Records that are newer than all before cannot be repeated: only the
 * others are counted, by the hash of their bytes. A slot holds one record; another one with the same place takes it over.
 */
export class Repeats {
  #newest = Number.NEGATIVE_INFINITY;
  /** Hash and count by turns; made when a record first is not new. */
  #seen: Int32Array | undefined = undefined;

  /** bytes[from, to) is a record of this time (epoch ms; NaN: never counted). True when it has come several times. */
  isRepeated(time: number, bytes: Bytes, from: number, to: number): boolean {
    if (time > this.#newest) {
      this.#newest = time;
      return false;
    }
    return !Number.isNaN(time) && this.#count(hash(bytes, from, to), time === this.#newest ? 2 : 1) >= OFTEN;
  }

  /** `first`: what the first time here counts for. The newest record was not counted when it came. */
  #count(key: number, first: number): number {
    this.#seen ??= new Int32Array(2 * SLOTS);
    const at = 2 * (key & (SLOTS - 1));
    const count = this.#seen[at] === key ? (this.#seen[at + 1] ?? 0) + 1 : first;
    this.#seen[at] = key;
    this.#seen[at + 1] = count;
    return count;
  }
}

/** FNV-1a, 32 bits. */
function hash(bytes: Bytes, from: number, to: number): number {
  let h = 0x811c9dc5;
  for (let p = from; p < to; p++) h = Math.imul(h ^ bytes[p]!, 0x01000193);
  return h | 0;
}
