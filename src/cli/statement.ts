import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { loadConfig } from '../config/load.ts';
import { deviceId } from '../fleet/registry/device.ts';
import { UsageHistory } from '../out/sink/clickhouse/history.ts';
import { StatementTable } from '../out/sink/clickhouse/statements.ts';
import { type Finding, verifyStatements } from '../out/sink/state/statements.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { lines, listOf } from './fields.ts';
import { io } from './io.ts';
import { statementPage, summary } from './statement-page.ts';
import { clickHouseAccess, stateStore } from './stores.ts';
import { table } from './table.ts';

export const STATEMENT_HELP = `fixgate statement <device|account> [--cycle <month>] [options]
fixgate statement verify [--config file] [--json]

What a device used in its billing cycles, and what that comes to; or an account, which is the sum of its devices. Through the API of a running
server.

  --cycle <month>   the cycle that begins in this month or on this day: YYYY-MM or YYYY-MM-DD; of an account always, and a month
  --csv             one line for each cycle, of an account for each device
  --html            one page to print

${API_HELP} read

verify computes every frozen statement again from the usage rows in ClickHouse and follows the chains of hashes. Works on the stores of the
configuration, beside a running server. Prints what differs, and what cannot be computed because rows were erased or have expired; exit code 1
when something differs.
`;

const SHOWN = [
  'start',
  'end',
  'plan',
  'plan_version',
  'provisional',
  'records',
  'bytes_in',
  'bytes_out',
  'billed_bytes',
  'bytes_cap',
  'over_bytes',
];
const CSV = [
  'device',
  'account',
  'plan',
  'plan_version',
  'time_zone',
  'start',
  'end',
  'provisional',
  'records',
  'bytes_in',
  'bytes_out',
  'segments',
  'datagrams',
  'overhead_bytes',
  'billed_bytes',
  'bytes_cap',
  'over_bytes',
  'records_cap',
  'over_records',
  'roaming_bytes',
  'roaming_records',
  'commands_sent',
  'days_active',
  'evidence_instances',
  'number',
  'hash',
];
/** Of an account's statement, beside those of its devices. */
const SUMS = ['cycle', 'devices', 'provisional', 'records', 'bytes_in', 'bytes_out', 'billed_bytes', 'over_bytes', 'over_records', 'hash'];

export async function statement(args: string[]): Promise<number> {
  if (args[0] === 'verify') return verify(args.slice(1));
  const flag = { type: 'boolean', default: false } as const;
  const options = { ...API_OPTIONS, cycle: { type: 'string' }, csv: flag, html: flag } as const;
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
  const [id] = positionals;
  if (id === undefined)
    throw new AppError('USAGE', 'usage: fixgate statement <device|account> [--cycle YYYY-MM], or fixgate statement verify');
  const api = new Api(values.url);
  const statements = await ofDevice(api, id, values.cycle);
  const whole = statements.length > 0 ? undefined : await ofAccount(api, id, values.cycle);
  const all = whole === undefined ? statements : listOf(whole, 'statements');
  if (all.length === 0) {
    const remedy = values.cycle === undefined ? '; if it is an account, say --cycle YYYY-MM' : '';
    io().error.write(`fixgate: there is no such statement of ${id}${remedy}\n`);
    return EXIT.Found;
  }
  const zone = String(Reflect.get(all[0] ?? {}, 'time_zone') ?? 'UTC');
  if (values.html) io().out.write(statementPage(id, whole, all));
  else if (values.json) io().out.write((whole === undefined ? all : [whole]).map((one) => `${JSON.stringify(one)}\n`).join(''));
  else if (values.csv) io().out.write(csv(all));
  else if (whole !== undefined) {
    io().out.write(lines(Object.fromEntries(SUMS.map((name) => [name, Reflect.get(whole, name)]))));
    table(all, ['device', ...SHOWN], zone);
  } else if (values.cycle === undefined) table(all, SHOWN, zone);
  else io().out.write(lines(all[0]));
  return EXIT.Ok;
}

async function ofDevice(api: Api, id: string, cycle: string | undefined): Promise<readonly object[]> {
  if (!deviceId.safeParse(id).success) return [];
  const path = `/v1/devices/${encodeURIComponent(id)}/statements`;
  const found = await api.find('GET', cycle === undefined ? path : `${path}/${encodeURIComponent(cycle)}`);
  if (found === undefined) return [];
  return cycle === undefined ? listOf(found, 'statements') : [Object(found)];
}

async function ofAccount(api: Api, id: string, cycle: string | undefined): Promise<object | undefined> {
  if (cycle === undefined || !/^\d{4}-\d\d$/.test(cycle)) return undefined;
  const found = await api.find('GET', `/v1/accounts/${encodeURIComponent(id)}/statements/${cycle}`);
  return found === undefined ? undefined : Object(found);
}

function csv(statements: readonly object[]): string {
  const cell = (value: unknown): string => (/[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  const rows = statements.map((one) => {
    const row = { ...one, ...summary(one) };
    return CSV.map((name) => cell(Reflect.get(row, name) ?? ''));
  });
  return [CSV, ...rows].map((row) => `${row.join(',')}\n`).join('');
}

async function verify(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { config: { type: 'string' }, json: { type: 'boolean', default: false } } });
  const { config } = loadConfig({ file: values.config, env: io().env });
  const access = await clickHouseAccess(config);
  const history = new UsageHistory(access);
  const copies = new StatementTable(access);
  const store = await stateStore(config);
  let right = 0;
  const findings: Finding[] = [];
  try {
    for await (const one of verifyStatements(store, history, copies))
      if ('what' in one) findings.push(one);
      else right++;
  } finally {
    await store.close();
    await history.close();
    await copies.close();
  }
  if (values.json) io().out.write(findings.map((one) => `${JSON.stringify(one)}\n`).join(''));
  else {
    table(findings, ['account', 'number', 'device', 'what', 'about']);
    io().out.write(`${right} statements are as the usage rows say, ${findings.length} findings\n`);
  }
  return findings.some(({ what }) => what !== 'erased' && what !== 'expired') ? EXIT.Found : EXIT.Ok;
}
