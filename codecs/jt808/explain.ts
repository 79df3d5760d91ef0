import { ascii, type Bytes, hex, i16be, u16be, u32be } from '../../src/base/wire/index.ts';
import type { Note } from '../../src/codec/index.ts';
import { Content, Header } from './frame.ts';
import { LOCATION } from './location.ts';
import { nameOf } from './messages.ts';

const CONTENT = new Content();
const HEADER = new Header();

/** Annotates the parts of one frame: header field by field, body and checksum. */
export function explain(bytes: Bytes, start: number, end: number, note: Note): void {
  if (bytes[start] === 0x28) {
    note(start, end - start, 'sentence', ascii(bytes, start, end));
    return;
  }
  const c = CONTENT;
  const h = HEADER;
  c.open(bytes, start, end);
  if (end - start < 3 || !h.read(c)) {
    note(start, end - start, 'frame', hex(bytes, start, end), 'too short for a header');
    return;
  }
  const b = c.bytes;
  const part = (from: number, to: number, name: string, about?: string): void => {
    const at = c.placeOf(from);
    const length = c.placeOf(to) - at;
    if (length > 0) note(at, length, name, hex(b, from, to), about);
  };
  note(start, 1, 'delimiter', hex(bytes, start, start + 1));
  part(c.p, c.p + 2, 'message id', nameOf(h.id));
  part(c.p + 2, c.p + 4, 'attributes', `${h.attributes & 0x3ff} bytes${h.is2019 ? ', 2019' : ''}${h.total > 0 ? ', packaged' : ''}`);
  if (h.is2019) part(c.p + 4, c.p + 5, 'version');
  part(h.phoneAt, h.phoneAt + h.phoneBytes, 'phone');
  const serial = h.phoneAt + h.phoneBytes;
  const behind = h.total > 0 || (h.attributes & 0x2000) !== 0 ? h.p - 4 : h.p;
  part(serial, behind, 'serial');
  if (behind < h.p) part(behind, h.p, 'package', `${u16be(b, behind + 2)} of ${h.total}`);
  if (!h.encrypted || h.id >= 0x5501) explainBody(b, h, part);
  else part(h.p, h.q, 'body', 'encrypted');
  const tail = c.placeOf(h.q);
  note(tail, end - 1 - tail, 'checksum', hex(bytes, tail, end - 1), c.sum === 0 ? 'right' : 'wrong');
  note(end - 1, 1, 'delimiter', hex(bytes, end - 1, end));
}

type Part = (from: number, to: number, name: string, about?: string) => void;

function explainBody(b: Bytes, h: Header, part: Part): void {
  const { p, q } = h;
  if (h.id === 0x0200 && h.number <= 1) explainLocation(b, p, q, part);
  else if ((h.id === 0x0201 || h.id === 0x0500) && q - p >= 2) {
    part(p, p + 2, 'reply serial');
    explainLocation(b, p + 2, q, part);
  } else if (h.id === 0x0704 && h.number <= 1 && q - p >= 3) {
    part(p, p + 2, 'count', String(u16be(b, p)));
    part(p + 2, p + 3, 'type', b[p + 2] === 1 ? 'stored earlier' : 'normal');
    let at = p + 3;
    while (at + 2 <= q && u16be(b, at) >= LOCATION && at + 2 + u16be(b, at) <= q) {
      const end = at + 2 + u16be(b, at);
      part(at, at + 2, 'length', String(end - at - 2));
      explainLocation(b, at + 2, end, part);
      at = end;
    }
    part(at, q, 'rest');
  } else if (h.id === 0x0001 && q - p >= 5) {
    part(p, p + 2, 'answered serial');
    part(p + 2, p + 4, 'answered message id');
    part(p + 4, p + 5, 'result');
    part(p + 5, q, 'rest');
  } else part(p, q, 'body');
}

const degrees = (b: Bytes, at: number): string => (u32be(b, at) / 1e6).toFixed(6);

/** The fixed part of a location: bytes, name, and what they say. */
const FIXED: ReadonlyArray<readonly [bytes: number, name: string, about: (b: Bytes, at: number) => string | undefined]> = [
  [4, 'alarm flags', (b, at) => bits(u32be(b, at))],
  [4, 'status', (b, at) => bits(u32be(b, at))],
  [4, 'latitude', degrees],
  [4, 'longitude', degrees],
  [2, 'altitude', (b, at) => `${i16be(b, at)} m`],
  [2, 'speed', (b, at) => `${u16be(b, at) / 10} km/h`],
  [2, 'course', (b, at) => `${u16be(b, at)}°`],
  [6, 'time', (b, at) => hex(b, at, at + 6).replace(/(..)(..)(..)(..)(..)(..)/, '20$1-$2-$3 $4:$5:$6')],
];

function bits(word: number): string | undefined {
  const set = Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => ((word >>> bit) & 1) === 1);
  return set.length === 0 ? undefined : `bits ${set.join(', ')}`;
}

function explainLocation(b: Bytes, from: number, q: number, part: Part): void {
  if (q - from < LOCATION) {
    part(from, q, 'body', 'too short for a location');
    return;
  }
  let at = from;
  for (const [bytes, name, about] of FIXED) {
    part(at, at + bytes, name, about(b, at));
    at += bytes;
  }
  while (at + 2 <= q && at + 2 + b[at + 1]! <= q) {
    const [id, n] = [b[at]!, b[at + 1]!];
    part(at, at + 2 + n, `item ${hex(b, at, at + 1)}`, ITEM_NAMES.get(id * 256 + n) ?? ITEM_NAMES.get(id));
    at += 2 + n;
    // What stands behind it is a list of other items.
    if (id === 0x80 && n === 1) break;
  }
  part(at, q, 'rest');
}

/** By id, or by id × 256 + length where that decides. */
const ITEM_NAMES: ReadonlyMap<number, string> = new Map([
  [0x01, 'mileage, 0.1 km'],
  [0x02, 'fuel, 0.1 l'],
  [0x03, 'speed of the recorder, 0.1 km/h'],
  [0x04, 'alarm that waits for confirmation'],
  [0x05, 'tyre pressures'],
  [0x0601, 'battery, %'],
  [0x0602, 'carriage temperature'],
  [0x11, 'place of overspeed'],
  [0x12, 'area or route, and direction'],
  [0x13, 'time in a segment'],
  [0x14, 'video alarms'],
  [0x15, 'video channels lost'],
  [0x16, 'video channels blocked'],
  [0x17, 'storage faults'],
  [0x18, 'abnormal driving'],
  [0x25, 'vehicle signals'],
  [0x2a, 'sleep'],
  [0x2b, 'analogue inputs'],
  [0x30, 'signal'],
  [0x31, 'satellites'],
  [0x50, 'Wi-Fi'],
  [0x51, 'temperatures, 0.1 °C'],
  [0x53, 'cells, 2G'],
  [0x54, 'Wi-Fi'],
  [0x56, 'battery level'],
  [0x5d, 'cells, 4G'],
  [0x61, 'external voltage, 0.01 V'],
  [0x63, 'slave locks'],
  [0x64, 'driver assistance'],
  [0x65, 'driver monitoring'],
  [0x66, 'tyre alarm, or cells of a lock'],
  [0x6708, 'password of the lock'],
  [0x69, 'battery, 0.01 V'],
  [0x77, 'tyres'],
  [0x80, 'list of vehicle values'],
  [0xd4, 'battery, % or card'],
  [0xe8, 'Jimi status or alarm'],
  [0xeb, 'list of further fields, cells or zone'],
  [0xf1, 'external voltage, mV, or ICCID'],
  [0xf2, 'firmware'],
  [0xf6, 'IMEI, or sensors'],
  [0xf7, 'battery, or humidity'],
]);
