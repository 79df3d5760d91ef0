import { Parser } from 'binary-parser';
import type { Bytes } from '../base/wire/bytes.ts';
import { hex } from '../base/wire/text.ts';
import type { Note } from './contract.ts';

/** One field of a fixed message layout, in the vendor's field name. */
export interface Field {
  readonly name: string;
  readonly type: 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'u64' | 'u16le' | 'u32le' | 'f32' | 'bytes' | 'ascii';
  /** Bytes, for `bytes` and `ascii`. */
  readonly length?: number;
  /** What one raw unit is worth, and in what: shown beside the raw value. */
  readonly scale?: number;
  readonly unit?: string;
  /** Meaning of a value that a scale cannot express (bits, codes). */
  readonly show?: (raw: number) => string;
}

/** A fixed block of a message: the readable specification, and a binary-parser built from it (codecs/README.md, `layouts`). */
export interface Layout {
  readonly name: string;
  /** Document and section. */
  readonly source: string;
  readonly fields: readonly Field[];
  readonly bytes: number;
  /** Objects keyed by field name; `bytes` fields as lower-case hex. For tests, rare messages and people: not for hot loops. */
  parse(bytes: Bytes, at: number): Record<string, number | bigint | string>;
  /** Annotates the block at `at`, field by field. */
  explain(bytes: Bytes, at: number, note: Note): void;
}

const WIDTH = { u8: 1, i8: 1, u16: 2, i16: 2, u32: 4, i32: 4, u64: 8, u16le: 2, u32le: 4, f32: 4, bytes: 0, ascii: 0 } as const;

export function defineLayout(name: string, source: string, fields: readonly Field[]): Layout {
  const parser = new Parser();
  const widths: number[] = [];
  let total = 0;
  fields.forEach((field, i) => {
    const width = WIDTH[field.type] || (field.length ?? 0);
    widths.push(width);
    total += width;
    // binary-parser wants identifiers; vendors have spaces in their names.
    addField(parser, `f${i}`, field, width);
  });
  const parse = (bytes: Bytes, at: number): Record<string, number | bigint | string> => {
    const parsed = parser.parse(Buffer.from(bytes.buffer, bytes.byteOffset + at, total));
    return Object.fromEntries(fields.map((field, i) => [field.name, parsed[`f${i}`] ?? '']));
  };
  return Object.freeze({
    name,
    source,
    fields,
    bytes: total,
    parse,
    explain(bytes: Bytes, at: number, note: Note): void {
      const values = parse(bytes, at);
      let p = at;
      fields.forEach((field, i) => {
        const width = widths[i] ?? 0;
        const raw = values[field.name];
        const shown = field.type === 'bytes' ? hex(bytes, p, p + width) : String(raw);
        note(p, width, field.name, shown, scaled(field, raw));
        p += width;
      });
    },
  });
}

function addField(parser: Parser, name: string, field: Field, width: number): void {
  switch (field.type) {
    case 'u8':
      parser.uint8(name);
      return;
    case 'i8':
      parser.int8(name);
      return;
    case 'u16':
      parser.uint16be(name);
      return;
    case 'i16':
      parser.int16be(name);
      return;
    case 'u32':
      parser.uint32be(name);
      return;
    case 'i32':
      parser.int32be(name);
      return;
    case 'u64':
      parser.uint64be(name);
      return;
    case 'u16le':
      parser.uint16le(name);
      return;
    case 'u32le':
      parser.uint32le(name);
      return;
    case 'f32':
      parser.floatbe(name);
      return;
    case 'ascii':
      parser.string(name, { length: width, encoding: 'ascii' });
      return;
    case 'bytes':
      parser.string(name, { length: width, encoding: 'hex' });
  }
}

function scaled(field: Field, raw: number | bigint | string | undefined): string | undefined {
  if (typeof raw === 'number' && field.show !== undefined) return field.show(raw);
  if (typeof raw !== 'number' || field.scale === undefined) return field.unit === undefined ? undefined : `${raw} ${field.unit}`;
  const value = Number((raw * field.scale).toPrecision(12));
  return field.unit === undefined ? String(value) : `${value} ${field.unit}`;
}
