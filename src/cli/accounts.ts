import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { accountSchema, consentSchema } from '../fleet/registry/account.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { fieldOf, fieldsOf, lines, listOf } from './fields.ts';
import { io } from './io.ts';
import { table } from './table.ts';

export const ACCOUNTS_HELP = `fixgate accounts list|get|add|set|suspend|resume|close|consent|withdraw [options]

Accounts, through the API of a running server. docs/accounts.md explains them.

  list
  get <id>
  add <id> [name=value …]   creates the account: name, time_zone, labels, retention
  set <id> name=value …     changes it; name= gives a field its default
  suspend <id>              its devices are served like suspended ones
    --reason <text>
  resume <id>               a device that is suspended by itself stays so
    --reason <text>
    --reopen                also when it is closed
  close <id>                its devices are served like terminated ones
    --reason <text>
    --cycle-end             each device from the end of its billing cycle on
  consent <id> <purpose> fields=…
                            it consents: recipients with this purpose get all, or place, speed_kmh, odometer_m, …
  withdraw <id> <purpose>   it does not any more

${API_HELP} read --scope devices

  fixgate accounts add acme 'name=Acme Haulage Ltd' time_zone=Europe/Berlin
  fixgate accounts suspend acme --reason 'invoice 2026-10 is open'
  fixgate accounts consent acme insurer fields=event,speed_kmh,odometer_m
`;

const PAGE = 1000;
const SHOWN = ['id', 'name', 'state', 'since', 'reason'];

export async function accounts(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...API_OPTIONS,
      reason: { type: 'string' },
      reopen: { type: 'boolean', default: false },
      'cycle-end': { type: 'boolean', default: false },
    },
  });
  const [action = '', id = '', ...pairs] = positionals;
  const api = new Api(values.url);
  if (action === 'list') return list(api, values.json);
  const path = `/v1/accounts/${encodeURIComponent(id)}`;
  const reason = values.reason === undefined ? {} : { reason: values.reason };
  const isConsent = action === 'consent' || action === 'withdraw';
  const fields = isConsent ? fieldsOf(pairs.slice(1), consentSchema) : fieldsOf(pairs, accountSchema);
  const consent = `${path}/consents/${encodeURIComponent(pairs[0] ?? '')}`;
  const actions: Readonly<Record<string, () => Promise<unknown>>> = {
    get: () => api.find('GET', path),
    add: () => api.call('POST', '/v1/accounts', { id, ...fields }),
    set: () => api.find('PATCH', path, fields),
    suspend: () => api.find('POST', `${path}/suspend`, reason),
    resume: () => api.find('POST', `${path}/resume`, { ...reason, reopen: values.reopen }),
    close: () => api.find('POST', `${path}/close`, { ...reason, at: values['cycle-end'] ? 'cycle_end' : 'now' }),
    consent: () => api.find('PUT', consent, fields),
    withdraw: () => api.find('DELETE', consent),
  };
  const run = actions[action];
  if (run === undefined) throw new AppError('USAGE', `fixgate accounts ${action}: expected list, ${Object.keys(actions).join(', ')}`);
  if (id === '') throw new AppError('USAGE', `usage: fixgate accounts ${action} <id>`);
  if (isConsent && pairs[0] === undefined) throw new AppError('USAGE', `usage: fixgate accounts ${action} <id> <purpose>`);
  const found = await run();
  if (found === undefined) {
    io().error.write(`fixgate: account ${id} is not known${action === 'withdraw' ? `, or has not consented to ${pairs[0]}` : ''}\n`);
    return EXIT.Found;
  }
  io().out.write(values.json ? `${JSON.stringify(found)}\n` : lines(found));
  return EXIT.Ok;
}

async function list(api: Api, json: boolean): Promise<number> {
  const found: object[] = [];
  for (let after: unknown; ; ) {
    const page = await api.call(
      'GET',
      `/v1/accounts?limit=${PAGE}${after === undefined ? '' : `&after=${encodeURIComponent(String(after))}`}`,
    );
    found.push(...listOf(page, 'accounts'));
    after = fieldOf(page, 'next');
    if (after === undefined) break;
  }
  if (json) for (const account of found) io().out.write(`${JSON.stringify(account)}\n`);
  else table(found, SHOWN);
  return EXIT.Ok;
}
