import type { Command, Options, OptionValue, Reading } from '../../src/codec/index.ts';
import { sentAs } from './command.ts';

/**
 * What a reply means. `GTxxx,… ok` and `GTxxx,… refused` are the unit's receipt for the command of that name; where data was asked for, the report with
 * it is the reply, and the receipt counts only when none comes.
 */
export function readReply(command: Command | undefined, text: string): Reading | undefined {
  const [name = '', sub = ''] = command === undefined ? [] : sentAs(command);
  const answers = name === REAL_TIME ? ANSWERS[sub] : undefined;
  const [, of, , outcome] = /^(GT[A-Z0-9]{3}|ACK \d{1,3})(,[^ ]{0,80})? (ok|refused)$/.exec(text) ?? [];
  if (of !== undefined) {
    if (command !== undefined && of.startsWith('GT') && of !== name) return undefined;
    if (outcome === 'refused') return { outcome: 'refused', values: {} };
    return { outcome: answers === undefined ? 'done' : 'unclear', values: {} };
  }
  const report = text.slice(0, 5);
  if (!/^GT[A-Z0-9]{3}$/.test(report)) return undefined;
  if (command !== undefined && answers?.includes(report) !== true) return undefined;
  return { outcome: 'done', values: report === 'GTALL' || report === 'GTALS' ? settings(text) : {} };
}

const REAL_TIME = 'GTRTO';

/** By sub command of GTRTO: the reports that answer it. What asks for a place, device information or cells has no reply of its own. */
const ANSWERS: Readonly<Record<string, readonly string[]>> = {
  0: ['GTGPS'],
  2: ['GTALL', 'GTALS'],
  6: ['GTCID'],
  7: ['GTCSQ'],
  8: ['GTVER'],
  9: ['GTBAT'],
  A: ['GTTMZ', 'GTIOS'],
  D: ['GTAIF'],
  E: ['GTGSV'],
};

/** Parameters behind the name of a section. */
const SEND_OF_FRI = 8;
const SRI = { mode: 1, host: 4, port: 5, heartbeat: 9 } as const;
const MOST_FIELDS = 400;

function settings(text: string): Options {
  const fields = text.split(',', MOST_FIELDS);
  const found: Record<string, OptionValue> = {};
  const fri = fields.indexOf('FRI');
  const send = fri < 0 ? '' : (fields[fri + SEND_OF_FRI] ?? '');
  if (/^\d{1,6}$/.test(send)) found['interval'] = Number(send);
  const sri = fields.indexOf('SRI');
  if (sri < 0) return found;
  const host = fields[sri + SRI.host] ?? '';
  const port = fields[sri + SRI.port] ?? '';
  if (host !== '' && /^\d{1,5}$/.test(port)) found['server'] = `${host}:${port}`;
  const heartbeat = fields[sri + SRI.heartbeat] ?? '';
  if (/^\d{1,4}$/.test(heartbeat)) found['heartbeat_interval'] = 60 * Number(heartbeat);
  return found;
}
