/**
 * The only reader of wall and monotonic time. Everything that needs the time takes a `Clock`, so that tests can step it.
 */
export interface Clock {
  /** Wall clock, epoch ms. May step backwards when the machine's clock is set. */
  now(): number;
  /** Monotonic time in ms with fractions, for durations and deadlines; the same for all processes of a machine. */
  elapsed(): number;
}

/** `performance.now` counts from the start of this process, `hrtime` from one origin for all. */
const PROCESS_ORIGIN = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => PROCESS_ORIGIN + performance.now(),
};
