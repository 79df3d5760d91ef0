import { readFileSync } from 'node:fs';
import { env } from 'node:process';
import { AppError, systemCode } from './errors.ts';

/**
 * The only reader of wall and monotonic time. Everything that needs the time takes a `Clock`, so that tests can step it.
 */
export interface Clock {
  /** Wall clock, epoch ms. May step backwards when the machine's clock is set. */
  now(): number;
  /** Monotonic time in ms with fractions, for durations and deadlines; the same for all processes of a machine. */
  elapsed(): number;
}

/** Readings of two clocks at most, and the time around one, ms, that is short enough. */
const ORIGIN_READINGS = 1000;
const ORIGIN_WIDTH_MS = 0.005;

/** `performance.now` counts from the start of this process, `hrtime` from one origin for all. */
const PROCESS_ORIGIN = originOf(
  () => Number(process.hrtime.bigint()) / 1e6,
  () => performance.now(),
);

/**
 * For tests: names a file with a number of milliseconds, `86400000`, by which the wall clock of this process and of those it starts is ahead of
 * the machine's, or behind it with a minus. The file may be written at any time. Monotonic time stays real.
 */
export const TEST_CLOCK_VARIABLE = 'FIXGATE_TEST_CLOCK';
const OFFSET = /^-?\d{1,13}\n?$/;
/** How often what waits for moments of a test clock looks, ms: it moves by days. */
const TEST_LOOK_MS = 1_000;

const elapsed = (): number => PROCESS_ORIGIN + performance.now();

export const systemClock: Clock = hasTestClock() ? testClock(env[TEST_CLOCK_VARIABLE] ?? '') : { now: () => Date.now(), elapsed };

export function hasTestClock(): boolean {
  return (env[TEST_CLOCK_VARIABLE] ?? '') !== '';
}

/** How often to look whether a moment of the wall clock has come, where `usualMs` is often enough for one that is not moved. */
export function lookMs(usualMs: number): number {
  return hasTestClock() ? Math.min(usualMs, TEST_LOOK_MS) : usualMs;
}

/**
 * A wall clock that the file moves. `now` throws AppError USAGE when the file cannot be read at first; later what was read last holds, so that
 * one that is being written moves nothing.
 */
export function testClock(file: string): Clock {
  let offset: number | undefined;
  const read = (): number => {
    try {
      return offsetIn(file);
    } catch (error) {
      if (offset === undefined) throw error;
      return offset;
    }
  };
  return {
    elapsed,
    now() {
      // At each call: what a device sends after a move is received after it.
      offset = read();
      return Date.now() + offset;
    },
  };
}

function offsetIn(file: string): number {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new AppError('USAGE', `${TEST_CLOCK_VARIABLE}: cannot read ${file} (${systemCode(error)})`, error);
  }
  if (!OFFSET.test(text)) throw new AppError('USAGE', `${TEST_CLOCK_VARIABLE}: ${file} must hold a number of milliseconds, like 86400000`);
  return Number(text);
}

/** Numbers that rise over all processes of a machine, in µs: the order of journal entries. `offset` is the supervisor's. */
export function orderClock(offset: number, clock: Clock = systemClock): () => number {
  return () => Math.floor(offset + 1000 * clock.elapsed());
}

/**
 * What to add to `own` to get `machine`, both in ms. A busy machine can take the processor away between two readings, for as long as
 * a device needs to come back to another worker; so the reading counts that had the least time around it.
 */
export function originOf(machine: () => number, own: () => number): number {
  let origin = 0;
  let narrowest = Number.POSITIVE_INFINITY;
  for (let n = 0; n < ORIGIN_READINGS && narrowest > ORIGIN_WIDTH_MS; n++) {
    const before = own();
    const at = machine();
    const width = own() - before;
    if (width >= narrowest) continue;
    narrowest = width;
    origin = at - before - width / 2;
  }
  return origin;
}
