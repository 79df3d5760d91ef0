import { Random } from '../../src/simulate/random.ts';
import type { Fault, Side } from './fault.ts';

export interface Planned {
  readonly fault: Fault;
  /** From the start of the run. A fault before it that takes longer than planned puts it off. */
  readonly atMs: number;
  readonly lastsMs: number;
}

/** Before the first fault, and after the last. */
export const CALM_MS = 8000;
/** Faults that are a moment take about so long until everything is up again. */
const MOMENT_MS = 3500;
/** Watched after each fault before the next of its side. */
const PAUSE_MS = 3000;
/** In a run of this length faults last as long as they say. */
const FULL_MS = 25 * 60_000;
const SHORTEST_MS = 1500;

/**
 * The same seed and length give the same schedule. On each side all faults come once in a random order before any comes
 * again; they last so long that all come at least once, and at most as long as they say.
 */
export function schedule(faults: readonly Fault[], lengthMs: number, seed: number): Planned[] {
  const random = new Random(seed);
  const roomMs = lengthMs - 2 * CALM_MS;
  const planned = (['server', 'stores'] satisfies Side[]).flatMap((side) => {
    const own = faults.filter((fault) => fault.side === side);
    return own.length === 0 ? [] : oneSide(own, roomMs, lengthMs, random);
  });
  return planned.sort((a, b) => a.atMs - b.atMs);
}

function oneSide(faults: readonly Fault[], roomMs: number, lengthMs: number, random: Random): Planned[] {
  const fixedMs = faults.reduce((sum, fault) => sum + PAUSE_MS + (fault.lastsMs === 0 ? MOMENT_MS : 0), 0);
  const lastingMs = faults.reduce((sum, fault) => sum + fault.lastsMs, 0);
  // Short runs: what all of them need has to fit. Long ones: shares of the full length, so that rounds repeat.
  const share = Math.min(1, Math.max(lengthMs / FULL_MS, Math.min(1, (roomMs - fixedMs) / Math.max(1, lastingMs))));
  const scaled = (fault: Fault): number => (fault.lastsMs === 0 ? 0 : Math.max(SHORTEST_MS, Math.round(fault.lastsMs * share)));
  const planned: Planned[] = [];
  let atMs = CALM_MS;
  for (;;) {
    for (const fault of shuffled(faults, random)) {
      const lastsMs = scaled(fault);
      const takesMs = (fault.lastsMs === 0 ? MOMENT_MS : lastsMs) + PAUSE_MS;
      if (planned.length >= faults.length && atMs + takesMs > CALM_MS + roomMs) return planned;
      planned.push({ fault, atMs, lastsMs });
      atMs += takesMs + random.int(500);
    }
    if (atMs > CALM_MS + roomMs) return planned;
  }
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const rest = [...list];
  const result: T[] = [];
  while (rest.length > 0) result.push(...rest.splice(random.int(rest.length), 1));
  return result;
}
