import { parseArgs } from 'node:util';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { fieldOf, lines, listOf, timeOf } from './fields.ts';
import { io } from './io.ts';
import { table } from './table.ts';

export const RECOVERY_HELP = `fixgate recovery start|note|end|list <device> [options]

A stolen vehicle that is being looked for: no caps, every position at the interval, until it ends (docs/plans.md).

  start <device>    begins, or changes what was begun
    --reason <text>
    --hours <n>     how long, default 24; or --until <time>
    --interval <s>  between positions, default 10
    --reactivate    also when the device is terminated
  note <device>     adds a note to the case that is the newest
    --text <text>
  end <device>
  list <device>     its cases, newest first, with their notes (--json)

${API_HELP} devices (list: read)

  fixgate recovery start 356307042441013 --reason 'AZ 12/2026'
`;

export async function recovery(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...API_OPTIONS,
      reason: { type: 'string' },
      hours: { type: 'string', default: '24' },
      until: { type: 'string' },
      interval: { type: 'string', default: '10' },
      reactivate: { type: 'boolean' },
      text: { type: 'string' },
    },
  });
  const [action = '', device] = positionals;
  if (!['start', 'note', 'end', 'list'].includes(action) || device === undefined)
    throw new AppError('USAGE', 'usage: fixgate recovery start|note|end|list <device> [options]');
  const api = new Api(values.url);
  const path = `/v1/devices/${encodeURIComponent(device)}`;
  let found: unknown;
  if (action === 'start') {
    const { reason, hours, until, interval, reactivate } = values;
    const end = until === undefined ? Math.round(systemClock.now() + 3_600_000 * Number(hours)) : timeOf(until, 'UTC');
    if (end === undefined || Number.isNaN(end))
      throw new AppError('USAGE', '--hours must be a number, or --until a time like 2027-01-01T08:00Z');
    if (reason === undefined) throw new AppError('USAGE', 'usage: fixgate recovery start <device> --reason <text>');
    found = await api.find('POST', `${path}/recovery`, { reason, until: end, interval_s: Number(interval), reactivate });
  } else if (action === 'end') found = await api.find('DELETE', `${path}/recovery`);
  else {
    const cases = listOf(await api.find('GET', `${path}/recoveries`), 'cases');
    if (action === 'list') return list(cases, values.json);
    if (values.text === undefined) throw new AppError('USAGE', 'usage: fixgate recovery note <device> --text <text>');
    const [newest] = cases;
    found =
      newest === undefined ? undefined : await api.find('POST', `${path}/recoveries/${fieldOf(newest, 'id')}/notes`, { text: values.text });
  }
  if (found === undefined) {
    io().error.write(`fixgate: device ${device} is not known, or has no case\n`);
    return EXIT.Found;
  }
  io().out.write(values.json ? `${JSON.stringify(found)}\n` : lines(found));
  return EXIT.Ok;
}

function list(cases: readonly object[], json: boolean): number {
  if (json) for (const one of cases) io().out.write(`${JSON.stringify(one)}\n`);
  else
    table(
      cases.map((one) => ({
        ...one,
        started: dated(one, 'started'),
        ended: dated(one, 'ended'),
        notes: listOf(one, 'notes').map((note) => String(fieldOf(note, 'text'))),
      })),
      ['id', 'started', 'by', 'reason', 'ended', 'ended_by', 'notes'],
    );
  return EXIT.Ok;
}

function dated(one: object, name: string): string {
  const time = Number(fieldOf(one, name));
  return time > 0 ? new Date(time).toISOString() : '';
}
