import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { fieldOf, listOf } from './fields.ts';
import { io } from './io.ts';
import { table } from './table.ts';

/** What a running server knows now: positions, events, connections, commands. */

export const POSITIONS_HELP = `fixgate positions [--device id …] [--bbox w,s,e,n] [--state state] [--account name] [--plan name]

The last known position of each device, from the memory of a running server.

  --device <id>     may be repeated
  --bbox <w,s,e,n>  west, south, east, north in degrees
  --state <state>   alarm, offline, silent, over_cap, moving or standing
  --account <name>
  --plan <name>

${API_HELP} locations
`;

export const EVENTS_HELP = `fixgate events [--device id] [--type type …] [--from ms] [--to ms] [--limit n]

Events, newest first, from a running server.

  --device <id>
  --type <type>     may be repeated (docs/events.md lists them)
  --from, --to <t>  epoch ms
  --limit <n>       default 100, at most 1000

${API_HELP} read
`;

export const AUDIT_HELP = `fixgate audit [--device id] [--account name] [--by token] [--type type] [--from t] [--to t] [--limit n]
fixgate audit exposure --token <name> [--from t] [--to t]

Changes, looks at personal data and refused calls, newest first, from a running server (docs/audit.md). exposure: the devices whose data a
token has read.

  --device <id>
  --account <name>
  --by <token>      name of a token
  --type <type>     change, read or refused
  --from, --to <t>  epoch ms
  --limit <n>       default 100, at most 1000

${API_HELP} admin
`;

export const CONNECTIONS_HELP = `fixgate connections [--codec name] [--state state]
fixgate connections close <id>

Connections of identified devices on a running server; close ends one, once the answers owed have left.

  --codec <name>
  --state <state>   of the device: alarm, silent, over_cap, moving or standing

${API_HELP} read --scope devices
`;

export const COMMANDS_HELP = `fixgate commands list [--device id] [--state state …] [--type type]
fixgate commands cancel <device> <command id>

Commands of all devices on a running server: those of unknown outcome, the open ones, the ended ones. cancel ends one that is queued.
fixgate send makes commands, fixgate outcome ends those of unknown outcome.

  --device <id>
  --state <state>   queued, sent, unknown, answered, failed, expired or cancelled; may be repeated
  --type <type>     of command, like set_interval

${API_HELP} read --scope commands
`;

const PAGE = 1000;
const TIMES: readonly string[] = ['time', 'received', 'since', 'created', 'expires', 'first', 'last'];

export async function positions(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      ...API_OPTIONS,
      device: { type: 'string', multiple: true },
      bbox: { type: 'string' },
      state: { type: 'string' },
      account: { type: 'string' },
      plan: { type: 'string' },
    },
  });
  const { url, json, device, ...rest } = values;
  const query = queryOf({ ...rest, ...(device === undefined ? {} : { device: device.join(',') }) });
  const rows: object[] = [];
  await pages(new Api(url), '/v1/positions', query, (page) => {
    const columns = listOfTexts(fieldOf(page, 'columns'));
    const found = fieldOf(page, 'rows');
    for (const row of Array.isArray(found) ? found : [])
      rows.push(Object.fromEntries(columns.map((name, i) => [name, row[i] ?? undefined])));
  });
  show(rows, json, ['device', 'state', 'lat', 'lon', 'speed_kmh', 'course_deg', 'time', 'received', 'via']);
  return EXIT.Ok;
}

export async function events(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      ...API_OPTIONS,
      device: { type: 'string' },
      type: { type: 'string', multiple: true },
      from: { type: 'string' },
      to: { type: 'string' },
      limit: { type: 'string' },
    },
  });
  const { url, json, type, ...rest } = values;
  const query = queryOf({ ...rest, ...(type === undefined ? {} : { type: type.join(',') }) });
  const answer = await new Api(url).call('GET', `/v1/events?${query}`);
  if (fieldOf(answer, 'source') === 'memory')
    io().error.write('fixgate: ClickHouse does not answer; these are the last events in the memory of the server\n');
  show(listOf(answer, 'events'), json, ['time', 'device', 'type', 'data']);
  return EXIT.Ok;
}

export async function audit(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...API_OPTIONS,
      device: { type: 'string' },
      account: { type: 'string' },
      by: { type: 'string' },
      type: { type: 'string' },
      token: { type: 'string' },
      from: { type: 'string' },
      to: { type: 'string' },
      limit: { type: 'string' },
    },
  });
  const { url, json, ...rest } = values;
  const [action] = positionals;
  const api = new Api(url);
  if (action === undefined) {
    const answer = await api.call('GET', `/v1/audit?${queryOf(rest)}`);
    show(listOf(answer, 'entries'), json, ['time', 'type', 'by', 'address', 'operation', 'object', 'status', 'count', 'old', 'new']);
    return EXIT.Ok;
  }
  if (action !== 'exposure' || rest.token === undefined)
    throw new AppError('USAGE', 'usage: fixgate audit [options] or fixgate audit exposure --token <name>');
  const answer = await api.call('GET', `/v1/audit/exposure?${queryOf(rest)}`);
  const all = fieldOf(answer, 'all');
  if (all !== undefined)
    io().error.write('fixgate: the token has also read lists or maps of all devices: any of them may have been seen\n');
  show(listOf(answer, 'devices'), json, ['device', 'accounts', 'first', 'last', 'count', 'operations']);
  return EXIT.Ok;
}

export async function connections(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...API_OPTIONS, codec: { type: 'string' }, state: { type: 'string' } },
  });
  const { url, json, ...rest } = values;
  const [action, id] = positionals;
  const api = new Api(url);
  if (action !== undefined) {
    if (action !== 'close' || id === undefined) throw new AppError('USAGE', 'usage: fixgate connections close <id>');
    if ((await api.find('DELETE', `/v1/connections/${encodeURIComponent(id)}`)) !== undefined) return EXIT.Ok;
    io().error.write(`fixgate: no connection ${id}\n`);
    return EXIT.Found;
  }
  const rows: object[] = [];
  await pages(api, '/v1/connections', queryOf({ ...rest, limit: String(PAGE) }), (page) => rows.push(...listOf(page, 'connections')));
  show(rows, json, ['id', 'device', 'protocol', 'transport', 'peer', 'since', 'received', 'bytes_in', 'bytes_out', 'worker']);
  return EXIT.Ok;
}

export async function commands(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...API_OPTIONS, device: { type: 'string' }, state: { type: 'string', multiple: true }, type: { type: 'string' } },
  });
  const { url, json, state, ...rest } = values;
  const [action, device = '', id = '', ...more] = positionals;
  const api = new Api(url);
  if (action === 'cancel' && id !== '' && more.length === 0) {
    const path = `/v1/devices/${encodeURIComponent(device)}/commands/${encodeURIComponent(id)}`;
    const cancelled = await api.find('DELETE', path);
    if (cancelled !== undefined) {
      io().out.write(json ? `${JSON.stringify(cancelled)}\n` : `${id}  ${fieldOf(cancelled, 'state')}\n`);
      return EXIT.Ok;
    }
    io().error.write(`fixgate: device ${device} has no command ${id}\n`);
    return EXIT.Found;
  }
  if (action !== 'list' || device !== '')
    throw new AppError('USAGE', 'usage: fixgate commands list, or fixgate commands cancel <device> <command id>');
  const query = queryOf({ ...rest, limit: String(PAGE), ...(state === undefined ? {} : { state: state.join(',') }) });
  const rows: object[] = [];
  await pages(api, '/v1/commands', query, (page) => rows.push(...listOf(page, 'commands')));
  show(rows, json, ['id', 'device', 'type', 'state', 'attempts', 'created', 'expires', 'requester', 'reply']);
  return EXIT.Ok;
}

async function pages(api: Api, path: string, query: URLSearchParams, take: (page: unknown) => void): Promise<void> {
  for (let after: unknown; ; ) {
    if (after !== undefined) query.set('after', String(after));
    const page = await api.call('GET', `${path}?${query}`);
    take(page);
    after = fieldOf(page, 'next');
    if (after === undefined) return;
  }
}

function show(rows: readonly object[], json: boolean, names: readonly string[]): void {
  if (json) for (const row of rows) io().out.write(`${JSON.stringify(row)}\n`);
  else table(rows.map(withTimes), names);
}

/** Times as text, in UTC. */
function withTimes(row: object): object {
  const text = (name: string, value: unknown): unknown =>
    TIMES.includes(name) && typeof value === 'number' ? new Date(value).toISOString() : value;
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, text(name, value)]));
}

/** Those that are given. */
export function queryOf(values: Readonly<Record<string, string | undefined>>): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined) query.set(name, value);
  return query;
}

function listOfTexts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
