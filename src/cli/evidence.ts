import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { lines, listOf } from './fields.ts';
import { io } from './io.ts';
import { table } from './table.ts';

export const EVIDENCE_HELP = `fixgate evidence <device> [--cycle <month>] [options]

What a device used in a billing cycle against its plan, and each instance of what it should not do (docs/evidence.md). Exit code 1 when nothing
was used in such a cycle.

  --cycle <month>   the cycle that begins in this month or on this day: YYYY-MM or YYYY-MM-DD; default: the newest
  --json            the whole report, with the hashes of raw frames: the same data gives the same bytes

${API_HELP} read

  fixgate evidence 356307042441013 --cycle 2026-10
`;

export async function evidence(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: { ...API_OPTIONS, cycle: { type: 'string' } } });
  const [id] = positionals;
  if (id === undefined) throw new AppError('USAGE', 'usage: fixgate evidence <device> [--cycle YYYY-MM]');
  const query = values.cycle === undefined ? '' : `?${new URLSearchParams({ cycle: values.cycle })}`;
  const found = await new Api(values.url).find('GET', `/v1/devices/${encodeURIComponent(id)}/evidence${query}`);
  if (found === undefined) {
    io().error.write(`fixgate: device ${id} has used nothing in such a cycle\n`);
    return EXIT.Found;
  }
  if (values.json) {
    io().out.write(`${JSON.stringify(found)}\n`);
    return EXIT.Ok;
  }
  const { instances: _, ...head } = Object(found);
  io().out.write(lines(head));
  const shown = listOf(found, 'instances').map((one) => {
    const { time, type, figures, frames } = Object(one);
    const figured = Object.entries(Object(figures)).map(([name, value]) => `${name}=${String(value)}`);
    return { time, type, frames: Array.isArray(frames) ? frames.length : '', figures: figured.join(' ') };
  });
  if (shown.length > 0) table(shown, ['time', 'type', 'frames', 'figures']);
  return EXIT.Ok;
}
