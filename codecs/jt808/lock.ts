import { ascii, type Bytes, bcdDigits, epochMs, i16be, u16be, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult, RowFlag } from '../../src/codec/index.ts';
import { Form, ticket } from './answer.ts';
import { A } from './attributes.ts';
import { type Content, type Header, LONGEST_TEXT } from './frame.ts';
import { raise } from './location.ts';
import { addCell } from './network.ts';
import { ITEMS } from './said.ts';
import type { Jt808State } from './state.ts';

const KNOT = 1.852;
const FIXED = 35;
/** Alarms of product 3, as the bits of the alarm word that mean the same, by bit: overspeed, supply low, vibration, battery low, -, in, out. */
const LEVELS = [1, 7, 15, 18, -1, 20, 23] as const;
const LOW_BATTERY = 1 << 18;

/**
 * 0x5501, 0x5502 of locks (protocol.md section 9.8): time BCD DD MM YY hh mm ss (UTC) 6 | latitude BCD DDMMmmmm 4 | longitude BCD DDDMMmmmm 4.5,
 * flags 0.5 | speed BCD knots 1 | course / 2 1 | signal 1 | satellites 1 | km 4 | battery % 1 | CID 4, LAC 2 | product 1 | status 2 | alarms 2 | items.
 */
export function lock(c: Content, h: Header, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  if ((h.attributes & 0x8000) !== 0) ticket(out, Form.Lock, h, b);
  if (q - p < FIXED) return;
  state.learn('jointech');
  const r = out.row();
  out.from[r] = c.placeOf(p);
  out.to[r] = c.placeOf(q);
  out.kind = FrameKind.Records;
  const d = bcdDigits(b, p, p + 6);
  const n = (i: number): number => Number(d.slice(i, i + 2));
  if (d !== '') out.time[r] = epochMs(2000 + n(4), n(2), n(0), n(6), n(8), n(10));
  const flags = b[p + 14]! & 15;
  const latitude = degrees(bcdDigits(b, p + 6, p + 10), 2);
  const longitude = degrees(bcdDigits(b, p + 10, p + 14) + String(b[p + 14]! >> 4), 3);
  if (latitude <= 90 && longitude <= 180 && latitude + longitude > 0) {
    out.latitude[r] = (flags & 2) !== 0 ? latitude : 0 - latitude;
    out.longitude[r] = (flags & 4) !== 0 ? longitude : 0 - longitude;
    out.valid[r] = h.id === 0x5501 ? flags & 1 : 0;
  }
  const knots = bcdDigits(b, p + 15, p + 16);
  if (knots !== '') out.speedKmh[r] = Number(knots) * KNOT;
  if (b[p + 16]! <= 180) out.courseDeg[r] = b[p + 16]! * 2;
  if (b[p + 17]! <= 31) out.attr(A.GsmCsq, b[p + 17]!);
  out.satellites[r] = b[p + 18]!;
  out.attr(A.OdometerKm, u32be(b, p + 19));
  if (b[p + 23]! <= 100) out.attr(A.BatteryPct, b[p + 23]!);
  else if (b[p + 23] === 0xaa || b[p + 23] === 0xab) out.attr(A.Charging, 1);
  const product = b[p + 30]!;
  out.attr(A.StatusBits, u16be(b, p + 31));
  const alarms = u16be(b, p + 33);
  if (alarms !== 0) out.attr(A.AlarmBits, alarms);
  const blind = h.id === 0x5502;
  if (blind) out.flags[r] = RowFlag.Buffered;
  items(b, p + 35, q, p + 24, out, r);
  ITEMS.reset();
  ITEMS.alarms = product === 3 ? levelsOf(alarms) : (alarms & 1) !== 0 ? LOW_BATTERY : 0;
  raise(false, state, out, r);
}

function levelsOf(alarms: number): number {
  let levels = 0;
  LEVELS.forEach((bit, k) => {
    if (bit >= 0 && ((alarms >> k) & 1) === 1) levels |= 1 << bit;
  });
  return levels;
}

/** (id 1, length 1, value)…: 02 altitude, 0A MCC 2 MNC 1 of the cell at `cell`, 0B command, 0C tilt, 10 what woke the lock, FC zone. */
function items(b: Bytes, p: number, q: number, cell: number, out: FrameResult, r: number): void {
  for (let at = p; at + 2 <= q; ) {
    const n = b[at + 1]!;
    const value = at + 2;
    if (value + n > q) return;
    if (b[at] === 0x02 && n === 2) out.altitudeM[r] = i16be(b, value);
    else if (b[at] === 0x0a && n === 3) addCell(u16be(b, value), b[value + 2]!, u16be(b, cell + 4), u32be(b, cell), 0, out);
    else if (b[at] === 0x0b && n >= 1 && n <= 8) command(b, value, n, out);
    else if (b[at] === 0x0c && n === 6) for (let axis = 0; axis < 3; axis++) out.attr(A.Tilt + axis, i16be(b, value + 2 * axis));
    else if (b[at] === 0x10 && n === 1) out.attr(A.WakeSource, b[value]!);
    else if (b[at] === 0xfc && n === 1) out.attrText(A.Geofence, String(b[value]!));
    at = value + n;
  }
}

/** command 1, [card 4 | password 6], [result 1]. The password is a secret: not read. */
function command(b: Bytes, p: number, n: number, out: FrameResult): void {
  out.attr(A.LockCommand, b[p]!);
  if (n === 5 || n === 6) out.attrText(A.LockCard, String(u32be(b, p + 1)));
  if (n % 2 === 0) out.attr(A.LockResult, b[p + n - 1]!);
}

/** `whole` digits of degrees and `MMmmmm`; NaN where a digit of them was none. */
function degrees(text: string, whole: number): number {
  return text.length === whole + 6 && /^\d+$/.test(text) ? Number(text.slice(0, whole)) + Number(text.slice(whole)) / 600_000 : Number.NaN;
}

/** `(phone,1,number,BASE,2,TIME)` asks for the time; others are texts (protocol.md section 9.9). */
export function sentence(bytes: Bytes, start: number, end: number, out: FrameResult): void {
  out.name = 'sentence';
  const text = ascii(bytes, start + 1, Math.min(end - 1, start + LONGEST_TEXT));
  const fields = text.split(',', 6);
  const phone = fields[0] ?? '';
  if (!/^\d{6,15}$/.test(phone)) {
    out.malformed('short');
    return;
  }
  out.deviceId = phone.replace(/^0+/, '');
  if (fields[3] === 'BASE' && fields[4] === '2') {
    out.kind = FrameKind.Heartbeat;
    const number = fields[2] ?? '';
    if (!/^\d{1,6}$/.test(number) || phone.length > 14) return;
    out.ticketA = Form.Sentence * 4 * 0x10000000000;
    out.ticketB = Number(`1${phone}`);
    out.ticketC = Number(`1${number}`);
    return;
  }
  out.row();
  out.kind = FrameKind.Reply;
  out.replyText = text;
  out.attrText(A.Reply, text);
}
