import type { Signal } from '../fleet/plan/evidence.ts';
import { listOf } from './fields.ts';

/**
 * Statements as a page to print: one HTML document without scripts, and without anything from elsewhere. Everything in it is escaped.
 */
const STYLE = `body{font:13px/1.4 system-ui,sans-serif;margin:2em;color:#111}h1{font-size:20px}h2{font-size:15px;margin:1.6em 0 .4em}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:3px 8px 3px 0;border-bottom:1px solid #ccc;vertical-align:top}
td.n,th.n{text-align:right}code{font-size:10px;overflow-wrap:anywhere}p{margin:.3em 0}tr{break-inside:avoid}@page{margin:15mm}`;
const TEXTS: Readonly<Record<Signal, string>> = {
  tamper_rate: 'Measured more often than programmed',
  over_cap: 'Used more than a cap',
  other_bytes: 'Other bytes than tracking',
  clone: 'Two devices with its id',
  sim_changed: 'Another SIM card',
  unit_changed: 'Another firmware or model',
  settings_drift: 'Another server or interval than asked for',
  device_silent: 'Silent',
  device_back: 'Spoke again',
  reboot_storm: 'Switched on again and again',
  gnss_lost: 'The same position, though it moved',
};
const SIGNAL_TEXTS: ReadonlyMap<string, string> = new Map(Object.entries(TEXTS));
const NUMBER = new Intl.NumberFormat('en');

/** What of a statement is one number, for people and tables. */
export function summary(statement: object): Readonly<Record<string, number | undefined>> {
  const networks = Reflect.get(statement, 'networks');
  const commands = Reflect.get(statement, 'commands');
  const evidence = Reflect.get(statement, 'evidence');
  const away = listOf(statement, 'networks').filter((one) => Reflect.get(one, 'roaming') === true);
  const sum = (name: string): number => away.reduce((total, one) => total + Number(Reflect.get(one, name) ?? 0), 0);
  const all = (counts: unknown): number => Object.values(Object(counts)).reduce<number>((total, one) => total + Number(one), 0);
  return {
    roaming_bytes: networks === undefined ? undefined : sum('bytes_in') + sum('bytes_out'),
    roaming_records: networks === undefined ? undefined : sum('records'),
    commands_sent: commands === undefined ? undefined : all(commands),
    days_active: numberOf(Reflect.get(Object(Reflect.get(statement, 'days')), 'active')),
    evidence_instances: evidence === undefined ? undefined : all(evidence),
  };
}

/** `whole`: of an account, the sum of `all`; undefined: they are of one device. */
export function statementPage(id: string, whole: object | undefined, all: readonly object[]): string {
  const cycle = whole === undefined ? '' : ` · ${String(Reflect.get(whole, 'cycle'))}`;
  const title = `Statement · ${id}${cycle}`;
  const body = [
    `<h1>${escaped(title)}</h1>`,
    ...(whole === undefined ? all : [whole]).map(section),
    ...(whole === undefined ? [] : ['<h2>Devices</h2>', devices(all)]),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(title)}</title><style>${STYLE}</style></head>
<body>
${body.join('\n')}
</body></html>
`;
}

function section(one: object): string {
  const of = (name: string): unknown => Reflect.get(one, name);
  const zone = String(of('time_zone') ?? 'UTC');
  const when = (value: unknown): string => timeIn(zone, value);
  const numbers: (readonly [string, unknown])[] = [
    ['Records', of('records')],
    ['Bytes from the device', of('bytes_in')],
    ['Bytes to the device', of('bytes_out')],
    ['Segments', of('segments')],
    ['Datagrams', of('datagrams')],
    ['Overhead and rounding, bytes', of('overhead_bytes')],
    ['Billed, bytes', of('billed_bytes')],
    ['Cap, bytes', of('bytes_cap')],
    ['Over the cap, bytes', of('over_bytes')],
    ['Cap, records', of('records_cap')],
    ['Over the cap, records', of('over_records')],
  ];
  const head: (readonly [string, unknown])[] = [
    ['Device', of('device')],
    ['Devices', of('devices')],
    ['Account', of('account')],
    ['Plan', of('plan') === undefined ? undefined : `${String(of('plan'))}, version ${String(of('plan_version'))}`],
    ['From', when(of('start'))],
    ['To', when(of('end'))],
    ['Provisional', of('provisional') === true ? 'yes: it may still change' : undefined],
  ];
  const networks = listOf(one, 'networks').map((network) => {
    const value = (name: string): unknown => Reflect.get(network, name);
    const mcc = value('mcc');
    const code =
      mcc === undefined ? 'not known' : `${String(mcc)}${value('mnc') === undefined ? '' : `-${String(value('mnc')).padStart(2, '0')}`}`;
    return [code, value('roaming') === true ? 'roaming' : 'home', value('records'), value('bytes_in'), value('bytes_out')];
  });
  const steps = listOf(one, 'steps').map((step) => {
    const value = (name: string): unknown => Reflect.get(step, name);
    return [value('action'), `${String(value('at_pct'))} %`, when(value('from')), when(value('to'))];
  });
  const units = listOf(one, 'units').map((unit) => {
    const value = (name: string): unknown => Reflect.get(unit, name);
    return [value('unit'), when(value('from')), when(value('to'))];
  });
  const pairs = (name: string): unknown[][] => Object.entries(Object(of(name)));
  const instances = pairs('evidence').map(([signal, count]) => [SIGNAL_TEXTS.get(String(signal)) ?? signal, count]);
  return [
    rows(
      [],
      [...head, ...numbers].filter(([, value]) => value !== undefined && value !== ''),
    ),
    titled('Units', rows(['Unit', 'From', 'To'], units), units),
    titled('Networks', rows(['Network', '', 'Records', 'Bytes from', 'Bytes to'], networks), networks),
    titled('Steps of the plan', rows(['Step', 'At', 'From', 'To'], steps), steps),
    titled('Commands sent', rows([], pairs('commands')), pairs('commands')),
    titled('Days', rows([], pairs('days')), pairs('days')),
    titled('Evidence, instances', rows([], instances), instances),
    of('hash') === undefined
      ? ''
      : `<p>${of('number') === undefined ? '' : `Number ${escaped(of('number'))} of the account. `}SHA-256 <code>${escaped(of('hash'))}</code></p>`,
  ]
    .filter((text) => text !== '')
    .join('\n');
}

function devices(all: readonly object[]): string {
  const names = [
    'device',
    'plan',
    'start',
    'end',
    'records',
    'billed_bytes',
    'over_bytes',
    'roaming_bytes',
    'days_active',
    'evidence_instances',
    'number',
  ];
  const table = all.map((one) => {
    const row = { ...one, ...summary(one) };
    const zone = String(Reflect.get(one, 'time_zone') ?? 'UTC');
    return names.map((name) => (name === 'start' || name === 'end' ? timeIn(zone, Reflect.get(row, name)) : Reflect.get(row, name)));
  });
  return rows(['Device', 'Plan', 'From', 'To', 'Records', 'Billed', 'Over', 'Roaming', 'Active days', 'Evidence', 'Number'], table);
}

function titled(title: string, table: string, of: readonly unknown[]): string {
  return of.length === 0 ? '' : `<h2>${escaped(title)}</h2>\n${table}`;
}

function rows(head: readonly string[], table: readonly (readonly unknown[])[]): string {
  const cell = (value: unknown): string =>
    typeof value === 'number' ? `<td class="n">${escaped(NUMBER.format(value))}</td>` : `<td>${escaped(value ?? '')}</td>`;
  const heads = head.length === 0 ? '' : `<tr>${head.map((name) => `<th>${escaped(name)}</th>`).join('')}</tr>\n`;
  return `<table>\n${heads}${table.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('\n')}\n</table>`;
}

function timeIn(zone: string, value: unknown): string {
  if (typeof value !== 'number') return '';
  return `${new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' }).format(value)} ${zone}`;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function escaped(value: unknown): string {
  return String(value).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
