import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { fieldOf, listOf } from './fields.ts';
import { io } from './io.ts';
import { table } from './table.ts';
import { REBUILD_HELP, rebuild } from './usage-rebuild.ts';

export const USAGE_HELP = `fixgate usage <device> [options]

Usage of a device by billing cycle, newest first, through the API of a running server. Times are in the time zone of the device's plan,
which the head names.

  --cycles <n>      how many, default 12

${API_HELP} read

  fixgate usage 356307042441013 --json

${REBUILD_HELP}`;

export async function usage(args: string[]): Promise<number> {
  if (args[0] === 'rebuild') return rebuild(args.slice(1));
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...API_OPTIONS, cycles: { type: 'string', default: '12' } },
  });
  const [id] = positionals;
  if (id === undefined) throw new AppError('USAGE', 'usage: fixgate usage <device>');
  const path = `/v1/devices/${encodeURIComponent(id)}/usage?limit=${encodeURIComponent(values.cycles)}`;
  const found = await new Api(values.url).find('GET', path);
  if (found === undefined) {
    io().error.write(`fixgate: device ${id} is not known\n`);
    return EXIT.Found;
  }
  if (values.json) io().out.write(`${JSON.stringify(found)}\n`);
  else {
    const cycles = listOf(found, 'cycles');
    if (cycles.length === 0) io().out.write('nothing counted yet\n');
    else table(cycles, undefined, String(fieldOf(found, 'time_zone') ?? 'UTC'));
    const held = listOf(found, 'held').map((step) => String(Reflect.get(step, 'action')));
    if (held.length > 0) io().out.write(`steps that hold: ${held.join(', ')}\n`);
  }
  return EXIT.Ok;
}
