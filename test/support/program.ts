import { join } from 'node:path';

/** A variable with the program that tests start. It is built before they run (`build-program.ts`) as for the package, pages and all, and starts in three quarters of the time. */
export const TESTED = 'TESTED_PROGRAM';
/** The program of this checkout, which runs the source. */
export const CHECKOUT = join(import.meta.dirname, '../../bin/fixgate.js');

export function tested(): string {
  return process.env[TESTED] ?? CHECKOUT;
}
