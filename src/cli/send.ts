import { parseArgs } from 'node:util';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { visible } from '../base/wire/index.ts';
import { API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { timeOf } from './fields.ts';
import { io } from './io.ts';

export const SEND_HELP = `fixgate send <device> <type> [name=value …] [options]

Sends a command to a device through the API of a running server and shows its progress. The parameters of each
type: fixgate codecs <codec>. Exit code 0 when the device has answered (or is known not to), 1 when it has not.

  --wait <s>        how long to watch, default 60; the command continues on the server
  --no-wait         only hand it in
  --when <c>        any, moving or stopped: only while the vehicle does. Default any; stopped for a command that can keep the
                    vehicle from driving, which goes at any speed only with --when any and --reason
  --not-before <t>  not before so many seconds from now, or a time in UTC or with its offset: 2027-01-01T08:00+01:00
  --expires <t>     given up after so many seconds, or at a time (default: the server's)
  --priority <n>    -9 to 9; higher goes first
  --reason <text>   for the record
  --ref <text>      repeated in every event
  --via <way>       connection (default), sms, or any: by text message when no connection takes it within 2 minutes
  --again           also when the same command is open already
  --protocol <p>    codec of a device that has never connected
  --confirm <key>   the key that the server asked for, for critical commands
  --url <url>       the server, default FIXGATE_URL or http://127.0.0.1:8080
  --json            the command as JSON

FIXGATE_TOKEN holds the bearer token: fixgate token create --name me --scope read --scope commands

  fixgate send 356307042441013 set_interval seconds=30
`;

interface Shown {
  readonly id: string;
  readonly state: string;
  readonly ended: number;
  readonly reply: string;
  readonly history: readonly { readonly state: string; readonly time: number; readonly note: string }[];
}

/** How long one request waits at most. */
const LONG_POLL_S = 1;

export async function send(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...API_OPTIONS,
      wait: { type: 'string', default: '60' },
      'no-wait': { type: 'boolean', default: false },
      when: { type: 'string' },
      'not-before': { type: 'string' },
      expires: { type: 'string' },
      priority: { type: 'string' },
      reason: { type: 'string' },
      ref: { type: 'string' },
      via: { type: 'string' },
      again: { type: 'boolean' },
      protocol: { type: 'string' },
      confirm: { type: 'string' },
    },
  });
  const [device, type, ...pairs] = positionals;
  if (device === undefined || type === undefined) throw new AppError('USAGE', 'usage: fixgate send <device> <type> [name=value …]');
  const { when, reason, ref, via, again, protocol, confirm } = values;
  const body = {
    type,
    parameters: Object.fromEntries(pairs.map(parameterOf)),
    when,
    reason,
    ref,
    via,
    again,
    protocol,
    confirm,
    priority: numberOf('--priority', values.priority),
    not_before: inSeconds('--not-before', values['not-before']),
    expires: inSeconds('--expires', values.expires),
  };
  const api = new Api(values.url);
  const path = `/v1/devices/${encodeURIComponent(device)}/commands`;
  let command = shown(await api.call('POST', path, body));
  let told = 0;
  const tell = (): void => {
    if (values.json) return;
    for (const { state, time, note } of command.history.slice(told))
      io().out.write(`${clock(time)}  ${state}${note === '' ? '' : `  ${visible(note)}`}\n`);
    told = command.history.length;
  };
  tell();
  const waitS = values['no-wait'] ? 0 : (numberOf('--wait', values.wait) ?? 60);
  for (
    const until = systemClock.elapsed() + waitS * 1000;
    command.ended === 0 && command.state !== 'unknown' && systemClock.elapsed() < until;
    tell()
  )
    command = shown(await api.call('GET', `${path}/${command.id}?wait=${LONG_POLL_S}`));
  if (values.json) io().out.write(`${JSON.stringify(command)}\n`);
  else if (command.reply !== '') io().out.write(`\n${command.reply.split('\n').map(visible).join('\n')}\n`);
  else if (command.state === 'unknown')
    io().error.write(
      `${command.id} is unknown: it was sent, no reply came, and it is not sent again; look at the vehicle, then: fixgate outcome ${command.id} done|failed --reason <text>\n`,
    );
  else if (command.ended === 0) io().error.write(`${command.id} is ${command.state}; it continues on the server\n`);
  return values['no-wait'] || command.state === 'answered' || (command.state === 'sent' && command.ended > 0) ? EXIT.Ok : EXIT.Found;
}

/** Texts: the server reads them as the types that the command has. */
function parameterOf(pair: string): [string, string] {
  const at = pair.indexOf('=');
  if (at < 1) throw new AppError('USAGE', `invalid parameter "${pair}"; expected name=value`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

function numberOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new AppError('USAGE', `${option} "${text}" is not a number`);
  return value;
}

function inSeconds(option: string, text: string | undefined): number | undefined {
  const moment = text === undefined ? undefined : timeOf(text, 'UTC');
  if (moment !== undefined) return moment;
  const seconds = numberOf(option, text);
  return seconds === undefined ? undefined : Math.round(systemClock.now() + seconds * 1000);
}

function clock(time: number): string {
  return new Date(time).toISOString().slice(11, 23);
}

function shown(value: unknown): Shown {
  if (isShown(value)) return value;
  throw new AppError('SINK_UNREACHABLE', 'the server did not answer with a command; is --url a Fixgate server of this version?');
}

function isShown(value: unknown): value is Shown {
  return typeof value === 'object' && value !== null && 'id' in value && 'state' in value && 'history' in value && 'reply' in value;
}
