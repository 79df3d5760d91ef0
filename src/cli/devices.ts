import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { visible } from '../base/wire/index.ts';
import { deviceSchema } from '../fleet/registry/device.ts';
import { wantedUnitSchema } from '../fleet/registry/units.ts';
import { API_HELP, API_OPTIONS, Api, problemText } from './api.ts';
import { EXIT } from './exit-code.ts';
import { fieldOf, fieldsOf, lines, listOf, zoneOf } from './fields.ts';
import { io } from './io.ts';
import { table } from './table.ts';
import { needReadable, writeTo } from './user-file.ts';

export const DEVICES_HELP = `fixgate devices list|get|add|set|remove|replace|units|identity|import|export [options]

The registry of devices, through the API of a running server.

  list                    devices by id
    --account <a>, --plan <p>, --state <s>   only those
  get <id>                one device, by its id or an alias
  add <id> [name=value …]
  set <id> name=value …   name= removes a field
  remove <id>             its record; its data is kept
  replace <id> <unit> [name=value …]   puts another unit, of any protocol, into the device; the one before is a stranger from then on
    --reason <text>       fields: protocol, since (what it measured before is not of this device), options.<name>
  units <id>              which units were in it, and when
  identity <id>           networks it has used, and whether two sessions contradict each other
    --is <address>        the device is the one at this address: critical commands that were held go there
  import <file|->         many, NDJSON or CSV; exit code 1 when lines were invalid
  export                  all, in the form that import takes
    --output <file>       instead of standard output
  --format <f>            ndjson or csv (default: as the file's name ends, else ndjson)

Fields: name, model, serial, iccid, labels.<name>, account, plan, state, aliases, networks, home_networks (lists: a,b), interval_s, privacy, activates_at, suspends_at, expires_at, protocol,
  options.<name> (of its codec: fixgate codecs <codec>; options.<name>= removes one)
  set also takes days of the time zone of the plan: starts, suspends, ends=2027-01-31 (its last day), ends=cycle (the end of the running one)
Times: 2027-01-01, 2027-01-01T08:00, with Z or +02:00 at the end, or epoch ms

  --zone <zone>           time zone of times without one, default UTC: Europe/Berlin

${API_HELP} read --scope devices

  fixgate devices add 356307042441013 account=acme plan=gold networks=10.0.0.0/8
  fixgate devices replace 356307042441013 865413050012345 --reason 'antenna broken'
`;

const SHOWN = ['id', 'account', 'plan', 'state', 'protocol', 'aliases'];
const PAGE = 1000;
const NAMED = 20;

export async function devices(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...API_OPTIONS,
      account: { type: 'string' },
      plan: { type: 'string' },
      state: { type: 'string' },
      format: { type: 'string' },
      output: { type: 'string' },
      is: { type: 'string' },
      reason: { type: 'string' },
      zone: { type: 'string', default: 'UTC' },
    },
  });
  const [action = '', id, ...pairs] = positionals;
  const zone = zoneOf(values.zone);
  const api = new Api(values.url);
  const print = (record: unknown): number => {
    io().out.write(values.json ? `${JSON.stringify(record)}\n` : lines(record));
    return EXIT.Ok;
  };
  if (action === 'list') return list(api, values);
  if (action === 'export') return exportAll(api, formatOf(values.format, values.output), values.output);
  if (!['get', 'add', 'set', 'remove', 'replace', 'units', 'import', 'identity'].includes(action))
    throw new AppError(
      'USAGE',
      `fixgate devices ${action}: expected list, get, add, set, remove, replace, units, identity, import or export`,
    );
  if (id === undefined) throw new AppError('USAGE', `usage: fixgate devices ${action} <${action === 'import' ? 'file' : 'id'}>`);
  if (action === 'import') return importAll(api, id, formatOf(values.format, id), values.json);
  if (action === 'add') return print(await api.call('POST', '/v1/devices', withoutNulls({ ...fieldsOf(pairs, deviceSchema, zone), id })));
  const path = `/v1/devices/${encodeURIComponent(id)}`;
  if (action === 'identity') {
    const asked =
      values.is === undefined ? api.find('GET', `${path}/identity`) : api.find('POST', `${path}/identity`, { address: values.is });
    const noted = await asked;
    if (noted !== undefined) return print(noted);
    io().error.write(`fixgate: device ${id} has never connected\n`);
    return EXIT.Found;
  }
  if (action === 'set' && pairs.length === 0) throw new AppError('USAGE', 'usage: fixgate devices set <id> name=value …');
  const [unit, ...more] = pairs;
  if (action === 'replace' && (unit === undefined || unit.includes('=')))
    throw new AppError('USAGE', 'usage: fixgate devices replace <id> <unit> [name=value …]');
  const method = { set: 'PATCH', remove: 'DELETE', replace: 'POST' }[action] ?? 'GET';
  const body = {
    set: () => fieldsOf(pairs, deviceSchema, zone),
    replace: () => ({ ...fieldsOf(more, wantedUnitSchema, zone), unit, ...(values.reason === undefined ? {} : { reason: values.reason }) }),
  }[action];
  const found = await api.find(method, ['replace', 'units'].includes(action) ? `${path}/${action}` : path, body?.());
  if (found === undefined) {
    io().error.write(`fixgate: device ${id} is not known\n`);
    return EXIT.Found;
  }
  return action === 'remove' ? EXIT.Ok : print(found);
}

interface Filter {
  readonly json: boolean;
  readonly account?: string | undefined;
  readonly plan?: string | undefined;
  readonly state?: string | undefined;
}

async function list(api: Api, { json, account, plan, state }: Filter): Promise<number> {
  const found: object[] = [];
  for (let after: unknown; ; ) {
    const query = new URLSearchParams({ limit: String(PAGE) });
    for (const [name, value] of Object.entries({ account, plan, state, after })) if (value !== undefined) query.set(name, String(value));
    const page = await api.call('GET', `/v1/devices?${query}`);
    if (json) for (const device of listOf(page, 'devices')) io().out.write(`${JSON.stringify(device)}\n`);
    else found.push(...listOf(page, 'devices'));
    after = fieldOf(page, 'next');
    if (after === undefined) break;
  }
  if (!json) table(found, SHOWN);
  return EXIT.Ok;
}

async function exportAll(api: Api, format: string, output: string | undefined): Promise<number> {
  const text = (await api.text(`/v1/devices/export?format=${format}`)) ?? Readable.from([]);
  if (output !== undefined) await writeTo(output, text);
  else for await (const piece of text) if (!io().out.write(piece)) await new Promise((resolve) => io().out.once('drain', resolve));
  return EXIT.Ok;
}

async function importAll(api: Api, file: string, format: string, json: boolean): Promise<number> {
  if (file !== '-') await needReadable(file);
  const input = file === '-' ? io().input : createReadStream(file);
  const media = format === 'csv' ? 'text/csv' : 'application/x-ndjson';
  const outcome = await api.send('/v1/devices/bulk', { media, bytes: Readable.toWeb(input) });
  const failed = Number(fieldOf(outcome, 'failed'));
  if (json) io().out.write(`${JSON.stringify(outcome)}\n`);
  else {
    const counts = ['created', 'changed', 'unchanged', 'failed'].map((name) => `${fieldOf(outcome, name)} ${name}`);
    io().out.write(`${counts.join(', ')}\n`);
    for (const one of listOf(outcome, 'problems').slice(0, NAMED))
      io().error.write(`line ${fieldOf(one, 'line')}: ${visible(listOf(one, 'problems').map(problemText).join('; '))}\n`);
    if (failed > NAMED) io().error.write(`… and ${failed - NAMED} more; --json names them\n`);
  }
  return failed > 0 ? EXIT.Found : EXIT.Ok;
}

function formatOf(given: string | undefined, file: string | undefined): string {
  const format = given ?? (file?.endsWith('.csv') === true ? 'csv' : 'ndjson');
  if (format !== 'csv' && format !== 'ndjson') throw new AppError('USAGE', `--format "${format}" is not ndjson or csv`);
  return format;
}

function withoutNulls(fields: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}
