import type { Transport } from '../codec/index.ts';
import { crc16Arc, putAscii, putU8, putU16be, putU32be, putU64be } from '../wire/index.ts';
import { exactly, type Fix, imei, type Packet, recordId, type Speaker, type Wire } from './speaker.ts';
import type { Sample } from './track.ts';

/**
 * A Teltonika device (protocol document, sections 1 to 4 and 9).
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

const PACKET_ID = 0xcafe;
/** Every so many frames a ping goes before the frame (section 1.3). */
const PING_EVERY = 16;
/** Of one record with all elements below, generously. */
const RECORD_BYTES = 128;
const ACCEPTED = Uint8Array.of(1);
const REJECTED = Uint8Array.of(0);
const NOTHING_STORED = new Uint8Array(4);

/** Element ids of the FM platform (section 8.4) by the width of their value. */
const IGNITION = 239;
const MOVEMENT = 240;
const GSM_SIGNAL = 21;
const EXTERNAL_VOLTAGE = 66;
const BATTERY_VOLTAGE = 67;
const TOTAL_ODOMETER = 16;
const IBUTTON = 78;
const VIN = 256;

export class TeltonikaDevice implements Speaker {
  readonly device: string;
  readonly resolutionMs = 1;
  readonly window: number;
  readonly #codec: number;
  readonly #transport: Transport;
  #avlPacketId = 0;
  #frames = 0;
  #ignition = true;

  /** `codec`: 0x08, 0x8e or 0x10; `number` makes the IMEI. */
  constructor(number: number, codec: number, transport: Transport, window: number) {
    this.device = imei('3520937', number);
    this.window = window;
    this.#codec = codec;
    this.#transport = transport;
  }

  hello(): Wire | undefined {
    if (this.#transport === 'udp') return undefined;
    const bytes = new Uint8Array(2 + this.device.length);
    putAscii(bytes, putU16be(bytes, 0, this.device.length), this.device);
    return { bytes, expected: exactly(ACCEPTED, REJECTED), allowed: undefined };
  }

  packets(samples: readonly Sample[]): Packet[] {
    const out = new Uint8Array(3 + RECORD_BYTES * samples.length);
    const fixes: Fix[] = [];
    let p = putU8(out, putU8(out, 0, this.#codec), samples.length);
    for (const sample of samples) {
      const start = p;
      p = this.#record(out, p, sample);
      fixes.push({ time: sample.time, id: recordId(this.device, out, start, p) });
    }
    p = putU8(out, p, samples.length);
    return [{ kind: this.#codec, body: out.slice(0, p), fixes, tries: 0 }];
  }

  wire(packet: Packet): Wire {
    return this.#transport === 'tcp' ? this.#frame(packet.body) : this.#datagram(packet.body);
  }

  proof(): undefined {}

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
    const changed = sample.ignition !== this.#ignition;
    this.#ignition = sample.ignition;
    let p = putU64be(out, start, sample.time);
    p = putU8(out, p, changed ? 1 : 0);
    p = putU32be(out, p, Math.round(sample.longitude * 1e7));
    p = putU32be(out, p, Math.round(sample.latitude * 1e7));
    p = putU16be(out, p, sample.altitudeM);
    p = putU16be(out, p, sample.courseDeg);
    p = putU8(out, p, sample.satellites);
    p = putU16be(out, p, sample.speedKmh);
    const event = changed ? IGNITION : 0;
    if (this.#codec === 0x08) return this.#elements(out, p, sample, event);
    if (this.#codec === 0x10) return this.#elementsWithGeneration(out, p, sample, event);
    return this.#elementsExtended(out, p, sample, event);
  }

  /** Codec 8 (3.4): ids, counts and event id of one byte. */
  #elements(out: Uint8Array, start: number, sample: Sample, event: number): number {
    let p = putU8(out, putU8(out, start, event), 6);
    p = putU8(out, p, 3);
    p = putU8(out, putU8(out, p, IGNITION), sample.ignition ? 1 : 0);
    p = putU8(out, putU8(out, p, MOVEMENT), sample.speedKmh > 0 ? 1 : 0);
    p = putU8(out, putU8(out, p, GSM_SIGNAL), 4);
    p = putU8(out, p, 2);
    p = putU16be(out, putU8(out, p, EXTERNAL_VOLTAGE), sample.externalMv);
    p = putU16be(out, putU8(out, p, BATTERY_VOLTAGE), sample.batteryMv);
    p = putU8(out, p, 1);
    p = putU32be(out, putU8(out, p, TOTAL_ODOMETER), sample.odometerM);
    return putU8(out, p, 0);
  }

  /** Codec 8 Extended (3.5): ids, counts and event id of two bytes, and a group of variable length. */
  #elementsExtended(out: Uint8Array, start: number, sample: Sample, event: number): number {
    const vin = `1HGCM82633A${this.device.slice(-6)}`;
    let p = putU16be(out, putU16be(out, start, event), 7);
    p = putU16be(out, p, 3);
    p = putU8(out, putU16be(out, p, IGNITION), sample.ignition ? 1 : 0);
    p = putU8(out, putU16be(out, p, MOVEMENT), sample.speedKmh > 0 ? 1 : 0);
    p = putU8(out, putU16be(out, p, GSM_SIGNAL), 4);
    p = putU16be(out, p, 1);
    p = putU16be(out, putU16be(out, p, EXTERNAL_VOLTAGE), sample.externalMv);
    p = putU16be(out, p, 1);
    p = putU32be(out, putU16be(out, p, TOTAL_ODOMETER), sample.odometerM);
    p = putU16be(out, p, 1);
    p = putU64be(out, putU16be(out, p, IBUTTON), 0x0100_0001_2345 + sample.odometerM);
    p = putU16be(out, p, 1);
    return putAscii(out, putU16be(out, putU16be(out, p, VIN), vin.length), vin);
  }

  /** Codec 16 (3.6): event id of two bytes, generation type, counts of one byte, ids of two. */
  #elementsWithGeneration(out: Uint8Array, start: number, sample: Sample, event: number): number {
    const onChange = 5;
    const periodical = 7;
    let p = putU8(out, putU16be(out, start, event), event === 0 ? periodical : onChange);
    p = putU8(out, p, 4);
    p = putU8(out, p, 2);
    p = putU8(out, putU16be(out, p, IGNITION), sample.ignition ? 1 : 0);
    p = putU8(out, putU16be(out, p, GSM_SIGNAL), 4);
    p = putU8(out, p, 1);
    p = putU16be(out, putU16be(out, p, EXTERNAL_VOLTAGE), sample.externalMv);
    p = putU8(out, p, 1);
    p = putU32be(out, putU16be(out, p, TOTAL_ODOMETER), sample.odometerM);
    return putU8(out, p, 0);
  }
}
