import { AppError } from '../base/errors.ts';

/** How often a conditional write is tried: after that, others have changed the same record as often. */
const MOST_TRIES = 100;

/** What a step returns when its write was refused: what it had read has changed meanwhile. */
export const CONTENDED = Symbol('contended');

/**
 * Reads, decides and writes on the condition that what was read still holds, again and again until it does: the only loop around a
 * conditional write. `step` has no effects but its write. Rejects with AppError STATE_BUSY, for which the API answers 409, after `most`
 * tries; `what` begins its message.
 */
export async function attempt<T>(what: string, step: () => Promise<T | typeof CONTENDED>, most = MOST_TRIES): Promise<T> {
  for (let tries = 0; tries < most; tries++) {
    const made = await step();
    if (made !== CONTENDED) return made;
  }
  throw new AppError('STATE_BUSY', `concurrent change of ${what}; retry`);
}

export function isBusy(error: unknown): boolean {
  return error instanceof AppError && error.code === 'STATE_BUSY';
}
