import type { Bytes } from '../../src/base/wire/index.ts';
import { Answers, type H02State } from './state.ts';

/** A position so much older than the newest one waited in the unit's memory. */
const STALE_MS = 600_000;
/** Slots of the table of repeated frames: a hash and a count each. */
const REPEAT_SLOTS = 32;

/**
 * Does this unit repeat itself because it waits for R12 (protocol.md section 8.3)? Seen from the third arrival of the same bytes,
 * or from three positions in a row that are far older than the newest. `time` in epoch ms; a frame without one (NaN) may well be the
 * same twice. Counts from the next frame on, as the memo does.
 */
export function watchRepeats(bytes: Bytes, start: number, end: number, time: number, state: H02State): void {
  if (state.answers !== Answers.Auto || state.wantsR12 || Number.isNaN(time)) return;
  if (time > state.newest) state.newest = time;
  state.stale = time < state.newest - STALE_MS ? state.stale + 1 : 0;
  let h = 0x811c9dc5;
  for (let p = start; p < end; p++) h = Math.imul(h ^ bytes[p]!, 0x01000193);
  const table = (state.repeats ??= new Int32Array(2 * REPEAT_SLOTS));
  const slot = 2 * ((h >>> 16) % REPEAT_SLOTS);
  const count = table[slot] === h ? (table[slot + 1] ?? 0) + 1 : 1;
  table[slot] = h;
  table[slot + 1] = count;
  if (count >= 3 || state.stale >= 3) {
    state.wantsR12 = true;
    state.repeats = undefined;
  }
}
