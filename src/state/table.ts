import { AppError } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import { entries, type PageOptions } from './pages.ts';
import type { Op, StateStore, Table } from './store.ts';

/**
 * A table of the state store with the type of its rows: what a key is made of, what a row is, and how it is read, each defined once, in
 * the room that the rows belong to.
 *
 * 1. A row that this version cannot read is damaged. `get` and `parse` throw AppError STATE_ROW_DAMAGED, which names the table and the key
 *    and not the value: a row may hold positions and names.
 * 2. One damaged row hides no other: `entries` leaves it out and calls `onDamaged`.
 */
export interface TableShape<T, K extends readonly unknown[]> {
  readonly name: Table;
  /** Key of a row: 1 to 200 printable ASCII characters. */
  readonly key: (...parts: K) => string;
  /** Undefined if the text is not a row. Never throws. */
  readonly parse: (text: string) => T | undefined;
  /** What is stored of a row; JSON when it is not given. */
  readonly text?: (row: T) => string;
}

export class TypedTable<T, K extends readonly unknown[] = [id: string]> {
  readonly name: Table;
  readonly key: (...parts: K) => string;
  readonly #parse: (text: string) => T | undefined;
  readonly #text: (row: T) => string;

  constructor(shape: TableShape<T, K>) {
    this.name = shape.name;
    this.key = shape.key;
    this.#parse = shape.parse;
    this.#text = shape.text ?? ((row) => JSON.stringify(row));
  }

  /** The row in this text; undefined where there is none or it is damaged. */
  read(text: string | undefined): T | undefined {
    return text === undefined ? undefined : this.#parse(text);
  }

  /** Throws AppError STATE_ROW_DAMAGED. Undefined: there is no row. */
  parse(key: string, text: string | undefined): T | undefined {
    const row = this.read(text);
    if (row === undefined && text !== undefined)
      throw new AppError('STATE_ROW_DAMAGED', `the entry "${key}" of the table "${this.name}" in the state store cannot be read`);
    return row;
  }

  /** Rejects with AppError STATE_ROW_DAMAGED, and as the store does. */
  async get(store: Pick<StateStore, 'get'>, ...parts: K): Promise<T | undefined> {
    const key = this.key(...parts);
    return this.parse(key, await store.get(this.name, key));
  }

  /** All rows that can be read, by rising key. */
  async *entries(
    store: Pick<StateStore, 'list'>,
    options: PageOptions = {},
    onDamaged: (key: string) => void = () => {},
  ): AsyncGenerator<readonly [key: string, row: T]> {
    for await (const [key, text] of entries(store, this.name, options)) {
      const row = this.#parse(text);
      if (row === undefined) onDamaged(key);
      else yield [key, row];
    }
  }

  put(row: T, ...parts: K): Op {
    return { table: this.name, key: this.key(...parts), put: this.#text(row) };
  }

  remove(...parts: K): Op {
    return { table: this.name, key: this.key(...parts), remove: true };
  }

  /** The write happens only if the row is still this text; undefined: if there is none. */
  expect(text: string | undefined, ...parts: K): Op {
    return { table: this.name, key: this.key(...parts), expect: text };
  }
}

/** What zod's schemas have of interest here. */
interface Schema<T> {
  safeParse(value: unknown): { readonly data?: T | undefined };
}

/** How a table of JSON rows of this schema is read. */
export function rowsOf<T>(schema: Schema<T>): (text: string) => T | undefined {
  return (text) => schema.safeParse(jsonOf(text)).data;
}

/** The key of tables with one row for each device, plan, …: its id. */
export function byId(id: string): string {
  return id;
}

export function isRowDamaged(error: unknown): boolean {
  return error instanceof AppError && error.code === 'STATE_ROW_DAMAGED';
}
