import { ascii, type Bytes, hex, hexNumber, u16be, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { cameraEvent as eventOf } from './alarms.ts';
import { Form, ticket } from './answer.ts';
import { A } from './attributes.ts';
import { accOfWord, courseOf, date6, extra, gps12, identity, mac, place, texted } from './blocks.ts';
import { heartbeatModules } from './heartbeat.ts';
import { unixTime } from './information.ts';
import { type Message, record, status } from './message.ts';
import { areModules, textOrHex, unsigned } from './module-list.ts';
import type { Gt06State } from './state.ts';

/**
 * 0x95 of cameras (protocol.md section 6.11), in three forms:
 * LEN 0C: DT6 | event 1.
 * longer: DT6 | latitude 4 | longitude 4 | course and status 2 | event 1 | value 2 | file names.
 * FF FF: version 1 | DT6 | satellites 1 | latitude 4 | longitude 4 | course and status 2 | speed 2 | volts × 10 (2) | event 1 | value 2 | file names.
 */
export function cameraEvent(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q, size } = m;
  const jc400 = size >= 27 && u16be(bytes, p) === 0xffff;
  if (size < 7 || (size > 7 && size < 19)) return;
  const r = record(m, out);
  const dateAt = jc400 ? p + 3 : p;
  date6(bytes, dateAt, state.utcMs, out, r);
  let at = dateAt + 6;
  if (jc400) {
    out.satellites[r] = bytes[at]!;
    at++;
  }
  if (size > 7) {
    const word = u16be(bytes, at + 8);
    place(u32be(bytes, at), u32be(bytes, at + 4), word, out, r);
    out.courseDeg[r] = courseOf(word);
    at += 10;
  } else out.kind = FrameKind.Status;
  if (jc400) {
    out.speedKmh[r] = u16be(bytes, at);
    out.attr(A.ExternalDecivolts, u16be(bytes, at + 2));
    at += 4;
  }
  const code = bytes[at]!;
  out.attr(A.EventCode, code);
  out.event[r] = eventOf(code);
  if (at + 3 <= q) out.attr(A.EventValue, u16be(bytes, at + 1));
  texted(A.FileName, ascii(bytes, at + 3, q).trim(), out);
}

/** Trouble codes and values as text: `id=hex,…`. The first two characters of an id name the value, in hundredths. */
const OBD = new Map<string, number>([
  ['28', A.ObdOdometer],
  ['2B', A.FuelLevel],
  ['2D', A.Coolant],
  ['35', A.ObdSpeed],
  ['36', A.Rpm],
  ['47', A.FuelUsed],
  ['49', A.ObdHours],
]);

/**
 * 0x8C, 0x8E: DT6 | ACC 1 | text | GPS12. 0x65, 0x66: DT6 | 1 unknown | text | GPS12. GPS12 is the last of the content.
 */
export function obd(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 19) return;
  const r = record(m, out);
  date6(bytes, p, state.utcMs, out, r);
  const word = gps12(bytes, q - 12, out, r);
  const values = m.number === 0x8c || m.number === 0x8e;
  if (values) out.attr(A.Ignition, bytes[p + 6] === 0 ? 0 : 1);
  else accOfWord(word, out);
  const to = q - 12;
  if (!values) {
    const text = ascii(bytes, p + 7, to)
      .replace(/^,/, '')
      .trim();
    texted(m.number === 0x65 ? A.Dtc : A.ObdData, text, out);
    return;
  }
  for (let at = p + 7; at < to; ) {
    let stop = at;
    while (stop < to && bytes[stop] !== 0x2c) stop++;
    let equals = at;
    while (equals < stop && bytes[equals] !== 0x3d) equals++;
    if (equals < stop && equals - at >= 2) obdValue(ascii(bytes, at, at + 2).toUpperCase(), bytes, equals + 1, stop, out);
    at = stop + 1;
  }
}

function obdValue(id: string, bytes: Bytes, at: number, end: number, out: FrameResult): void {
  if (id === '4A') {
    texted(A.Vin, ascii(bytes, at, end).trim(), out);
    return;
  }
  const attribute = OBD.get(id);
  const value = end - at <= 12 ? hexNumber(bytes, at, end) : -1;
  if (attribute !== undefined && value >= 0) out.attr(attribute, value);
}

/**
 * 0x35 of the X1 (protocol.md section 10): DT6 | fix 1 | latitude 4 | longitude 4 | camera 1 | source 1 | format 1 | picture length 4 | picture id 4.
 * Answered with the request for the first chunk. The coordinates are not what the device reports as its position.
 */
export function photoInformation(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, size } = m;
  if (size < 26) return;
  const r = status(m, FrameKind.Status, out);
  date6(bytes, p, state.utcMs, out, r);
  out.to[r] = m.q;
  const length = u32be(bytes, p + 18);
  out.attr(A.PhotoId, u32be(bytes, p + 22));
  out.attr(A.ImageBytes, length);
  state.photoId = u32be(bytes, p + 22);
  state.photoBytes = length;
  wantChunk(out, state, 0, m.serial);
}

/** Chunks fit a short frame: LEN 255 leaves 240 bytes of data behind id, offset and size. */
const CHUNK = 240;

function wantChunk(out: FrameResult, state: Gt06State, offset: number, serial: number): void {
  if (offset >= state.photoBytes) return;
  ticket(out, Form.PhotoRequest, 0x36, serial);
  out.ticketB = state.photoId;
  out.ticketC = offset * 1024 + Math.min(CHUNK, state.photoBytes - offset);
}

/**
 * 0x36 is a heartbeat with modules, or a chunk of a picture: picture id 4 | offset 4 | size 2 | data of that size. No heartbeat
 * has its length at that place.
 */
export function photoOrHeartbeat(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 11 || u16be(bytes, p + 8) !== size - 10) {
    // A long frame is longer than a heartbeat, unless its modules show it.
    if (!m.long || areModules(bytes, p + 5, q)) heartbeatModules(bytes, m, state, out);
    else out.ticketA = 0;
    return;
  }
  status(m, FrameKind.Status, out);
  out.name = 'photo-data';
  const id = u32be(bytes, p);
  const offset = u32be(bytes, p + 4);
  out.attr(A.PhotoId, id);
  out.attr(A.ChunkOffset, offset);
  out.attr(A.FileBytes, size - 10);
  out.ticketA = 0;
  if (id === state.photoId) wantChunk(out, state, offset + size - 10, m.serial);
}

/**
 * 0x40 (WD-209): terminal id 8 | unix time 4 | relative % 1 | remaining mAh 2 | absolute % 1 | full mAh 2 | health % 1 | temperature
 * u16 / 10 − 273.1 | current 2 | volts / 1000 (2) | cycles 2 | 14 × cell volts / 1000 (2) | charge interval 2 | longest interval 2 | barcode 16 |
 * version 2 | maker 16 | status 4 | controller status 4 | controller fault 4. Shorter frames end behind the cells.
 */
export function battery(bytes: Bytes, m: Message, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 55) return;
  const r = status(m, FrameKind.Status, out);
  unixTime(bytes, p + 8, m, out, r);
  out.attr(A.BatteryPct, bytes[p + 12]!);
  out.attr(A.BatteryRemaining, u16be(bytes, p + 13));
  out.attr(A.BatteryAbsolutePct, bytes[p + 15]!);
  out.attr(A.BatteryFull, u16be(bytes, p + 16));
  out.attr(A.BatteryHealth, bytes[p + 18]!);
  out.attr(A.BatteryTemperature, u16be(bytes, p + 19) - 2731);
  out.attr(A.BatteryCurrent, u16be(bytes, p + 21));
  out.attr(A.BatteryMillivolts, u16be(bytes, p + 23));
  out.attr(A.BatteryCycles, u16be(bytes, p + 25));
  for (let i = 0; i < 14; i++) {
    const cell = u16be(bytes, p + 27 + 2 * i);
    if (cell !== 0) out.attr(A.CellMillivolts + i, cell);
  }
  const at = p + 55;
  if (at + 50 > q) {
    extra(bytes, at, q, out);
    return;
  }
  out.attr(A.ChargeInterval, u16be(bytes, at));
  out.attr(A.LongestChargeInterval, u16be(bytes, at + 2));
  label(A.BatteryBarcode, bytes, at + 4, out);
  out.attr(A.BatteryVersion, u16be(bytes, at + 20));
  label(A.BatteryMaker, bytes, at + 22, out);
  out.attr(A.BatteryStatus, u32be(bytes, at + 38));
  out.attr(A.ControllerStatus, u32be(bytes, at + 42));
  out.attr(A.ControllerFault, u32be(bytes, at + 46));
  extra(bytes, at + 50, q, out);
}

/** 16 characters, padded with spaces or NUL. */
function label(attribute: number, bytes: Bytes, at: number, out: FrameResult): void {
  const text = ascii(bytes, at, at + 16)
    .replaceAll('\0', ' ')
    .trim();
  texted(attribute, text, out);
}

/** 0xF1: unix time 4 | items `id 2, length 1, data`. */
export function deviceStatus(bytes: Bytes, m: Message, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 4) return;
  const r = status(m, FrameKind.Status, out);
  unixTime(bytes, p, m, out, r);
  for (let at = p + 4; at + 3 <= q; ) {
    const n = bytes[at + 2]!;
    const data = at + 3;
    if (data + n > q) return;
    const value = unsigned(bytes, data, n);
    switch (u16be(bytes, at)) {
      case 0x0001:
        out.attr(A.MotionState, value);
        out.attr(A.Motion, value === 2 || value === 4 ? 1 : 0);
        break;
      case 0x0002:
        out.attr(A.Armed, value === 0 ? 0 : 1);
        break;
      case 0x0004:
        out.attr(A.Ignition, value === 0 ? 0 : 1);
        break;
      case 0x0005:
        out.attr(A.ExternalCentivolts, value);
        break;
      case 0x0007:
        out.attr(A.Charging, value === 0 ? 0 : 1);
        break;
      case 0x000a:
        out.attr(A.ChargerCentivolts, value);
        break;
      case 0x000b:
        out.attr(A.DeviceTemperature, value);
        break;
      default:
    }
    at = data + n;
  }
}

/**
 * 0xF2: unix time 4 | items: 000A a Bluetooth peripheral, length 2 bytes: MAC type 1, MAC 6, event 1, event data 1, data type 1, data;
 * others length 1 byte: 000C external battery: % 1, charging 1, cycles 2, 6 unknown.
 */
export function peripherals(bytes: Bytes, m: Message, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 4) return;
  const r = status(m, FrameKind.Status, out);
  unixTime(bytes, p, m, out, r);
  let tags = 0;
  for (let at = p + 4; at + 4 <= q; ) {
    const id = u16be(bytes, at);
    const wide = id === 0x000a;
    const n = wide ? u16be(bytes, at + 2) : bytes[at + 2]!;
    const data = at + (wide ? 4 : 3);
    if (data + n > q) return;
    if (wide && n >= 9 && tags < 16) {
      out.attrText(A.TagId + tags++, mac(bytes, data + 1));
      out.attr(A.PeripheralEvent, bytes[data + 7]!);
      texted(A.ExternalData, textOrHex(bytes, data + 10, data + n), out);
    } else if (id === 0x000c && n >= 2) {
      out.attr(A.ExternalBatteryPct, bytes[data]!);
      out.attr(A.Charging, bytes[data + 1] === 0 ? 0 : 1);
      if (n >= 4) out.attr(A.ExternalBatteryCycles, u16be(bytes, data + 2));
    }
    at = data + n;
  }
}

/** 0xFD: IMEI 8 | length 2 | chip id 16 | 1 unknown | text length 1 | version text. The length counts what follows it. */
export function version(bytes: Bytes, m: Message, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 28) return;
  status(m, FrameKind.Status, out);
  out.attrText(A.Imei, identity(bytes, p));
  out.attrText(A.ChipId, hex(bytes, p + 10, p + 26));
  const end = Math.min(q, p + 28 + bytes[p + 27]!);
  const text = ascii(bytes, p + 28, end).trim();
  texted(A.Firmware, text, out);
  extra(bytes, end, q, out);
}
