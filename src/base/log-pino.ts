import { pino } from 'pino';
import type { Log } from './log.ts';

const UNSEEN = /[\x7f-\x9f\p{Cf}\p{Zl}\p{Zp}]/gu;

/** JSON lines on standard output, one logger per process. Errors of the way in name a device at most, never a place. */
export function processLog(level: string, process: string): Log {
  return pino({ level, base: { process }, timestamp: pino.stdTimeFunctions.isoTime, hooks: { streamWrite: inert } });
}

/** JSON leaves as they are some characters that a terminal acts upon, or hides. */
function inert(line: string): string {
  return line.replace(UNSEEN, (found) => found.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`));
}
