import type { Command, Options, OptionValue, Reading } from '../../src/codec/index.ts';

/**
 * What a reply means. `GTxxx,… ok` and `GTxxx,… refused` are the unit's receipt; where data was asked for, the report with it is the reply, and
 * the receipt counts only when none comes.
 */
export function readReply(command: Command | undefined, text: string): Reading | undefined {
  const receipt = /^(?:GT[A-Z0-9]{3}|ACK \d{1,3})(?:,[^ ]{0,80})? (ok|refused)$/.exec(text)?.[1];
  const answer = command === undefined ? undefined : ANSWERS[command.type];
  if (receipt === 'refused') return { outcome: 'refused', values: {} };
  if (receipt === 'ok') return { outcome: answer === undefined && command?.type !== 'custom' ? 'done' : 'unclear', values: {} };
  const name = text.slice(0, 5);
  if (!/^GT[A-Z0-9]{3}$/.test(name)) return undefined;
  if (command !== undefined && command.type !== 'custom' && !answer?.includes(name)) return undefined;
  return { outcome: 'done', values: name === 'GTALL' || name === 'GTALS' ? settings(text) : {} };
}

/** The reports that answer, by command. */
const ANSWERS: Readonly<Record<string, readonly string[]>> = {
  version: ['GTVER'],
  status: ['GTBAT'],
  configuration: ['GTALL', 'GTALS'],
  locate: [],
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
