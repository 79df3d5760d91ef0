import { ascii, type Bytes, hex, i16be, u16be, u24be, u32be, u64be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { alarmEvent } from './alarms.ts';
import { A } from './attributes.ts';
import { cellList, dbm, extra, identity, mac, mccAt, mncAt, neighbours, networkSize, servingCell, texted } from './blocks.ts';
import { Variant } from './state.ts';

/**
 * Modules `id 2, length 1, data` in bytes[at, end) (protocol.md sections 4.8 and 6.4), added to row r. Unknown ids are skipped by length:
 * short ones as a number under their id. A length that overruns ends the list; what is left is kept.
 */
export function modules(bytes: Bytes, at: number, end: number, out: FrameResult, r: number): void {
  let p = at;
  let alarm = -1;
  while (p + 3 <= end) {
    const length = bytes[p + 2]!;
    const data = p + 3;
    if (data + length > end) break;
    const id = u16be(bytes, p);
    if (id === ALARM && length >= 1) alarm = bytes[data]!;
    else module(id, bytes, data, length, out);
    p = data + length;
  }
  extra(bytes, p, end, out);
  if (alarm >= 0) raise(alarm, out, r);
}

/** Module of an alarm code 1. */
const ALARM = 0x001f;

/** The event of an alarm module; a row that has another one of its own (from TERM, from an alarm byte) keeps that. */
function raise(code: number, out: FrameResult, r: number): void {
  const event = alarmEvent(code, Variant.Auto);
  if (event === 0 || event === out.event[r]) return;
  if (out.event[r] !== 0) out.beside(r, 1, event);
  else out.event[r] = event;
  out.attr(A.EventCode, code);
}

/** What a module is that is one number: its bytes (0: as many as come) and the attribute. */
export type NumberModule = readonly [bytes: number, attribute: number];

/** Modules `id 2, length 1` that are one number, by id (protocol.md section 6.4). */
const NUMBERS: ReadonlyMap<number, NumberModule> = new Map([
  [0x0016, [1, A.GsmCsq]],
  [0x0018, [2, A.BatteryCentivolts]],
  [0x0019, [0, A.ChargingState]],
  [0x0027, [2, A.ExternalCentivolts]],
  [0x002e, [4, A.OdometerM]],
  [0x0032, [1, A.Startup]],
  [0x0038, [2, A.HumidityDeci]],
  [0x0039, [0, A.WorkingMode]],
  [0x003a, [0, A.MotionState]],
  [0x003b, [2, A.Accuracy]],
]);

/** A module that `known` names is its attribute when it is as long as it must be; another is a number under its id when it is short. */
export function numberModule(known: NumberModule | undefined, id: number, bytes: Bytes, p: number, length: number, out: FrameResult): void {
  if (known === undefined) {
    if (length >= 1 && length <= 6) out.attr(id, unsigned(bytes, p, length));
  } else if (known[0] === 0 || known[0] === length) out.attr(known[1], unsigned(bytes, p, length));
}

/** Do modules `id 2, length 1, data` fill bytes[at, end) to the last byte? */
export function areModules(bytes: Bytes, at: number, end: number): boolean {
  let p = at;
  while (p + 3 <= end) p += 3 + bytes[p + 2]!;
  return p === end;
}

function module(id: number, bytes: Bytes, p: number, length: number, out: FrameResult): void {
  switch (id) {
    case 0x0001:
      if (length === 8) out.attrText(A.Imei, identity(bytes, p));
      return;
    case 0x0011:
      mainCell(bytes, p, length, out);
      return;
    case 0x0012:
      nearCells(bytes, p, length, out);
      return;
    case 0x0013:
      for (let k = p; k + 7 <= p + length; k += 7) out.wifi(mac(bytes, k), dbm(bytes[k + 6]!));
      return;
    case 0x0026:
      texted(A.Firmware, ascii(bytes, p, p + length), out);
      return;
    case 0x0037:
      if (length === 2) out.attr(A.TemperatureDeci, i16be(bytes, p));
      return;
    case 0x006a:
      if (length === 1 && bytes[p]! <= 100) out.attr(A.BatteryPct, bytes[p]!);
      return;
    default:
      numberModule(NUMBERS.get(id), id, bytes, p, length, out);
  }
}

/** MCC 2, MNC, LAC 2, cell 3, RSSI 1, with MNC as its length leaves room for. */
export function mainCell(bytes: Bytes, p: number, length: number, out: FrameResult): void {
  const network = length === 10 ? 4 : length === 9 ? 3 : 0;
  if (network === 0) return;
  const mnc = network === 4 ? u16be(bytes, p + 2) : bytes[p + 2]!;
  const at = p + network;
  servingCell(mccAt(bytes, p), mnc, u16be(bytes, at), u24be(bytes, at + 2), bytes[at + 5]!, out);
}

/** length / 6 × (LAC 2, cell 3, RSSI 1) of the network of the cell before; without one their network is not known. */
export function nearCells(bytes: Bytes, p: number, length: number, out: FrameResult): void {
  if (length % 6 !== 0) return;
  const last = out.cells - 1;
  neighbours(bytes, p, length / 6, out.cellMcc[last] ?? -1, out.cellMnc[last] ?? -1, out);
}

/**
 * Cell type 1, MCC 2, MNC 1/2, then by type: 3 and more LAC 4, cell 8, RSSI 2; else LAC 2, cell 3, RSSI 1 (protocol.md sections 6.4 and
 * 6.6). Returns the offset behind, or -1 when the block does not fit.
 */
export function cellByType(bytes: Bytes, at: number, end: number, out: FrameResult): number {
  if (at + 4 > end) return -1;
  const wide = bytes[at]! >= 3;
  const network = at + 1;
  const p = network + networkSize(bytes, network);
  const behind = p + (wide ? 14 : 6);
  if (behind > end) return -1;
  if (wide) servingCell(mccAt(bytes, network), mncAt(bytes, network), u32be(bytes, p), u64be(bytes, p + 4), bytes[p + 13]!, out);
  else cellList(bytes, p, 1, network, false, out);
  return behind;
}

/** Big-endian number of 0 to 6 bytes. */
export function unsigned(bytes: Bytes, at: number, length: number): number {
  let value = 0;
  for (let i = 0; i < length && i < 6; i++) value = value * 256 + bytes[at + i]!;
  return value;
}

/** Printable ASCII as it stands, anything else as hexadecimal: identities come both ways. */
export function textOrHex(bytes: Bytes, at: number, end: number): string {
  for (let p = at; p < end; p++) if (bytes[p]! < 32 || bytes[p]! > 126) return hex(bytes, at, end);
  return ascii(bytes, at, end).trim();
}

/** Signals of satellites, n × SNR 1. */
export function signals(bytes: Bytes, p: number, n: number, out: FrameResult): void {
  if (n > 0) out.attrText(A.Snr, Array.from({ length: n }, (_, i) => bytes[p + i]!).join(','));
}
