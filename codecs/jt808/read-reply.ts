import type { Command, Options, OptionValue, Reading } from '../../src/codec/index.ts';

/**
 * What a reply means. The terminal's universal reply reads `<id> ok`, `failed`, `message wrong` or `not supported`, with the id of the message that it
 * is to. It is only a receipt for commands that are answered by a message of their own, and for texts.
 */
export function readReply(command: Command | undefined, text: string): Reading | undefined {
  const [, id = '', receipt] = /^([0-9a-f]{4}) (ok|failed|message wrong|not supported|result \d{1,3})$/.exec(text) ?? [];
  if (receipt !== undefined) {
    if (command !== undefined && !isSentAs(command.type, id)) return undefined;
    if (receipt !== 'ok') return { outcome: 'refused', values: {} };
    return { outcome: command !== undefined && (CARRIERS.has(id) || ANSWERED_LATER.has(command.type)) ? 'unclear' : 'done', values: {} };
  }
  // Some units tell their attributes unasked.
  if (text.startsWith('attributes '))
    return command === undefined || command.type === 'version' ? { outcome: 'done', values: {} } : undefined;
  if (/^0x[0-9a-f]{4}/.test(text))
    return command === undefined || LISTS.has(command.type) ? { outcome: 'done', values: values(text) } : undefined;
  const form = command === undefined ? ANY : FORMS.get(command.type);
  if (form === undefined) return undefined;
  if (/\b(error|fail|not support|invalid)/i.test(text)) return { outcome: 'refused', values: {} };
  return { outcome: form.test(text) ? 'done' : 'unclear', values: values(text) };
}

/** The messages that a command is, with one maker or another. */
const SENT_AS: Readonly<Record<string, readonly string[]>> = {
  locate: ['8201'],
  set_interval: ['8103', '0310'],
  reboot: ['8105', '0310'],
  engine_stop: ['8105', 'a006'],
  engine_resume: ['8105', 'a006'],
  status: ['8104'],
  version: ['8107'],
  get_parameter: ['8106'],
  set_parameter: ['8103'],
  track: ['8202'],
  confirm_alarm: ['8203'],
  lock_doors: ['8500'],
  unlock_doors: ['8500'],
  set_output: ['8105'],
  start_video: ['9101'],
  stop_video: ['9102'],
  set_server: ['8103'],
  custom: ['8103'],
};
/** Messages that carry a text. */
const CARRIERS: ReadonlySet<string> = new Set(['8300', '8900']);

/** Commands that are a text to some makers, and what the text of the reply has to hold. Another text is the reply when no other comes. */
const ANY = /(?:)/;
const FORMS: ReadonlyMap<string, RegExp> = new Map([
  ['set_interval', /\bTIMER\b|\b(?:OK|success\w*)\b/i],
  ['reboot', /\bRESET\b|\b(?:OK|success\w*)\b/i],
  ['engine_stop', /\bRELAY\b|\b(?:OK|success\w*|already)\b/i],
  ['engine_resume', /\bRELAY\b|\b(?:OK|success\w*|already)\b/i],
  ['set_server', /\bSERVER\b|\b(?:OK|success\w*)\b/i],
  ['set_time_zone', /\bGMT\b|\b(?:OK|success\w*)\b/i],
  ['status', /[:=]/],
  ['version', /\d/],
  ['custom', ANY],
]);

function isSentAs(type: string, id: string): boolean {
  return (FORMS.has(type) && CARRIERS.has(id)) || (SENT_AS[type]?.includes(id) ?? false);
}

const ANSWERED_LATER: ReadonlySet<string> = new Set(['locate', 'status', 'version', 'get_parameter', 'custom']);
const LISTS: ReadonlySet<string> = new Set(['status', 'get_parameter', 'custom']);

const PARAMETERS: ReadonlyMap<string, string> = new Map([
  ['0001', 'heartbeat_interval'],
  ['0013', 'server'],
  ['0027', 'interval_off'],
  ['0029', 'interval'],
]);

function values(text: string): Options {
  const found: Record<string, OptionValue> = {};
  for (const part of text.split(', ', 64)) {
    const name = PARAMETERS.get(part.slice(2, 6));
    if (name === undefined || !part.startsWith('0x') || part[6] !== '=') continue;
    const value = part.slice(7);
    found[name] = /^\d{1,9}$/.test(value) ? Number(value) : value;
  }
  return found;
}
