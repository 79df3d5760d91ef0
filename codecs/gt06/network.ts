import { ascii, type Bytes, u16be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { extendedCode } from './alarm.ts';
import { addressTicket, Form, ticket } from './answer.ts';
import { A } from './attributes.ts';
import {
  accOfWord,
  addCell,
  cellList,
  date6,
  extra,
  GPS18,
  gps12,
  gps18,
  isDate6,
  isGps18,
  lbs,
  lbsSize,
  mac,
  mccAt,
  networkSize,
  texted,
  wifiList,
} from './blocks.ts';
import { type Message, record, status } from './message.ts';
import type { Gt06State } from './state.ts';

/** Cells in one message: the serving one and its neighbours. */
const CELLS = 7;

/** A record with a time and without a place. */
function observation(m: Message, out: FrameResult): number {
  const r = record(m, out);
  out.kind = FrameKind.Status;
  return r;
}

/**
 * 0x18, 0x28, 0x2E, 0xA1 (protocol.md section 6.5): DT6 | MCC 2, MNC 1/2 | 7 × (LAC 2/4, cell 3/8, RSSI 1) | TA 1 | LANG 2.
 * 0x1E: the same with GPS12 behind DT6. 0x18 of the first manual: DT6 | MCC, MNC | LAC 2 | cell 2, RSSI 1 | 6 × (cell 2, RSSI 1).
 */
export function lbsMulti(bytes: Bytes, m: Message, zoneMs: number, gps: 0 | 12, wide: boolean, out: FrameResult): void {
  const { p, q, size } = m;
  if (m.number === 0x18 && size === 32) {
    firstManual(bytes, m, zoneMs, out);
    return;
  }
  const network = p + 6 + gps;
  if (size < 9 + gps) return;
  const cells = network + networkSize(bytes, network);
  const width = wide ? 13 : 6;
  const n = Math.min(CELLS, Math.floor((q - cells) / width));
  // Fewer cells than the layout has: only behind a date.
  if (n < CELLS && (n < 1 || !isDate6(bytes, p))) return;
  const behind = cells + n * width;
  const r = observation(m, out);
  date6(bytes, p, zoneMs, out, r);
  if (gps === 12) {
    out.kind = FrameKind.Records;
    accOfWord(gps12(bytes, p + 6, out, r), out);
  }
  cellList(bytes, cells, n, network, wide, out);
  if (n < CELLS) {
    extra(bytes, behind, q, out);
    return;
  }
  if (behind < q) timingAdvance(bytes[behind]!, out);
  extra(bytes, behind + 3, q, out);
}

function firstManual(bytes: Bytes, m: Message, zoneMs: number, out: FrameResult): void {
  const { p } = m;
  const r = observation(m, out);
  date6(bytes, p, zoneMs, out, r);
  const lac = u16be(bytes, p + 9);
  for (let i = 0, at = p + 11; i < CELLS; i++, at += 3)
    addCell(mccAt(bytes, p + 6), bytes[p + 8]!, lac, u16be(bytes, at), bytes[at + 2]!, out);
}

function timingAdvance(value: number, out: FrameResult): void {
  if (value !== 0xff) out.attr(A.TimingAdvance, value);
}

/** 0x2C, 0xA2: DT6 | MCC 2, MNC 1/2 | 7 × (LAC, cell, RSSI 1) | TA 1 | count 1 | n × (MAC 6, RSSI 1). */
export function lbsWifi(bytes: Bytes, m: Message, zoneMs: number, wide: boolean, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 10) return;
  const network = p + 6;
  const cells = network + networkSize(bytes, network);
  const behind = cells + CELLS * (wide ? 13 : 6);
  if (behind + 2 > q) return;
  const r = observation(m, out);
  date6(bytes, p, zoneMs, out, r);
  cellList(bytes, cells, CELLS, network, wide, out);
  timingAdvance(bytes[behind]!, out);
  wifiList(bytes, behind + 2, q, bytes[behind + 1]!, out);
}

/** 0xF3: DT6 | count 1 | n × (2 unknown, MAC 6). */
export function wifiOnly(bytes: Bytes, m: Message, zoneMs: number, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 7 || size !== 7 + 8 * bytes[p + 6]!) return;
  const r = observation(m, out);
  date6(bytes, p, zoneMs, out, r);
  for (let at = p + 7; at < q; at += 8) out.wifi(mac(bytes, at + 2), 0);
}

/**
 * 0xA9: DT6 | MCC 2, MNC 1/2 | 4G flag 1 | cell count 1 | n × (LAC 2/4, cell 3/8, RSSI 1) | TA 1 | Wi-Fi count 1 |
 * m × (MAC 6, RSSI 1) | ALARM 1, LANG 1.
 */
export function wifiAlarm(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 13) return;
  const network = p + 6;
  const at = network + networkSize(bytes, network);
  const wide = bytes[at] === 1;
  const cells = bytes[at + 1]!;
  const behind = at + 2 + cells * (wide ? 13 : 6);
  if (behind + 4 > q) return;
  const wifi = bytes[behind + 1]!;
  const codes = behind + 2 + 7 * wifi;
  if (codes + 2 > q) return;
  const r = observation(m, out);
  date6(bytes, p, state.utcMs, out, r);
  cellList(bytes, at + 2, cells, network, wide, out);
  timingAdvance(bytes[behind]!, out);
  wifiList(bytes, behind + 2, codes, wifi, out);
  extendedCode(bytes, codes, 0, state.variant, out, r);
}

/** 0x24 with LEN 31, WanWay (protocol.md section 10): DT6 | TA 1 | MCC 2, MNC 1 | cell count 1 | n × (LAC 2, cell 3, RSSI 1) | zeros. */
export function wanway(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q } = m;
  const network = p + 7;
  const at = network + networkSize(bytes, network);
  const cells = bytes[at]!;
  let behind = at + 1 + 6 * cells;
  if (behind > q) return;
  // A position of another family has something else than zeros there.
  while (behind < q && bytes[behind] === 0) behind++;
  if (behind < q && isGps18(bytes, p, q)) return;
  const r = observation(m, out);
  out.name = 'lbs-multi';
  date6(bytes, p, state.utcMs, out, r);
  timingAdvance(bytes[p + 6]!, out);
  cellList(bytes, at + 1, cells, network, false, out);
  extra(bytes, behind, q, out);
}

/** 0x1B, 0x8B: LBS8, and for 1B more that is not documented. */
export function lbsQuery(bytes: Bytes, m: Message, out: FrameResult): void {
  if (m.size < 4 || m.size < lbsSize(bytes, m.p, false)) return;
  status(m, FrameKind.Status, out);
  lbs(bytes, m.p, false, out);
  extra(bytes, m.p + lbsSize(bytes, m.p, false), m.q, out);
}

const PHONE = 21;

/**
 * 0x1A, 0x2A (protocol.md section 6.8): GPS18 | phone 21 | LANG 2. 0x17, 0xA7: LBS | phone 21 | LANG 2. The phone is ASCII up to the first NUL;
 * what stands behind it is left over from earlier.
 */
export function addressRequest(bytes: Bytes, m: Message, wide: boolean, zoneMs: number, state: Gt06State, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 25) return;
  const withGps = m.number === 0x1a || m.number === 0x2a;
  const phoneAt = withGps ? p + GPS18 : p + lbsSize(bytes, p, wide);
  // The answers under the same numbers are longer.
  if (phoneAt + PHONE + 2 !== q) return;
  const r = withGps ? record(m, out) : status(m, FrameKind.Status, out);
  if (withGps) accOfWord(gps18(bytes, p, zoneMs, out, r), out);
  else lbs(bytes, p, wide, out);
  let end = phoneAt;
  while (end < phoneAt + PHONE && bytes[end] !== 0) end++;
  const phone = ascii(bytes, phoneAt, end).trim();
  texted(A.Phone, phone, out);
  if (!state.addressAnswer || !withGps) return;
  const chinese = bytes[phoneAt + PHONE + 1] === 1;
  if (addressTicket(out, phone, out.latitude[r]!, out.longitude[r]!)) ticket(out, Form.Address, chinese ? 0x17 : 0x97, m.serial);
}
