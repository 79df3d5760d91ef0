import { type Bytes, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { alarmBit, alarmEvent, terminalEvent } from './alarms.ts';
import { Form, ticket } from './answer.ts';
import { A } from './attributes.ts';
import { accOfWord, extra, GPS18, gps18, gsm, language, lbs, lbsSize, terminal, voltage } from './blocks.ts';
import { type Message, record, status } from './message.ts';
import { cellByType, modules } from './module-list.ts';
import type { Gt06State, Variant } from './state.ts';

/**
 * 0x16, 0x26, 0x27, 0xA3, 0xA4 (protocol.md section 6.6):
 * GPS18 | LBS length 1 | LBS | TERM 1, VOLT 1, GSM 1, ALARM 1, LANG 1 | fence 1 (27, A4) | mileage 4 (some).
 *
 * The LBS length byte is wrong on many devices: the block is measured by message and MCC; only 0 is believed, and then the
 * five status bytes are the last of the content.
 */
export function alarm(bytes: Bytes, m: Message, zoneMs: number, wide: boolean, state: Gt06State, out: FrameResult): void {
  const { p, q, size } = m;
  const fence = m.number === 0x27 || m.number === 0xa4;
  if (size < GPS18 + 6) return;
  const lbsAt = p + GPS18 + 1;
  let at = lbsAt;
  const none = bytes[lbsAt - 1] === 0 && (size <= GPS18 + 7 || size === 69);
  if (none) at = size === 69 ? q - 5 : lbsAt;
  else at += lbsSize(bytes, lbsAt, wide);
  if (at + 5 > q) return;
  const r = record(m, out);
  const word = gps18(bytes, p, zoneMs, out, r);
  if (!none) lbs(bytes, lbsAt, wide, out);
  if (fence) extendedStatus(bytes, at, word, state, out);
  else statusBlock(bytes, at, word, state.variant, state, out);
  at += 5;
  const left = q - at;
  if (fence && left > 0) {
    // The number means something with the two fence alarms only; 255 is none.
    const code = bytes[at - 2]!;
    if ((code === 4 || code === 5) && bytes[at] !== 0xff) out.attrText(A.Geofence, String(bytes[at]!));
    at++;
  }
  if (q - at === 4) out.attr(A.OdometerM, u32be(bytes, at));
  else extra(bytes, at, q, out);
  if (fence && state.fenceAs26) ticket(out, m.long ? Form.Long : Form.Short, 0x26, m.serial);
}

/** TERM, VOLT, GSM, ALARM, LANG, for the row opened last. `variant`: the family that the frame is read as. */
export function statusBlock(bytes: Bytes, at: number, word: number, variant: Variant, state: Gt06State, out: FrameResult): void {
  const r = out.rows - 1;
  levels(bytes, at, word, out);
  alarmCode(bytes, at + 3, bytes[at]!, variant, out, r);
  heard(bytes[at]!, variant, state, out.event[r]!);
}

/** The same in 0x27, 0xA4 and 0x39, with the extended alarm code. */
function extendedStatus(bytes: Bytes, at: number, word: number, state: Gt06State, out: FrameResult): void {
  const r = out.rows - 1;
  levels(bytes, at, word, out);
  extendedCode(bytes, at + 3, bytes[at]!, state.variant, out, r);
  heard(bytes[at]!, state.variant, state, out.event[r]!);
}

/** TERM, VOLT, GSM. */
function levels(bytes: Bytes, at: number, word: number, out: FrameResult): void {
  terminal(bytes[at]!, out);
  // The word's own ACC bits come first: TERM is older.
  accOfWord(word, out);
  voltage(bytes[at + 1]!, out);
  gsm(bytes[at + 2]!, out);
}

/** The heartbeats that follow tell the same alarm in TERM. */
function heard(term: number, variant: Variant, state: Gt06State, event: number): void {
  if (event === terminalEvent(term, variant)) state.alarms |= alarmBit(term);
}

/** ALARM, LANG. */
export function alarmCode(bytes: Bytes, at: number, term: number, variant: Variant, out: FrameResult, r: number): void {
  termAlarm(bytes[at]!, term, variant, out, r);
  language(bytes[at + 1]!, out);
}

/** ALARM, LANG in 0x27, 0xA4, 0x39 and 0xA9: the high digit of LANG belongs to the code (protocol.md section 4.6). */
export function extendedCode(bytes: Bytes, at: number, term: number, variant: Variant, out: FrameResult, r: number): void {
  const lang = bytes[at + 1]!;
  termAlarm(bytes[at]! + (lang >> 4) * 256, term, variant, out, r);
  language(lang, out);
}

/** An alarm code, and TERM, in which the alarm stands when the code is 0 (protocol.md section 4.6). */
export function termAlarm(code: number, term: number, variant: Variant, out: FrameResult, r: number): void {
  if (code !== 0) out.attr(A.EventCode, code);
  out.event[r] = code !== 0 ? alarmEvent(code, variant) : terminalEvent(term, variant);
}

/** 0x19, 0xA5: LBS | TERM, VOLT, GSM, ALARM, LANG. LEN 17 and more is a message of the SPACE10X: acknowledged and left (protocol.md section 10, rule 7). */
export function lbsAlarm(bytes: Bytes, m: Message, wide: boolean, state: Gt06State, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 8 || (!wide && size >= 18)) return;
  const at = p + lbsSize(bytes, p, wide);
  if (at + 5 > q) return;
  status(m, FrameKind.Status, out);
  lbs(bytes, p, wide, out);
  statusBlock(bytes, at, 0, state.variant, state, out);
  if (at + 5 < q) extra(bytes, at + 5, q, out);
}

/**
 * 0x39: GPS18 | cell type 1, MCC 2, MNC 1/2, LAC, cell, RSSI by type | TERM, VOLT, GSM, ALARM, LANG | modules
 * `id 2, length 1`.
 */
export function alarmWithModules(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < GPS18 + 15) return;
  const r = record(m, out);
  const word = gps18(bytes, p, state.utcMs, out, r);
  const at = cellByType(bytes, p + GPS18, q, out);
  if (at < 0 || at + 5 > q) {
    accOfWord(word, out);
    extra(bytes, at < 0 ? p + GPS18 : at, q, out);
    return;
  }
  extendedStatus(bytes, at, word, state, out);
  modules(bytes, at + 5, q, out, r);
}
