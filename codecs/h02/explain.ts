import { ascii, type Bytes, decimal, hex, hexNumber, i32be } from '../../src/base/wire/index.ts';
import type { Note } from '../../src/codec/index.ts';
import { batteryPercent, coordinate, KNOT_KMH } from './field.ts';
import { binaryLayout } from './frame.ts';
import { layoutOf, statusText } from './layouts.ts';
import { MESSAGES, Message, messageOf, typeNumber } from './messages.ts';
import { STATUS_BITS } from './status.ts';

/**
 * Annotates a frame for people. Text: each field with the comma behind it. Binary: its layout, with BCD fields
 * translated. A status word is followed by a note for each of its bits.
 */
export function explain(bytes: Bytes, start: number, end: number, note: Note): void {
  const first = bytes[start];
  if (first === 0x24 || first === 0x58) explainBinary(bytes, start, end, note);
  else explainText(bytes, start, end, note);
}

/* ------------------------------------------------------------------------------------------------ binary */

function explainBinary(bytes: Bytes, start: number, end: number, note: Note): void {
  const layout = layoutOf(bytes[start] ?? 0, end - start, binaryLayout(bytes, start, end) === 42);
  if (end - start < layout.bytes) {
    note(start, end - start, 'unreadable', hex(bytes, start, end));
    return;
  }
  layout.explain(bytes, start, (at, length, name, raw, value) => {
    note(at, length, name, raw, value ?? bcdText(name, raw));
    if (name === 'status') explainBits(i32be(bytes, at), (bit) => at + 3 - (bit >> 3), note);
  });
  const known = start + layout.bytes;
  if (known < end) note(known, end - known, 'unknown', hex(bytes, known, end));
}

/** What the digits of a BCD field mean. */
function bcdText(name: string, raw: string): string | undefined {
  switch (name) {
    case 'id':
      return raw;
    case 'IMEI, filler':
      return raw.slice(0, 15);
    case 'HHMMSS':
      return clock(raw);
    case 'DDMMYY':
      return day(raw);
    case 'latitude DDMMmmmm':
      return degrees(`${raw.slice(0, 4)}.${raw.slice(4)}`, 90);
    case 'longitude DDDMMmmmm, flags': {
      const flags = Number.parseInt(raw.slice(9), 16);
      const letters = `${(flags & 8) !== 0 ? 'E' : 'W'} ${(flags & 4) !== 0 ? 'N' : 'S'} ${(flags & 2) !== 0 ? 'valid' : 'not valid'}`;
      const place = degrees(`${raw.slice(0, 5)}.${raw.slice(5, 9)}`, 180);
      return place === undefined ? letters : `${place}, ${letters}`;
    }
    case 'speed, course':
      return /^\d{6}$/.test(raw)
        ? `${Number(raw.slice(0, 3))} knots = ${kmh(Number(raw.slice(0, 3)))}, ${Number(raw.slice(3))}°`
        : undefined;
    case 'odometer':
    case 'mileage':
      return /^\d{10}$/.test(raw) ? String(Number(raw)) : undefined;
    default:
      return undefined;
  }
}

/** One note a bit, most significant first, at the byte or hex digit that holds it. */
function explainBits(word: number, place: (bit: number) => number, note: Note): void {
  for (let bit = 31; bit >= 0; bit--) {
    const cleared = ((word >>> bit) & 1) === 0;
    const meaning = STATUS_BITS[bit] ?? '';
    note(place(bit), 1, `status bit ${bit}`, cleared ? '0' : '1', cleared ? meaning : bit === 10 ? 'ACC on' : `not: ${meaning}`);
  }
}

/* ------------------------------------------------------------------------------------------------ text */

interface Piece {
  readonly at: number;
  readonly raw: string;
}

const GROUP = ['time', 'validity', 'latitude', 'N or S', 'longitude', 'E or W', 'speed', 'course', 'date', 'status'] as const;
const CELL = ['MCC', 'MNC', 'LAC', 'CID'] as const;

/** More than any message has: what is behind them is one. */
const MOST_PIECES = 256;

function explainText(bytes: Bytes, start: number, end: number, note: Note): void {
  const pieces: Piece[] = [];
  let from = start;
  for (let p = start; p < end; p++) {
    if (p !== end - 1 && (bytes[p] !== 0x2c || pieces.length >= MOST_PIECES)) continue;
    pieces.push({ at: from, raw: ascii(bytes, from, p) });
    from = p + 1;
  }
  const message = messageOf(typeNumber((pieces[2]?.raw ?? '').trim()));
  const names = namesOf(message, pieces);
  for (let k = 0; k < pieces.length; k++) {
    const piece = pieces[k];
    if (piece === undefined) continue;
    if (message === Message.SMS && k >= 3) {
      note(piece.at, end - 1 - piece.at, 'body', ascii(bytes, piece.at, end - 1));
      break;
    }
    const name = names[k] ?? `extra ${k}`;
    const last = k === pieces.length - 1;
    note(piece.at, piece.raw.length + (last ? 0 : 1), name, piece.raw, meaningOf(name, piece.raw, bytes, piece.at));
    if (name === 'status' && /^\s*[0-9a-fA-F]{8}\s*$/.test(piece.raw)) {
      const digits = piece.at + piece.raw.search(/\S/);
      explainBits(hexNumber(bytes, digits, digits + 8), (bit) => digits + 7 - (bit >> 2), note);
    }
  }
  note(end - 1, 1, 'end', '#');
}

function namesOf(message: Message, pieces: readonly Piece[]): string[] {
  const head = ['maker', 'id', 'type'];
  const raw = (k: number): string => (pieces[k]?.raw ?? '').trim();
  const group = (k: number): boolean => /^[NS]$/.test(raw(k + 1)) && /^[EW]$/.test(raw(k + 3));
  switch (message) {
    case Message.HTBT:
      return [...head, 'battery %'];
    case Message.XT:
      return [...head, 'flag', 'battery %'];
    case Message.LINK:
      return [...head, 'time', 'signal', 'satellites', 'battery %', 'steps', 'turnovers', 'date', 'status'];
    case Message.NBR: {
      const names = [...head, 'time', 'MCC', 'MNC', 'timing advance', 'count'];
      for (let n = 1; names.length + 2 < pieces.length && !/^[0-9a-fA-F]{8}$/.test(raw(names.length + 1)); n++)
        names.push(`LAC ${n}`, `CID ${n}`, `level ${n}`);
      return [...names, 'date', 'status', 'battery'];
    }
    case Message.V4: {
      const found = pieces.findIndex((_, k) => k > 4 && group(k));
      if (found < 0) return [...head, 'command', ...pieces.slice(4).map(() => 'result')];
      const results = Math.max(0, found - 3 - 4);
      return [...head, 'command', ...Array<string>(results).fill('result'), 'token', ...GROUP, ...CELL];
    }
    case Message.VP1:
      if (!group(4)) return [...head, 'validity', 'MCC', 'MNC', 'LAC', 'CID', 'level, LAC'];
      return [...head, ...GROUP.slice(1), 'battery'];
    case Message.V3:
      if (!group(5)) return cellReport(head, pieces.length);
      break;
    case Message.V19:
      return [...head, ...GROUP.slice(0, 9), 'reserved', 'phone or server', 'ICCID', 'status'];
    case Message.V8:
      return [...head, ...GROUP, ...CELL, 'satellites', 'CSQ', 'supply, 0.1 V', 'unknown'];
    case Message.V6:
      return [...head, ...GROUP, ...CELL, 'ICCID'];
    case Message.ALRM:
      return [...head, 'alarm', ...GROUP, ...CELL, 'battery', 'cells'];
    case Message.ICCID:
      return [...head, 'ICCID'];
    default: {
      const names = group(5) ? undefined : otherNames(message, pieces.length, raw);
      if (names !== undefined) return [...head, ...names];
    }
  }
  const battery = /^\d{1,3}$/.test(raw(11)) && /^\d{6}$/.test(raw(12)) ? ['battery'] : [];
  const extras = pieces.length - 13 - battery.length;
  const tail = extras >= 4 && extras <= 5 ? [...CELL, 'battery'] : message === Message.VI1 ? [...CELL, 'battery', 'cells'] : [];
  return [...head, ...GROUP.slice(0, 8), ...battery, ...GROUP.slice(8), ...tail];
}

/** Names behind the type where no GPS group stands there; undefined: of a position that has lost its hemispheres. */
function otherNames(message: Message, count: number, raw: (k: number) => string): string[] | undefined {
  switch (message) {
    case Message.BASE:
      return ['time', ...CELL, 'date', 'status'];
    case Message.BS: {
      const names = ['time', 'MCC', 'MNC'];
      let k = 6;
      for (let n = 1; k + 2 < count && !/^$|^[0-9a-fA-F]{8}$/.test(raw(k)); n++, k += 3) names.push(`LAC ${n}`, `CID ${n}`, `level ${n}`);
      for (; k < count && raw(k) === ''; k++) names.push('empty');
      return [...names, 'status', 'battery'];
    }
    case Message.BC:
      return ['time', 'length', ...batchNames(count, raw)];
    case Message.V5:
      return wifiNames(count, raw);
    case Message.Unknown:
    case Message.Downlink:
    case Message.V0:
    case Message.Empty:
      return [];
    default:
      return undefined;
  }
}

const POINT = [...GROUP.slice(1, 8), 'day and time', 'status', ...CELL];

/** Points divided by `;`: the last field of one and the first of the next are one piece. */
function batchNames(count: number, raw: (k: number) => string): string[] {
  const names: string[] = [];
  for (let k = 5, at = 0; k < count; k++, at++) {
    const joins = /;./.test(raw(k));
    names.push(joins ? `${POINT[at] ?? 'extra'}; ${POINT[0]}` : (POINT[at] ?? 'extra'));
    if (joins) at = 0;
  }
  return names;
}

/** Access points: a MAC with its signal, several of them, or each in a field of its own. */
function wifiNames(count: number, raw: (k: number) => string): string[] {
  const names = /^\d{6}$/.test(raw(3)) ? ['time', 'count'] : ['count'];
  let k = 3 + names.length;
  for (; k < count && raw(k).length >= 12; k++) {
    names.push('access points');
    if (raw(k).length === 12 && /^-?\d{1,3}$/.test(raw(k + 1))) {
      names.push('signal');
      k++;
    }
  }
  if (raw(k).length <= 3) names.push('battery %');
  return [...names, 'date', 'status'];
}

function cellReport(head: readonly string[], count: number): string[] {
  const names = [...head, 'time', 'MCC and MNC', 'count'];
  for (let n = 1; names.length + 5 < count; n++) names.push(`LAC ${n}`, `CID ${n}`, `level ${n}`, `dBm ${n}`);
  return [...names, 'battery ADC', 'reboot reason', 'X', 'date', 'status'];
}

function meaningOf(name: string, raw: string, bytes: Bytes, at: number): string | undefined {
  const text = raw.trim();
  const from = at + raw.length - raw.trimStart().length;
  const to = from + text.length;
  switch (name) {
    case 'type':
      return MESSAGES[messageOf(typeNumber(text))];
    case 'time':
    case 'token':
      return /^\d{6}$/.test(text) ? clock(text) : undefined;
    case 'date':
      return /^\d{6}$/.test(text) ? day(text) : undefined;
    case 'validity':
      return { A: 'GPS fix', B: 'BeiDou fix', V: 'no fix', '': 'no fix' }[text];
    case 'latitude':
      return shown(coordinate(bytes, from, to, 90));
    case 'longitude':
      return shown(coordinate(bytes, from, to, 180));
    case 'speed':
      return text === '' ? kmh(0) : numbered(Number(text), kmh);
    case 'course':
      return text === '' ? '0°' : numbered(Number(text), (course) => `${course}°`);
    case 'status':
      return /^[0-9a-fA-F]{8}$/.test(text) ? statusText(hexNumber(bytes, from, to)) : undefined;
    case 'battery': {
      const percent = batteryPercent(decimal(bytes, from, to));
      return percent < 0 ? undefined : `${percent} %`;
    }
    default:
      return undefined;
  }
}

function clock(digits: string): string {
  return `${digits.slice(0, 2)}:${digits.slice(2, 4)}:${digits.slice(4, 6)} UTC`;
}

function day(digits: string): string {
  return `20${digits.slice(4, 6)}-${digits.slice(2, 4)}-${digits.slice(0, 2)}`;
}

function degrees(text: string, limit: number): string | undefined {
  const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
  return shown(coordinate(bytes, 0, bytes.length, limit));
}

function shown(value: number): string | undefined {
  return Number.isNaN(value) ? undefined : `${value.toFixed(6)}°`;
}

function numbered(value: number, say: (value: number) => string): string | undefined {
  return Number.isNaN(value) ? undefined : say(value);
}

function kmh(knots: number): string {
  return `${(knots * KNOT_KMH).toFixed(1)} km/h`;
}
