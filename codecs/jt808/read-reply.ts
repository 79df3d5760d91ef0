import type { Command, Options, OptionValue, Reading } from '../../src/codec/index.ts';

/**
 * What a reply means. The terminal's universal reply reads `<id> ok`, `failed`, `message wrong` or `not supported`; it is only a receipt for
 * commands that are answered by a message of their own.
 */
export function readReply(command: Command | undefined, text: string): Reading | undefined {
  const receipt = /^[0-9a-f]{4} (ok|failed|message wrong|not supported|result \d{1,3})$/.exec(text)?.[1];
  if (receipt !== undefined) {
    if (receipt !== 'ok') return { outcome: 'refused', values: {} };
    return { outcome: command !== undefined && ANSWERED_LATER.has(command.type) ? 'unclear' : 'done', values: {} };
  }
  // Some units tell their attributes unasked.
  if (text.startsWith('attributes '))
    return command === undefined || command.type === 'version' ? { outcome: 'done', values: {} } : undefined;
  if (/\b(error|fail|not support|invalid)/i.test(text)) return { outcome: 'refused', values: {} };
  return { outcome: 'done', values: values(text) };
}

const ANSWERED_LATER: ReadonlySet<string> = new Set(['locate', 'status', 'version', 'get_parameter', 'custom']);

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
