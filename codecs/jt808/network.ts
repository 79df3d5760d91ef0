import { type Bytes, hex, i8, u16be, u24be, u32be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';

/** Cells and access points of the items (protocol.md section 8.1). */

/** No network has another country code, and no cell both numbers 0. */
export function addCell(mcc: number, mnc: number, lac: number, cid: number, dbm: number, out: FrameResult): void {
  if (mcc < 200 || mcc > 799 || (lac === 0 && cid === 0)) return;
  out.cell(mcc, mnc, lac > 0x7fffffff ? -1 : lac, cid, dbm);
}

/** A byte without a documented sign: above 127 dBm, up to 31 CSQ, else the size of a dBm. */
export function signal(value: number): number {
  if (value === 0) return 0;
  if (value > 127) return value - 256;
  return value <= 31 ? -113 + 2 * value : -value;
}

/** n × (MCC 2, MNC 1, LAC 2, CID 2, signal 1) */
export function cellsGsm(b: Bytes, at: number, n: number, out: FrameResult): void {
  for (let i = 0, p = at; i < n; i++, p += 8) addCell(u16be(b, p), b[p + 2]!, u16be(b, p + 3), u16be(b, p + 5), signal(b[p + 7]!), out);
}

/** n × (MCC 2, MNC 1, LAC 2, CID 4, signal 1) */
export function cellsLte(b: Bytes, at: number, n: number, out: FrameResult): void {
  for (let i = 0, p = at; i < n; i++, p += 10) addCell(u16be(b, p), b[p + 2]!, u16be(b, p + 3), u32be(b, p + 5), signal(b[p + 9]!), out);
}

/** MCC 2, n × (signal 1, MNC 2, CID 4, LAC 2), of locks */
export function cellsOf66(b: Bytes, at: number, length: number, out: FrameResult): void {
  if (length < 11 || (length - 2) % 9 !== 0) return;
  for (let p = at + 2; p < at + length; p += 9) {
    const mnc = u16be(b, p + 1);
    if (mnc <= 999) addCell(u16be(b, at), mnc, u16be(b, p + 7), u32be(b, p + 3), signal(b[p]!), out);
  }
}

/** MCC 2, MNC 2, n × (LAC 3, CID 4, signal 1) */
export function cellsOfE1(b: Bytes, at: number, length: number, out: FrameResult): void {
  for (let p = at + 4; p + 8 <= at + length; p += 8)
    addCell(u16be(b, at), u16be(b, at + 2), u24be(b, p), u32be(b, p + 3), signal(b[p + 7]!), out);
}

/** n × (MCC 2, MNC 2, CID 4, LAC 4, signal s8) */
export function cellsOfF0(b: Bytes, at: number, n: number, out: FrameResult): void {
  for (let i = 0, p = at; i < n; i++, p += 13)
    addCell(u16be(b, p), u16be(b, p + 2), u32be(b, p + 8), u32be(b, p + 4), Math.min(0, i8(b, p + 12)), out);
}

/** n × (MAC 6, signal s8) */
export function wifiList(b: Bytes, at: number, n: number, out: FrameResult): void {
  for (let i = 0, p = at; i < n; i++, p += 7) {
    const dbm = i8(b, p + 6);
    out.wifi(mac(b, p), dbm > 0 ? -dbm : dbm);
  }
}

export function mac(b: Bytes, at: number): string {
  let text = hex(b, at, at + 1);
  for (let i = 1; i < 6; i++) text += `:${hex(b, at + i, at + i + 1)}`;
  return text;
}
