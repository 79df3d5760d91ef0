import { ascii, type Bytes, crc16Arc, fromHex, putAscii, putU8, putU16be, putU32be, putU64be, u32be } from '../base/wire/index.ts';
import type { Transport } from '../codec/index.ts';
import { type Deed, type Order, teltonikaDeed } from './obedience.ts';
import { exactly, type Fix, imei, type Packet, packetOf, recordId, type Speaker, type Wire } from './speaker.ts';
import { ABROAD, HARSH_G, type Happening, type Sample } from './track.ts';

/**
 * A Teltonika device (codecs/teltonika/protocol.md sections 1 to 4 and 9).
 *
 * ```
 * login      length u16 · IMEI                                        → 01
 * TCP frame  00000000 · L u32 · data field · CRC-16/ARC as u32         → records u32
 * datagram   length u16 · packet id u16 · 01 · AVL packet id u8 · length u16 · IMEI · data field
 *                                                  → 0005 · packet id · 01 · AVL packet id · records u8
 * data field codec id · N · records · N
 * record     time u64 · priority · longitude i32 · latitude i32 · altitude i16 · angle u16 · satellites · speed u16 · elements
 * ```
 */
export const TELTONIKA_CODECS = [0x08, 0x8e, 0x10] as const;

/** A basic car tracker, one on the car's CAN and OBD, and one for assets, with Bluetooth lists where the codec carries them. */
export const TELTONIKA_FAMILIES = ['car', 'can', 'asset'] as const;
export type TeltonikaFamily = (typeof TELTONIKA_FAMILIES)[number];

const PACKET_ID = 0xcafe;
/** Every so many frames a ping goes before the frame (codecs/teltonika/protocol.md section 1.3). */
const PING_EVERY = 16;
/** Of one record with all elements below, generously. */
const RECORD_BYTES = 320;
/** A full packet of a device that empties its memory (2.3), and the most that is sent at once for a great `--records`. */
const FULL_BYTES = 1280;
const MOST_BYTES = 8192;
/** What surrounds the records over TCP (2) and UDP (9.1), whichever is more. */
const AROUND_BYTES = 26;
const ACCEPTED = Uint8Array.of(1);
const REJECTED = Uint8Array.of(0);
const NOTHING_STORED = new Uint8Array(4);

const HIGH = 1;
const PANIC = 2;

/** Element ids of the FM platform (codecs/teltonika/protocol.md section 8.4 and the element dictionary). */
const IGNITION = 239;
const ALARM = 236;
const UNPLUG = 252;
const GREEN_DRIVING = 253;
const GREEN_DRIVING_VALUE = 254;
const OVERSPEEDING = 255;
const BEACONS = 385;
const EYE_SENSORS = 11317;
const VIN = 256;
const FAULT_CODES = 281;

/** Id, bytes of the value, value. */
type Element = readonly [id: number, width: 1 | 2 | 4 | 8, value: number];
/** An element of variable length. */
type Text = readonly [id: number, bytes: Uint8Array];

interface Trigger {
  readonly priority: number;
  readonly id: number;
  readonly elements: readonly Element[];
}

function trigger(sample: Sample): Trigger | undefined {
  if (sample.happening === undefined) return undefined;
  const green = (type: number): Trigger => ({
    priority: HIGH,
    id: GREEN_DRIVING,
    elements: [
      [GREEN_DRIVING, 1, type],
      [GREEN_DRIVING_VALUE, 1, 100 * HARSH_G],
    ],
  });
  const one = (id: number, value: number, priority = HIGH): Trigger => ({ priority, id, elements: [[id, 1, value]] });
  const triggers: Readonly<Record<Happening, () => Trigger>> = {
    sos: () => one(ALARM, 1, PANIC),
    power_cut: () => one(UNPLUG, 1),
    power_restored: () => one(UNPLUG, 0),
    // Their element is among those that every record carries.
    ignition_on: () => ({ priority: HIGH, id: IGNITION, elements: [] }),
    ignition_off: () => ({ priority: HIGH, id: IGNITION, elements: [] }),
    overspeed: () => one(OVERSPEEDING, Math.min(255, sample.speedKmh)),
    harsh_acceleration: () => green(1),
    harsh_braking: () => green(2),
    harsh_cornering: () => green(3),
  };
  return triggers[sample.happening]();
}

/** What every record of these devices carries. */
function elements(family: TeltonikaFamily, sample: Sample): Element[] {
  const { ignition, speedKmh, odometerM, externalMv, batteryMv, satellites, abroad } = sample;
  const moving = speedKmh > 0 ? 1 : 0;
  const signal = 3 + (satellites % 3);
  const common: Element[] = [
    [240, 1, moving],
    [21, 1, signal],
    [200, 1, 0],
    [69, 1, 1],
    [181, 2, 24 - satellites],
    [182, 2, 18 - satellites],
    [67, 2, batteryMv],
    [241, 4, abroad === true ? 100 * ABROAD[0] + ABROAD[1] : 24602],
    [16, 4, odometerM],
  ];
  // The level of the device's own battery, and a temperature sensor in 0.01 degrees.
  if (family === 'asset')
    return [[IGNITION, 1, ignition ? 1 : 0], [113, 1, Math.round(batteryMv / 42)], [25, 2, 2150 - speedKmh], ...common];
  const vehicle: Element[] = [
    [IGNITION, 1, ignition ? 1 : 0],
    [80, 1, moving],
    [66, 2, externalMv],
    [24, 2, speedKmh],
    // The driver's key is in its reader while he drives.
    [78, 8, ignition ? 0x0100_0001_2345 : 0],
    ...common,
  ];
  if (family === 'car') return vehicle;
  const rpm = ignition ? 800 + 22 * speedKmh : 0;
  return [
    ...vehicle,
    [81, 1, Math.min(255, speedKmh)],
    [82, 1, Math.min(100, speedKmh)],
    [89, 1, 100 - (Math.floor(odometerM / 5000) % 90)],
    [31, 1, ignition ? 20 + (speedKmh >> 1) : 0],
    [32, 1, ignition ? 88 : 20],
    [85, 2, rpm],
    [84, 2, 600 - (Math.floor(odometerM / 1000) % 500)],
    [83, 4, Math.floor(odometerM / 1400)],
    [87, 4, odometerM],
  ];
}

/** Elements of variable length, which only codec 8 Extended carries. `device`: its IMEI. */
function texts(family: TeltonikaFamily, sample: Sample, device: string): Text[] {
  if (family === 'can') {
    const vin: Text = [VIN, Buffer.from(`1HGCM82633A${device.slice(-6)}`, 'latin1')];
    return sample.odometerM % 10 === 0 ? [vin, [FAULT_CODES, Buffer.from('P0300,P0420', 'latin1')]] : [vin];
  }
  return family === 'asset'
    ? [
        [BEACONS, beacons(sample)],
        [EYE_SENSORS, eyeSensor(sample, device)],
      ]
    : [];
}

/** Part 1 of 1, then none to three of: flags (iBeacon, with signal), UUID, major, minor, signal (8.6). */
function beacons(sample: Sample): Uint8Array {
  const near = sample.satellites % 4;
  const out = new Uint8Array(1 + 22 * near);
  putU8(out, 0, 0x11);
  for (let n = 0; n < near; n++) {
    const at = putU8(out, 1 + 22 * n, 0x21);
    out.set(fromHex('3102030405060708090a0b0c0d0e0f10') ?? [], at);
    putU8(out, putU16be(out, putU16be(out, at + 16, 0x4545), n + 1), 256 - 60 - n);
  }
  return out;
}

/** Header, then one sensor: length, address, temperature, humidity and battery as type, length, value (8.6). */
function eyeSensor(sample: Sample, device: string): Uint8Array {
  const out = new Uint8Array(21);
  let p = putU8(out, putU8(out, 0, 0x01), out.length - 2);
  p = putU16be(out, p, 0x0f06);
  p = putU32be(out, putU16be(out, p, 0x7cd9), Number(device.slice(-9)));
  p = putU16be(out, putU16be(out, p, 0x0602), 2150 - sample.speedKmh);
  p = putU8(out, putU16be(out, p, 0x0701), 40 + sample.satellites);
  putU16be(out, putU16be(out, p, 0x0e02), 2900 + sample.satellites);
  return out;
}

export class TeltonikaDevice implements Speaker {
  readonly device: string;
  readonly resolutionMs = 1;
  readonly window: number;
  readonly #codec: number;
  readonly #family: TeltonikaFamily;
  readonly #transport: Transport;
  #avlPacketId = 0;
  #frames = 0;

  /** `codec`: 0x08, 0x8e or 0x10; `number` makes the IMEI. */
  constructor(number: number, codec: number, transport: Transport, window: number, family: TeltonikaFamily = 'car') {
    this.device = imei('3520937', number);
    this.window = window;
    this.#codec = codec;
    this.#family = family;
    this.#transport = transport;
  }

  hello(): Wire | undefined {
    if (this.#transport === 'udp') return undefined;
    const bytes = new Uint8Array(2 + this.device.length);
    putAscii(bytes, putU16be(bytes, 0, this.device.length), this.device);
    return { bytes, expected: exactly(ACCEPTED, REJECTED), allowed: undefined };
  }

  packets(samples: readonly Sample[], stored = false): Packet[] {
    const packets: Packet[] = [];
    const most = stored ? FULL_BYTES : MOST_BYTES;
    const out = new Uint8Array(MOST_BYTES + RECORD_BYTES);
    const first = 2;
    let p = first;
    let fixes: Fix[] = [];
    const close = (end: number): void => {
      putU8(out, putU8(out, 0, this.#codec), fixes.length);
      packets.push(packetOf(this.#codec, out.slice(0, putU8(out, end, fixes.length)), fixes));
      fixes = [];
    };
    for (const sample of samples) {
      let start = p;
      p = this.#record(out, start, sample);
      if (fixes.length > 0 && p + AROUND_BYTES > most) {
        // One too many: it opens the next packet.
        const record = out.slice(start, p);
        close(start);
        out.set(record, first);
        start = first;
        p = first + record.length;
      }
      fixes.push({ time: sample.time, id: recordId(this.device, out, start, p) });
    }
    if (fixes.length > 0) close(p);
    return packets;
  }

  wire(packet: Packet): Wire {
    return this.#transport === 'tcp' ? this.#frame(packet.body) : this.#datagram(packet.body);
  }

  proof(): undefined {}

  /** Codec 12, or 14 with the IMEI in front, type 5 (codecs/teltonika/protocol.md sections 6 and 7). */
  order(bytes: Bytes, start: number, end: number): Order | undefined {
    const codec = bytes[start + 8];
    if (end - start < 20 || u32be(bytes, start) !== 0 || (codec !== 0x0c && codec !== 0x0e) || bytes[start + 10] !== 5) return undefined;
    const from = start + 15 + (codec === 0x0e ? 8 : 0);
    const length = 12 + u32be(bytes, start + 4);
    return length > end - start ? undefined : { length, text: ascii(bytes, from, start + length - 5), key: 0 };
  }

  deed(order: Order, where: () => Sample): Deed {
    return teltonikaDeed(order.text, this.device, where);
  }

  /** Codec 12, type 6. */
  reply(_order: Order, text: string): Uint8Array {
    const out = new Uint8Array(20 + text.length);
    let p = putU32be(out, 4, 8 + text.length);
    for (const byte of [0x0c, 1, 6]) p = putU8(out, p, byte);
    p = putAscii(out, putU32be(out, p, text.length), text);
    p = putU8(out, p, 1);
    putU32be(out, p, crc16Arc(out, 8, p));
    return out;
  }

  #frame(body: Uint8Array): Wire {
    const ping = ++this.#frames % PING_EVERY === 0 ? 1 : 0;
    const bytes = new Uint8Array(ping + 12 + body.length);
    bytes.fill(0xff, 0, ping);
    const data = putU32be(bytes, ping + 4, body.length);
    bytes.set(body, data);
    putU32be(bytes, data + body.length, crc16Arc(bytes, data, data + body.length));
    const answer = new Uint8Array(4);
    putU32be(answer, 0, body[1] ?? 0);
    return { bytes, expected: exactly(answer, NOTHING_STORED), allowed: undefined };
  }

  #datagram(body: Uint8Array): Wire {
    const id = (this.#avlPacketId = (this.#avlPacketId + 1) & 255);
    const bytes = new Uint8Array(8 + this.device.length + body.length);
    let p = putU16be(bytes, 0, bytes.length - 2);
    p = putU16be(bytes, p, PACKET_ID);
    p = putU8(bytes, putU8(bytes, p, 1), id);
    p = putAscii(bytes, putU16be(bytes, p, this.device.length), this.device);
    bytes.set(body, p);
    const answer = (count: number): Uint8Array => Uint8Array.of(0, 5, PACKET_ID >> 8, PACKET_ID & 255, 1, id, count);
    return { bytes, expected: exactly(answer(body[1] ?? 0), answer(0)), allowed: undefined };
  }

  #record(out: Uint8Array, start: number, sample: Sample): number {
    const event = trigger(sample);
    let p = putU64be(out, start, sample.time);
    p = putU8(out, p, event?.priority ?? 0);
    p = putU32be(out, p, Math.round(sample.longitude * 1e7));
    p = putU32be(out, p, Math.round(sample.latitude * 1e7));
    p = putU16be(out, p, sample.altitudeM);
    p = putU16be(out, p, sample.courseDeg);
    p = putU8(out, p, sample.satellites);
    p = putU16be(out, p, sample.speedKmh);
    return this.#elements(out, p, sample, event);
  }

  /**
   * Event id, generation type (codec 16), count of all, then for values of 1, 2, 4, 8 bytes count and elements, then (8E)
   * those of variable length. Codec 8: all of one byte (3.4); 8E: counts and ids of two (3.5); 16: ids of two (3.6).
   */
  #elements(out: Uint8Array, start: number, sample: Sample, event: Trigger | undefined): number {
    const codec = this.#codec;
    const id = codec === 0x08 ? putU8 : putU16be;
    const count = codec === 0x8e ? putU16be : putU8;
    const fixed = [...(event?.elements ?? []), ...elements(this.#family, sample)];
    const variable = codec === 0x8e ? texts(this.#family, sample, this.device) : [];
    const onChange = 5;
    const periodical = 7;
    let p = id(out, start, event?.id ?? 0);
    if (codec === 0x10) p = putU8(out, p, event === undefined ? periodical : onChange);
    p = count(out, p, fixed.length + variable.length);
    for (const [width, put] of WIDTHS) {
      const group = fixed.filter((element) => element[1] === width);
      p = count(out, p, group.length);
      for (const [element, , value] of group) p = put(out, id(out, p, element), value);
    }
    if (codec !== 0x8e) return p;
    p = count(out, p, variable.length);
    for (const [element, bytes] of variable) {
      p = count(out, id(out, p, element), bytes.length);
      out.set(bytes, p);
      p += bytes.length;
    }
    return p;
  }
}

const WIDTHS = [
  [1, putU8],
  [2, putU16be],
  [4, putU32be],
  [8, putU64be],
] as const;
