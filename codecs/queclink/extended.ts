import { ascii, type Bytes } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A, N } from './attributes.ts';
import { canBlock } from './can.ts';
import { count, fieldFrom, fieldTo, hexadecimal, isHex, real, whole, width } from './fields.ts';
import type { QueclinkState } from './state.ts';
import { isStatus } from './status.ts';

/**
 * GTERI (protocol.md section 6.5): the blocks behind the type of the serial device, in the order of the bits of the mask. `s`: the
 * field of the status. Where that is not found nothing behind it is read.
 */
export function extended(bytes: Bytes, mask: number, s: number, end: number, state: QueclinkState, out: FrameResult): void {
  if (!state.model.gv200 && !isStatus(bytes, s, state.model.cv)) return;
  const uart = whole(bytes, s + 1);
  if (uart >= 0) out.attr(A.UartType, uart);
  let k = s + 2;
  if ((mask & 1) !== 0) k = fuelSensors(bytes, k, out);
  if ((mask & 2) !== 0) k = oneWire(bytes, k, end, out);
  if ((mask & 4) !== 0) {
    if (!isHex(bytes, k + 1, 8)) return;
    k = canBlock(bytes, k + 1, end, out);
  }
  if ((mask & 0x18) !== 0) k = fuelBlocks(bytes, k, end, mask, out);
  if ((mask & 0xe0) !== 0) return;
  if ((mask & 0x100) !== 0) accessories(bytes, k + 1, whole(bytes, k), LEAD, end, out);
}

/** One hexadecimal value; newer units: number, n × (type, value), of which some have two fields in front of the value. */
function fuelSensors(bytes: Bytes, k: number, out: FrameResult): number {
  const sensors = whole(bytes, k);
  if (width(k) !== 1 || sensors < 1) {
    if (width(k) >= 2) hexValue(bytes, k, 0, out);
    return k + 1;
  }
  const each = width(k + 2) < 2 && width(k + 3) >= 2 ? 3 : 2;
  for (let n = 0; n < sensors; n++) hexValue(bytes, k + each * (n + 1), n, out);
  return k + 1 + each * sensors;
}

function hexValue(bytes: Bytes, k: number, n: number, out: FrameResult): void {
  const value = hexadecimal(bytes, k);
  if (value >= 0) out.attr(A.FuelSensorRaw + n, value);
}

/** number, n × (id of 16 digits, type, data): type 1 is a temperature in sixteenths of a degree. */
function oneWire(bytes: Bytes, k: number, end: number, out: FrameResult): number {
  const sensors = whole(bytes, k);
  let p = k + 1;
  for (let n = 0; n < sensors && p + 2 < end; n++, p += 3) {
    if (n >= N) continue;
    if (width(p) > 0 && width(p) <= 16) out.attrText(A.SensorId + n, ascii(bytes, fieldFrom(p), fieldTo(p)));
    const value = isHex(bytes, p + 2, 4) ? hexadecimal(bytes, p + 2) : -1;
    if (value >= 0 && whole(bytes, p + 1) === 1) out.attr(A.TemperatureSixteenth + n, value >= 0x8000 ? value - 0x10000 : value);
  }
  return p;
}

/** number, n × (type, percent by bit 3, volume by bit 4) */
function fuelBlocks(bytes: Bytes, k: number, end: number, mask: number, out: FrameResult): number {
  const sensors = whole(bytes, k);
  const each = 1 + ((mask >> 3) & 1) + ((mask >> 4) & 1);
  let p = k + 1;
  for (let n = 0; n < sensors && p < end; n++, p += each) {
    if (n >= N) continue;
    if ((mask & 8) !== 0) put(bytes, p + 1, A.FuelSensorPct + n, out);
    if ((mask & 16) !== 0) put(bytes, p + each - 1, A.FuelSensorVolume + n, out);
  }
  return p;
}

function put(bytes: Bytes, k: number, id: number, out: FrameResult): void {
  const value = real(bytes, k);
  if (!Number.isNaN(value)) out.attr(id, value);
}

/** Fields in front of the mask of an accessory in GTERI: index, type, model, raw data. */
const LEAD = 4;

/**
 * `tags` accessories from field k on: `lead` fields, append mask 4, a field a bit. Some bits have several fields, on some units one: what ends at
 * `end` holds. Returns the field behind.
 */
export function accessories(bytes: Bytes, k: number, tags: number, lead: number, end: number, out: FrameResult): number {
  const several = behind(bytes, k, tags, lead, true);
  const one = behind(bytes, k, tags, lead, false);
  const wide = several === end || one !== end;
  let p = k;
  for (let n = 0; n < tags && n < N && p + lead < end; n++) {
    if (lead === LEAD && width(p + 3) > 0) out.attrText(A.TagData + n, ascii(bytes, fieldFrom(p + 3), fieldTo(p + 3)));
    p = accessory(bytes, p + lead, wide, n, end, out);
  }
  return wide ? several : one;
}

/** Fields of a bit: inputs and outputs, event, magnet (number, counter, state), relay. */
const SEVERAL: Readonly<Record<number, number>> = { 7: 3, 8: 2, 12: 3, 14: 2 };

function fieldsOf(bit: number, wide: boolean): number {
  return wide ? (SEVERAL[bit] ?? 1) : 1;
}

/** The field behind so many accessories; NaN when what would be the mask of one is none. */
function behind(bytes: Bytes, k: number, tags: number, lead: number, wide: boolean): number {
  let p = k;
  for (let n = 0; n < tags && p < count; n++) {
    if (width(p + lead) > 0 && !isHex(bytes, p + lead, 4)) return Number.NaN;
    const mask = maskAt(bytes, p + lead);
    p += lead + 1;
    for (let bit = 0; bit < 16; bit++) if (((mask >> bit) & 1) === 1) p += fieldsOf(bit, wide);
  }
  return p;
}

function maskAt(bytes: Bytes, k: number): number {
  return isHex(bytes, k, 4) ? hexadecimal(bytes, k) : 0;
}

/** The fields of one accessory behind its mask in field k, those before `end`; returns the field behind. */
function accessory(bytes: Bytes, k: number, wide: boolean, n: number, end: number, out: FrameResult): number {
  const mask = maskAt(bytes, k);
  let p = k + 1;
  for (let bit = 0; bit < 16; bit++) {
    if (((mask >> bit) & 1) === 0) continue;
    const next = p + fieldsOf(bit, wide);
    // Of several fields the last is what the accessory says.
    if (next <= end && width(next - 1) > 0) accessoryField(bytes, next - 1, bit, n, out);
    p = next;
  }
  return p;
}

function accessoryField(bytes: Bytes, k: number, bit: number, n: number, out: FrameResult): void {
  switch (bit) {
    case 0:
      out.attrText(A.TagName + n, ascii(bytes, fieldFrom(k), fieldTo(k)));
      break;
    case 1:
      if (isHex(bytes, k, 12)) out.attrText(A.TagId + n, ascii(bytes, fieldFrom(k), fieldTo(k)).toLowerCase());
      break;
    case 3:
      put(bytes, k, A.TagMv + n, out);
      break;
    case 5:
      put(bytes, k, A.TagHumidity + n, out);
      break;
    // Of two temperatures the second is the finer one.
    case 4:
    case 11:
      put(bytes, k, A.TagTemperature + n, out);
      break;
    case 12:
      if (whole(bytes, k) >= 0) out.attr(A.TagMagnet + n, whole(bytes, k) > 0 ? 1 : 0);
      break;
    case 13:
      put(bytes, k, A.TagPct + n, out);
      break;
    default:
  }
}
