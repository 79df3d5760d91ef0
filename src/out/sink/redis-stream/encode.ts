import { type Event, eventJson } from '../../record/event.ts';
import type { Rows } from '../../record/rows.ts';
import type { Batch } from '../sink.ts';
import { type Copy, copiesOfEvent, copiesOfRow, type Passing } from './recipients.ts';
import { RespWriter } from './resp.ts';

/** A fix whose time is further ahead than this has no usable time: it is as new as its receipt. */
const AHEAD_MS = 300_000;

/** KEYS of the scripts that hold the streams, counted from 1: KEYS[1] is the cursor. */
const POSITIONS = '2';
const STATUSES = '3';
const EVENTS = '4';
const AUDIT = '5';
const STREAM_KEYS: readonly string[] = [POSITIONS, STATUSES, EVENTS, AUDIT];

/**
 * Appends a batch. The cursor is compared before anything is written, and moved with the entries: they are one. Returns the id of
 * the last entry added to each stream, '' for none.
 *
 *     KEYS  cursor, positions, statuses, events, audit, streams of recipients …
 *     ARGV  MAXLEN, number of slots, (slot, sequence it must stand at, sequence to move to) …,
 *           (number of the stream's key, device, time, data) …
 *
 * A script and not thousands of commands: ioredis makes a promise for each command.
 */
const APPEND = `
local fields = 2 + 3 * tonumber(ARGV[2])
for i = 3, fields, 3 do
  if (redis.call('HGET', KEYS[1], ARGV[i]) or '0') ~= ARGV[i + 1] then return 'moved' end
end
local last = {}
for i = 2, #KEYS do
  last[i - 1] = ''
  local type = redis.call('TYPE', KEYS[i])['ok']
  if type ~= 'stream' and type ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. type .. ', not a stream')
  end
end
for i = fields + 1, #ARGV, 4 do
  last[tonumber(ARGV[i]) - 1] = redis.call('XADD', KEYS[tonumber(ARGV[i])], 'MAXLEN', '~', ARGV[1], '*', 'device', ARGV[i + 1], 'time', ARGV[i + 2], 'data', ARGV[i + 3])
end
for i = 3, fields, 3 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end
return last
`;

/**
 * Last positions. KEYS a key per device, ARGV the record of each: set when it is not older than what is there. The first
 * times of a record's JSON are its own: text before them is escaped, attributes come later.
 *
 * A time that equals the time of receipt is ours, because the device gave none, and only as good as our clock: it has to be
 * believed by the clock of Redis as well. One that is there and ahead of that clock came while both were ahead, and goes.
 * A device's own time needs no such proof, and stays while the clock of Redis is behind.
 */
const LAST = `
local clock = redis.pcall('TIME')
local latest = (tonumber(clock[1]) or math.huge) * 1000 + ${AHEAD_MS}
local function timeOf(record)
  local time, received = string.match(record, '"time":(%d+),"received":(%d+)')
  time, received = tonumber(time) or 0, tonumber(received) or 0
  if time > received + ${AHEAD_MS} then time = received end
  return time, time == received and time > latest
end
for i = 1, #KEYS do
  local known = redis.pcall('GET', KEYS[i])
  local knownTime, knownAhead = timeOf(type(known) == 'string' and known or '')
  local time, ahead = timeOf(ARGV[i])
  if not ahead and (knownAhead or knownTime <= time) then redis.call('SET', KEYS[i], ARGV[i]) end
end
`;

/**
 * The commands of a batch as bytes of the Redis protocol (RESP 2: `*<count>`, and `$<length>` before each argument). ioredis gets them whole: it
 * makes a text of each argument and looks at each one, which costs as much as writing the record.
 *
 * The bytes are those of the last batch until `append` is called again.
 */
export class Commands {
  readonly #append = new RespWriter();
  readonly #last = new RespWriter();
  /** Where the JSON of each row stands in what was appended; the end is 0 for a row that was left out. */
  #start = new Int32Array(256);
  #end = new Int32Array(256);
  /** The same of the last entry of each stream, in the order of the keys. */
  readonly #tail = STREAM_KEYS.map(() => ({ start: 0, end: 0 }));
  /** Entries for each recipient in what was appended, and what goes to recipients beside a row or event: none where there is no list. */
  readonly passed = new Map<string, number>();
  #ofRows: (readonly Copy[])[] = [];
  #ofEvents: (readonly Copy[])[] = [];
  /** Keys of recipients as arguments of the script. */
  readonly #recipientKeys = new Map<string, string>();

  /** `EVAL` of `APPEND`. Rows that a device sent again are left out. `keys` are the cursor and the common streams. */
  append(batch: Batch, keys: readonly string[], maxLength: number, passing?: Passing, prefix = ''): Buffer {
    const { rows, events, audit, resent, ranges } = batch;
    const slots = Object.entries(ranges);
    const copies = this.#copies(batch, passing);
    let entries = events.count + audit.count + copies;
    for (let row = 0; row < rows.count; row++) if (resent[row] !== 1) entries++;
    if (rows.count > this.#start.length) {
      this.#start = new Int32Array(2 * rows.count);
      this.#end = new Int32Array(2 * rows.count);
    }
    for (const tail of this.#tail) tail.end = 0;
    const out = this.#append;
    const all = copies === 0 ? keys : [...keys, ...Array.from(this.passed.keys(), (recipient) => recipientStream(prefix, recipient))];
    out.begin(APPEND, all, 2 + 3 * slots.length + 4 * entries);
    out.argument(String(maxLength));
    out.argument(String(slots.length));
    for (const [slot, { from, to }] of slots) for (const text of [slot, String(from - 1), String(to)]) out.argument(text);
    let event = 0;
    for (let row = 0; row < rows.count; row++) {
      // Events and records of one entry order keep it across streams too, as far as ids in different streams can tell.
      for (; event < events.count && before(batch, event, row); event++) this.#event(batch, event);
      this.#end[row] = 0;
      if (resent[row] !== 1) this.#row(rows, row);
    }
    for (; event < events.count; event++) this.#event(batch, event);
    for (let row = 0; row < audit.count; row++) this.#happened(AUDIT, audit.at(row), 'audit');
    return out.written();
  }

  /** `EVAL` of `LAST` for the newest fixes of the batch that was appended; undefined when there is none. */
  last(rows: Rows, resent: Uint8Array, prefix: string): Buffer | undefined {
    const last = lastRows(rows, resent);
    if (last.size === 0) return undefined;
    const out = this.#last;
    out.begin(
      LAST,
      Array.from(last.keys(), (device) => `${prefix}last:${device}`),
      last.size,
    );
    for (const row of last.values()) out.copy(this.#append.bytes, this.#start[row] ?? 0, this.#end[row] ?? 0);
    return out.written();
  }

  /** Data of the last entry of each stream in the batch, '' for none. */
  lastData(): string[] {
    return this.#tail.map(({ start, end }) => this.#append.bytes.toString('utf8', start, end));
  }

  /** What goes to recipients, and how many entries that makes. */
  #copies(batch: Batch, passing: Passing | undefined): number {
    this.passed.clear();
    this.#recipientKeys.clear();
    this.#ofRows = [];
    this.#ofEvents = [];
    if (passing === undefined) return 0;
    for (let row = 0; row < batch.rows.count; row++)
      this.#ofRows.push(batch.resent[row] === 1 ? [] : this.#counted(copiesOfRow(passing, batch, row)));
    for (let event = 0; event < batch.events.count; event++) this.#ofEvents.push(this.#counted(copiesOfEvent(passing, batch, event)));
    let number = STREAM_KEYS.length + 2;
    let copies = 0;
    for (const [recipient, count] of this.passed) {
      this.#recipientKeys.set(recipient, String(number++));
      copies += count;
    }
    return copies;
  }

  #counted(copies: readonly Copy[]): readonly Copy[] {
    for (const { recipient } of copies) this.passed.set(recipient, (this.passed.get(recipient) ?? 0) + 1);
    return copies;
  }

  /** Copies of what was written last, whose JSON stands between the two places. */
  #pass(copies: readonly Copy[] | undefined, device: string, time: number | undefined, start: number, end: number): void {
    if (copies === undefined) return;
    const out = this.#append;
    for (const { recipient, json } of copies) {
      out.argument(this.#recipientKeys.get(recipient) ?? '');
      out.argument(device);
      out.argument(String(time));
      if (json === undefined) out.copy(out.bytes, start, end);
      else out.argument(json);
    }
  }

  #row(rows: Rows, row: number): void {
    const out = this.#append;
    const stream = rows.isFix(row) ? 0 : 1;
    out.argument(STREAM_KEYS[stream] ?? '');
    out.argument(rows.device[row] ?? '');
    out.argument(String(rows.time[row]));
    const start = out.open();
    rows.writeJson(row, out);
    this.#noted(stream, out.close(start));
    this.#start[row] = this.#tail[stream]?.start ?? 0;
    this.#end[row] = this.#tail[stream]?.end ?? 0;
    this.#pass(this.#ofRows[row], rows.device[row] ?? '', rows.time[row], this.#start[row] ?? 0, this.#end[row] ?? 0);
  }

  #event(batch: Batch, event: number): void {
    const one = batch.events.at(event);
    this.#happened(EVENTS, one, 'event');
    const { start, end } = this.#tail[STREAM_KEYS.indexOf(EVENTS)] ?? { start: 0, end: 0 };
    this.#pass(this.#ofEvents[event], one.device, one.time, start, end);
  }

  #happened(key: string, one: Event, kind: 'event' | 'audit'): void {
    const out = this.#append;
    out.argument(key);
    out.argument(one.device);
    out.argument(String(one.time));
    const start = out.open();
    out.utf8(eventJson(one, kind));
    this.#noted(STREAM_KEYS.indexOf(key), out.close(start));
  }

  /** The argument that was closed last is the newest of that stream. */
  #noted(stream: number, start: number): void {
    const tail = this.#tail[stream];
    if (tail === undefined) return;
    tail.start = start;
    tail.end = this.#append.argumentEnd;
  }
}

export function recipientStream(prefix: string, recipient: string): string {
  return `${prefix}to:${recipient}`;
}

/** Row of the newest real fix of each device in the batch, by its time, or by its receipt where that is from the future. */
function lastRows(rows: Rows, resent: Uint8Array): Map<string, number> {
  const last = new Map<string, number>();
  for (let row = 0; row < rows.count; row++) {
    if (resent[row] === 1 || rows.valid[row] !== 1 || !rows.isFix(row)) continue;
    const device = rows.device[row] ?? '';
    const known = last.get(device);
    if (known === undefined || usableTime(rows, known) <= usableTime(rows, row)) last.set(device, row);
  }
  return last;
}

function usableTime(rows: Rows, row: number): number {
  const time = rows.time[row] ?? 0;
  const received = rows.received[row] ?? 0;
  return time > received + AHEAD_MS ? received : time;
}

function before(batch: Batch, event: number, row: number): boolean {
  return (batch.events.time[event] ?? 0) < (batch.rows.received[row] ?? 0);
}
