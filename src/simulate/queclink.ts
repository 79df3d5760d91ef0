import { type Bytes, CIVIL, civilFromEpochMs, putAscii, putU8, putU16be, putU32be } from '../base/wire/index.ts';
import { type Deed, type Order, queclinkDeed } from './obedience.ts';
import { exactly, imei, More, type Packet, packetOf, recordId, type Speaker, type Wire, Wrong } from './speaker.ts';
import type { Happening, Sample } from './track.ts';

/**
 * A Queclink device (codecs/queclink/protocol.md sections 3 to 6 and 10). Reports are not answered unless the server believes that the unit
 * waits for it; a heartbeat is.
 *
 * ```
 * +RESP:GTFRI,version,IMEI,name,… accuracy,speed,azimuth,altitude,longitude,latitude,UTC,MCC,MNC,LAC,cell,… send time,count$
 * +ACK:GTHBD,version,IMEI,name,send time,count$                                                      → +SACK:GTHBD,version,count$
 * +RSP type 1 mask 4 length 2 … count 2 CRC 2 0D0A   and   +HBD … count 2 CRC 2 0D0A                  → +SACK:GTHBD,,count$
 * ```
 *
 * `personal` is a GL300W, `vehicle` a GV300, `binary` a vehicle unit that reports in HEX.
 */
export const QUECLINK_MODELS = ['personal', 'vehicle', 'binary'] as const;
export type QueclinkModel = (typeof QUECLINK_MODELS)[number];

const Report = 1;
const VERSIONS: Readonly<Record<QueclinkModel, string>> = { personal: '2C0402', vehicle: '060228', binary: '450102' };
const MASK = 0x00fc1fbf;
/** Counts before the present one that an answer may be about. */
const RECENT = 20_000;

/** Reports of vehicle units, and the numbers of those that are binary: +RSP with id and type, +EVT with a duration. */
const VEHICLE: Readonly<Record<Happening, readonly [name: string, idAndType: string]>> = {
  sos: ['SOS', '00'],
  overspeed: ['SPD', '00'],
  harsh_braking: ['HBM', '10'],
  harsh_acceleration: ['HBM', '11'],
  harsh_cornering: ['HBM', '12'],
  power_cut: ['MPF', ''],
  power_restored: ['MPN', ''],
  ignition_on: ['IGN', ''],
  ignition_off: ['IGF', ''],
};
const BINARY: Readonly<Record<string, number>> = { SOS: 10, SPD: 9, HBM: 15, IGN: 13, IGF: 14 };
const PERSONAL: Partial<Readonly<Record<Happening, string>>> = { sos: 'SOS', overspeed: 'SPD', power_cut: 'EPF', power_restored: 'EPN' };

export class QueclinkDevice implements Speaker {
  readonly device: string;
  readonly resolutionMs = 1000;
  readonly window = 1;
  readonly #model: QueclinkModel;
  readonly #version: string;
  readonly #now: () => number;
  #count = 0;

  constructor(number: number, model: QueclinkModel, now: () => number) {
    this.device = imei('8605', number);
    this.#model = model;
    this.#version = VERSIONS[model];
    this.#now = now;
  }

  hello(): undefined {
    return undefined;
  }

  packets(samples: readonly Sample[], stored = false): Packet[] {
    return samples.map((sample) => {
      const body = this.#model === 'binary' ? this.#binary(sample, stored) : ascii(this.#text(sample, stored));
      const [from, to] = this.#model === 'binary' ? [4, body.length - 4] : [6, body.length - 1];
      return packetOf(Report, body, [{ time: sample.time, id: recordId(this.device, body, from, to) }]);
    });
  }

  wire(packet: Packet): Wire {
    return { bytes: packet.body, expected: undefined, allowed: undefined };
  }

  proof(): Wire {
    const count = this.#next();
    if (this.#model !== 'binary') {
      const bytes = ascii(`+ACK:GTHBD,${this.#version},${this.device},,${clockOf(this.#now())},${count}$`);
      return { bytes, expected: exactly(ascii(`+SACK:GTHBD,${this.#version},${count}$`)), allowed: undefined };
    }
    const out = new Uint8Array(32);
    const p = putAscii(out, 0, '+HBD');
    this.#binaryEnd(out, this.#binaryHead(out, putU8(out, putU8(out, p, 0xef), out.length)), count);
    return { bytes: out, expected: exactly(ascii(`+SACK:GTHBD,,${count}$`)), allowed: undefined };
  }

  /** `+SACK:` and the count of something that was sent: a server sends it to a unit that has repeated itself. */
  extra(bytes: Bytes, start: number, end: number): number {
    const text = Buffer.from(bytes.subarray(start, Math.min(end, start + 11))).toString('latin1');
    if (text.length < 11) return '+SACK:'.startsWith(text.slice(0, 6)) && /^[0-9A-F]*$/.test(text.slice(6)) ? More : Wrong;
    const count = /^\+SACK:([0-9A-F]{4})\$$/.exec(text)?.[1];
    return count !== undefined && ((this.#count - Number.parseInt(count, 16)) & 0xffff) < RECENT ? text.length : Wrong;
  }

  /** `AT+GTxxx=password,…,serial$` */
  order(bytes: Bytes, start: number, end: number): Order | undefined {
    if (bytes[start] !== 0x41) return undefined;
    const stop = bytes.indexOf(0x24, start);
    if (stop < 0 || stop >= end) return undefined;
    const text = Buffer.from(bytes.subarray(start, stop)).toString('latin1');
    const match = /^AT\+(GT[A-Z]{3})=[^,]*,(.*),([0-9A-F]{4})$/.exec(text);
    if (match === null) return undefined;
    return { length: stop + 1 - start, text: `${match[1]},${match[2]}`, key: Number.parseInt(match[3] ?? '', 16) };
  }

  deed(order: Order): Deed {
    const [name = '', ...parameters] = order.text.split(',');
    return queclinkDeed(name, parameters);
  }

  /** The receipt, and the report that was asked for. */
  reply(order: Order, text: string): Uint8Array {
    const serial = (order.key & 0xffff).toString(16).toUpperCase().padStart(4, '0');
    if (this.#model === 'binary') return this.#binaryReceipt(order.key & 0xffff);
    const [name = ''] = order.text.split(',');
    const said = text === '' ? '' : `,${text}`;
    const head = `${this.#version},${this.device},`;
    const receipt = `+ACK:${name},${head}${said},${serial},${clockOf(this.#now())},${this.#next()}$`;
    const data = DATA[text];
    return ascii(data === undefined ? receipt : `${receipt}+RESP:GT${data[0]},${head},${data[1]},${clockOf(this.#now())},${this.#next()}$`);
  }

  #next(): string {
    this.#count = (this.#count + 1) & 0xffff;
    return this.#count.toString(16).toUpperCase().padStart(4, '0');
  }

  #text(sample: Sample, stored: boolean): string {
    const { happening, latitude, longitude, altitudeM, speedKmh, courseDeg, odometerM, batteryMv, externalMv } = sample;
    const kilometres = (odometerM / 1000).toFixed(1);
    const place = `1,${speedKmh.toFixed(1)},${courseDeg},${altitudeM.toFixed(1)},${longitude.toFixed(6)},${latitude.toFixed(6)}`;
    const position = `${place},${clockOf(sample.time)},0460,0000,18d8,6141`;
    const said = this.#model === 'personal' ? PERSONAL[happening ?? 'ignition_on'] : VEHICLE[happening ?? 'sos'][0];
    const name = happening === undefined || said === undefined ? 'FRI' : said;
    const head = `${stored ? '+BUFF' : '+RESP'}:GT${name},${this.#version},${this.device},`;
    const end = `${clockOf(this.#now())},${this.#next()}$`;
    if (this.#model === 'personal') {
      if (name === 'EPF' || name === 'EPN') return `${head},${position},${kilometres},${end}`;
      return `${head},0,0,1,${position},${kilometres},${percentOf(batteryMv)},${end}`;
    }
    const status = `${stateOf(sample)}${sample.ignition ? '01' : '00'}00`;
    if (name === 'FRI')
      return `${head},${externalMv},10,1,${position},00,${kilometres},00117:31:26,13442,180,${percentOf(batteryMv)},${status},,,,${end}`;
    if (name === 'IGN' || name === 'IGF') return `${head},600,${position},00,00117:31:26,${kilometres},${end}`;
    if (name === 'MPF' || name === 'MPN') return `${head},${position},00,${end}`;
    return `${head},,${VEHICLE[happening ?? 'sos'][1]},1,${position},00,${kilometres},${end}`;
  }

  /** Mask 00FC1FBF: everything but the inputs and outputs. */
  #binary(sample: Sample, stored: boolean): Uint8Array {
    const [name, idAndType] = sample.happening === undefined ? ['FRI', '10'] : VEHICLE[sample.happening];
    const type = BINARY[name];
    const isEvent = type === 13 || type === 14;
    const out = new Uint8Array(isEvent ? 96 : 93);
    let p = putAscii(out, 0, isEvent ? (stored ? '+BVT' : '+EVT') : stored ? '+BSP' : '+RSP');
    p = putU16be(out, putU32be(out, putU8(out, p, type ?? 7), MASK), out.length);
    p = this.#binaryHead(out, p);
    p = putU16be(out, putU8(out, p, percentOf(sample.batteryMv)), sample.externalMv);
    p = putU8(out, putU8(out, p, Number.parseInt(stateOf(sample), 16)), Math.min(15, sample.satellites));
    p = isEvent ? putU32be(out, p, 600) : putU8(out, p, Number.parseInt(type === undefined ? '10' : idAndType, 16));
    p = putU8(out, putU8(out, p, 1), 1);
    const tenths = Math.round(sample.speedKmh * 10);
    p = putU8(out, putU16be(out, p, Math.floor(tenths / 10)), tenths % 10);
    p = putU16be(out, putU16be(out, p, sample.courseDeg), Math.round(sample.altitudeM) & 0xffff);
    p = putU32be(out, p, Math.round(sample.longitude * 1e6) >>> 0);
    p = putU32be(out, p, Math.round(sample.latitude * 1e6) >>> 0);
    p = putTime(out, p, sample.time);
    p = putU16be(out, putU16be(out, putU16be(out, putU16be(out, p, 0x0460), 0), 0x18d8), 0x6141);
    p = putU8(out, p, 0) + 3;
    p = putU8(out, putU32be(out, p, Math.floor(sample.odometerM / 1000)), Math.floor(sample.odometerM / 100) % 10) + 9;
    this.#binaryEnd(out, p, this.#next());
    return out;
  }

  #binaryReceipt(serial: number): Uint8Array {
    const out = new Uint8Array(36);
    const p = putU8(out, putU8(out, putU8(out, putAscii(out, 0, '+ACK'), 2), 0xef), out.length);
    this.#binaryEnd(out, putU16be(out, putU8(out, this.#binaryHead(out, p), 0), serial), this.#next());
    return out;
  }

  /** Device type, protocol and firmware version, the identity with two digits a byte. */
  #binaryHead(out: Uint8Array, at: number): number {
    let p = putU16be(out, putU16be(out, putU8(out, at, 0x45), 0x0102), 0x0209);
    for (let k = 0; k < 15; k += 2) p = putU8(out, p, Number(this.device.slice(k, k + 2)));
    return p;
  }

  /** Send time, count, CRC over everything behind the header, 0D0A. */
  #binaryEnd(out: Uint8Array, at: number, count: string): void {
    const p = putU16be(out, putTime(out, at, this.#now()), Number.parseInt(count, 16));
    putU16be(out, putU16be(out, p, crc16(out, 4, p)), 0x0d0a);
  }
}

/** What follows the receipt of a query, by its name there. */
const DATA: Readonly<Record<string, readonly [name: string, fields: string]>> = {
  VER: ['VER', 'GL300W,0A03,0103'],
  BAT: ['BAT', '1,,88,4.10,1,1'],
  READ: ['ALL', 'SRI,3,,1,gps.example.org,5004,,,,10,0,,,,,FRI,1,0,,,0000,0000,60,60'],
};

function ascii(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}

/** YYYYMMDDHHMMSS */
function clockOf(time: number): string {
  civilFromEpochMs(time);
  const { year, month, day, hour, minute, second } = CIVIL;
  return `${year}${[month, day, hour, minute, second].map((part) => String(part).padStart(2, '0')).join('')}`;
}

function putTime(out: Uint8Array, at: number, time: number): number {
  civilFromEpochMs(time);
  let p = putU16be(out, at, CIVIL.year);
  for (const part of [CIVIL.month, CIVIL.day, CIVIL.hour, CIVIL.minute, CIVIL.second]) p = putU8(out, p, part);
  return p;
}

function percentOf(batteryMv: number): number {
  return Math.max(0, Math.min(100, Math.round((batteryMv - 3400) / 8)));
}

/** Motion state (codecs/queclink/protocol.md section 7.1). */
function stateOf({ ignition, speedKmh }: Sample): string {
  return `${ignition ? 2 : 1}${speedKmh > 1 ? 2 : 1}`;
}

/** CRC-16, polynomial 0x1021, initial 0xFFFF. */
function crc16(bytes: Uint8Array, start: number, end: number): number {
  let c = 0xffff;
  for (let p = start; p < end; p++) {
    c ^= (bytes[p] ?? 0) << 8;
    for (let k = 0; k < 8; k++) c = (c & 0x8000) === 0 ? (c << 1) & 0xffff : ((c << 1) ^ 0x1021) & 0xffff;
  }
  return c;
}
