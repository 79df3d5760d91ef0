import { crc16Arc, putAscii, putU16be, putU32be, putU64be } from '../../src/base/wire/index.ts';

/** What a Teltonika device says first (codecs/teltonika/protocol.md section 2). */
export function handshake(imei: string): Uint8Array {
  const out = new Uint8Array(2 + imei.length);
  putAscii(out, putU16be(out, 0, imei.length), imei);
  return out;
}

/** A data field, from codec id to second count, in a frame of TCP. */
export function enveloped(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + data.length);
  putU32be(out, 4, data.length);
  out.set(data, 8);
  putU32be(out, 8 + data.length, crc16Arc(out, 8, 8 + data.length));
  return out;
}

/** Codec 8 with one record without elements, 59.3293 18.0686 (codecs/teltonika/protocol.md sections 2 and 3). */
export function packet(time: number, speedKmh = 0): Uint8Array {
  const out = new Uint8Array(45);
  putU32be(out, 4, 33);
  out[8] = 8;
  out[9] = 1;
  putU64be(out, 10, time);
  putU32be(out, 19, 180686000);
  putU32be(out, 23, 593293000);
  out[31] = 9;
  putU16be(out, 32, speedKmh);
  out[40] = 1;
  putU32be(out, 41, crc16Arc(out, 8, 41));
  return out;
}

/** The same record there. */
export function packetAt(lat: number, lon: number, time: number, speedKmh = 40): Uint8Array {
  const bytes = packet(time, speedKmh);
  putU32be(bytes, 19, Math.round(lon * 1e7));
  putU32be(bytes, 23, Math.round(lat * 1e7));
  putU32be(bytes, 41, crc16Arc(bytes, 8, 41));
  return bytes;
}

/** The same record in a datagram (codecs/teltonika/protocol.md, UDP). */
export function udpPacket(imei: string, time: number): Uint8Array {
  const out = new Uint8Array(8 + imei.length + 33);
  putU16be(out, 0, out.length - 2);
  putU16be(out, 2, 0xcafe);
  out[4] = 1;
  out[5] = 7;
  putU16be(out, 6, imei.length);
  putAscii(out, 8, imei);
  out.set(packet(time).subarray(8, 41), 8 + imei.length);
  return out;
}

/** What it replies to a command: Codec 12 (codecs/teltonika/protocol.md section 6.2). */
export function reply(text: string): Uint8Array {
  const out = new Uint8Array(20 + text.length);
  putU32be(out, 4, 8 + text.length);
  out.set([12, 1, 6], 8);
  putU32be(out, 11, text.length);
  putAscii(out, 15, text);
  out[15 + text.length] = 1;
  putU32be(out, 16 + text.length, crc16Arc(out, 8, 16 + text.length));
  return out;
}
