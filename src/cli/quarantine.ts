import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { deviceSchema } from '../fleet/registry/device.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { fieldOf, fieldsOf, lines, listOf, zoneOf } from './fields.ts';
import { io } from './io.ts';
import { table } from './table.ts';

export const QUARANTINE_HELP = `fixgate quarantine list|adopt|remove [options]

Unknown devices that the registry has refused, through the API of a running server.

  list
  adopt <id> [name=value …]   creates the device, served at its next contact; fields as in fixgate devices add
    --zone <zone>             time zone of times without one, default UTC
  remove <id>                 removes the entry; it is listed again at the next contact

${API_HELP} read --scope devices

  fixgate quarantine adopt 356307042441013 account=acme plan=gold
`;

const PAGE = 1000;

export async function quarantine(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...API_OPTIONS, zone: { type: 'string', default: 'UTC' } },
  });
  const [action = '', id, ...pairs] = positionals;
  const api = new Api(values.url);
  if (action === 'list') return list(api, values.json);
  if (!['adopt', 'remove'].includes(action)) throw new AppError('USAGE', `fixgate quarantine ${action}: expected list, adopt or remove`);
  if (id === undefined) throw new AppError('USAGE', `usage: fixgate quarantine ${action} <id>`);
  const path = `/v1/quarantine/${encodeURIComponent(id)}`;
  const found =
    action === 'adopt'
      ? await api.find('POST', `${path}/adopt`, fieldsOf(pairs, deviceSchema, zoneOf(values.zone)))
      : await api.find('DELETE', path);
  if (found === undefined) {
    io().error.write(`fixgate: device ${id} is not in quarantine\n`);
    return EXIT.Found;
  }
  if (action === 'adopt') io().out.write(values.json ? `${JSON.stringify(found)}\n` : lines(found));
  return EXIT.Ok;
}

async function list(api: Api, json: boolean): Promise<number> {
  const found: object[] = [];
  for (let after: unknown; ; ) {
    const page = await api.call('GET', `/v1/quarantine?limit=${PAGE}${after === undefined ? '' : `&after=${after}`}`);
    found.push(...listOf(page, 'devices'));
    after = fieldOf(page, 'next');
    if (after === undefined) break;
  }
  if (json) for (const unknownDevice of found) io().out.write(`${JSON.stringify(unknownDevice)}\n`);
  else {
    table(found, ['id', 'protocol', 'transport', 'count', 'last_seen']);
  }
  return EXIT.Ok;
}
