import { ascii, type Bytes, hex, i8, i16be, i32be, i64be, u16be, u32be, u64be } from '../../src/base/wire/index.ts';
import type { Note } from '../../src/codec/index.ts';
import { ATTRIBUTES, type Family, familyOf, GH, isMeasurement, LIMITS, Role, Width } from './attributes.ts';
import { Codec8, Codec8E, Codec16 } from './avl.ts';
import { Codec7 } from './codec7.ts';
import type { State } from './frame.ts';
import * as L from './layouts.ts';
import { Codec12, Codec13, Codec14, Codec15 } from './message.ts';
import { BITS, VALUES } from './values.ts';

/**
 * Annotates frames for people, byte by byte, from the declared layouts. What does not fit them ends as one `rest` note: every
 * byte has exactly one note.
 */
export function explainTcp(bytes: Bytes, start: number, end: number, state: State, note: Note): void {
  if (bytes[start] === 0xff && end - start === 1) {
    note(start, 1, 'ping', 'ff');
    return;
  }
  const walk = new Walk(bytes, start, end, note);
  if (end - start >= 2 && u16be(bytes, start) !== 0) {
    walk.block(L.IMEI_HEAD);
    walk.text('IMEI', u16be(bytes, start));
  } else if (end - start >= L.FRAME_HEAD.bytes) {
    walk.block(L.FRAME_HEAD);
    const length = u32be(bytes, start + 4);
    data(walk, Math.min(end, start + 8 + length), state);
    walk.block(L.FRAME_TAIL);
  }
  walk.rest(end);
}

export function explainUdp(bytes: Bytes, start: number, end: number, state: State, note: Note): void {
  const walk = new Walk(bytes, start, end, note);
  if (walk.block(L.UDP_HEAD) && walk.text('IMEI', u16be(bytes, start + 6))) data(walk, end, state);
  walk.rest(end);
}

/** The position in a frame, and what moves it: each step annotates what it passes, or stays and gives false. */
class Walk {
  readonly bytes: Bytes;
  readonly end: number;
  readonly note: Note;
  p: number;

  constructor(bytes: Bytes, start: number, end: number, note: Note) {
    this.bytes = bytes;
    this.p = start;
    this.end = end;
    this.note = note;
  }

  block(layout: { readonly bytes: number; explain(bytes: Bytes, at: number, note: Note): void }, limit = this.end): boolean {
    if (this.p + layout.bytes > limit) return false;
    layout.explain(this.bytes, this.p, this.note);
    this.p += layout.bytes;
    return true;
  }

  text(name: string, length: number): boolean {
    if (length === 0 || this.p + length > this.end) return false;
    this.note(this.p, length, name, hex(this.bytes, this.p, this.p + length), ascii(this.bytes, this.p, this.p + length));
    this.p += length;
    return true;
  }

  rest(end: number): void {
    if (this.p < end) this.note(this.p, end - this.p, 'rest', hex(this.bytes, this.p, end));
    this.p = Math.max(this.p, end);
  }
}

/** The data field up to `end`. */
function data(walk: Walk, end: number, state: State): void {
  const { bytes } = walk;
  const at = walk.p;
  if (!walk.block(L.DATA_HEAD, end)) return;
  const codec = bytes[at]!;
  const last = end - 1;
  if (codec >= Codec12 && codec <= Codec15) message(walk, codec, last);
  else
    for (let n = bytes[at + 1]!; n > 0 && walk.p < last; n--) {
      if (!record(walk, codec, last, codec === Codec7 ? familyOf(GH) : state.family)) break;
    }
  walk.rest(last);
  walk.block(L.DATA_TAIL, end);
}

function message(walk: Walk, codec: number, last: number): void {
  const layout = { [Codec12]: L.MESSAGE_12, [Codec13]: L.MESSAGE_13, [Codec14]: L.MESSAGE_14, [Codec15]: L.MESSAGE_15 }[codec];
  if (layout !== undefined && walk.block(layout, last)) walk.text('data', last - walk.p);
}

function record(walk: Walk, codec: number, last: number, family: Family): boolean {
  if (codec === Codec7) return codec7(walk, last, family);
  const head = { [Codec8]: L.IO_HEAD_8, [Codec8E]: L.IO_HEAD_8E, [Codec16]: L.IO_HEAD_16 }[codec];
  if (head === undefined || !time(walk, last) || !walk.block(head, last)) return false;
  const count = codec === Codec8E ? L.COUNT_2 : L.COUNT_1;
  const elements = codec === Codec8 ? L.ELEMENTS_8 : L.ELEMENTS_WIDE;
  for (const [group, layout] of elements.entries()) {
    const n = counted(walk, count, last);
    for (let k = 0; k < n; k++) {
      if (walk.p + layout.bytes > last) return false;
      element(walk, layout.bytes - (1 << group), 1 << group, group << 16, family);
    }
    if (n < 0) return false;
  }
  if (codec !== Codec8E) return true;
  const n = counted(walk, count, last);
  for (let k = 0; k < n; k++) if (!variable(walk, last, family)) return false;
  return n >= 0;
}

/** The record's head, with its time as people write it. */
function time(walk: Walk, last: number): boolean {
  const { bytes, p, note } = walk;
  if (p + L.AVL_HEAD.bytes > last) return false;
  L.AVL_HEAD.explain(bytes, p, (at, length, name, raw, value) => {
    const ms = Number(raw);
    note(at, length, name, raw, name === 'timestamp' && ms <= 8.64e15 ? new Date(ms).toISOString() : value);
  });
  walk.p += L.AVL_HEAD.bytes;
  return true;
}

function counted(walk: Walk, layout: typeof L.COUNT_1, last: number): number {
  const at = walk.p;
  if (!walk.block(layout, last)) return -1;
  return layout.bytes === 1 ? walk.bytes[at]! : u16be(walk.bytes, at);
}

/** Id and value of one element as two notes: the value carries the attribute's name, and its scaled value. */
function element(walk: Walk, idBytes: number, width: number, group: number, family: Family): void {
  const { bytes, p, note } = walk;
  const id = idBytes === 1 ? bytes[p]! : u16be(bytes, p);
  note(p, idBytes, 'id', String(id));
  const entry = family.table[group | id]!;
  const at = p + idBytes;
  const view = ATTRIBUTES.get(entry & 0xfffff);
  const name = view?.name ?? `io_${id}`;
  const role = entry >>> 20;
  const limits = LIMITS[role - Role.Limited];
  const signed = role === Role.Int || limits?.signed === true;
  const raw = width === 8 ? `0x${hex(bytes, at, at + 8)}` : String(signed ? signedAt(bytes, at, width) : unsignedAt(bytes, at, width));
  const value = width < 8 ? Number(raw) : signed ? i64be(bytes, at) : u64be(bytes, at);
  const meaning = meanings().get(entry & 0xfffff);
  const unsigned = width < 8 ? unsignedAt(bytes, at, width) : u64be(bytes, at);
  if ((limits !== undefined && !isMeasurement(limits, value, unsigned)) || (role === Role.Bool && value > 1))
    note(at, width, name, raw, 'no measurement');
  else if (meaning !== undefined) note(at, width, name, raw, meaning(value));
  else if (view?.type === 'boolean') note(at, width, name, raw, String(value !== 0));
  else if (view?.scale !== undefined) note(at, width, name, raw, String(Number((value * view.scale).toPrecision(12))));
  else note(at, width, name, raw);
  walk.p = at + width;
}

type Meaning = (value: number) => string | undefined;
let known: Map<number, Meaning> | undefined;

/** By attribute id; read from values.ts when the first frame is explained. */
function meanings(): ReadonlyMap<number, Meaning> {
  if (known !== undefined) return known;
  known = new Map();
  for (const [source, of] of [
    [VALUES, codeMeaning],
    [BITS, bitMeaning],
  ] as const) {
    for (const line of source.trim().split('\n')) {
      const blank = line.indexOf(' ');
      const table = line
        .slice(blank + 1)
        .split('|')
        .map((pair): [string, string] => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]);
      const meaning = of(table);
      for (const attribute of line.slice(0, blank).split(',')) known.set(Number(attribute), meaning);
    }
  }
  return known;
}

function codeMeaning(table: readonly (readonly [string, string])[]): Meaning {
  const byValue = new Map(table);
  return (value) => byValue.get(String(value));
}

/** A few bits together are named by their range; they are shown when any is set. */
function bitMeaning(table: readonly (readonly [string, string])[]): Meaning {
  return (value) => {
    const set = table.filter(([range]) => {
      const [first = 0, last = first] = range.split('-').map(Number);
      for (let bit = first; bit <= last; bit++) if (Math.floor(value / 2 ** bit) % 2 === 1) return true;
      return false;
    });
    return set.map(([, meaning]) => meaning).join(', ') || 'none';
  };
}

function unsignedAt(bytes: Bytes, at: number, width: number): number {
  return width === 1 ? bytes[at]! : width === 2 ? u16be(bytes, at) : u32be(bytes, at);
}

function signedAt(bytes: Bytes, at: number, width: number): number {
  return width === 1 ? i8(bytes, at) : width === 2 ? i16be(bytes, at) : i32be(bytes, at);
}

function variable(walk: Walk, last: number, family: Family): boolean {
  const { bytes } = walk;
  const at = walk.p;
  if (at + L.VARIABLE.bytes > last || at + L.VARIABLE.bytes + u16be(bytes, at + 2) > last) return false;
  walk.block(L.VARIABLE);
  const id = u16be(bytes, at);
  const entry = family.table[Width.Variable | id]!;
  const name = ATTRIBUTES.get(entry & 0xfffff)?.name ?? `io_${id}`;
  walk.text(name, u16be(bytes, at + 2));
  return true;
}

function codec7(walk: Walk, last: number, family: Family): boolean {
  const { bytes } = walk;
  const start = walk.p;
  if (!walk.block(L.CODEC_7_HEAD, last)) return false;
  const mask = bytes[start + 4]!;
  if ((mask & 1) !== 0) {
    const at = walk.p;
    if (!walk.block(L.CODEC_7_MASK, last)) return false;
    for (const [bit, layout] of L.CODEC_7_GPS.entries()) {
      if (((bytes[at]! >> bit) & 1) !== 0 && !walk.block(layout, last)) return false;
    }
  }
  for (const group of [0, 1, 2]) {
    if (((mask >> (group + 1)) & 1) === 0) continue;
    const n = counted(walk, L.COUNT_1, last);
    if (n < 0 || walk.p + n * (1 + (1 << group)) > last) return false;
    for (let k = 0; k < n; k++) element(walk, 1, 1 << group, group << 16, family);
  }
  return true;
}
