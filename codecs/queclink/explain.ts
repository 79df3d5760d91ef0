import { ascii, type Bytes, hex } from '../../src/base/wire/index.ts';
import type { Note } from '../../src/codec/index.ts';
import { count, fieldFrom, fieldTo, splitFields, timeAt } from './fields.ts';
import { Format, formatAt, triple } from './frame.ts';
import { modelOf } from './model.ts';
import { findPlace, isPlace, LONGITUDE } from './position.ts';
import { BY_NAME, HEAD_NAMES, Kind, type Report, UNKNOWN_REPORT } from './report.ts';
import { isStatus, stateText } from './status.ts';

/** Annotates one frame for people: of a text every field, with the vendor's names where the table of reports knows them. */
export function explain(bytes: Bytes, start: number, end: number, note: Note): void {
  const format = formatAt(bytes, start, end);
  if (format !== Format.Text) {
    const size = Math.min(format === Format.Binary ? 4 : 2, end - start);
    note(start, size, 'header', hex(bytes, start, start + size));
    if (end - start > size) note(start + size, end - start - size, 'body', hex(bytes, start + size, end));
    return;
  }
  let last = end;
  while (last > start && (bytes[last - 1]! <= 0x20 || bytes[last - 1] === 0x24)) last--;
  splitFields(bytes, start, last);
  const names = namesOf(bytes);
  for (let k = 0; k < count; k++) {
    const from = fieldFrom(k);
    const to = fieldTo(k);
    const name = names[k] ?? `field ${k}`;
    note(from, Math.min(to + 1, last) - from, name, ascii(bytes, from, to), meaning(name, bytes, k));
  }
  const behind = fieldTo(count - 1);
  if (behind < end) note(Math.min(behind, last), end - Math.min(behind, last), 'end', hex(bytes, Math.min(behind, last), end));
}

const BLOCK_NAMES = [
  'GPS accuracy',
  'speed, km/h',
  'azimuth',
  'altitude, m',
  'longitude',
  'latitude',
  'GPS UTC time',
  'MCC',
  'MNC',
  'LAC',
  'cell id',
  'odometer, reserved or append mask',
] as const;

function namesOf(bytes: Bytes): string[] {
  const header = ascii(bytes, fieldFrom(0), fieldTo(0));
  const report = BY_NAME.get(triple(header.slice(-3))) ?? UNKNOWN_REPORT;
  const names = ['report', 'protocol version', 'IMEI', 'device name'];
  const isReply = /^\+N?ACK/.test(header) && report.kind !== Kind.Heartbeat;
  const end = count - 2;
  if (isReply) {
    if (end - 1 >= 4) names[end - 1] = 'serial number';
  } else if (report.kind <= Kind.Extended) layout(report, bytes, names, end);
  if (end >= 3) {
    names[end] = 'send time';
    names[end + 1] = 'count number';
  }
  return names;
}

/** Head, blocks and tail of a report with a position. */
function layout(report: Report, bytes: Bytes, names: string[], end: number): void {
  const place = findPlace(bytes, 4 + LONGITUDE, end);
  if (place < 0) return;
  const first = place - LONGITUDE;
  const version = ascii(bytes, fieldFrom(1), Math.min(fieldTo(1), fieldFrom(1) + 12));
  if (modelOf(version).vin) names.splice(3, 1, 'VIN', 'device name');
  report.head.forEach((field, n) => {
    const k = first - report.head.length + n;
    if (k >= 4) names[k] = HEAD_NAMES[field];
  });
  let k = first;
  for (;;) {
    BLOCK_NAMES.forEach((name, n) => {
      names[k + n] = name;
    });
    const next = [12, 13, 14].find((step) => k + step + LONGITUDE + 2 < end && isPlace(bytes, k + step + LONGITUDE));
    if (next === undefined) break;
    k += next;
  }
  for (let t = k + BLOCK_NAMES.length; t < end; t++) names[t] = isStatus(bytes, t, false) ? 'device status' : `tail ${t - k - 11}`;
}

function meaning(name: string, bytes: Bytes, k: number): string | undefined {
  switch (name) {
    case 'protocol version':
      return modelOf(ascii(bytes, fieldFrom(k), Math.min(fieldTo(k), fieldFrom(k) + 12))).name || undefined;
    case 'GPS UTC time':
    case 'send time': {
      const time = timeAt(bytes, k);
      return Number.isNaN(time) ? undefined : new Date(time).toISOString();
    }
    case 'device status': {
      const text = ascii(bytes, fieldTo(k) - 6, fieldTo(k));
      return `${stateText(Number.parseInt(text.slice(0, 2), 16)) ?? ''}, inputs ${text.slice(2, 4)}, outputs ${text.slice(4)}`;
    }
    default:
      return undefined;
  }
}
