import { type Bytes, u16be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import type { Content, Header } from './frame.ts';
import { isPlausible, LOCATION, location } from './location.ts';
import type { Jt808State } from './state.ts';
import { bcdTime } from './time.ts';

/** 0x0704: count 2, type 1 (1: stored earlier), n × (length 2, location body), read to the end and not by the count (protocol.md section 9.6). */
export function batch(c: Content, h: Header, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  if (h.number > 1) {
    // The type stands in the first package; what needs several was stored.
    const first = resume(b, p, q);
    if (first < q) readItems(c, h, first, true, state, out);
    return;
  }
  if (q - p < 3) {
    if (h.total === 0) out.malformed('short');
    return;
  }
  readItems(c, h, p + 3, b[p + 2] === 1, state, out);
}

function readItems(c: Content, h: Header, p: number, buffered: boolean, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const { q } = h;
  for (let at = p; at + 2 <= q; ) {
    const n = u16be(b, at);
    const body = at + 2;
    if (n < LOCATION || body + n > q) return;
    out.kind = FrameKind.Records;
    location(c, body, body + n, buffered, state, out);
    at = body + n;
  }
}

/** Longest item that a package is searched for. */
const LONGEST_ITEM = 512;

/**
 * Where the items begin in a package behind the first, which begins in the middle of one: the first offset from which every item that is whole
 * looks like a location and the last ends at the end, or is cut there. The item that the cut went through is in neither package. q: there is none.
 */
function resume(b: Bytes, p: number, q: number): number {
  for (let start = p; start + 2 + LOCATION <= Math.min(q, p + LONGEST_ITEM); start++) {
    let at = start;
    while (at + 2 + LOCATION <= q && isItem(b, at)) at += 2 + u16be(b, at);
    // One that is cut proves nothing alone.
    const whole = at > start && start + 2 + u16be(b, start) <= q;
    if (whole && (at >= q || at + 2 + LOCATION > q)) return start;
  }
  return q;
}

/** A length, and behind it coordinates and a date that can be. */
function isItem(b: Bytes, at: number): boolean {
  const n = u16be(b, at);
  const body = at + 2;
  if (n < LOCATION || n > LONGEST_ITEM) return false;
  return isPlausible(b, body);
}

/** 0x0210: n × (length 1, location body); a body of 7 is battery % 1, time 6. */
export function batchVendor(c: Content, h: Header, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  if (q - p === 7) {
    const r = out.row();
    out.from[r] = c.placeOf(p);
    out.to[r] = c.placeOf(q);
    out.kind = FrameKind.Status;
    out.time[r] = bcdTime(b, p + 1, state.zoneMs);
    if (b[p]! <= 100) out.attr(A.BatteryPct, b[p]!);
    return;
  }
  for (let at = p; at < q; ) {
    const n = b[at]!;
    if (n < LOCATION || at + 1 + n > q) return;
    out.kind = FrameKind.Records;
    location(c, at + 1, at + 1 + n, false, state, out);
    at += 1 + n;
  }
}
