import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { fieldOf, lines, listOf } from './fields.ts';
import { io } from './io.ts';
import { table } from './table.ts';

export const CAMPAIGNS_HELP = `fixgate campaigns start <type> [name=value …] --reason <text> <selection> [options]
fixgate campaigns list
fixgate campaigns show|devices|pause|resume|cancel <id>

One command to many devices, on a running server (docs/commands.md). A share of the devices comes first; the others follow when all of it have succeeded.

  --devices <ids>   separated by commas; and, or instead:
  --protocol <p>, --model <m>, --account <a>, --plan <p>, --label <name=value> (of the account)
  --rate <n>        commands a minute, default 60
  --canary <pct>    share that comes first, default 5
  --expires <s>     of each command, default 86400
  --confirm <key>   the key that the server asked for
  --state <state>   of devices: waiting, open, succeeded, failed or cancelled

${API_HELP} read --scope commands

  fixgate campaigns start set_interval seconds=60 --plan gold --reason winter --rate 30
`;

const CHANGES = ['pause', 'resume', 'cancel'];
const SELECTS = ['protocol', 'model', 'account', 'plan', 'label'] as const;

export async function campaigns(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...API_OPTIONS,
      reason: { type: 'string' },
      devices: { type: 'string' },
      protocol: { type: 'string' },
      model: { type: 'string' },
      account: { type: 'string' },
      plan: { type: 'string' },
      label: { type: 'string' },
      rate: { type: 'string' },
      canary: { type: 'string' },
      expires: { type: 'string' },
      confirm: { type: 'string' },
      state: { type: 'string' },
    },
  });
  const [action = '', what, ...pairs] = positionals;
  const api = new Api(values.url);
  if (action === 'list') {
    const found = listOf(await api.call('GET', '/v1/campaigns'), 'campaigns');
    if (values.json) for (const one of found) io().out.write(`${JSON.stringify(one)}\n`);
    else table(found, ['id', 'type', 'state', 'by', 'reason', 'devices', 'canaries', 'counts']);
    return EXIT.Ok;
  }
  if (what === undefined || !['start', 'show', 'devices', ...CHANGES].includes(action))
    throw new AppError('USAGE', 'usage: fixgate campaigns start|list|show|devices|pause|resume|cancel …');
  const path = `/v1/campaigns/${encodeURIComponent(what)}`;
  if (action === 'devices') return devices(api, path, values.state, values.json);
  const found =
    action === 'start'
      ? await api.call('POST', '/v1/campaigns', { ...wantedOf(values), type: what, parameters: Object.fromEntries(pairs.map(parameterOf)) })
      : await api.find(action === 'show' ? 'GET' : 'POST', action === 'show' ? path : `${path}/${action}`);
  if (found === undefined) {
    io().error.write(`fixgate: unknown campaign "${what}"\n`);
    return EXIT.Found;
  }
  io().out.write(values.json ? `${JSON.stringify(found)}\n` : lines(found));
  return EXIT.Ok;
}

function wantedOf(values: Readonly<Record<string, string | boolean | undefined>>): object {
  const { reason, rate, canary, expires, confirm } = values;
  if (reason === undefined) throw new AppError('USAGE', 'usage: fixgate campaigns start <type> --reason <text> <selection>');
  const selection = Object.fromEntries(SELECTS.map((name) => [name, values[name]]));
  const ids = values['devices'];
  return {
    reason,
    confirm,
    selection: { ...selection, devices: typeof ids === 'string' ? ids.split(',') : undefined },
    rate: numberOf('--rate', rate),
    canary_pct: numberOf('--canary', canary),
    expires_s: numberOf('--expires', expires),
  };
}

async function devices(api: Api, path: string, state: string | undefined, json: boolean): Promise<number> {
  const query = state === undefined ? '' : `&state=${encodeURIComponent(state)}`;
  const rows: object[] = [];
  for (let after = ''; ; ) {
    const page = await api.call('GET', `${path}/devices?limit=1000${query}${after}`);
    rows.push(...listOf(page, 'devices'));
    const next = fieldOf(page, 'next');
    if (typeof next !== 'string') break;
    after = `&after=${encodeURIComponent(next)}`;
  }
  if (json) for (const row of rows) io().out.write(`${JSON.stringify(row)}\n`);
  else table(rows, ['device', 'canary', 'state', 'command', 'command_state', 'note']);
  return EXIT.Ok;
}

function parameterOf(pair: string): [string, string] {
  const at = pair.indexOf('=');
  if (at < 1) throw new AppError('USAGE', `invalid parameter "${pair}"; expected name=value`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

function numberOf(option: string, text: string | boolean | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text === '' || !Number.isFinite(value)) throw new AppError('USAGE', `${option} "${text}" is not a number`);
  return value;
}
