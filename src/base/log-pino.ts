import { env } from 'node:process';
import { pino } from 'pino';
import { hasTestClock, systemClock, TEST_CLOCK_VARIABLE } from './clock.ts';
import { jsonOf } from './json.ts';
import type { Log } from './log.ts';

const UNSEEN = /[\x7f-\x9f\p{Cf}\p{Zl}\p{Zp}]/gu;
const LEVELS: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info ', 40: '\x1b[33mwarn \x1b[0m', 50: '\x1b[31merror\x1b[0m' };
/** A value that needs no quotes. */
const PLAIN = /^[\w./:@+[\]-]+$/;

/** Of this process and those that it starts: lines for a person instead of JSON. */
export function setPretty(pretty: boolean): void {
  env['LOG_FORMAT'] = pretty ? 'pretty' : 'json';
}

/** Lines on standard output, one logger per process. Errors of the way in name a device at most, never a place. */
export function processLog(level: string, process: string): Log {
  const streamWrite = env['LOG_FORMAT'] === 'pretty' ? (line: string): string => human(line) : inert;
  const log = pino({ level, base: { process }, timestamp: pino.stdTimeFunctions.isoTime, hooks: { streamWrite } });
  if (hasTestClock())
    log.warn(
      { file: env[TEST_CLOCK_VARIABLE], now: new Date(systemClock.now()).toISOString() },
      'the wall clock follows a file, for tests only: times of records, cycles and statements are not real',
    );
  return log;
}

/** JSON leaves as they are some characters that a terminal acts upon, or hides. */
function inert(line: string): string {
  return line.replace(UNSEEN, (found) => found.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`));
}

/** The same line for a person: time, level, process, message, fields. Nothing in a value is an escape of the terminal. */
export function human(line: string): string {
  const { level, time, process, msg, ...fields }: Record<string, unknown> = Object(jsonOf(line));
  const text = (value: unknown): string => (typeof value === 'string' && PLAIN.test(value) ? value : inert(JSON.stringify(value)));
  const shown = Object.entries(fields).map(([name, value]) => `${name}=${text(value)}`);
  const message = inert(JSON.stringify(msg ?? '').slice(1, -1));
  return `${[String(time).slice(11, 23), LEVELS[Number(level)] ?? level, String(process).padEnd(10), message, ...shown].join(' ')}\n`;
}
