import { crc16Arc, putAscii, putU16be, putU32be, putU64be } from '../../src/base/wire/index.ts';
import { Random } from '../../src/simulate/random.ts';
import { imei } from '../../src/simulate/speaker.ts';

/**
 * Frames of one Teltonika device (codec 8 Extended) that cost next to nothing to make: the layout is written once, and each
 * packet gets new times, places, speeds and values.
 *
 * TCP frame: 00000000 · L u32 · data field · CRC-16/ARC as u32. Datagram: length u16 · packet id u16 · 01 · AVL packet id u8 ·
 * length u16 · IMEI · data field. Data field: 8E · N · records · N. Record: time u64 · priority · longitude i32 · latitude i32 ·
 * altitude u16 · angle u16 · satellites · speed u16 · event id u16 · elements by width
 * (codecs/teltonika/protocol.md sections 1, 2 and 9).
 */
type Width = 1 | 2 | 4 | 8;
type Element = readonly [id: number, width: Width];

/** What car trackers send by default, most wanted first. */
const USUAL: readonly Element[] = [
  [239, 1],
  [240, 1],
  [21, 1],
  [66, 2],
  [16, 4],
  [80, 1],
  [200, 1],
  [69, 1],
  [181, 2],
  [182, 2],
  [67, 2],
  [24, 2],
  [241, 4],
  [78, 8],
];
/** Inputs, sensors and what comes from the vehicle's OBD port. */
const MORE: readonly Element[] = [
  ...[1, 2, 3, 179, 180, 20, 22, 23, 30, 31, 32, 35, 37, 38, 39, 41, 46, 48, 53, 57, 58].map((id): Element => [id, 1]),
  ...[9, 6, 17, 18, 19, 68, 205, 206, 25, 26, 27, 28, 86, 104, 106, 108, 33, 34, 36, 40, 42, 43, 44, 45, 49].map((id): Element => [id, 2]),
];

const WIDTHS: readonly Width[] = [1, 2, 4, 8];
const IGNITION = 239;
const MOVEMENT = 240;
const ODOMETER = 16;
const OPERATOR = 241;
const DRIVER = 78;
/** Bytes of a record before its elements. */
const FIXED = 26;
const DEGREE = 1e7;

/** The number makes the IMEI: processes take numbers apart. */
export function imeiOf(number: number): string {
  return imei('3520937', number);
}

/** What the device says first on TCP. */
export function login(device: string): Uint8Array {
  const out = new Uint8Array(2 + device.length);
  putAscii(out, putU16be(out, 0, device.length), device);
  return out;
}

export class Frames {
  /** The packet made last. */
  readonly bytes: Uint8Array;
  readonly #random: Random;
  readonly #records: number;
  readonly #elements: readonly Element[];
  readonly #udp: boolean;
  /** Where the data field begins, and bytes of a record. */
  readonly #at: number;
  readonly #recordBytes: number;
  #time = 0;
  #packetId = 0;
  #latitude: number;
  #longitude: number;
  #course: number;
  #speed = 50;
  #odometer: number;

  constructor(number: number, records: number, attributes: number, udp: boolean) {
    this.#random = new Random(number + 1);
    this.#records = Math.max(1, records);
    this.#udp = udp;
    this.#elements = [...USUAL, ...MORE].slice(0, attributes).sort((a, b) => a[1] - b[1]);
    this.#latitude = this.#random.between(35, 60);
    this.#longitude = this.#random.between(-10, 30);
    this.#course = this.#random.int(360);
    this.#odometer = this.#random.int(300_000_000);

    // Ids of two bytes, four counts and the count of elements of variable length, and the total.
    this.#recordBytes = FIXED + 2 + 4 * 2 + this.#elements.reduce((sum, [, width]) => sum + 2 + width, 0) + 2;
    const field = 3 + this.#records * this.#recordBytes;
    const device = imeiOf(number);
    this.#at = udp ? 8 + device.length : 8;
    this.bytes = new Uint8Array(this.#at + field + (udp ? 0 : 4));
    if (udp) {
      putU16be(this.bytes, 0, this.bytes.length - 2);
      this.bytes[4] = 1;
      putAscii(this.bytes, putU16be(this.bytes, 6, device.length), device);
    } else putU32be(this.bytes, 4, field);
    this.bytes[this.#at] = 0x8e;
    this.bytes[this.#at + 1] = this.#records;
    this.bytes[this.#at + field - 1] = this.#records;
    for (let k = 0; k < this.#records; k++) this.#layOut(this.#at + 2 + k * this.#recordBytes);
  }

  /** Makes the next packet; its records end at `now`, epoch ms, a millisecond apart, and no two packets share a time. */
  next(now: number): Uint8Array {
    const bytes = this.bytes;
    this.#time = Math.max(now - this.#records + 1, this.#time);
    for (let k = 0; k < this.#records; k++) this.#fill(this.#at + 2 + k * this.#recordBytes, this.#time++);
    if (this.#udp) {
      this.#packetId = (this.#packetId + 1) & 0xff;
      putU16be(bytes, 2, this.#packetId);
      bytes[5] = this.#packetId;
    } else {
      const end = bytes.length - 4;
      putU32be(bytes, end, crc16Arc(bytes, 8, end));
    }
    return bytes;
  }

  /** Byte that the next answer to a datagram echoes. */
  get packetId(): number {
    return this.#packetId;
  }

  #layOut(start: number): void {
    let p = putU16be(this.bytes, start + FIXED - 2, 0);
    p = putU16be(this.bytes, p, this.#elements.length);
    for (const width of WIDTHS) {
      const some = this.#elements.filter((element) => element[1] === width);
      p = putU16be(this.bytes, p, some.length);
      for (const [id] of some) p = putU16be(this.bytes, p, id) + width;
    }
    putU16be(this.bytes, p, 0);
  }

  #fill(start: number, time: number): void {
    const bytes = this.bytes;
    const random = this.#random;
    this.#course = (this.#course + random.int(21) + 350) % 360;
    this.#speed = Math.min(120, Math.max(6, this.#speed + random.int(9) - 4));
    const metres = this.#speed / 3.6;
    const radians = (this.#course * Math.PI) / 180;
    this.#latitude += (metres * Math.cos(radians)) / 111_320;
    this.#longitude += (metres * Math.sin(radians)) / 111_320;
    this.#odometer += Math.round(metres);
    let p = putU64be(bytes, start, time) + 1;
    p = putU32be(bytes, p, Math.round(this.#longitude * DEGREE));
    p = putU32be(bytes, p, Math.round(this.#latitude * DEGREE));
    p = putU16be(bytes, p, 100 + (this.#course >> 3));
    p = putU16be(bytes, p, this.#course);
    bytes[p] = 8 + (this.#speed & 7);
    putU16be(bytes, p + 1, this.#speed);
    // The total of the elements, then the groups.
    p = start + FIXED + 2;
    let width = 0;
    for (const element of this.#elements) {
      while (width < element[1]) {
        p += 2;
        width = width === 0 ? 1 : width * 2;
      }
      p += 2;
      this.#value(p, element[0], element[1]);
      p += width;
    }
  }

  #value(p: number, id: number, width: Width): void {
    const bytes = this.bytes;
    if (id === IGNITION || id === MOVEMENT) bytes[p] = 1;
    else if (width === 1) bytes[p] = this.#speed & 3;
    else if (width === 2) putU16be(bytes, p, (id * 131 + this.#course * 7 + this.#speed) % 14_000);
    else if (id === ODOMETER) putU32be(bytes, p, this.#odometer);
    else if (id === OPERATOR) putU32be(bytes, p, 24_602);
    else if (id === DRIVER) putU32be(bytes, p + 4, 0x2345);
  }
}
