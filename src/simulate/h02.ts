import { type Bytes, CIVIL, civilFromEpochMs, epochMs, putU8, putU16be, putU32be } from '../base/wire/index.ts';
import { type Deed, h02Deed, type Order } from './obedience.ts';
import {
  begins,
  CLOCK_TOLERANCE_MS,
  type Expectation,
  exactly,
  More,
  type Packet,
  packetOf,
  recordId,
  type Speaker,
  type Wire,
  Wrong,
} from './speaker.ts';
import { ABROAD, type Sample, SPEED_LIMIT_KMH } from './track.ts';

/**
 * An H02 device (codecs/h02/protocol.md sections 2, 4, 7 and 8). Text frames are confirmed with the server's time, binary
 * ones are not answered, except towards devices that are believed to want R12 (8.3).
 *
 * ```
 * *HQ,ID,V1,HHMMSS,A,DDMM.mmmm,N,DDDMM.mmmm,E,knots,course,DDMMYY,status,mcc,mnc,lac,cid,battery#   → *HQ,ID,V4,V1,YYYYMMDDHHMMSS#
 * *HQ,ID,NBR,HHMMSS,mcc,mnc,ta,count,lac,cid,level…,DDMMYY,status,battery#                          → *HQ,ID,V4,NBR,YYYYMMDDHHMMSS#
 * *HQ,ID,V0#  and  *HQ,ID,HTBT,percent#                                                             → *HQ,ID,V0#  and  *HQ,ID,HTBT#
 * 24 · id BCD 5 · HHMMSS · DDMMYY · latitude BCD 4 · battery · longitude and flags BCD 5 · knots and course 3 · status 4 · FF …
 * ```
 *
 * `text` is an ST-901, `binary-32` and `binary-45` report in binary and say the rest in text, `mixed` reports in binary and
 * whatever happens in V1. A happening clears bits of the status word; alarms stay latched until they are cleared.
 */
export const H02_MODELS = ['text', 'binary-32', 'binary-45', 'mixed'] as const;
export type H02Model = (typeof H02_MODELS)[number];

const V1 = 1;
const NBR = 2;
const LINK = 3;
const Binary = 4;

const KNOT_KMH = 1.852;
const NBR_EVERY = 16;
const LINK_EVERY = 20;
/** Bits of the status word (codecs/h02/protocol.md section 6): cleared, the condition holds. Alarms are latched, states are not. */
const SOS_ALARM = 1 << 1;
const OVERSPEED_ALARM = 1 << 2;
const ACC_OFF = 1 << 10;
const OVERSPEED = 1 << 15;
const ON_BATTERY = 1 << 19;
const SUPPLY_REMOVED = 1 << 20;
const STORED_RECORD = 1 << 26;
/** Samples after which the latched alarms are cleared (R7). */
const LATCHED_FOR = 40;

export class H02Device implements Speaker {
  readonly device: string;
  readonly resolutionMs = 1000;
  readonly window = 1;
  readonly #model: H02Model;
  readonly #now: () => number;
  #samples: number;
  #recordNumber = 0;
  #latched = 0;
  #latchedUntil = 0;

  /** `number` makes the ten digits of the id; `now` gives epoch ms, to judge the time in an answer. */
  constructor(number: number, model: H02Model, now: () => number) {
    this.device = `9${String(number).padStart(9, '0')}`;
    this.#model = model;
    this.#now = now;
    this.#samples = number % NBR_EVERY;
  }

  hello(): Wire | undefined {
    return this.#model === 'text' ? this.#echoed('V0', '') : undefined;
  }

  packets(samples: readonly Sample[], stored = false): Packet[] {
    const packets: Packet[] = [];
    const textual = this.#model === 'text' || this.#model === 'mixed';
    for (const sample of samples) {
      const turn = ++this.#samples;
      const status = this.#status(sample, stored);
      const inText = this.#model === 'text' || (this.#model === 'mixed' && sample.happening !== undefined);
      packets.push(inText ? this.#text(V1, v1(sample, status), sample) : this.#binary(sample, status));
      const { time, date } = clockOf(sample.time);
      const rest = `${date},${word(status)}`;
      if (textual && turn % NBR_EVERY === 0)
        packets.push(this.#text(NBR, `NBR,${time},${networkOf(sample)},0,2,8106,32010,23,8101,22007,25,${rest},5`));
      if (textual && turn % LINK_EVERY === 0) packets.push(this.#text(LINK, `LINK,${time},15,${sample.satellites},84,0,0,${rest}`));
    }
    return packets;
  }

  /** 32 bits. */
  #status({ happening, ignition, externalMv, speedKmh }: Sample, stored: boolean): number {
    if (this.#samples >= this.#latchedUntil) this.#latched = 0;
    const alarm = happening === 'sos' ? SOS_ALARM : happening === 'overspeed' ? OVERSPEED_ALARM : 0;
    if (alarm !== 0) {
      this.#latched |= alarm;
      this.#latchedUntil = this.#samples + LATCHED_FOR;
    }
    let present = this.#latched;
    if (!ignition) present |= ACC_OFF;
    if (externalMv === 0) present |= ON_BATTERY | SUPPLY_REMOVED;
    if (speedKmh > SPEED_LIMIT_KMH) present |= OVERSPEED;
    if (stored) present |= STORED_RECORD;
    return ~present >>> 0;
  }

  /** `*HQ,id,CMD,hhmmss,parameters#` (codecs/h02/protocol.md section 9); everything else is an answer. */
  order(bytes: Bytes, start: number, end: number): Order | undefined {
    if (bytes[start] !== 0x2a) return undefined;
    const hash = bytes.indexOf(0x23, start);
    if (hash < 0 || hash >= end) return undefined;
    const text = Buffer.from(bytes.subarray(start + 1, hash)).toString('latin1');
    const [, , name = '', ...rest] = text.split(',');
    if (!/^(S\d+|D1|R1|R7|SCF|CF|SF|XT|CR|CQ|INFO|IP)$/.test(name)) return undefined;
    const time = /^\d{6}$/.test(rest[0] ?? '') ? rest.shift() : undefined;
    return { length: hash + 1 - start, text: [name, ...rest].join(','), key: time === undefined ? -1 : Number(time) };
  }

  deed(order: Order): Deed {
    const [name = '', ...parameters] = order.text.split(',');
    return h02Deed(name, parameters);
  }

  /** The short echo (codecs/h02/protocol.md section 4.5): the command's own time comes back. */
  reply(order: Order, text: string): Uint8Array {
    const [name = ''] = order.text.split(',');
    const time = order.key < 0 ? '' : `,${String(order.key).padStart(6, '0')}`;
    return Buffer.from(`*HQ,${this.device},V4,${name}${time}${text === '' ? '' : `,${text}`}#`, 'latin1');
  }

  wire(packet: Packet): Wire {
    const confirmed = packet.kind === V1 ? 'V1' : packet.kind === NBR ? 'NBR' : '';
    if (confirmed !== '')
      return { bytes: packet.body, expected: stamped(`*HQ,${this.device},V4,${confirmed},`, this.#now), allowed: undefined };
    const allowed = packet.kind === Binary ? stamped(`*HQ,${this.device},R12,`, this.#now) : undefined;
    return { bytes: packet.body, expected: undefined, allowed };
  }

  proof(): Wire {
    return this.#echoed('HTBT', ',84');
  }

  #echoed(type: string, rest: string): Wire {
    const bytes = ascii(`*HQ,${this.device},${type}${rest}#`);
    return { bytes, expected: exactly(ascii(`*HQ,${this.device},${type}#`)), allowed: undefined };
  }

  #text(kind: number, content: string, sample?: Sample): Packet {
    const body = ascii(`*HQ,${this.device},${content}#`);
    const fixes = sample === undefined ? [] : [{ time: sample.time, id: recordId(this.device, body, 0, body.length) }];
    return packetOf(kind, body, fixes);
  }

  /** Short-id layout, 32 or 45 bytes (7.1). */
  #binary(sample: Sample, status: number): Packet {
    const length = this.#model === 'binary-32' ? 32 : 45;
    const out = new Uint8Array(length);
    const latitude = minutesOf(sample.latitude);
    const longitude = minutesOf(sample.longitude);
    const number = (this.#recordNumber = (this.#recordNumber + 1) & 255);
    let p = digits(out, putU8(out, 0, 0x24), this.device);
    const { time, date } = clockOf(sample.time);
    p = digits(out, digits(out, p, time), date);
    p = digits(out, p, `${String(latitude.degrees).padStart(2, '0')}${String(latitude.tenThousandths).padStart(6, '0')}`);
    p = putU8(out, p, 6);
    const valid = 2;
    const flags = (sample.longitude < 0 ? 0 : 8) | (sample.latitude < 0 ? 0 : 4) | valid;
    p = digits(
      out,
      p,
      `${String(longitude.degrees).padStart(3, '0')}${String(longitude.tenThousandths).padStart(6, '0')}${flags.toString(16)}`,
    );
    const knots = Math.round(sample.speedKmh / KNOT_KMH);
    p = digits(out, p, `${String(knots).padStart(3, '0')}${String(sample.courseDeg).padStart(3, '0')}`);
    p = putU8(out, putU32be(out, p, status), 0xff);
    if (length === 45) {
      p = putU8(out, putU8(out, putU8(out, p, 0), 20), sample.satellites);
      p = putU32be(out, p, sample.odometerM);
      p = putU16be(out, putU16be(out, putU8(out, putU16be(out, p, 505), 1), 4660), 22136);
      putU8(out, p, number);
    } else putU8(out, putU8(out, p, 0), number);
    return packetOf(Binary, out, [{ time: sample.time, id: recordId(this.device, out, 0, length) }]);
  }
}

function v1(sample: Sample, status: number): string {
  const { time, date } = clockOf(sample.time);
  const latitude = minutesOf(sample.latitude);
  const longitude = minutesOf(sample.longitude);
  const dotted = (degrees: number, width: number, tenThousandths: number): string => {
    const text = String(tenThousandths).padStart(6, '0');
    return `${String(degrees).padStart(width, '0')}${text.slice(0, 2)}.${text.slice(2)}`;
  };
  const place = [
    dotted(latitude.degrees, 2, latitude.tenThousandths),
    sample.latitude < 0 ? 'S' : 'N',
    dotted(longitude.degrees, 3, longitude.tenThousandths),
    sample.longitude < 0 ? 'W' : 'E',
  ].join(',');
  const knots = (sample.speedKmh / KNOT_KMH).toFixed(2).padStart(6, '0');
  return `V1,${time},A,${place},${knots},${String(sample.courseDeg).padStart(3, '0')},${date},${word(status)},${networkOf(sample)},4660,22136,6`;
}

function networkOf({ abroad }: Sample): string {
  const [mcc, mnc] = abroad === true ? ABROAD : [505, 1];
  return `${mcc},${String(mnc).padStart(2, '0')}`;
}

function word(status: number): string {
  return status.toString(16).toUpperCase().padStart(8, '0');
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}

/** Digits (decimal or hex) two a byte. */
function digits(out: Uint8Array, at: number, text: string): number {
  let p = at;
  for (let i = 0; i < text.length; i += 2) out[p++] = Number.parseInt(text.slice(i, i + 2), 16);
  return p;
}

function clockOf(time: number): { readonly time: string; readonly date: string } {
  civilFromEpochMs(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  return {
    time: two(CIVIL.hour) + two(CIVIL.minute) + two(CIVIL.second),
    date: two(CIVIL.day) + two(CIVIL.month) + two(CIVIL.year % 100),
  };
}

/** Whole degrees, and the rest in ten-thousandths of a minute. */
function minutesOf(degrees: number): { readonly degrees: number; readonly tenThousandths: number } {
  const total = Math.round(Math.abs(degrees) * 600_000);
  return { degrees: Math.floor(total / 600_000), tenThousandths: total % 600_000 };
}

/** `prefix`, then YYYYMMDDHHMMSS (behind V4) or HHMMSS (behind R12) in UTC, then `#`. */
function stamped(prefix: string, now: () => number): Expectation {
  const form = ascii(prefix);
  const long = !prefix.endsWith('R12,');
  const length = form.length + (long ? 14 : 6) + 1;
  return {
    shown: `${prefix}${long ? 'YYYYMMDD' : ''}HHMMSS#`,
    match(bytes: Bytes, start: number, end: number): number {
      if (!begins(bytes, start, end, form)) return Wrong;
      if (end - start < length) return More;
      const text = Buffer.from(bytes.subarray(start + form.length, start + length)).toString('latin1');
      return /^\d+#$/.test(text) && nearNow(text, long, now()) ? length : Wrong;
    },
  };
}

function nearNow(text: string, long: boolean, now: number): boolean {
  const at = long ? 8 : 0;
  const [hour, minute, second] = [text.slice(at, at + 2), text.slice(at + 2, at + 4), text.slice(at + 4, at + 6)].map(Number);
  if (long) {
    const time = epochMs(
      Number(text.slice(0, 4)),
      Number(text.slice(4, 6)),
      Number(text.slice(6, 8)),
      hour ?? 99,
      minute ?? 99,
      second ?? 99,
    );
    return Math.abs(time - now) < CLOCK_TOLERANCE_MS;
  }
  const day = 86_400_000;
  const apart = Math.abs(epochMs(1970, 1, 1, hour ?? 99, minute ?? 99, second ?? 99) - (now % day));
  return Math.min(apart, day - apart) < CLOCK_TOLERANCE_MS;
}
