import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { fieldOf } from './fields.ts';
import { io } from './io.ts';

export const OUTCOME_HELP = `fixgate outcome <command id> done|failed --reason <text> [options]

Ends an unknown command: a critical one (engine_stop, engine_resume, set_output, set_server, custom) that was sent and not
answered. It is never sent again by itself. Look at the vehicle, then record the outcome.

  --reason <text>   how the outcome was established
${API_HELP} commands

  fixgate outcome 0mhz3k9qa1b2c3d4e5 done --reason "the driver confirms by phone"
`;

export async function outcome(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...API_OPTIONS, reason: { type: 'string' } },
  });
  const [id, said, ...more] = positionals;
  const { reason } = values;
  if (id === undefined || (said !== 'done' && said !== 'failed') || more.length > 0 || reason === undefined)
    throw new AppError('USAGE', 'usage: fixgate outcome <command id> done|failed --reason <text>');
  const command = await new Api(values.url).find('POST', `/v1/commands/${encodeURIComponent(id)}/outcome`, { outcome: said, reason });
  if (command === undefined) {
    io().error.write(`fixgate: no command ${id} has an unknown outcome: it has ended, or does not exist\n`);
    return EXIT.Found;
  }
  io().out.write(values.json ? `${JSON.stringify(command)}\n` : `${id}  ${fieldOf(command, 'state')}\n`);
  return EXIT.Ok;
}
