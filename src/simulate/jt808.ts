import { type Bytes, CIVIL, civilFromEpochMs, fromHex, hex, putAscii, putU8, putU16be, putU32be, u16be } from '../base/wire/index.ts';
import { type Deed, jt808Deed, type Order } from './obedience.ts';
import { exactly, imei, More, type Packet, packetOf, recordId, type Speaker, type Wire, Wrong } from './speaker.ts';
import type { Happening, Sample } from './track.ts';

/**
 * A JT/T 808 device (codecs/jt808/protocol.md sections 2 to 6). It authenticates on each connection; every message is answered by the universal
 * reply, which has its serial. What was kept without coverage comes in batches.
 *
 * ```
 * 7E | message id 2 | attributes 2 | [version 1] | phone 6 or 10 | serial 2 | body | exclusive or 1 | 7E, with 7D 01 and 7D 02 for 7D and 7E
 * 0102 code · 0200 location · 0704 count 2, type 1, (length 2, location)…        → 8001 serial 2, id 2, result 1
 * ```
 *
 * `2013` has a phone number of 12 digits, `2019` an IMEI in 20, `jimi` the number of its first 14 digits in 6 bytes, and says its zone.
 */
export const JT808_MODELS = ['2013', '2019', 'jimi'] as const;
export type Jt808Model = (typeof JT808_MODELS)[number];

const Authenticate = 0x0102;
const Location = 0x0200;
const Batch = 0x0704;
const UniversalReply = 0x8001;
const LOCATION = 28;
const MOST_IN_BATCH = 8;
/** Serials before the present one that an answer may be about. */
const RECENT = 20_000;
const HOUR_MS = 3_600_000;
/** Zones that the clocks stand in. */
const STANDARD_HOURS = 8;
const JIMI_HOURS = -4;
const ALARMS: Partial<Readonly<Record<Happening, number>>> = { sos: 1, overspeed: 2 };
const POWER_CUT = 0x100;
/** Bits of item 57, and types of item 70. */
const HARSH: Partial<Readonly<Record<Happening, readonly [bit: number, type: number]>>> = {
  harsh_acceleration: [0x100, 1],
  harsh_braking: [0x200, 2],
  harsh_cornering: [0x400, 3],
};
const JIMI_ALARMS: Partial<Readonly<Record<Happening, number>>> = {
  sos: 0x0c01,
  overspeed: 0x0403,
  harsh_acceleration: 0x0400,
  harsh_braking: 0x0401,
  harsh_cornering: 0x0402,
  ignition_on: 0x0c03,
  ignition_off: 0x0c04,
  power_cut: 0x0c0e,
};

export class Jt808Device implements Speaker {
  readonly device: string;
  readonly resolutionMs = 1000;
  /** A report that could not be stored is not answered, the one behind it may be: one at a time keeps the order. */
  readonly window = 1;
  readonly #model: Jt808Model;
  readonly #phone: Uint8Array;
  #serial = 0;
  #isCut = false;
  /** Where it was when it was asked. */
  #asked: Sample | undefined;

  constructor(number: number, model: Jt808Model) {
    this.#model = model;
    const digits = model === '2013' ? `139${String(number).padStart(8, '0')}` : imei('8661', number);
    this.device = digits;
    const field =
      model === 'jimi' ? Number(digits.slice(0, 14)).toString(16).padStart(12, '0') : digits.padStart(model === '2019' ? 20 : 12, '0');
    this.#phone = Uint8Array.from(fromHex(field) ?? []);
  }

  hello(): Wire {
    const code = ascii(hex(this.#phone, 0, this.#phone.length).toUpperCase());
    return this.#answered(Authenticate, this.#model === '2019' ? this.#codeOf2019(code) : code);
  }

  /** length 1, code, IMEI 15, version 20 */
  #codeOf2019(code: Uint8Array): Uint8Array {
    const out = new Uint8Array(1 + code.length + 35);
    out.set(code, putU8(out, 0, code.length));
    putAscii(out, putAscii(out, 1 + code.length, this.device), 'V1.02');
    return out;
  }

  packets(samples: readonly Sample[], stored = false): Packet[] {
    const packets: Packet[] = [];
    if (!stored) {
      for (const sample of samples) {
        const body = this.#location(sample);
        packets.push(packetOf(Location, body, [this.#fix(sample, body)]));
      }
      return packets;
    }
    for (let from = 0; from < samples.length; from += MOST_IN_BATCH) {
      const some = samples.slice(from, from + MOST_IN_BATCH);
      const items = some.map((sample) => this.#location(sample));
      const out = new Uint8Array(3 + items.reduce((sum, item) => sum + 2 + item.length, 0));
      let p = putU8(out, putU16be(out, 0, items.length), 1);
      for (const item of items) {
        p = putU16be(out, p, item.length);
        out.set(item, p);
        p += item.length;
      }
      const fixes = some.map((sample, k) => this.#fix(sample, items[k] ?? out));
      packets.push(packetOf(Batch, out, fixes));
    }
    return packets;
  }

  wire(packet: Packet): Wire {
    return this.#answered(packet.kind, packet.body);
  }

  /** Every packet is answered. */
  proof(): undefined {
    return undefined;
  }

  /** The universal reply to a reply. */
  extra(bytes: Bytes, start: number, end: number): number {
    const message = messageAt(bytes, start, end, this.#phone.length);
    if (message === undefined) return bytes[start] === 0x7e && end - start < 64 && closing(bytes, start, end) < 0 ? More : Wrong;
    const { id, body } = message;
    if (id !== UniversalReply || body.length !== 5) return Wrong;
    const answered = u16be(body, 2);
    const isReply = answered !== Location && answered !== Batch && answered !== Authenticate;
    return isReply && ((this.#serial - u16be(body, 0)) & 0xffff) < RECENT ? message.length : Wrong;
  }

  /** Its id and its body, hexadecimal. */
  order(bytes: Bytes, start: number, end: number): Order | undefined {
    const message = messageAt(bytes, start, end, this.#phone.length);
    if (message === undefined || message.id < 0x8100 || message.id === 0x8800) return undefined;
    const { id, body, serial, length } = message;
    return { length, text: `${id.toString(16)} ${hex(body, 0, body.length)}`, key: serial };
  }

  deed(order: Order, where: () => Sample): Deed {
    this.#asked = where();
    return jt808Deed(order.text);
  }

  /** The universal reply, and the message that was asked for. */
  reply(order: Order, text: string): Uint8Array {
    const id = Number.parseInt(order.text.slice(0, 4), 16);
    const key = order.key & 0xffff;
    const receipt = new Uint8Array(5);
    putU8(receipt, putU16be(receipt, putU16be(receipt, 0, key), id), text === 'what?' ? 1 : 0);
    const said = text === 'what?' ? undefined : this.#said(key, text);
    if (said === undefined) return this.#frame(0x0001, receipt, this.#next());
    if (said[0] === 0x0201) return this.#frame(said[0], said[1], this.#next());
    return Buffer.concat([this.#frame(0x0001, receipt, this.#next()), this.#frame(said[0], said[1], this.#next())]);
  }

  #said(key: number, text: string): readonly [id: number, body: Uint8Array] | undefined {
    const out = new Uint8Array(128);
    let p = putU16be(out, 0, key);
    switch (text) {
      case 'location': {
        if (this.#asked === undefined) return undefined;
        const body = this.#location(this.#asked);
        out.set(body, p);
        return [0x0201, out.subarray(0, p + body.length)];
      }
      case 'parameters':
        p = putU8(out, p, 2);
        for (const [id, value] of [
          [0x0001, 60],
          [0x0029, 10],
        ] as const)
          p = putU32be(out, putU8(out, putU32be(out, p, id), 4), value);
        return [0x0104, out.subarray(0, p)];
      case 'text':
        return [0x6006, ascii('\0OK')];
      case 'pass-through':
        return [0x0900, ascii('\u00f0OK')];
      default:
        return undefined;
    }
  }

  #next(): number {
    this.#serial = (this.#serial + 1) & 0xffff;
    return this.#serial;
  }

  #answered(id: number, body: Uint8Array): Wire {
    const serial = this.#next();
    const answer = (result: number): Uint8Array => {
      const out = new Uint8Array(5);
      putU8(out, putU16be(out, putU16be(out, 0, serial), id), result);
      return this.#frame(UniversalReply, out, 0);
    };
    return { bytes: this.#frame(id, body, serial), expected: exactly(answer(0), answer(1)), allowed: undefined };
  }

  #frame(id: number, body: Uint8Array, serial: number): Uint8Array {
    const is2019 = this.#model === '2019';
    const content = new Uint8Array(16 + this.#phone.length + body.length);
    let p = putU16be(content, putU16be(content, 0, id), (is2019 ? 0x4000 : 0) | body.length);
    if (is2019) p = putU8(content, p, 1);
    content.set(this.#phone, p);
    p = putU16be(content, p + this.#phone.length, serial);
    content.set(body, p);
    p += body.length;
    let sum = 0;
    for (let k = 0; k < p; k++) sum ^= content[k] ?? 0;
    p = putU8(content, p, sum);
    return Uint8Array.from([0x7e, ...escaped(content.subarray(0, p)), 0x7e]);
  }

  /** The record's own bytes are those on the wire. */
  #fix(sample: Sample, body: Uint8Array): { time: number; id: string } {
    const bytes = escaped(body);
    return { time: sample.time, id: recordId(this.device, bytes, 0, bytes.length) };
  }

  #location(sample: Sample): Uint8Array {
    const out = new Uint8Array(LOCATION + 96);
    const { happening, latitude, longitude, altitudeM, speedKmh, courseDeg, ignition, externalMv } = sample;
    // A level: from when it was noticed until the supply is back.
    this.#isCut = externalMv === 0 && (this.#isCut || happening === 'power_cut');
    const isJimi = this.#model === 'jimi';
    const alarms = isJimi ? 0 : (ALARMS[happening ?? 'ignition_on'] ?? 0) | (this.#isCut ? POWER_CUT : 0);
    const status = (ignition ? 1 : 0) | 2 | (latitude < 0 ? 4 : 0) | (longitude < 0 ? 8 : 0);
    let p = putU32be(out, putU32be(out, 0, alarms), status);
    p = putU32be(out, putU32be(out, p, Math.round(Math.abs(latitude) * 1e6)), Math.round(Math.abs(longitude) * 1e6));
    p = putU16be(out, putU16be(out, p, Math.round(altitudeM) & 0xffff), Math.round(speedKmh * 10));
    p = putU16be(out, p, courseDeg);
    p = putTime(out, p, sample.time + (isJimi ? JIMI_HOURS : STANDARD_HOURS) * HOUR_MS);
    return out.slice(0, this.#items(sample, out, p));
  }

  #items({ happening, odometerM, satellites, externalMv, batteryMv }: Sample, out: Uint8Array, at: number): number {
    let p = putU32be(out, putU16be(out, at, 0x0104), Math.floor(odometerM / 100));
    p = putU8(out, putU16be(out, putU8(out, putU16be(out, p, 0x3001), 25), 0x3101), satellites);
    if (this.#model === 'jimi') {
      p = putAscii(out, putU16be(out, p, 0xeb09), 'UTC-04:00');
      p = putU8(out, putU8(out, putU16be(out, putU16be(out, p, 0xe80a), 0x2003), 7), externalMv > 0 ? 1 : 0);
      p = putU16be(out, putU8(out, p, 5), Math.round(batteryMv / 10));
      p = putU16be(out, putU8(out, p, 25), Math.round(externalMv / 10));
      const alarm = happening === undefined ? undefined : JIMI_ALARMS[happening];
      return alarm === undefined ? p : putU16be(out, putU16be(out, p, 0xe813), alarm) + 17;
    }
    p = putU16be(out, putU16be(out, p, 0x6102), Math.round(externalMv / 10));
    const [bit, type] = HARSH[happening ?? 'ignition_on'] ?? [0, 0];
    if (this.#model === '2019') {
      p = putU16be(out, putU16be(out, p, 0x6902), Math.round(batteryMv / 10));
      return type === 0 ? p : putU8(out, putU8(out, putU32be(out, putU16be(out, p, 0x7006), 1), 0), type);
    }
    return bit === 0 ? p : putU32be(out, putU16be(out, putU16be(out, putU16be(out, p, 0x5708), bit), 0), 0);
  }
}

/** BCD YY MM DD hh mm ss */
function putTime(out: Uint8Array, at: number, time: number): number {
  civilFromEpochMs(time);
  let p = at;
  for (const part of [CIVIL.year % 100, CIVIL.month, CIVIL.day, CIVIL.hour, CIVIL.minute, CIVIL.second])
    p = putU8(out, p, Math.floor(part / 10) * 16 + (part % 10));
  return p;
}

function escaped(content: Uint8Array): Uint8Array {
  return Uint8Array.from(Array.from(content).flatMap((byte) => (byte === 0x7e ? [0x7d, 2] : byte === 0x7d ? [0x7d, 1] : [byte])));
}

/** Where the frame that begins at `start` ends, -1 if that has not arrived. */
function closing(bytes: Bytes, start: number, end: number): number {
  for (let p = start + 1; p < end; p++) if (bytes[p] === 0x7e) return p;
  return -1;
}

interface Message {
  readonly length: number;
  readonly id: number;
  readonly serial: number;
  readonly body: Uint8Array;
}

function messageAt(bytes: Bytes, start: number, end: number, phoneBytes: number): Message | undefined {
  const stop = bytes[start] === 0x7e ? closing(bytes, start, end) : -1;
  if (stop < 0) return undefined;
  const content: number[] = [];
  for (let p = start + 1; p < stop; p++) content.push(bytes[p] === 0x7d ? 0x7c + (bytes[++p] ?? 0) : (bytes[p] ?? 0));
  const header = 4 + (phoneBytes === 10 ? 1 : 0) + phoneBytes + 2;
  if (content.length < header + 1) return undefined;
  const plain = Uint8Array.from(content);
  return {
    length: stop + 1 - start,
    id: u16be(plain, 0),
    serial: u16be(plain, header - 2),
    body: plain.subarray(header, plain.length - 1),
  };
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}
