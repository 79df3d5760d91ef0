/**
 * The only reader of wall and monotonic time. Everything that needs the time takes a `Clock`, so that tests can step it.
 */
export interface Clock {
  /** Wall clock, epoch ms. May step backwards when the machine's clock is set. */
  now(): number;
  /** Monotonic time in ms with fractions, for durations and deadlines. */
  elapsed(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
};
