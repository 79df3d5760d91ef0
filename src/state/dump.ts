import { AppError } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import type { State } from './open.ts';
import { entries, paged } from './pages.ts';
import { type Found, type Op, TABLES, type Table } from './store.ts';

/**
 * A dump of the state store: text that any version, any store and any program can read. One JSON object a line, UTF-8.
 *
 *   {"fixgate_state":1}                                          first: the version of this format
 *   {"table":"devices","key":"356307042441013","value":"{…}"}    an entry; the value as the store has it, JSON text by custom
 *   {"table":"profiles","key":…,"value":…}                       what codecs have learned, as an entry too
 *   {"entries":2}                                                last: how many there were; without it the dump is cut off
 *
 * Tables come in the order of `TABLES`, `profiles` last, keys in byte order: two dumps of equal stores are equal. The log of changes is
 * not in it.
 */
const VERSION = 1;
/** A write to Redis takes 2000 steps. */
const BATCH = 500;
const LONGEST_KEY = 200;
export const PROFILES = 'profiles';

export interface DumpEntry extends Found {
  readonly table: Table | typeof PROFILES;
}

export async function* dumpLines(store: State): AsyncGenerator<string> {
  let count = 0;
  yield `${JSON.stringify({ fixgate_state: VERSION })}\n`;
  for await (const { table, key, value } of entriesOf(store)) {
    count++;
    yield `${JSON.stringify({ table, key, value })}\n`;
  }
  yield `${JSON.stringify({ entries: count })}\n`;
}

export async function* entriesOf(store: State): AsyncGenerator<DumpEntry> {
  for (const table of TABLES) for await (const [key, value] of entries(store, table)) yield { table, key, value };
  for await (const page of paged((after, limit) => store.profiles(after, limit)))
    for (const { key, value } of page) yield { table: PROFILES, key, value };
}

export async function isEmpty(store: State): Promise<boolean> {
  for await (const _entry of entriesOf(store)) return false;
  return true;
}

/** The entries of a dump. Throws AppError DUMP_INVALID, with the number of the line; a dump is whole when this has come to its end. */
export async function* readDump(lines: AsyncIterable<string>): AsyncGenerator<DumpEntry> {
  let number = 0;
  let read = 0;
  let end: number | undefined;
  for await (const line of lines) {
    if (line === '') continue;
    number++;
    const value = jsonOf(line);
    const fields: Partial<Record<string, unknown>> = typeof value === 'object' && value !== null ? { ...value } : {};
    if (end !== undefined) throw invalid(number, 'comes behind the end of the dump');
    if (number === 1) {
      if (fields['fixgate_state'] !== VERSION)
        throw invalid(1, `must be {"fixgate_state":${VERSION}}: this is not a dump of the state store, or one of a later version`);
    } else if (typeof fields['entries'] === 'number') end = fields['entries'];
    else {
      const entry = entryOf(fields);
      if (typeof entry === 'string') throw invalid(number, entry);
      read++;
      yield entry;
    }
  }
  if (end === undefined)
    throw invalid(number, 'is the last one, and the line that says how many entries there are is missing: it is cut off');
  if (end !== read) throw invalid(number, `says ${end} entries, and there are ${read}`);
}

/** Puts the entries in, in place of those of the same key. Returns how many. */
export async function putEntries(store: State, given: AsyncIterable<DumpEntry> | Iterable<DumpEntry>): Promise<number> {
  let count = 0;
  let ops: Op[] = [];
  let profiles: Found[] = [];
  const flush = async (): Promise<void> => {
    if (ops.length > 0) await store.write(ops);
    await store.putProfiles(profiles);
    count += ops.length + profiles.length;
    ops = [];
    profiles = [];
  };
  for await (const { table, key, value } of given) {
    if (table === PROFILES) profiles.push({ key, value });
    else ops.push({ table, key, put: value });
    if (ops.length + profiles.length >= BATCH) await flush();
  }
  await flush();
  return count;
}

/** Undefined if no version of this program has written such a key. */
export function isKey(key: string): boolean {
  return key.length <= LONGEST_KEY && /^[!-~](?:[ -~]*[!-~])?$/.test(key);
}

function entryOf(fields: Partial<Record<string, unknown>>): DumpEntry | string {
  const { table: name, key, value } = fields;
  const table = name === PROFILES ? PROFILES : TABLES.find((one) => one === name);
  if (table === undefined) return `names a table that this version does not have: ${JSON.stringify(name)}`;
  if (typeof key !== 'string' || !isKey(key)) return 'has no valid `key`: 1 to 200 printable ASCII characters';
  if (typeof value !== 'string') return 'has no `value` that is text';
  return { table, key, value };
}

function invalid(line: number, problem: string): AppError {
  return new AppError('DUMP_INVALID', `line ${line} of the dump ${problem}`);
}
