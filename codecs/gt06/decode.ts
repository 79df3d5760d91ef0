import { type Bytes, crc16X25, u16be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { alarm, alarmWithModules, lbsAlarm } from './alarm.ts';
import { Form, ticket } from './answer.ts';
import { A } from './attributes.ts';
import { isGps18 } from './blocks.ts';
import { battery, cameraEvent, deviceStatus, obd, peripherals, photoInformation, photoOrHeartbeat, version } from './equipment.ts';
import { declared, isTopinLogin, stops } from './frame.ts';
import { heartbeat, heartbeatCustom, heartbeatSeeworld, heartbeatVoltage } from './heartbeat.ts';
import {
  beacon,
  empty,
  externalDevice,
  externalModule,
  file,
  information,
  lockInformation,
  multimedia,
  satellites,
} from './information.ts';
import { anyFix, gpsOnly, lbsOnly, location, locationWithModules, lockLocation, nt, xt40 } from './location.ts';
import { login } from './login.ts';
import { Message } from './message.ts';
import { LONG, Plain, SHORT } from './messages.ts';
import { modular } from './modular.ts';
import { areModules } from './module-list.ts';
import { addressRequest, lbsMulti, lbsQuery, lbsWifi, wanway, wifiAlarm, wifiOnly } from './network.ts';
import { reply } from './reply.ts';
import type { Gt06State } from './state.ts';
import { topin } from './topin.ts';
import * as variant from './variant.ts';

/**
 * Reads one frame (protocol.md section 6; the layouts stand above each reader).
 *
 * 1. A frame whose checksum or length is wrong is read and marked damaged, or refused when the option `integrity` is `verify`.
 * 2. Of a message whose length fits no layout only a position that shows itself is read (isGps18), and the rest is kept; without one it
 *    stays Ignored: stored raw and answered as its number is. Never a guess.
 * 3. The identity of a record is number and content, without start, LEN, serial, checksum and stop: they change when the
 *    record is sent again. Where a re-upload flag says how often it was sent, the identity ends before it.
 *    A record without a time of its own also has the serial in it: two equal heartbeats are two records.
 */
const Reason = { Short: 'short', Length: 'length', Checksum: 'checksum' } as const;
export const REASONS: readonly string[] = Object.values(Reason);

const MESSAGE = new Message();

/** Where GPS18 begins in the content of a message, by number; -1: it has none, or not in one place (protocol.md sections 6.3 to 6.6, 10). */
const GPS_AT = Int8Array.from({ length: 256 }, () => -1);
for (const number of [
  0x10, 0x11, 0x12, 0x16, 0x17, 0x1a, 0x1e, 0x22, 0x24, 0x25, 0x26, 0x27, 0x2a, 0x2d, 0x31, 0x32, 0x36, 0x37, 0x38, 0x39, 0xa0, 0xa3, 0xa4,
])
  GPS_AT[number] = 0;
GPS_AT[0x34] = 4;
GPS_AT[0x61] = 8;
/** Numbers with dates in the zone of the device (protocol.md section 11). */
const LOCAL: ReadonlySet<number> = new Set([0x10, 0x11, 0x12, 0x16, 0x1a, 0x1e]);

export function decode(bytes: Bytes, start: number, end: number, state: Gt06State, out: FrameResult): void {
  const size = end - start;
  if (size < 6 || bytes[start] !== bytes[start + 1]) {
    out.malformed(size < 6 ? Reason.Short : Reason.Length);
    return;
  }
  if (declared(bytes, start, end) !== size || !stops(bytes, end)) {
    odd(bytes, start, end, state, out);
    return;
  }
  const sealed = crc16X25(bytes, start + 2, end - 4) === u16be(bytes, end - 4);
  if (!sealed) {
    if (state.topin && bytes[start] === 0x78 && bytes[start + 3] !== 0x01) {
      odd(bytes, start, end, state, out);
      return;
    }
    if (state.verify) {
      out.malformed(Reason.Checksum);
      return;
    }
    out.damaged = Reason.Checksum;
  }
  state.whole = sealed;
  read(bytes, start, end - 6, sealed, state, out);
}

/** The frame is not where its LEN says: Topin dialect, a LEN that lies, or stop bytes that did not come. */
function odd(bytes: Bytes, start: number, end: number, state: Gt06State, out: FrameResult): void {
  const size = end - start;
  if (bytes[start] === 0x78 && stops(bytes, end) && topin(bytes, start, end, size === 15 && isTopinLogin(bytes, start), state, out)) return;
  if (state.topin && bytes[start] === 0x78 && bytes[start + 3] !== 0x01) {
    out.malformed(Reason.Length);
    return;
  }
  const total = declared(bytes, start, end);
  let last = 0;
  // Several frames in one piece: the first one is the frame, as the splitter would have cut it.
  if (total >= 10 && total < size && stops(bytes, start + total)) last = start + total - 6;
  else if (size >= 10 && stops(bytes, end)) last = end - 6;
  else if (total >= 10 && (total - size === 1 || total - size === 2)) last = start + total - 6;
  if (state.verify || last < start + (bytes[start] === 0x79 ? 5 : 4)) {
    out.malformed(Reason.Length);
    return;
  }
  out.damaged = Reason.Length;
  state.whole = false;
  read(bytes, start, last, true, state, out);
}

function read(bytes: Bytes, start: number, q: number, sealed: boolean, state: Gt06State, out: FrameResult): void {
  const m = MESSAGE;
  m.set(bytes, start, q, sealed);
  out.name = m.name;
  const plain = m.long ? LONG[m.number]! : SHORT[m.number]!;
  if (plain !== Plain.None && (plain !== Plain.Optional || state.acknowledges))
    ticket(out, plain === Plain.Long ? Form.Long : Form.Short, m.number, m.serial);
  if (m.long) longMessage(bytes, m, state, out);
  else shortMessage(bytes, m, state, out);
  if (out.rows === 0) {
    if (out.kind === FrameKind.Ignored) unfitting(bytes, m, state, out);
  } else if (plain === Plain.Optional && !state.acknowledges && !isStanding(out))
    state.acknowledges = state.isRepeated(out.time[0]!, bytes, out.from[0]!, out.to[0]!);
}

/** A message whose length fits no layout of its number: the position in it, where the number has one, is read all the same. */
function unfitting(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const at = GPS_AT[m.number]!;
  if (at < 0) return;
  anyFix(bytes, m.p + at, m, LOCAL.has(m.number) ? state.localMs : state.utcMs, out);
  if (out.rows > 0 && (m.number === 0x17 || m.number === 0x24 || m.number === 0x36)) out.name = 'location';
}

/** Standing devices of some models send the same record again for ever, and wait for nothing (upload mode 0D). */
function isStanding(out: FrameResult): boolean {
  for (let k = 0; k < out.attrs; k++) if (out.attrId[k] === A.UploadMode) return out.attrNum[k] === 0x0d;
  return false;
}

/** Readers of the messages that are the same in both kinds of frame. */
const Group = { None: 0, Alarm: 1, Network: 2, Other: 3 } as const;

/** Group by number; a number that is not listed has no reader, or the one of those that come most often. */
const GROUPS = new Uint8Array(256);
for (const [group, numbers] of [
  [Group.Alarm, [0x16, 0x19, 0x26, 0x27, 0x39, 0xa3, 0xa4, 0xa5, 0xa9]],
  [Group.Network, [0x17, 0x18, 0x1a, 0x1b, 0x1e, 0x28, 0x2a, 0x2c, 0x2e, 0x8b, 0xa1, 0xa2, 0xa7, 0xc3, 0xf3]],
  [Group.Other, [0x14, 0x15, 0x21, 0x24, 0x25, 0x31, 0x32, 0x33, 0x34, 0x35, 0x61, 0x81, 0x8a, 0x94, 0x95]],
] as const)
  for (const number of numbers) GROUPS[number] = group;

/** Login, heartbeats and single positions (protocol.md sections 6.1 to 6.4), those that come most often first. */
function shortMessage(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  switch (m.number) {
    case 0x22:
    case 0x2d:
      if (m.size === 55 && !isGps18(bytes, m.p, m.q)) nt(bytes, m, state, out);
      else if (m.size === 42) variant.seeworldLocation(bytes, m, state, out);
      else location(bytes, m, state.utcMs, false, out);
      return;
    case 0x12:
      if (!variant.location12(bytes, m, state, out)) location(bytes, m, state.localMs, false, out);
      return;
    case 0xa0:
      location(bytes, m, state.utcMs, true, out);
      return;
    case 0x13:
      heartbeat(bytes, m, state, out);
      return;
    case 0x01:
      login(bytes, m, state, out);
      return;
    case 0x10:
      gpsOnly(bytes, m, state, out);
      return;
    case 0x11:
      lbsOnly(bytes, m, state, out);
      return;
    case 0x23:
      heartbeatVoltage(bytes, m, state, out);
      return;
    case 0x29:
      heartbeatCustom(bytes, m, state, out);
      return;
    case 0x36:
      if (m.size === 48) variant.trx16iLocation(bytes, m, state, out);
      else if (!isGps18(bytes, m.p, m.q) || areModules(bytes, m.p + 5, m.q)) photoOrHeartbeat(bytes, m, state, out);
      return;
    case 0x37:
      locationWithModules(bytes, m, state.utcMs, out);
      return;
    default:
      lessFrequent(bytes, m, state, out);
  }
}

function lessFrequent(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  switch (GROUPS[m.number]) {
    case Group.Alarm:
      alarmMessage(bytes, m, state, out);
      return;
    case Group.Network:
      networkMessage(bytes, m, state, out);
      return;
    case Group.Other:
      otherMessage(bytes, m, state, out);
      return;
    default:
  }
}

/** Alarms (protocol.md section 6.6). */
function alarmMessage(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  switch (m.number) {
    case 0x16:
      if (!variant.alarm16(bytes, m, state, out)) alarm(bytes, m, state.localMs, false, state, out);
      return;
    case 0x26:
    case 0x27:
      alarm(bytes, m, state.utcMs, false, state, out);
      return;
    case 0xa3:
      if (m.size === 7 || (m.size === 19 && !isGps18(bytes, m.p, m.q))) heartbeatSeeworld(bytes, m, state, out);
      else alarm(bytes, m, state.utcMs, true, state, out);
      return;
    case 0xa4:
      alarm(bytes, m, state.utcMs, true, state, out);
      return;
    case 0x19:
      lbsAlarm(bytes, m, false, state, out);
      return;
    case 0xa5:
      lbsAlarm(bytes, m, true, state, out);
      return;
    case 0x39:
      alarmWithModules(bytes, m, state, out);
      return;
    case 0xa9:
      wifiAlarm(bytes, m, state, out);
      return;
    default:
  }
}

/** Cells, Wi-Fi and requests for an address (protocol.md sections 6.5 and 6.8). */
function networkMessage(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  switch (m.number) {
    case 0x17:
      if (m.size === 35 || m.size === 34) variant.rfidLocation(bytes, m, state, out);
      else if (!isGps18(bytes, m.p, m.q)) addressRequest(bytes, m, false, 0, state, out);
      return;
    case 0xa7:
      addressRequest(bytes, m, true, 0, state, out);
      return;
    case 0x1a:
      addressRequest(bytes, m, false, state.localMs, state, out);
      return;
    case 0x2a:
      addressRequest(bytes, m, false, state.utcMs, state, out);
      return;
    case 0x18:
      lbsMulti(bytes, m, state.localMs, 0, false, out);
      return;
    case 0x28:
    case 0x2e:
      lbsMulti(bytes, m, state.utcMs, 0, false, out);
      return;
    case 0xa1:
      lbsMulti(bytes, m, state.utcMs, 0, true, out);
      return;
    case 0x1e:
      lbsMulti(bytes, m, state.localMs, 12, false, out);
      return;
    case 0x1b:
    case 0x8b:
      lbsQuery(bytes, m, out);
      return;
    case 0x2c:
      lbsWifi(bytes, m, state.utcMs, false, out);
      return;
    case 0xa2:
      if (m.size === 59) variant.lw4g(bytes, m, state, out);
      else lbsWifi(bytes, m, state.utcMs, true, out);
      return;
    case 0xf3:
    case 0xc3:
      wifiOnly(bytes, m, state.utcMs, out);
      return;
    default:
  }
}

/** Replies, information, time and the layouts of single families (protocol.md sections 6.7, 6.9, 6.11 and 10). */
function otherMessage(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  switch (m.number) {
    case 0x14:
      satellites(bytes, m, out);
      return;
    case 0x15:
    case 0x21:
    case 0x81:
      reply(bytes, m, state, out);
      return;
    case 0x24:
      if (m.size === 44) wanway(bytes, m, state, out);
      else if (m.size === 41) variant.sr411(bytes, m, state, out);
      return;
    case 0x25:
      if (!isGps18(bytes, m.p, m.q)) xt40(bytes, m, state, out);
      return;
    case 0x31:
      variant.sl4xLocation(bytes, m, state, out);
      return;
    case 0x32:
      variant.short32(bytes, m, state, out);
      return;
    case 0x33:
      variant.sl4xWifi(bytes, m, state, out);
      return;
    case 0x34:
      variant.short34(bytes, m, state, out);
      return;
    case 0x35:
      photoInformation(bytes, m, state, out);
      return;
    case 0x61:
      variant.ibutton(bytes, m, state, out);
      return;
    case 0x8a:
      out.kind = FrameKind.Heartbeat;
      ticket(out, m.long ? Form.TimeLong : Form.Time, m.number, m.serial);
      return;
    case 0x94:
      information(bytes, m, state, out);
      return;
    case 0x95:
      cameraEvent(bytes, m, state, out);
      return;
    default:
  }
}

/** Messages that are another one in a long frame, or come in no short one. */
function longMessage(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  switch (m.number) {
    case 0x32:
    case 0x33:
      lockLocation(bytes, m, state, out);
      return;
    case 0x38:
      locationWithModules(bytes, m, state.utcMs, out);
      return;
    case 0x40:
      battery(bytes, m, out);
      return;
    case 0x41:
      multimedia(bytes, m, out);
      return;
    case 0x65:
    case 0x66:
    case 0x8c:
    case 0x8e:
      obd(bytes, m, state, out);
      return;
    case 0x70:
      modular(bytes, m, out);
      return;
    case 0x84:
      empty(m, out);
      return;
    case 0x8d:
      file(bytes, m, out);
      return;
    case 0x98:
      lockInformation(bytes, m, state, out);
      return;
    case 0x9b:
      externalDevice(bytes, m, out);
      return;
    case 0x9c:
      externalModule(bytes, m, out);
      return;
    case 0xb2:
      beacon(bytes, m, state, out);
      return;
    case 0xf1:
      deviceStatus(bytes, m, out);
      return;
    case 0xf2:
      peripherals(bytes, m, out);
      return;
    case 0xfd:
      version(bytes, m, out);
      return;
    default:
      // All others are the same in both kinds of frame: a list of cells or access points may not fit a short one.
      shortMessage(bytes, m, state, out);
  }
}
