import { eventJson } from '../../record/event.ts';
import type { Rows } from '../../record/rows.ts';
import type { Batch } from '../sink.ts';

/** A fix whose time is further ahead than this has no usable time: it is as new as its receipt. */
const AHEAD_MS = 300_000;

/** KEYS of the scripts that hold the streams, counted from 1: KEYS[1] is the cursor. */
const POSITIONS = '2';
const STATUSES = '3';
const EVENTS = '4';
const STREAM_KEYS: readonly string[] = [POSITIONS, STATUSES, EVENTS];

/**
 * Appends a batch. The cursor is compared before anything is written, and moved with the entries: they are one. Returns the id of
 * the last entry added to each stream, '' for none.
 *
 *     KEYS  cursor, positions, statuses, events
 *     ARGV  MAXLEN, number of slots, (slot, sequence it must stand at, sequence to move to) …,
 *           (number of the stream's key, device, time, data) …
 *
 * A script and not thousands of commands: ioredis makes a promise for each command.
 */
export const APPEND = `
local fields = 2 + 3 * tonumber(ARGV[2])
for i = 3, fields, 3 do
  if (redis.call('HGET', KEYS[1], ARGV[i]) or '0') ~= ARGV[i + 1] then return 'moved' end
end
for i = 2, 4 do
  local type = redis.call('TYPE', KEYS[i])['ok']
  if type ~= 'stream' and type ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. type .. ', not a stream')
  end
end
local last = {'', '', ''}
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
export const LAST = `
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

/** ARGV of `APPEND`. Rows that a device sent again are left out. */
export function appendArguments(batch: Batch, maxLength: number): string[] {
  const { rows, events, resent, ranges } = batch;
  const slots = Object.entries(ranges);
  const args = [String(maxLength), String(slots.length)];
  for (const [slot, { from, to }] of slots) args.push(slot, String(from - 1), String(to));
  let event = 0;
  for (let row = 0; row < rows.count; row++) {
    // Events and records of one entry order keep it across streams too, as far as ids in different streams can tell.
    for (; event < events.count && before(batch, event, row); event++) pushEvent(args, batch, event);
    if (resent[row] === 1) continue;
    args.push(rows.isFix(row) ? POSITIONS : STATUSES, rows.device[row] ?? '', String(rows.time[row]), rows.json(row));
  }
  for (; event < events.count; event++) pushEvent(args, batch, event);
  return args;
}

/** Data of the last entry for each stream among the arguments of `APPEND`, '' for none. */
export function lastData(args: readonly string[]): string[] {
  const found = STREAM_KEYS.map(() => '');
  const first = 2 + 3 * Number(args[1]);
  for (let at = args.length - 4; at >= first && found.includes(''); at -= 4) {
    const stream = STREAM_KEYS.indexOf(args[at] ?? '');
    if (found[stream] === '') found[stream] = args[at + 3] ?? '';
  }
  return found;
}

/** Row of the newest real fix of each device in the batch, by its time, or by its receipt where that is from the future. */
export function lastRows(rows: Rows, resent: Uint8Array): Map<string, number> {
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

function pushEvent(args: string[], batch: Batch, event: number): void {
  const one = batch.events.at(event);
  args.push(EVENTS, one.device, String(one.time), eventJson(one));
}
