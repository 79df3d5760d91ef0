import { u16be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import type { Content, Header } from './frame.ts';
import { bcdTime, LOCATION, location } from './location.ts';
import type { Jt808State } from './state.ts';

/** 0x0704: count 2, type 1 (1: stored earlier), n × (length 2, location body), read to the end and not by the count (protocol.md section 9.6). */
export function batch(c: Content, h: Header, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  if (q - p < 3) {
    if (h.total === 0) out.malformed('short');
    return;
  }
  const buffered = b[p + 2] === 1;
  for (let at = p + 3; at + 2 <= q; ) {
    const n = u16be(b, at);
    const body = at + 2;
    if (n < LOCATION || body + n > q) return;
    out.kind = FrameKind.Records;
    location(c, body, body + n, buffered, h.is2019, state, out);
    at = body + n;
  }
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
    location(c, at + 1, at + 1 + n, false, h.is2019, state, out);
    at += 1 + n;
  }
}
