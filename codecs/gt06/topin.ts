import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { type Bytes, bcdDigits, u16be, u24be } from '../../src/wire/index.ts';
import { Form, ticket } from './answer.ts';
import { A } from './attributes.ts';
import { accOfWord, addCell, dateBcd, dbm, GPS18, gps18, identity, mac } from './blocks.ts';
import type { Gt06State } from './state.ts';

/**
 * The Topin dialect (protocol.md section 16): `78 78 | LEN 1 | number 1 | data | 0D 0A`, no serial and no checksum; LEN is a length, a
 * count or nothing. False when the frame is none of its known ones.
 */
export function topin(bytes: Bytes, start: number, end: number, isLogin: boolean, state: Gt06State, out: FrameResult): boolean {
  const number = bytes[start + 3]!;
  const length = bytes[start + 2]!;
  const p = start + 4;
  const data = end - p - 2;
  if (isLogin) {
    out.kind = FrameKind.Login;
    out.name = 'login';
    out.deviceId = identity(bytes, p);
    ticket(out, Form.TopinPlain, number, 0);
    return true;
  }
  switch (number) {
    case 0x08:
      if (data !== 0) return false;
      out.kind = FrameKind.Heartbeat;
      out.name = 'keep-alive';
      ticket(out, Form.TopinPlain, number, 0);
      return true;
    case 0x10:
    case 0x11: {
      // 24 bytes are the dialect; 25 to 28 are clones with a wrong LEN and a dummy checksum (protocol.md section 2.5).
      if (data < GPS18 || data > (state.verify ? GPS18 : GPS18 + 4)) return false;
      const r = out.row();
      out.from[r] = start + 3;
      out.to[r] = p + GPS18;
      out.kind = FrameKind.Records;
      out.name = 'gps-fix';
      accOfWord(gps18(bytes, p, state.localMs, out, r), out);
      if (data === GPS18) dateTicket(bytes, p, number, out);
      else out.damaged = 'length';
      return true;
    }
    case 0x13:
      if (length >= 5 && data > 8) return false;
      if (data < 1 || data > 4) return false;
      out.kind = FrameKind.Heartbeat;
      out.name = 'status';
      statusRow(bytes, start, end, p, out);
      ticket(out, Form.TopinEcho, number, 0);
      for (let k = 0; k < 4; k++) out.ticketB = out.ticketB * 256 + (k < data ? bytes[p + k]! : 0);
      out.ticketC = data * 256 + length;
      return true;
    case 0x17:
    case 0x69:
      return network(bytes, start, p, end - 2, length, number, state, out);
    case 0x30:
    case 0x57:
      if (length >= 5) return false;
      out.name = number === 0x57 ? 'settings' : 'status';
      return true;
    default:
      return false;
  }
}

/** Battery %, version, zone, upload interval. */
function statusRow(bytes: Bytes, start: number, end: number, p: number, out: FrameResult): void {
  const r = out.row();
  out.from[r] = start + 3;
  out.to[r] = end - 2;
  if (bytes[p]! <= 100) out.attr(A.BatteryPct, bytes[p]!);
}

/** BCD date 6 | n × (MAC 6, RSSI 1) | m 1 | MCC 2, MNC 1 | m × (LAC 2, cell 2, RSSI 1). */
function network(
  bytes: Bytes,
  start: number,
  p: number,
  q: number,
  wifis: number,
  number: number,
  state: Gt06State,
  out: FrameResult,
): boolean {
  const at = p + 6 + 7 * wifis;
  if (at + 4 > q || at + 4 + 5 * bytes[at]! !== q || bcdDigits(bytes, p, p + 6) === '') return false;
  const r = out.row();
  out.from[r] = start + 3;
  out.to[r] = q;
  out.kind = FrameKind.Status;
  out.name = 'wifi';
  out.time[r] = dateBcd(bytes, p, state.utcMs);
  for (let k = p + 6; k < at; k += 7) out.wifi(mac(bytes, k), dbm(bytes[k + 6]!));
  const mcc = u16be(bytes, at + 1);
  const mnc = bytes[at + 3]!;
  for (let k = at + 4; k < q; k += 5) addCell(mcc, mnc, u16be(bytes, k), u16be(bytes, k + 2), bytes[k + 4]!, out);
  dateTicket(bytes, p, number, out);
  return true;
}

function dateTicket(bytes: Bytes, p: number, number: number, out: FrameResult): void {
  ticket(out, Form.TopinDate, number, 0);
  out.ticketB = u24be(bytes, p);
  out.ticketC = u24be(bytes, p + 3);
}
