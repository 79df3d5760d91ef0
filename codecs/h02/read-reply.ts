import type { Command, Options, OptionValue, Reading } from '../../src/codec/index.ts';

/**
 * What a V4 says (protocol.md sections 4.5 and 9.2): its text is `CMD[,result …]`. The command's own keyword comes back, so
 * that a V4 without a time field, too, finds its command.
 */
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  locate: ['D1', 'CR'],
  set_interval: ['S17', 'S71', 'D1', 'XT'],
  reboot: ['R1', 'CQ'],
  engine_stop: ['S20'],
  engine_resume: ['S20'],
  status: ['S26', 'INFO'],
  set_server: ['S23', 'IP'],
  arm: ['SCF', 'SF'],
  disarm: ['SCF', 'CF'],
  clear_alarms: ['R7'],
};

/** Commands that HuaSunTek units confirm with a result code and nothing else; two digits behind others are a parameter that comes back. */
const CODED = new Set(['S20', 'SCF', 'SF', 'CF', 'CR', 'CQ', 'R1', 'R7', 'XT', 'NXT', 'IP', 'APN', 'MP', 'UR', 'WMOD', 'RESET', 'INFO']);
/** Up to 7F it failed, is not supported, or a parameter was out of range; from 80 on it is done. */
const FAILED = /^[0-7][\dA-F]$/i;

/** More than any reply has. */
const MOST_FIELDS = 64;

export function readReply(command: Command | undefined, text: string): Reading | undefined {
  const fields = text.split(',', MOST_FIELDS).map((field) => field.trim());
  const [keyword = ''] = fields;
  if (command !== undefined) {
    const expected = KEYWORDS[command.type] ?? [String(command.parameters['text'] ?? '').split(',')[0] ?? ''];
    if (!expected.includes(keyword)) return undefined;
  }
  if (fields[1] === 'ERROR' || fields[1] === 'FAIL') return { outcome: 'refused', values: {} };
  if (CODED.has(keyword) && fields.length === 2 && FAILED.test(fields[1] ?? '')) return { outcome: 'refused', values: {} };
  return { outcome: 'done', values: values(keyword, fields) };
}

function values(keyword: string, fields: readonly string[]): Options {
  const found: Record<string, OptionValue> = {};
  switch (keyword) {
    case 'S20':
      if (fields[1] === 'DONE') found['blocked'] = true;
      if (fields[1] === 'OK') found['blocked'] = false;
      break;
    case 'S23':
      if (/^[A-Za-z0-9.-]+:\d{1,5}$/.test(fields[1] ?? '')) found['server'] = fields[1] ?? '';
      break;
    case 'S24':
      if ((fields[1] ?? '') !== '') found['apn'] = fields[1] ?? '';
      break;
    case 'S32':
      // Half-metres of the knot: 1852 / 3600 m each.
      if (/^\d+\.\d+$/.test(fields[1] ?? '')) found['odometer_m'] = Math.round((Number(fields[1]) * 1852) / 3600);
      break;
    case 'INFO':
      return information(fields);
    default:
  }
  return found;
}

/** IP, port, intervals, …, APN, …, battery % */
function information(fields: readonly string[]): Options {
  const found: Record<string, OptionValue> = {};
  if (fields.length < 10) return found;
  if (fields[2] !== '') found['server'] = `${fields[2]}:${fields[3]}`;
  if (/^\d{1,5}$/.test(fields[4] ?? '')) found['interval'] = Number(fields[4]);
  if (/^\d{1,3}$/.test(fields.at(-1) ?? '')) found['battery_pct'] = Number(fields.at(-1));
  if ((fields.at(-3) ?? '') !== '') found['apn'] = fields.at(-3) ?? '';
  return found;
}
