import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import { visible } from '../base/wire/index.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { fieldOf, listOf } from './fields.ts';
import { io } from './io.ts';
import { queryOf } from './listings.ts';
import { Patience, RETRY_MS, tell } from './patience.ts';
import { openToWrite } from './user-file.ts';

/** What happens on a running server, while it happens. */

const COUNT_HELP = '  --count <n>       ends after so many lines';

export const TAIL_HELP = `fixgate tail [--topics positions,events] [--device id …] [--bbox w,s,e,n] [--every s] [--count n]

Prints positions and events of a running server as they come, a line each, until Ctrl-C. It is for looking at: at most
one position of a device and second. A server that goes away is asked again every second until it is back; both are said on
standard error.

  --topics <list>   positions, events (default: what the token allows)
  --device <id>     may be repeated
  --bbox <w,s,e,n>  west, south, east, north in degrees
  --every <s>       least time between two positions of a device
${COUNT_HELP}

${API_HELP} read --scope locations
`;

export const TRACE_HELP = `fixgate trace <device> [--save file] [--count n]
fixgate trace --peer address [--save file] [--count n]

Prints the frames of a device and what the server sends, with their fields, as they come; for 15 minutes, or until Ctrl-C.
A server that goes away is asked again every second until it is back; both are said on standard error.

  --peer <address>  connections that begin at this address, of a device that has not said who it is (scope admin)
  --save <file>     also writes the frames of the device as hex, a line each: fixgate decode --explain < file
${COUNT_HELP}

${API_HELP} locations
`;

export const TOP_HELP = `fixgate top [--once] [--by bytes|records]

A look at the whole of a running server, every two seconds: rates, answer times, devices, sinks, processes, and the devices that have used
the most of their cycle. On a terminal it draws over what was there before. A server that goes away is asked again every second.

  --once            prints it once
  --by <what>       bytes (default) or records: by which the loudest devices are found, as of at most a minute ago

${API_HELP} read
`;

const TOP_MS = 2_000;
/** Devices in `top`. */
const LOUDEST = 10;
const CLEAR = '\u001b[2J';
const HOME = '\u001b[H';
const TO_END_OF_LINE = '\u001b[K';
const TO_END = '\u001b[J';

interface ServerEvent {
  readonly id: string;
  readonly event: string;
  readonly data: unknown;
}

export async function tail(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      ...API_OPTIONS,
      topics: { type: 'string' },
      device: { type: 'string', multiple: true },
      bbox: { type: 'string' },
      every: { type: 'string' },
      count: { type: 'string' },
    },
  });
  const { url, json, device, count, ...rest } = values;
  const query = queryOf({ ...rest, ...(device === undefined ? {} : { device: device.join(',') }) });
  const lines = new Lines(count);
  const api = new Api(url);
  const patience = new Patience();
  let columns: string[] = [];
  for (let last = ''; ; await pause(RETRY_MS)) {
    for await (const { id, event, data } of await patience.until(() => streamOf(api, `/v1/live?${query}`, last))) {
      if (id !== '') last = id;
      if (event === 'reset') tell('some of what came meanwhile is not shown');
      if (event === 'hello') columns = textsOf(fieldOf(data, 'columns'));
      for (const text of tailTexts(event, data, columns, json)) if (lines.write(text)) return EXIT.Ok;
      if (event === 'superseded') throw superseded();
    }
  }
}

function superseded(): AppError {
  return new AppError('USAGE', 'four newer streams of this token are open: the server has ended this one');
}

/** Lines for an event of the feed. */
function tailTexts(event: string, data: unknown, columns: readonly string[], json: boolean): string[] {
  if (event === 'positions') {
    const found = fieldOf(data, 'rows');
    return (Array.isArray(found) ? found : []).map((row: unknown[]) => {
      const named: Record<string, unknown> = Object.fromEntries(columns.map((name, i) => [name, row[i] ?? undefined]));
      if (json) return JSON.stringify({ kind: 'position', ...named });
      const { device, lat, lon, speed_kmh, state, time } = named;
      return `${clock(time)}  ${String(device)}  ${String(lat)}, ${String(lon)}  ${String(speed_kmh ?? 0)} km/h  ${String(state)}`;
    });
  }
  if (event === 'event') {
    if (json) return [JSON.stringify(data)];
    return [
      `${clock(fieldOf(data, 'time'))}  ${String(fieldOf(data, 'device'))}  ${String(fieldOf(data, 'type'))}  ${JSON.stringify(fieldOf(data, 'data'))}`,
    ];
  }
  if (event === 'gone' && json) return [JSON.stringify({ kind: 'gone', ...Object(data) })];
  return [];
}

export async function trace(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...API_OPTIONS, peer: { type: 'string' }, save: { type: 'string' }, count: { type: 'string' } },
  });
  const { url, json, peer, save, count } = values;
  const [device] = positionals;
  if ((device === undefined) === (peer === undefined))
    throw new AppError('USAGE', 'usage: fixgate trace <device>, or fixgate trace --peer <address>');
  const path = device === undefined ? `/v1/trace?${queryOf({ peer })}` : `/v1/devices/${encodeURIComponent(device)}/trace`;
  const lines = new Lines(count);
  const file = save === undefined ? undefined : await openToWrite(save);
  try {
    await follow(new Api(url), path, (event, data) => {
      if (event === 'frame' && fieldOf(data, 'direction') === 'in') file?.write(`${String(fieldOf(data, 'hex'))}\n`);
      const text = json ? JSON.stringify({ event, ...Object(data) }) : traceText(event, data);
      return text !== '' && lines.write(text);
    });
  } finally {
    if (file !== undefined) await new Promise<void>((resolve) => file.end(() => resolve()));
  }
  return EXIT.Ok;
}

/** Hands on what comes until `isDone`, or until the server ends the trace; a server that stops only ends the connection. */
async function follow(api: Api, path: string, isDone: (event: string, data: unknown) => boolean): Promise<void> {
  const patience = new Patience();
  for (let isFirst = true; ; isFirst = false) {
    const stream = await patience.until(() => streamOf(api, path, ''));
    if (!isFirst) tell('the trace goes on; what came meanwhile is not in it');
    for await (const { event, data } of stream) {
      if (event === 'ended') return;
      if (event === 'superseded') throw superseded();
      if (isDone(event, data)) return;
    }
    await pause(RETRY_MS);
  }
}

function traceText(event: string, data: unknown): string {
  if (event === 'lost') return `lost ${String(fieldOf(data, 'frames'))} frames: more than 100 a second`;
  if (event === 'state') return fieldOf(data, 'connected') === true ? 'connected' : 'not connected';
  if (event !== 'frame') return '';
  const field = (name: string): string => String(fieldOf(data, name) ?? '');
  const records = listOf(data, 'records');
  const what = [field('type'), field('name'), records.length === 0 ? '' : `records(${records.length})`, field('reason')].filter(
    (part) => part !== '',
  );
  const arrow = field('direction') === 'in' ? '▶ in ' : '◀ out';
  const head = `${clock(fieldOf(data, 'at'))} ${arrow} ${field('bytes').padStart(5)} B  ${visible(what.join(' '))}`;
  const hex = field('hex');
  const notes = listOf(data, 'explain').map((note) => {
    const at = Number(fieldOf(note, 'at'));
    const bytes = hex.slice(2 * at, 2 * (at + Number(fieldOf(note, 'length'))));
    const shown = bytes.length > 32 ? `${bytes.slice(0, 30)}…` : bytes;
    const value = String(fieldOf(note, 'value') ?? fieldOf(note, 'raw') ?? '');
    return `      ${shown.padEnd(32)}  ${String(fieldOf(note, 'name')).padEnd(28)} ${visible(value)}`;
  });
  return [head, ...(notes.length === 0 ? [`      ${hex}`] : notes)].join('\n');
}

export async function top(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { ...API_OPTIONS, once: { type: 'boolean', default: false }, by: { type: 'string', default: 'bytes' } },
  });
  const { url, json, once, by } = values;
  if (by !== 'bytes' && by !== 'records') throw new AppError('USAGE', `invalid --by "${by}"; expected bytes or records`);
  const api = new Api(url);
  const { out } = io();
  const draws = !json && !once && out.isTTY === true;
  let shown = '';
  const draw = (text: string): void => {
    out.write(`${shown === '' ? CLEAR : ''}${redrawn(text, out.rows, out.columns)}`);
    shown = text;
  };
  // In the place of its first line: what is below is of before.
  const patience = draws ? new Patience((text) => draw(shown.replace(/^.*/, () => text))) : new Patience();
  for (;;) {
    const { status, loudest } = await patience.until(async () => ({
      status: Object(await api.call('GET', '/v1/status')),
      loudest: listOf(await api.call('GET', `/v1/usage?order=${by}&limit=${LOUDEST}`), 'devices'),
    }));
    if (draws) draw(topText({ ...status, loudest }));
    else out.write(`${json ? JSON.stringify({ ...status, loudest }) : topText({ ...status, loudest })}\n`);
    if (once) return EXIT.Ok;
    await pause(TOP_MS);
  }
}

/** Over what is on the terminal, cut to it: a line more would move all of it up. */
function redrawn(text: string, rows = 24, columns = 80): string {
  const lines = text.split('\n').slice(0, rows - 1);
  return `${HOME}${lines.map((line) => `${line.slice(0, columns)}${TO_END_OF_LINE}\n`).join('')}${TO_END}`;
}

function topText(status: unknown): string {
  const at = (...path: string[]): unknown => path.reduce(fieldOf, status);
  const number = (...path: string[]): string => String(at(...path) ?? '–');
  const pairs = (of: string): string =>
    Object.entries(Object(at(of)))
      .map(([name, value]) => `${name} ${String(value)}`)
      .join('  ');
  const list = (of: string, text: (one: unknown) => string): string[] => listOf(status, of).map((one) => `  ${visible(text(one))}`);
  const f = (one: unknown, name: string): string => String(fieldOf(one, name) ?? '');
  return [
    `fixgate ${number('version')}  ${number('ready', 'status')}  ${clock(at('at'))}`,
    `devices   ${pairs('devices')}`,
    `rates/s   ${pairs('rates')}`,
    `answers   p50 ${number('answer_ms', 'p50')} ms  p95 ${number('answer_ms', 'p95')} ms  p99 ${number('answer_ms', 'p99')} ms`,
    `journal   ${number('journal', 'state')}  ${number('journal', 'bytes')} of ${number('journal', 'budget')} bytes, ${number('journal', 'free_bytes')} free`,
    'sinks',
    ...list(
      'sinks',
      (s) =>
        `${f(s, 'name').padEnd(12)} ${f(s, 'state').padEnd(9)} ${f(s, 'lag_s')} s behind  ${f(s, 'rows_per_s')} rows/s  ${f(s, 'reason')}`,
    ),
    'processes',
    ...list(
      'processes',
      (p) =>
        `${f(p, 'name').padEnd(12)} ${f(p, 'state').padEnd(9)} pid ${f(p, 'pid')}  ${f(p, 'rss')} bytes  lag ${f(p, 'loop_lag_ms')} ms  restarts ${f(p, 'restarts')}`,
    ),
    'loudest devices',
    ...list(
      'loudest',
      (d) => `${f(d, 'device').padEnd(20)} ${f(d, 'billed_bytes')} bytes  ${f(d, 'records')} records  plan ${f(d, 'plan')}`,
    ),
  ].join('\n');
}

/** Lines on standard output, as many as were asked for. */
class Lines {
  #left: number;

  constructor(count: string | undefined) {
    this.#left = count === undefined ? Number.POSITIVE_INFINITY : Number(count);
    if (!(this.#left >= 1)) throw new AppError('USAGE', `invalid --count "${count}"; expected a number`);
  }

  /** True: it was the last one. */
  write(text: string): boolean {
    io().out.write(`${text}\n`);
    return --this.#left <= 0;
  }
}

/** The events of a stream, until the server ends it. */
async function streamOf(api: Api, path: string, lastId: string): Promise<AsyncGenerator<ServerEvent>> {
  const body = await api.text(path, lastId === '' ? {} : { 'last-event-id': lastId });
  if (body === undefined) throw new AppError('USAGE', 'this server has no such stream');
  return eventsOf(body);
}

async function* eventsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const chunk of body) {
      text += decoder.decode(chunk, { stream: true });
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const block = text.slice(0, end).split('\n');
        text = text.slice(end + 2);
        const field = (name: string): string => block.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? '';
        if (field('event') !== '') yield { id: field('id'), event: field('event'), data: jsonOf(field('data')) };
      }
    }
  } catch {
    // The server has gone; who called connects again.
  }
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** Local time of day. */
function clock(time: unknown): string {
  return typeof time === 'number' ? new Date(time).toISOString().slice(11, 23) : '';
}
