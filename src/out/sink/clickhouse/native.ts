/**
 * ClickHouse's Native format: a block is its columns one after another, each as a name, a type and its values.
 *
 *     block      columns (varint), rows (varint), column …
 *     column     name, type (strings), values
 *     string     length (varint), UTF-8
 *     Nullable   a byte per row (1 is NULL), then the values
 *     Array      the end of each row's items as 64-bit count, then all items
 *     Map        as Array(Tuple(keys, values)): ends, all keys, all values
 *     Low-       version 1 (64-bit; first in the column, before a map's ends), then width of indexes | 512 (64-bit),
 *     Cardinality  number of keys (64-bit), keys, number of rows (64-bit), an index per row. Nothing at all for no rows.
 *
 * Integers are little-endian. One buffer, reused and grown: written bytes are good until the next `clear`.
 */
const FIRST_BYTES = 1 << 20;
const LOW_CARDINALITY_VERSION = 1;
const ADDITIONAL_KEYS = 1 << 9;

export class NativeWriter {
  length = 0;
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #view = new DataView(this.#bytes.buffer);

  clear(): void {
    this.length = 0;
  }

  written(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }

  /** Makes room, so that the writes that follow need not ask. */
  reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length));
    larger.set(this.#bytes.subarray(0, this.length));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  u8(value: number): void {
    this.#bytes[this.length++] = value;
  }

  u16(value: number): void {
    this.#view.setUint16(this.length, value, true);
    this.length += 2;
  }

  u32(value: number): void {
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
  }

  /** A whole number of up to 53 bits, of either sign. */
  i64(value: number): void {
    this.#view.setUint32(this.length, value % 4294967296, true);
    this.#view.setInt32(this.length + 4, Math.floor(value / 4294967296), true);
    this.length += 8;
  }

  f32(value: number): void {
    this.#view.setFloat32(this.length, value, true);
    this.length += 4;
  }

  f64(value: number): void {
    this.#view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  varint(value: number): void {
    let rest = value;
    while (rest > 127) {
      this.#bytes[this.length++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.#bytes[this.length++] = rest;
  }

  /** Makes its own room. */
  string(text: string): void {
    const length = text.length;
    this.reserve(3 * length + 5);
    // Short ASCII, which nearly everything is, is written in place; the rest takes the general way.
    if (length < 64 && this.#ascii(text, length)) return;
    const bytes = Buffer.byteLength(text, 'utf8');
    this.varint(bytes);
    this.length += this.#bytes.write(text, this.length, 'utf8');
  }

  #ascii(text: string, length: number): boolean {
    const start = this.length + 1;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) return false;
      this.#bytes[start + i] = code;
    }
    this.#bytes[this.length] = length;
    this.length = start + length;
    return true;
  }

  block(columns: number, rows: number): void {
    this.reserve(16);
    this.varint(columns);
    this.varint(rows);
  }

  column(name: string, type: string): void {
    this.string(name);
    this.string(type);
  }

  /** Values that do not fit are NULL. */
  smallNumbers<T>(name: string, rows: readonly T[], of: (row: T) => number | undefined): void {
    this.column(name, 'Nullable(UInt16)');
    this.reserve(3 * rows.length);
    const values = rows.map((row) => of(row) ?? -1).map((value) => (value <= 0xffff ? value : -1));
    for (const value of values) this.u8(value < 0 ? 1 : 0);
    for (const value of values) this.u16(Math.max(0, value));
  }

  bools<T>(name: string, rows: readonly T[], of: (row: T) => boolean | undefined): void {
    this.column(name, 'Bool');
    this.reserve(rows.length);
    for (const row of rows) this.u8(of(row) === true ? 1 : 0);
  }

  /** The first thing in a column that is, or has inside, a LowCardinality. */
  dictionaryVersion(): void {
    this.reserve(8);
    this.i64(LOW_CARDINALITY_VERSION);
  }

  /** Keys and indexes of a LowCardinality(String): `indexes[0, count)` point into `keys`. */
  dictionary(keys: readonly string[], indexes: Uint32Array, count: number): void {
    if (count === 0) return;
    const width = keys.length <= 256 ? 0 : keys.length <= 65_536 ? 1 : 2;
    this.reserve(16);
    this.i64(width | ADDITIONAL_KEYS);
    this.i64(keys.length);
    for (const key of keys) this.string(key);
    this.reserve(8 + 4 * count);
    this.i64(count);
    for (let i = 0; i < count; i++) {
      const index = indexes[i] ?? 0;
      if (width === 0) this.u8(index);
      else if (width === 1) this.u16(index);
      else this.u32(index);
    }
  }
}

/** Gives texts numbers, in order of appearance. */
export class Dictionary {
  readonly keys: string[] = [];
  indexes = new Uint32Array(1024);
  count = 0;
  readonly #known = new Map<string, number>();

  clear(): void {
    this.keys.length = 0;
    this.count = 0;
    this.#known.clear();
  }

  push(text: string): void {
    let index = this.#known.get(text);
    if (index === undefined) {
      index = this.keys.length;
      this.keys.push(text);
      this.#known.set(text, index);
    }
    if (this.count === this.indexes.length) {
      const larger = new Uint32Array(2 * this.count);
      larger.set(this.indexes);
      this.indexes = larger;
    }
    this.indexes[this.count++] = index;
  }
}
