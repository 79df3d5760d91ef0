import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import { visible } from '../base/wire/index.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { fieldOf, momentOf } from './fields.ts';
import { io } from './io.ts';

export const REPLAY_HELP = `fixgate replay --from <time> --to <time> [--device id] [--codec-option name=value …] --diff|--apply

Reads the frames of the journal that were received in a span of time once more, with the codecs of the running server, and compares
the records with those in ClickHouse: after a codec was mended, or a device was read under a wrong option. The stream, usage and
statements stay as they are; so do devices under a hold, and what was received in a cycle with a statement (docs/operations.md).

  --from <time>     2027-01-01, 2027-01-01T08:00Z or epoch ms; UTC
  --to <time>       included
  --device <id>     frames of this device only
  --codec-option <name=value>
                    in place of the option that the frames were stored with; may be repeated
  --diff            shows what would change, changes nothing; exit code 1 when there is something
  --limit <n>       so many changes are shown, default 1000
  --apply           writes it (scope admin). May be repeated, also after it was broken off

${API_HELP} locations

  fixgate replay --from 2027-01-01 --to 2027-01-02 --device 356307042441013 --diff
`;

const OPTIONS = {
  ...API_OPTIONS,
  from: { type: 'string' },
  to: { type: 'string' },
  device: { type: 'string' },
  'codec-option': { type: 'string', multiple: true },
  diff: { type: 'boolean', default: false },
  apply: { type: 'boolean', default: false },
  limit: { type: 'string' },
} as const;

/** Of the summary, what is said in any case. */
const ALWAYS = ['frames', 'same', 'added', 'changed', 'removed'];
const CHANGES = ['added', 'changed', 'removed'];

export async function replay(args: string[]): Promise<number> {
  const { url, json, from, to, device, 'codec-option': pairs = [], diff, apply, limit } = parseArgs({ args, options: OPTIONS }).values;
  if (diff === apply) throw new AppError('USAGE', 'fixgate replay: either --diff or --apply');
  if (apply && limit !== undefined) throw new AppError('USAGE', '--limit is for --diff');
  const body = {
    from: momentOf('--from', from),
    to: momentOf('--to', to),
    ...(device === undefined ? {} : { device }),
    options: Object.fromEntries(pairs.map(pairOf)),
    ...(limit === undefined ? {} : { limit: countOf(limit) }),
  };
  const summary = await told(await new Api(url).stream(`/v1/replay/${diff ? 'diff' : 'apply'}`, body), json);
  const isChange = CHANGES.some((name) => Number(fieldOf(summary, name)) > 0);
  return diff && isChange ? EXIT.Found : EXIT.Ok;
}

/** Prints the answer, and returns its summary. */
async function told(answer: AsyncIterable<Uint8Array>, json: boolean): Promise<unknown> {
  const { out, error: screen } = io();
  const shows = !json && screen.isTTY === true;
  let summary: unknown;
  for await (const text of linesOf(answer)) {
    const line = jsonOf(text);
    const [progress, error] = [fieldOf(line, 'progress'), fieldOf(line, 'error')];
    summary = fieldOf(line, 'summary') ?? summary;
    if (shows) screen.write('\r\x1b[K');
    if (error !== undefined) throw new AppError('SINK_UNREACHABLE', String(fieldOf(error, 'title')));
    if (progress !== undefined) {
      if (shows) screen.write(`${String(fieldOf(progress, 'frames'))} frames, up to ${isoOf(fieldOf(progress, 'received'))}`);
    } else if (json) out.write(`${text}\n`);
    else for (const said of textsOf(line)) out.write(`${visible(said)}\n`);
  }
  if (summary === undefined) throw new AppError('SINK_UNREACHABLE', 'the answer ended too early; repeat it');
  return summary;
}

/** A line of the answer for a person. */
function textsOf(line: unknown): string[] {
  const summary = fieldOf(line, 'summary');
  if (summary !== undefined) {
    const counts = Object.entries(Object(summary)).filter(
      ([name, count]) => ALWAYS.includes(name) || (typeof count === 'number' && count > 0),
    );
    return [counts.map(([name, count]) => `${name} ${String(count)}`).join(', ')];
  }
  const [change, reason] = [String(fieldOf(line, 'change')), fieldOf(line, 'reason')];
  const at = isoOf(fieldOf(line, 'time') ?? fieldOf(line, 'received'));
  const head = `${change}  ${String(fieldOf(line, 'device'))}  ${at}  ${String(fieldOf(line, 'id') ?? `${String(fieldOf(line, 'slot'))} ${String(fieldOf(line, 'sequence'))}`)}`;
  if (reason !== undefined) return [`${head}  ${String(reason)}`];
  const was: Record<string, unknown> = Object(fieldOf(line, 'was'));
  const now: Record<string, unknown> = Object(fieldOf(line, 'now'));
  const names = Object.keys({ ...was, ...now });
  if (change !== 'changed') return [`${head}  ${names.map((name) => `${name}=${shown(was[name] ?? now[name])}`).join(' ')}`];
  return [head, ...names.map((name) => `    ${name}: ${shown(was[name])} → ${shown(now[name])}`)];
}

function shown(value: unknown): string {
  return value === undefined ? '–' : typeof value === 'string' ? value : JSON.stringify(value);
}

function isoOf(value: unknown): string {
  return typeof value === 'number' ? new Date(value).toISOString() : '';
}

function pairOf(pair: string): [string, string] {
  const at = pair.indexOf('=');
  if (at < 1) throw new AppError('USAGE', `--codec-option "${pair}": expected name=value`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

function countOf(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new AppError('USAGE', `--limit "${text}" is not a number`);
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let held = '';
  for await (const chunk of chunks) {
    const parts = (held + decoder.decode(chunk, { stream: true })).split('\n');
    held = parts.pop() ?? '';
    yield* parts.filter((part) => part !== '');
  }
  if (held !== '') yield held;
}
