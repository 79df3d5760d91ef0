import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { loadConfig } from '../config/load.ts';
import { UsageHistory } from '../out/sink/clickhouse/history.ts';
import { StatementTable } from '../out/sink/clickhouse/statements.ts';
import { type Finding, verifyStatements } from '../out/sink/state/statements.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { lines, listOf } from './fields.ts';
import { io } from './io.ts';
import { clickHouseAccess, stateStore } from './stores.ts';
import { table } from './table.ts';

export const STATEMENT_HELP = `fixgate statement <device> [--cycle <month>] [options]
fixgate statement verify [--config file] [--json]

What a device used in its billing cycles, and what that comes to, through the API of a running server.

  --cycle <month>   the cycle that begins in this month or on this day: YYYY-MM or YYYY-MM-DD
  --csv             one line for each cycle

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
];
const CSV_MORE = [
  'datagrams',
  'overhead_bytes',
  'billed_bytes',
  'bytes_cap',
  'over_bytes',
  'records_cap',
  'over_records',
  'number',
  'hash',
];

export async function statement(args: string[]): Promise<number> {
  if (args[0] === 'verify') return verify(args.slice(1));
  const options = { ...API_OPTIONS, cycle: { type: 'string' }, csv: { type: 'boolean', default: false } } as const;
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
  const [id] = positionals;
  if (id === undefined) throw new AppError('USAGE', 'usage: fixgate statement <device> [--cycle YYYY-MM], or fixgate statement verify');
  const path = `/v1/devices/${encodeURIComponent(id)}/statements`;
  const found = await new Api(values.url).find('GET', values.cycle === undefined ? path : `${path}/${encodeURIComponent(values.cycle)}`);
  const statements =
    values.cycle === undefined ? listOf(found ?? { statements: [] }, 'statements') : found === undefined ? [] : [Object(found)];
  if (statements.length === 0) {
    io().error.write(`fixgate: device ${id} has no such statement\n`);
    return EXIT.Found;
  }
  if (values.json) io().out.write(statements.map((one) => `${JSON.stringify(one)}\n`).join(''));
  else if (values.csv) io().out.write(csv(statements));
  else if (values.cycle === undefined) table(statements, SHOWN, String(Reflect.get(statements[0] ?? {}, 'time_zone') ?? 'UTC'));
  else io().out.write(lines(statements[0]));
  return EXIT.Ok;
}

function csv(statements: readonly object[]): string {
  const names = [...CSV, ...CSV_MORE];
  const cell = (value: unknown): string => (/[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  const rows = statements.map((one) => names.map((name) => cell(Reflect.get(one, name) ?? '')));
  return [names, ...rows].map((row) => `${row.join(',')}\n`).join('');
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
