/**
 * Reads a block of ClickHouse's Native format by the types that it names, to the last byte. Written from the description of the
 * format, not from the writer: https://clickhouse.com/docs/interfaces/formats/Native
 */
export interface Block {
  /** Name and type of each column, in order. */
  readonly columns: readonly (readonly [name: string, type: string])[];
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

export function readBlock(bytes: Buffer): Block {
  const reader = new Reader(bytes);
  const [width, count] = [reader.varint(), reader.varint()];
  const rows = Array.from({ length: count }, (): Record<string, unknown> => ({}));
  const columns = Array.from({ length: width }, () => {
    const [name, type] = [reader.text(), reader.text()];
    if (type.includes('LowCardinality') && reader.i64() !== 1) throw new Error(`version of ${name}`);
    for (const [row, value] of reader.values(type, count).entries()) Object.assign(rows[row] ?? {}, { [name]: value });
    return [name, type] as const;
  });
  if (reader.at !== bytes.length) throw new Error(`${bytes.length - reader.at} bytes are left`);
  return { columns, rows };
}

/** `Name(inside)`. */
const NESTED = /^(Nullable|LowCardinality|Array|Tuple|Map|FixedString|DateTime64|Enum8)\((.*)\)$/s;

class Reader {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  values(type: string, count: number): unknown[] {
    const [, outer = type, inside = ''] = NESTED.exec(type) ?? [];
    const [first = '', second = ''] = inside.split(', ');
    const each = (read: () => unknown): unknown[] => Array.from({ length: count }, read);
    switch (outer) {
      case 'Nullable': {
        const nulls = each(() => this.#number('readUInt8', 1));
        return this.values(inside, count).map((value, k) => (nulls[k] === 0 ? value : this.#nothing(value)));
      }
      case 'LowCardinality':
        return this.#lowCardinality(inside, count);
      case 'Array':
        return this.#lists(count, (total) => this.values(inside, total));
      case 'Map':
        return this.#maps(first, second, count);
      case 'Tuple': {
        const members = inside.split(', ').map((member) => member.split(' '));
        const columns = members.map(([name = '', of = '']) => [name, this.values(of, count)] as const);
        return Array.from({ length: count }, (_, k) => Object.fromEntries(columns.map(([name, values]) => [name, values[k]])));
      }
      case 'FixedString':
        return each(() => this.#take(Number(inside)).toString('latin1'));
      case 'DateTime64':
        return each(() => this.i64());
      case 'Enum8': {
        const names = new Map([...inside.matchAll(/'(\w+)' = (\d+)/g)].map(([, name, number]) => [Number(number), name]));
        return each(() => names.get(this.#number('readInt8', 1)));
      }
      case 'Bool':
        return each(() => this.#bool());
      default:
        return each(() => this.#plain(type));
    }
  }

  text(): string {
    return this.#take(this.varint()).toString('utf8');
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#number('readUInt8', 1);
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  }

  i64(): number {
    return Number(this.#take(8).readBigInt64LE());
  }

  #plain(type: string): unknown {
    switch (type) {
      case 'String':
        return this.text();
      case 'UInt8':
        return this.#number('readUInt8', 1);
      case 'UInt16':
        return this.#number('readUInt16LE', 2);
      case 'Int16':
        return this.#number('readInt16LE', 2);
      case 'UInt32':
        return this.#number('readUInt32LE', 4);
      case 'Int32':
        return this.#number('readInt32LE', 4);
      case 'UInt64':
      case 'Int64':
        return this.i64();
      case 'Float32':
        return this.#number('readFloatLE', 4);
      case 'Float64':
        return this.#number('readDoubleLE', 8);
      default:
        throw new Error(`no reader of ${type}`);
    }
  }

  /** Width of the indexes with a bit for "keys follow", the keys, and an index for each row. */
  #lowCardinality(type: string, count: number): unknown[] {
    if (count === 0) return [];
    const flags = this.i64();
    const index = ['UInt8', 'UInt16', 'UInt32'][flags - 512];
    const keys = this.values(type, this.i64());
    if (index === undefined || this.i64() !== count) throw new Error(`dictionary with ${flags}`);
    return this.values(index, count).map((at) => {
      if (!(Number(at) in keys)) throw new Error(`no key ${at}`);
      return keys[Number(at)];
    });
  }

  #maps(key: string, value: string, count: number): unknown[] {
    return this.#lists(count, (total) => {
      const keys = this.values(key, total);
      const values = this.values(value, total);
      return keys.map((name, k) => [name, values[k]]);
    }).map((pairs) => Object.fromEntries(pairs));
  }

  /** The end of each row's items, then all items. */
  #lists<T>(count: number, items: (total: number) => T[]): T[][] {
    const ends = Array.from({ length: count }, () => this.i64());
    const all = items(ends.at(-1) ?? 0);
    return ends.map((end, k) => all.slice(ends[k - 1] ?? 0, end));
  }

  /** A value that is NULL is written as zero. */
  #nothing(value: unknown): null {
    if (value !== 0 && value !== false) throw new Error(`NULL is written as ${value}`);
    return null;
  }

  #bool(): boolean {
    const byte = this.#number('readUInt8', 1);
    if (byte > 1) throw new Error(`${byte} is no Bool`);
    return byte === 1;
  }

  #number(
    read: 'readUInt8' | 'readInt8' | 'readUInt16LE' | 'readInt16LE' | 'readUInt32LE' | 'readInt32LE' | 'readFloatLE' | 'readDoubleLE',
    size: number,
  ): number {
    return this.#take(size)[read](0);
  }

  #take(size: number): Buffer {
    this.at += size;
    if (this.at > this.#bytes.length) throw new Error('the block ends early');
    return this.#bytes.subarray(this.at - size, this.at);
  }
}
