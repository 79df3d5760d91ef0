import { setTimeout as pass } from 'node:timers/promises';
import type { Random } from '../../src/simulate/random.ts';

/**
 * How tests wait: for a condition, with a limit that no machine reaches, however busy. This is the only file of the
 * tests that waits for time (test/support/discipline.test.ts).
 */

/** Bounds of the pause between two looks, ms. It grows, so that a long wait costs the machine little. */
const FIRST_MS = 2;
const LAST_MS = 300;
/** Below the time limit of a test (vitest.config.ts), so that it fails with what was still wrong. */
const LIMIT_MS = 120_000;

/** Calls it until it neither throws nor rejects, and returns what it returned. Rejects with its last error after two minutes. */
export async function eventually<T>(look: () => T | Promise<T>): Promise<T> {
  const since = performance.now();
  for (let pause = FIRST_MS; ; pause = Math.min(LAST_MS, pause * 2)) {
    try {
      return await look();
    } catch (error) {
      if (performance.now() - since > LIMIT_MS) throw error;
    }
    await pass(pause);
  }
}

/** Looks until the condition holds; the test's own time limit ends a wait that never does. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let pause = FIRST_MS; !(await condition()); pause = Math.min(LAST_MS, pause * 2)) await pass(pause);
}

/**
 * For what must not happen: looks all the time, and rejects with the first error. A slow machine can only make it see
 * less, never fail.
 */
export async function remains(look: () => unknown, forMs = 200): Promise<void> {
  for (const since = performance.now(); performance.now() - since < forMs; await pass(10)) await look();
  await look();
}

/**
 * A moment at which a fault strikes, or what a device takes for an answer: from a seed, so that a run can be repeated.
 * No outcome may depend on where it falls.
 */
export async function moment(random: Random, fromMs: number, toMs: number): Promise<void> {
  await pass(fromMs + random.int(Math.max(1, toMs - fromMs)));
}

/** What the peer does not do at once: a pause of a device or a server that the test plays. No outcome may depend on it. */
export async function pause(ms: number): Promise<void> {
  await pass(ms);
}
