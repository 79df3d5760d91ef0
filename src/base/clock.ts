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

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => PROCESS_ORIGIN + performance.now(),
};

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
