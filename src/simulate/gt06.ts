import {
  ascii,
  type Bytes,
  CIVIL,
  civilFromEpochMs,
  crc16X25,
  epochMs,
  putAscii,
  putU8,
  putU16be,
  putU32be,
  u32be,
} from '../base/wire/index.ts';
import { type Deed, gt06Deed, type Order } from './obedience.ts';
import {
  begins,
  CLOCK_TOLERANCE_MS,
  type Expectation,
  exactly,
  imei,
  More,
  type Packet,
  packetOf,
  recordId,
  type Speaker,
  type Wire,
  Wrong,
} from './speaker.ts';
import { ABROAD, type Happening, type Sample } from './track.ts';

/**
 * A GT06 device (codecs/gt06/protocol.md sections 2 to 4, 6 and 8).
 *
 * ```
 * short frame  78 78 · LEN u8  · number · content · serial u16 · CRC-X25 u16 · 0D 0A
 * long frame   79 79 · LEN u16 · the same
 * answer       short frame, same number and serial, no content; to 8A: the time in UTC
 * DT6          year − 2000, month, day, hour, minute, second, one byte each
 * GPS12        C0 | satellites · latitude u32 · longitude u32 (degrees × 1 800 000) · speed · course and status u16
 * LBS8         MCC u16 · MNC u8 · LAC u16 · cell u24;  4G: MCC | 8000 · MNC u16 · LAC u32 · cell u64
 * ```
 *
 * A fix has no answer of its own (codecs/gt06/protocol.md section 8). The answer to the heartbeat behind it shows that the server came past it.
 * Plain GT06 reports 12, 16 and 23 in its own time zone; the others 22 or A0 with ACC, reason, re-upload and mileage, in UTC.
 */
export const GT06_MODELS = ['gt06', 'gps-lbs-status', '4g'] as const;
export type Gt06Model = (typeof GT06_MODELS)[number];

const Login = 0x01;
const Location = 0x12;
const Heartbeat = 0x13;
const AlarmLocal = 0x16;
const LocationUtc = 0x22;
const HeartbeatVoltage = 0x23;
const AlarmUtc = 0x26;
const Time = 0x8a;
const Information = 0x94;
const Location4g = 0xa0;
const Alarm4g = 0xa4;

const ENGLISH = 0x02;
/** A parked vehicle is knocked against, and a word about the supply is said, every so many samples. */
const VIBRATION_EVERY = 24;
const INFORMATION_EVERY = 20;
/** Alarm codes (7). Models whose locations carry ACC tell it there, with the reason (4.7). */
const VIBRATION = 0x03;
const ALARMS: Readonly<Partial<Record<Happening, number>>> = {
  sos: 0x01,
  power_cut: 0x02,
  overspeed: 0x06,
  harsh_acceleration: 0x29,
  harsh_braking: 0x30,
  harsh_cornering: 0x2a,
};
const ACC_ALARMS: Readonly<Partial<Record<Happening, number>>> = { ignition_on: 0xfe, ignition_off: 0xff };
const ACC_CHANGE = 0x03;
/** TERM (4.4): bits 5 to 3 by alarm. */
const TERM_ALARMS: Readonly<Record<number, number>> = { [VIBRATION]: 0x08, 2: 0x10, 1: 0x20 };
/** Zone words of a login (6.1) and what they mean in ms: UTC, +8:00, +5:30, −3:00. */
const ZONES: readonly (readonly [number, number])[] = [
  [0x0002, 0],
  [0x3202, 28_800_000],
  [0x2122, 19_800_000],
  [0x12ca, -10_800_000],
];

export class Gt06Device implements Speaker {
  readonly device: string;
  readonly resolutionMs = 1000;
  readonly window = 1;
  readonly #model: Gt06Model;
  readonly #zone: readonly [number, number];
  readonly #now: () => number;
  #serial = 0;
  #samples: number;
  #asked = false;
  #last: Sample | undefined;

  /** `number` makes the IMEI; `now` gives epoch ms, to judge the time in an answer. */
  constructor(number: number, model: Gt06Model, now: () => number) {
    this.device = imei('8681201', number);
    this.#model = model;
    this.#zone = ZONES[number % ZONES.length] ?? [0x0002, 0];
    this.#now = now;
    this.#samples = number % VIBRATION_EVERY;
  }

  hello(): Wire {
    const content = new Uint8Array(12);
    for (let i = 0; i < 8; i++) {
      const pair = `0${this.device}`.slice(2 * i, 2 * i + 2);
      content[i] = Number.parseInt(pair, 16);
    }
    putU16be(content, putU16be(content, 8, 0x2003), this.#zone[0]);
    return this.#asks(Login, content);
  }

  packets(samples: readonly Sample[], stored = false): Packet[] {
    const packets: Packet[] = [];
    if (!this.#asked) {
      this.#asked = true;
      packets.push(packetOf(Time, new Uint8Array(0), []));
    }
    for (const sample of samples) {
      this.#last = sample;
      const turn = ++this.#samples;
      if (turn % INFORMATION_EVERY === 0) packets.push(voltage(sample));
      const alarm = this.#alarmCode(sample, turn);
      packets.push(alarm === 0 ? this.#location(sample, stored) : this.#alarm(sample, alarm));
    }
    return packets;
  }

  #alarmCode({ happening, speedKmh }: Sample, turn: number): number {
    if (happening !== undefined) return ALARMS[happening] ?? (this.#model === 'gt06' ? ACC_ALARMS[happening] : undefined) ?? 0;
    return turn % VIBRATION_EVERY === 0 && speedKmh === 0 ? VIBRATION : 0;
  }

  wire(packet: Packet): Wire {
    const { kind, body } = packet;
    switch (kind) {
      case Time:
        return { bytes: this.#frame(Time, body), expected: timeAnswer(this.#serial, this.#now), allowed: undefined };
      case AlarmLocal:
      case AlarmUtc:
      case Alarm4g:
        return this.#asks(kind, body);
      case Information:
        return { bytes: this.#frame(kind, body), expected: undefined, allowed: undefined };
      default: {
        const content = kind === Location ? body : resent(body, packet.tries > 0);
        const bytes = this.#frame(kind, content);
        return { bytes, expected: undefined, allowed: exactly(answer(kind, this.#serial)) };
      }
    }
  }

  proof(): Wire {
    const volts = this.#last?.externalMv ?? 12_000;
    const terminal = term(this.#last, 0);
    if (this.#model === 'gt06') return this.#asks(HeartbeatVoltage, Uint8Array.of(terminal, (volts / 10) >> 8, volts / 10, 4, 0, ENGLISH));
    return this.#asks(Heartbeat, Uint8Array.of(terminal, 6, 4, 0, ENGLISH));
  }

  /** GPS18 and what stands behind it; the record is the number and the content up to re-upload, which changes when sent again. */
  #location(sample: Sample, stored: boolean): Packet {
    const content = new Uint8Array(64);
    if (this.#model === 'gt06') {
      const end = cell2g(content, gps18(content, 0, sample.time + this.#zone[1], sample), sample);
      return this.#packet(Location, content.slice(0, end), end, sample);
    }
    const wide = this.#model === '4g';
    const gps = gps18(content, 0, sample.time, sample);
    let p = wide ? cell4g(content, gps, sample) : cell2g(content, gps, sample);
    p = putU8(content, p, sample.ignition ? 1 : 0);
    p = putU8(content, p, sample.happening === 'ignition_on' || sample.happening === 'ignition_off' ? ACC_CHANGE : 0);
    const end = putU32be(content, putU8(content, p, stored ? 1 : 0), sample.odometerM);
    return this.#packet(wide ? Location4g : LocationUtc, content.slice(0, end), p, sample);
  }

  /** GPS18 · LBS length, itself included · LBS · TERM · VOLT · GSM · ALARM · LANG; 4G: and fence, FF for none. */
  #alarm(sample: Sample, code: number): Packet {
    const local = this.#model === 'gt06';
    const wide = this.#model === '4g';
    const content = new Uint8Array(64);
    const gps = gps18(content, 0, sample.time + (local ? this.#zone[1] : 0), sample);
    let p = wide ? cell4g(content, gps + 1, sample) : cell2g(content, gps + 1, sample);
    putU8(content, gps, p - gps);
    for (const byte of [term(sample, code), 6, 4, code, ENGLISH]) p = putU8(content, p, byte);
    if (wide) p = putU8(content, p, 0xff);
    return this.#packet(local ? AlarmLocal : wide ? Alarm4g : AlarmUtc, content.slice(0, p), p, sample);
  }

  /** `end`: behind the part of the content that names the record, together with the number before it. */
  #packet(kind: number, body: Uint8Array, end: number, sample: Sample): Packet {
    const record = new Uint8Array(1 + end);
    record[0] = kind;
    record.set(body.subarray(0, end), 1);
    return packetOf(kind, body, [{ time: sample.time, id: recordId(this.device, record, 0, record.length) }]);
  }

  /** 0x80: length 1, server flag 4, text (codecs/gt06/protocol.md section 9.1). */
  order(bytes: Bytes, start: number, end: number): Order | undefined {
    if (end - start < 15 || bytes[start] !== 0x78 || bytes[start + 1] !== 0x78 || bytes[start + 3] !== COMMAND) return undefined;
    const length = (bytes[start + 2] ?? 0) + 5;
    const size = (bytes[start + 4] ?? 0) - 4;
    return length > end - start ? undefined : { length, text: ascii(bytes, start + 9, start + 9 + size), key: u32be(bytes, start + 5) };
  }

  deed(order: Order): Deed {
    return gt06Deed(order.text);
  }

  /** 0x15: length, flag, text, language (codecs/gt06/protocol.md section 6.9). */
  reply(order: Order, text: string): Uint8Array {
    const content = new Uint8Array(7 + text.length);
    let p = putU8(content, 0, 4 + text.length);
    p = putAscii(content, putU32be(content, p, order.key), text);
    putU16be(content, p, 2);
    return this.#frame(REPLY, content);
  }

  /** A short frame that is answered with its number and serial. */
  #asks(number: number, content: Uint8Array): Wire {
    return { bytes: this.#frame(number, content), expected: exactly(answer(number, this.#serial)), allowed: undefined };
  }

  #frame(number: number, content: Uint8Array): Uint8Array {
    this.#serial = (this.#serial + 1) & 0xffff;
    return number === Information ? longFrame(number, content, this.#serial) : shortFrame(number, content, this.#serial);
  }
}

const COMMAND = 0x80;
const REPLY = 0x15;

function answer(number: number, serial: number): Uint8Array {
  return shortFrame(number, new Uint8Array(0), serial);
}

function shortFrame(number: number, content: Uint8Array, serial: number): Uint8Array {
  const bytes = new Uint8Array(10 + content.length);
  putU8(bytes, putU16be(bytes, 0, 0x7878), 5 + content.length);
  return seal(bytes, 3, number, content, serial);
}

function longFrame(number: number, content: Uint8Array, serial: number): Uint8Array {
  const bytes = new Uint8Array(11 + content.length);
  putU16be(bytes, putU16be(bytes, 0, 0x7979), 5 + content.length);
  return seal(bytes, 4, number, content, serial);
}

/** Number, content, serial, the checksum from LEN to serial, stop. */
function seal(bytes: Uint8Array, at: number, number: number, content: Uint8Array, serial: number): Uint8Array {
  bytes.set(content, putU8(bytes, at, number));
  const end = putU16be(bytes, at + 1 + content.length, serial);
  putU16be(bytes, putU16be(bytes, end, crc16X25(bytes, 2, end)), 0x0d0a);
  return bytes;
}

/** TERM (4.4): tracking, supply, ACC, and what the alarm is about. */
function term(sample: Sample | undefined, alarm: number): number {
  const supply = sample === undefined || sample.externalMv > 0 ? 4 : 0;
  return 0x40 | supply | (sample?.ignition === true ? 2 : 0) | (TERM_ALARMS[alarm] ?? 0);
}

function date6(out: Uint8Array, at: number, time: number): number {
  civilFromEpochMs(time);
  let p = putU8(out, at, CIVIL.year - 2000);
  p = putU8(out, putU8(out, p, CIVIL.month), CIVIL.day);
  p = putU8(out, putU8(out, p, CIVIL.hour), CIVIL.minute);
  return putU8(out, p, CIVIL.second);
}

/** `time` in the time base of the message. */
function gps18(out: Uint8Array, at: number, time: number, sample: Sample): number {
  const valid = 0x1000;
  const west = sample.longitude < 0 ? 0x0800 : 0;
  const north = sample.latitude >= 0 ? 0x0400 : 0;
  const acc = sample.ignition ? 0xc000 : 0x4000;
  let p = putU8(out, date6(out, at, time), 0xc0 | Math.min(15, sample.satellites));
  p = putU32be(out, p, Math.round(Math.abs(sample.latitude) * 1_800_000));
  p = putU32be(out, p, Math.round(Math.abs(sample.longitude) * 1_800_000));
  p = putU8(out, p, Math.min(255, sample.speedKmh));
  return putU16be(out, p, acc | valid | west | north | sample.courseDeg);
}

function cell2g(out: Uint8Array, at: number, { abroad }: Sample): number {
  const [mcc, mnc] = abroad === true ? ABROAD : [460, 0];
  const p = putU16be(out, putU8(out, putU16be(out, at, mcc), mnc), 0x287d);
  return putU16be(out, putU8(out, p, 0), 0x1f71);
}

function cell4g(out: Uint8Array, at: number, { abroad }: Sample): number {
  const [mcc, mnc] = abroad === true ? ABROAD : [310, 260];
  const p = putU32be(out, putU16be(out, putU16be(out, at, 0x8000 | mcc), mnc), 0x7ef4);
  return putU32be(out, putU32be(out, p, 0), 0x06428b07);
}

/** ACC · mode · re-upload · mileage stand last: a fix that is sent again says so in re-upload. */
function resent(body: Uint8Array, again: boolean): Uint8Array {
  if (!again) return body;
  const content = body.slice();
  content[content.length - 5] = 1;
  return content;
}

/** Information 0x94, sub-type 00: external volts × 100. */
function voltage(sample: Sample): Packet {
  const body = new Uint8Array(3);
  putU16be(body, putU8(body, 0, 0), sample.externalMv / 10);
  return packetOf(Information, body, []);
}

/** 78 78 0B 8A · DT6 in UTC · serial · CRC · 0D 0A. */
function timeAnswer(serial: number, now: () => number): Expectation {
  const head = Uint8Array.of(0x78, 0x78, 0x0b, Time);
  return {
    shown: `78780b8a, the time in UTC, serial ${serial}`,
    match(bytes: Bytes, start: number, end: number): number {
      if (!begins(bytes, start, end, head)) return Wrong;
      if (end - start < 16) return More;
      const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = bytes.subarray(start + 4, start + 10);
      const time = epochMs(2000 + year, month, day, hour, minute, second);
      const form = new Uint8Array(6);
      putU16be(form, putU16be(form, putU16be(form, 0, serial), crc16X25(bytes, start + 2, start + 12)), 0x0d0a);
      return Math.abs(time - now()) < CLOCK_TOLERANCE_MS && begins(bytes, start + 10, start + 16, form) ? 16 : Wrong;
    },
  };
}
