import { pino } from 'pino';
import type { Log } from './log.ts';

/** JSON lines on standard output, one logger per process. Errors of the way in name a device at most, never a place. */
export function processLog(level: string, process: string): Log {
  return pino({ level, base: { process }, timestamp: pino.stdTimeFunctions.isoTime });
}
