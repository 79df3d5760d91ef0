import { describe, expect, it } from 'vitest';
import { ATTRIBUTES, NUMBER } from '../../codecs/teltonika/attributes.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import * as L from '../../codecs/teltonika/layouts.ts';
import { ascii, type Bytes, hex, imeiOf } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult, type Layout } from '../../src/codec/index.ts';
import { Feed, type FeedSettings } from '../../src/codec/kit/feed.ts';
import { bytesOf, frameLines, readLines } from '../helpers/fixtures.ts';

/**
 * Every fixture and vector is read twice: by decode, and by the declared layouts, which are another reading of the same
 * document. Every value that either gives is compared.
 */
interface Subject {
  readonly id: string;
  readonly transport: 'tcp' | 'udp';
  readonly bytes: Bytes;
  readonly options: FeedSettings['options'];
}

function subjects(): Subject[] {
  const fixtures = frameLines('teltonika').flatMap(({ id, transport, hex, options = {} }) =>
    transport === 'sms' ? [] : [{ id, transport, bytes: bytesOf(hex), options }],
  );
  const vectors = (readLines('../shared/vectors/teltonika.jsonl') ?? []).flatMap((line): Subject[] => {
    if (typeof line !== 'object' || line === null || !('id' in line) || !('frame' in line) || !('transport' in line)) return [];
    const { frame } = line;
    if (typeof frame !== 'object' || frame === null || !('hex' in frame)) return [];
    const transport = line.transport === 'udp' ? 'udp' : 'tcp';
    return [{ id: String(line.id), transport, bytes: bytesOf(String(frame.hex)), options: { integrity: 'count' } }];
  });
  return [...fixtures, ...vectors];
}

/** Reads blocks one after the other. */
class Reader {
  readonly bytes: Bytes;
  p: number;

  constructor(bytes: Bytes, at: number) {
    this.bytes = bytes;
    this.p = at;
  }

  block(layout: Layout): Record<string, number | bigint | string> {
    const values = layout.parse(this.bytes, this.p);
    this.p += layout.bytes;
    return values;
  }

  number(layout: Layout, field: string): number {
    return Number(this.block(layout)[field]);
  }
}

/** One element as the layouts read it. */
interface Element {
  readonly id: number;
  readonly width: number;
  readonly raw: bigint;
  readonly at: number;
}

/** Ids whose value decode puts elsewhere than in an attribute of its own; what it must be there. */
type Elsewhere = (out: FrameResult, r: number, element: Element, texts: readonly string[]) => boolean;
const ELSEWHERE: ReadonlyMap<number, Elsewhere> = new Map<number, Elsewhere>([
  [182, (out, r, { raw }) => out.hdop[r] === Number(raw) / 10],
  [241, (_out, _r, { raw }, texts) => raw === 0n || texts.includes(String(raw))],
  // The long form of the cell's identity takes the place of the short one.
  [205, (out, r, { raw }) => cells(out, r).some((cell) => cell.cid === Number(raw) || cell.cid > 0xffff) || raw === 0n],
  [206, (out, r, { raw }) => cells(out, r).some((cell) => cell.lac === Number(raw)) || raw === 0n],
  [636, (out, r, { raw }) => cells(out, r).some((cell) => cell.cid === Number(raw)) || raw === 0n],
  [11, (_out, _r, { raw }, texts) => raw === 0n || texts.some((text) => text.startsWith(String(raw)))],
  [14, (_out, _r, { raw }, texts) => raw === 0n || texts.some((text) => text.endsWith(String(raw)))],
  [258, () => true],
  [285, (out, r, { raw }) => numbers(out, r).includes(Number(raw >> 2n))],
  ...[287, 288, 290, 291, 1200, 25021].map((id): [number, Elsewhere] => [
    id,
    (out, r, { raw }) => cells(out, r).some((cell) => Object.values(cell).includes(Number(raw))),
  ]),
  // Parts of a longer text: it holds them as letters or as hex.
  ...[195, 196, 219, 220, 221, 231, 232, 233, 234, 235].map((id): [number, Elsewhere] => [
    id,
    (_out, _r, { raw }, texts) => {
      const digits = raw.toString(16).padStart(16, '0');
      const letters = Buffer.from(digits, 'hex').toString('latin1').replaceAll('\0', '');
      return texts.some((text) => text.includes(digits) || text.includes(letters));
    },
  ]),
]);
/** The bytes are the same whatever the family makes of an id: here all are read as the default one. */
const DEFAULT_FAMILY = { family: 'fm' };

function cells(out: FrameResult, r: number): { mnc: number; lac: number; cid: number }[] {
  const from = r === 0 ? 0 : (out.cellEnd[r - 1] ?? 0);
  return Array.from({ length: (out.cellEnd[r] ?? 0) - from }, (_, k) => ({
    mnc: out.cellMnc[from + k] ?? Number.NaN,
    lac: out.cellLac[from + k] ?? Number.NaN,
    cid: out.cellCid[from + k] ?? Number.NaN,
  }));
}

function attributeRange(out: FrameResult, r: number): number[] {
  const from = r === 0 ? 0 : (out.attrEnd[r - 1] ?? 0);
  return Array.from({ length: (out.attrEnd[r] ?? 0) - from }, (_, k) => from + k);
}

function numbers(out: FrameResult, r: number): number[] {
  return attributeRange(out, r).map((k) => out.attrNum[k] ?? Number.NaN);
}

function textsOf(out: FrameResult, r: number): string[] {
  return attributeRange(out, r).flatMap((k) => {
    const isText = ATTRIBUTES.get(out.attrId[k] ?? -1)?.type === 'text';
    return isText ? [out.texts[out.attrNum[k] ?? -1] ?? ''] : [];
  });
}

/** Checks row `r` against the record that the reader stands at; returns how many values were compared. */
function checkRecord(reader: Reader, codec: number, out: FrameResult, r: number): number {
  const head = reader.block(L.AVL_HEAD);
  const time = Number(head['timestamp']);
  expect(out.time[r], 'time').toBe(time <= 8.64e15 ? time : Number.NaN);
  const [latitude, longitude] = [Number(head['latitude']) / 1e7, Number(head['longitude']) / 1e7];
  const nowhere = Math.abs(latitude) < 1.5e-7 && Math.abs(longitude) < 1.5e-7;
  const placed = !nowhere && Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180;
  expect([out.latitude[r], out.longitude[r]], 'place').toEqual(placed ? [latitude, longitude] : [Number.NaN, Number.NaN]);
  expect(out.valid[r], 'valid').toBe(placed && Number(head['satellites']) > 0 ? 1 : 0);
  expect(out.altitudeM[r], 'altitude').toBe(head['altitude']);
  expect(out.courseDeg[r], 'angle').toBe(Number(head['angle']) <= 360 ? head['angle'] : Number.NaN);
  expect(out.satellites[r], 'satellites').toBe(head['satellites']);
  expect(out.speedKmh[r], 'speed').toBe(head['speed']);
  const io = reader.block(codec === 0x08 ? L.IO_HEAD_8 : codec === 0x8e ? L.IO_HEAD_8E : L.IO_HEAD_16);
  const named = new Map(attributeRange(out, r).map((k) => [ATTRIBUTES.get(out.attrId[k] ?? -1)?.name ?? '', out.attrNum[k]]));
  expect(named.get('priority')).toBe(head['priority']);
  expect(named.get('event_code') ?? 0).toBe(io['event I/O id']);
  expect(named.get('generation_type')).toBe(io['generation type']);
  const elements = readElements(reader, codec);
  for (const element of elements) checkElement(reader.bytes, element, elements, out, r);
  return 9 + elements.length;
}

function readElements(reader: Reader, codec: number): Element[] {
  const elements: Element[] = [];
  const count = codec === 0x8e ? L.COUNT_2 : L.COUNT_1;
  for (const [group, layout] of (codec === 0x08 ? L.ELEMENTS_8 : L.ELEMENTS_WIDE).entries()) {
    for (let n = reader.number(count, 'count'); n > 0; n--) {
      const { id, value } = reader.block(layout);
      const width = 1 << group;
      elements.push({ id: Number(id), width, raw: BigInt(value ?? 0), at: reader.p - width });
    }
  }
  if (codec !== 0x8e) return elements;
  for (let n = reader.number(count, 'count'); n > 0; n--) {
    const { id, length } = reader.block(L.VARIABLE);
    elements.push({ id: Number(id), width: Number(length), raw: -1n, at: reader.p });
    reader.p += Number(length);
  }
  return elements;
}

function checkElement(bytes: Bytes, element: Element, all: readonly Element[], out: FrameResult, r: number): void {
  const { id, width, raw, at } = element;
  // Of two elements of one id the last one counts.
  if (all.findLast((other) => other.id === id) !== element) return;
  const label = `element ${id} of ${width} bytes`;
  const own = attributeRange(out, r).findLast((k) => {
    const attribute = out.attrId[k] ?? -1;
    return (attribute & 0xffff) === id && (attribute < 10 << 16 || attribute >> 16 === NUMBER >> 16 || attribute >> 16 === 14);
  });
  if (own === undefined) {
    const isList = raw < 0n && textsOf(out, r).length + numbers(out, r).length > 0;
    const isNothing = raw === 0n && width === 8;
    const elsewhere = ELSEWHERE.get(id)?.(out, r, element, textsOf(out, r)) === true;
    expect(isList || isNothing || elsewhere, `${label} is lost`).toBe(true);
    return;
  }
  const value = out.attrNum[own] ?? Number.NaN;
  if (ATTRIBUTES.get(out.attrId[own] ?? -1)?.type === 'text') {
    const text = out.texts[value] ?? '';
    if (id === 69 || id === 71) expect(['off', 'fix', 'no_fix', 'sleep', 'unknown'], label).toContain(text);
    else expect([hex(bytes, at, at + width), ascii(bytes, at, at + width).replace(/[. ]+$/, '')], label).toContain(text);
  } else if (ATTRIBUTES.get(out.attrId[own] ?? -1)?.type === 'boolean') expect(value, label).toBe(raw === 0n ? 0 : 1);
  else if (width === 8) expect([Number(raw), Number(BigInt.asIntN(64, raw))], label).toContain(value);
  else expect(BigInt.asUintN(8 * width, BigInt(value)), label).toBe(raw);
}

/** Message codecs: what the layouts say of the head, against the row. */
function checkMessage(reader: Reader, codec: number, out: FrameResult): void {
  const layout = [L.MESSAGE_12, L.MESSAGE_13, L.MESSAGE_14, L.MESSAGE_15][codec - 0x0c] ?? L.MESSAGE_12;
  const head = reader.block(layout);
  // The reply to getgps tells its time in words.
  const isTold = out.replyText.startsWith('GPS:');
  if (!isTold) expect(out.time[0], 'timestamp').toBe(head['timestamp'] === undefined ? Number.NaN : Number(head['timestamp']) * 1000);
  const texts = textsOf(out, 0);
  if (head['IMEI'] !== undefined) expect(texts, 'IMEI').toContain(String(head['IMEI']).replace(/^0/, ''));
  const types = attributeRange(out, 0).filter((k) => ATTRIBUTES.get(out.attrId[k] ?? -1)?.name === 'message_type');
  expect(types.map((k) => out.attrNum[k])).toEqual(head['type'] === 0x11 ? [] : [head['type']]);
}

function checkCodec7(reader: Reader, out: FrameResult, r: number): void {
  const { bytes } = reader;
  const start = reader.p;
  const head = reader.block(L.CODEC_7_HEAD);
  const word = Number(head['priority and timestamp']);
  expect(out.time[r], 'time').toBe(Date.UTC(2007, 0, 1) + (word % 2 ** 30) * 1000);
  const mask = Number(head['global mask']);
  if ((mask & 1) !== 0) {
    const gps = Number(reader.block(L.CODEC_7_MASK)['GPS mask']);
    for (const [bit, layout] of L.CODEC_7_GPS.entries()) {
      if (((gps >> bit) & 1) === 0) continue;
      const values = reader.block(layout);
      if (bit === 0 && !Number.isNaN(out.latitude[r])) expect(out.latitude[r], 'latitude').toBeCloseTo(Number(values['latitude']), 5);
      if (bit === 0 && !Number.isNaN(out.longitude[r])) expect(out.longitude[r], 'longitude').toBeCloseTo(Number(values['longitude']), 5);
      if (bit === 1) expect(out.altitudeM[r], 'altitude').toBe(values['altitude']);
      if (bit === 2) expect(out.courseDeg[r], 'angle').toBe((Number(values['angle']) * 360) / 256);
      if (bit === 3 && values['speed'] !== 255) expect(out.speedKmh[r], 'speed').toBe(values['speed']);
      if (bit === 4) expect(out.satellites[r], 'satellites').toBe(values['satellites']);
      if (bit === 5) expect(cells(out, r), 'cell').toMatchObject([{ lac: values['LAC'], cid: values['cell id'] }]);
      if (bit === 6 && Number(values['signal quality']) <= 31) expect(numbers(out, r), 'signal').toContain(values['signal quality']);
      if (bit === 7) expect(textsOf(out, r), 'operator').toContain(String(values['operator code']));
    }
  }
  for (const group of [0, 1, 2]) {
    if (((mask >> (group + 1)) & 1) === 0) continue;
    for (let n = reader.number(L.COUNT_1, 'count'); n > 0; n--) {
      const element = reader.block(L.ELEMENTS_8[group] ?? L.ELEMENTS_8[0]);
      const own = attributeRange(out, r).findLast((k) => ((out.attrId[k] ?? -1) & 0xffff) === element['id']);
      if (own !== undefined) expect(out.attrNum[own], `element ${element['id']}`).toBe(element['value']);
      else if (element['id'] === 202) expect(textsOf(out, r), 'operator').toContain(String(element['value']));
      else expect(out.hdop[r], 'HDOP').toBe(Number(element['value']) / 10);
    }
  }
  expect([out.from[r], out.to[r]]).toEqual([start, reader.p]);
  expect(bytes.length).toBeGreaterThanOrEqual(reader.p);
}

function checkFrame(bytes: Bytes, start: number, end: number, transport: 'tcp' | 'udp', out: FrameResult): void {
  const reader = new Reader(bytes, start);
  if (transport === 'udp') {
    const head = reader.block(L.UDP_HEAD);
    expect([head['length'], head['packet id']]).toEqual([end - start - 2, out.ticketB]);
    expect(out.ticketC).toBe(Number(head['not usable byte']) * 256 + Number(head['AVL packet id']));
    expect(out.deviceId).toBe(imeiOf(ascii(bytes, reader.p, reader.p + Number(head['IMEI length']))));
    reader.p += Number(head['IMEI length']);
  } else reader.block(L.FRAME_HEAD);
  const head = reader.block(L.DATA_HEAD);
  const codec = Number(head['codec id']);
  if (codec >= 0x0c && codec <= 0x0f) {
    checkMessage(reader, codec, out);
    return;
  }
  expect(out.ticketA).toBe(head['number of data 1']);
  for (let r = 0; r < out.rows; r++) {
    const from = reader.p;
    if (codec === 0x07) checkCodec7(reader, out, r);
    else {
      checkRecord(reader, codec, out, r);
      expect([out.from[r], out.to[r]], 'the record’s own bytes').toEqual([from, reader.p]);
    }
  }
  if (out.damaged === '') expect(reader.block(L.DATA_TAIL)['number of data 2']).toBe(head['number of data 1']);
}

describe('teltonika layouts read what decode reads', () => {
  it.each(subjects())('$id', ({ transport, bytes, options: given }) => {
    const options = { ...given, ...DEFAULT_FAMILY };
    let frames = 0;
    const connection = new Feed(teltonika, transport, {
      options: options ?? {},
      onDecoded: (out, given, start, end) => {
        frames++;
        if (out.kind === FrameKind.Login) {
          const head = L.IMEI_HEAD.parse(given, start);
          expect([head['length'], out.deviceId]).toEqual([end - start - 2, imeiOf(ascii(given, start + 2, end))]);
        } else if (out.rows > 0) checkFrame(given, start, end, transport, out);
      },
    });
    if (connection.push(bytes).length === 0) connection.decode(bytes, 0, bytes.length);
    expect(frames).toBeGreaterThan(0);
  });
});

describe('teltonika explain', () => {
  it.each(subjects())('$id: every byte has one note', ({ transport, bytes, options }) => {
    const dialect = teltonika[transport];
    const connection = new Feed(teltonika, transport, { options: options ?? {} });
    let p = 0;
    dialect?.explain?.(bytes, 0, bytes.length, connection.state, (at, length, name, raw) => {
      expect(at, `gap or overlap before ${name}`).toBe(p);
      expect(length, name).toBeGreaterThan(0);
      expect(raw, name).not.toBe('undefined');
      p = at + length;
    });
    expect(p).toBe(bytes.length);
  });

  it.each([
    ['ff', [[0, 1, 'ping', 'ff']]],
    ['00', [[0, 1, 'rest', '00']]],
    ['31', [[0, 1, 'rest', '31']]],
    ['ff00', [[0, 2, 'length', '65280']]],
    ['0000', [[0, 2, 'rest', '0000']]],
  ])('%s, which is hardly a frame, has notes too', (text, expected) => {
    const bytes = bytesOf(text);
    const notes: unknown[] = [];
    const { state } = new Feed(teltonika, 'tcp');
    teltonika.tcp?.explain?.(bytes, 0, bytes.length, state, (at, length, name, raw) => notes.push([at, length, name, raw]));
    expect(notes).toEqual(expected);
  });

  it('names each element with its raw and its scaled value', () => {
    const line = frameLines('teltonika').find(({ id }) => id === 'codec-8e-vin-and-dtc');
    const bytes = bytesOf(line?.hex ?? '');
    const connection = new Feed(teltonika, 'tcp');
    const notes: string[] = [];
    teltonika.tcp?.explain?.(bytes, 0, bytes.length, connection.state, (_at, length, name, raw, value) => {
      notes.push(`${length} ${name} ${raw}${value === undefined ? '' : ` = ${value}`}`);
    });
    expect(notes).toContain('4 data field length 84 = 84 bytes');
    expect(notes).toContain('1 codec id 142 = 0x8e');
    expect(notes).toContain('8 timestamp 1735689600000 = 2025-01-01T00:00:00.000Z');
    expect(notes).toContain('4 longitude -583816000 = -58.3816 °');
    expect(notes).toContain('1 ignition 1 = ignition on');
    expect(notes).toContain('2 external_v 13800 = 13.8');
    expect(notes).toContain('17 vin 314847434d383236333341303034333532 = 1HGCM82633A004352');
    expect(notes).toContain('4 CRC-16 10545 = 0x2931');
    expect(notes.some((note) => note.includes(' rest '))).toBe(false);
  });

  it.each([
    ['events-security', '1 crash_detection 4 = full crash trace (device not calibrated)'],
    ['events-geofence', '1 geofence_zone_06 0 = target left zone'],
    ['doors', '2 can_door_status 256 = front left door open'],
    ['signed-and-scaled', '2 acceleration_x_g -1015 = -1.015'],
    ['codec-16', '1 generation type 5 = on change'],
    ['codec-7', '4 latitude 44.79130554199219 = 44.79130554199219 °'],
    ['codec-12-getio-reply', '1 type 6 = response'],
    ['codec-15', '4 timestamp 1699440036 = 2023-11-08T10:40:36.000Z'],
    ['udp-codec-8', '1 AVL packet id 5'],
    ['record-cut-short', '1 number of data 2 2'],
    ['unknown-codec', '4 rest aabbccdd'],
  ])('%s: %s', (id, expected) => {
    const line = frameLines('teltonika').find((candidate) => candidate.id === id);
    const bytes = bytesOf(line?.hex ?? '');
    const transport = line?.transport ?? 'tcp';
    const connection = new Feed(teltonika, transport, { options: line?.options ?? {} });
    const notes: string[] = [];
    teltonika[transport]?.explain?.(bytes, 0, bytes.length, connection.state, (_at, length, name, raw, value) => {
      notes.push(`${length} ${name} ${raw}${value === undefined ? '' : ` = ${value}`}`);
    });
    expect(notes).toContain(expected);
  });
});
