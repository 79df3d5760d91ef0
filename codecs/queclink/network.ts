import type { Bytes } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { hexadecimal, whole } from './fields.ts';

/** MCC, MNC decimal, LAC, cell id hexadecimal, from field k on; `levelAt`: the field of a receive level 0…63, or 0. */
export function cell(bytes: Bytes, k: number, out: FrameResult, levelAt = 0): void {
  const mcc = whole(bytes, k);
  // CDMA units have base station numbers here.
  if (mcc < 200 || mcc > 799) return;
  const mnc = whole(bytes, k + 1);
  const lac = known(hexadecimal(bytes, k + 2));
  const id = known(hexadecimal(bytes, k + 3));
  if (mnc < 0 || mnc > 999 || lac < 0 || id < 0 || lac > 0x7fffffff || id > 0xffffffff) return;
  const level = levelAt === 0 ? -1 : whole(bytes, levelAt);
  out.cell(mcc, mnc, lac, id, level >= 0 && level <= 63 ? level - 110 : 0);
}

/** 0 and FFFF are unknown. */
function known(value: number): number {
  return value === 0 || value === 0xffff || value === 0xffffffff ? -1 : value;
}

/** Fields of a cell in GTGSM and GTLBS: MCC, MNC, LAC, cell id, level, reserved. */
const CELL = 6;

/** Cells from field `from` on, before `to`; the last one is the serving cell and comes first, where `servingLast`. */
export function cells(bytes: Bytes, from: number, to: number, servingLast: boolean, out: FrameResult): void {
  if (servingLast && to - CELL >= from) cell(bytes, to - CELL, out, to - 2);
  const end = servingLast ? to - CELL : to;
  for (let k = from; k + 4 < to && k < end; k += CELL) cell(bytes, k, out, k + 4);
}
