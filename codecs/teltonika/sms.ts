import { type Bytes, u64be } from '../../src/base/wire/index.ts';

/**
 * Binary SMS of older devices (protocol.md section 10). What gateways hand to a server is text: these functions are for tools
 * that are handed the user data of such a message.
 */

/** One hour of a 24-position SMS. */
interface SmsPosition {
  /** Epoch ms. */
  readonly time: number;
  /** Degrees. */
  readonly latitude: number;
  readonly longitude: number;
  readonly speedKmh: number;
}

export interface Sms24 {
  readonly imei: string;
  /** Hours without a fix are left out. */
  readonly positions: readonly SmsPosition[];
}

const CODEC_4 = 0x04;
/** 2000-01-01 00:00 in Eastern European Time: two hours ahead of UTC. */
const EPOCH = 946684800000 - 7_200_000;
const HOUR = 3_600_000;
const LONGITUDE_STEPS = 2 ** 21 - 1;
const LATITUDE_STEPS = 2 ** 20 - 1;
/** Differences are stored from here up. */
const DIFFERENCE_ZERO = 2 ** 13 - 1;

/**
 * 24 hourly positions, codec 4: a stream of bits, the least significant of each byte first.
 * ```
 * codec id 8 · seconds since 2000-01-01 35 · elements 5 · elements · padding to a byte · IMEI 64
 * element    valid 1 · differential 1 · longitude 21, latitude 20, or their differences 14, 14 · speed 8
 * ```
 * Returns undefined when the bytes are none, or end early.
 */
export function decodeSms24(bytes: Bytes): Sms24 | undefined {
  const bits = new Bits(bytes);
  if (bits.take(8) !== CODEC_4) return undefined;
  const first = EPOCH + bits.take(35) * 1000;
  const count = bits.take(5);
  const positions: SmsPosition[] = [];
  let longitude = Number.NaN;
  let latitude = Number.NaN;
  for (let hour = 0; hour < count; hour++) {
    if (bits.take(1) === 0) continue;
    if (bits.take(1) === 1) {
      // Stored is the previous position less the current one.
      longitude -= bits.take(14) - DIFFERENCE_ZERO;
      latitude -= bits.take(14) - DIFFERENCE_ZERO;
    } else {
      longitude = bits.take(21);
      latitude = bits.take(20);
    }
    const speedKmh = bits.take(8);
    if (Number.isNaN(longitude)) continue;
    positions.push({
      time: first + hour * HOUR,
      latitude: (latitude * 180) / LATITUDE_STEPS - 90,
      longitude: (longitude * 360) / LONGITUDE_STEPS - 180,
      speedKmh,
    });
  }
  bits.align();
  const imei = bits.take(64);
  return bits.ended ? undefined : { imei: String(imei), positions };
}

/**
 * Data SMS: the data field of a TCP frame (codec id … number of data 2), then the IMEI as an 8-byte integer. Returns the TCP
 * frame's data field as `end` and the IMEI, or undefined when the bytes are too short.
 */
export function splitDataSms(bytes: Bytes): { readonly imei: string; readonly end: number } | undefined {
  const end = bytes.length - 8;
  return end < 3 ? undefined : { imei: String(u64be(bytes, end)), end };
}

/** Reads bits, the least significant of a byte first. Past the end it reads zeros, and says so. */
class Bits {
  readonly #bytes: Bytes;
  #at = 0;
  ended = false;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  take(count: number): number {
    let value = 0;
    for (let k = 0; k < count; k++, this.#at++) {
      const byte = this.#bytes[this.#at >> 3];
      if (byte === undefined) this.ended = true;
      else if (((byte >> (this.#at & 7)) & 1) === 1) value += 2 ** k;
    }
    return value;
  }

  align(): void {
    this.#at = (this.#at + 7) & ~7;
  }
}
