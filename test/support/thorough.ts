/**
 * How much a test does that could go on for ever: its short form in `npm test`, its long one in `npm run test:long`, which
 * runs every file that imports this one (vitest.long.config.ts).
 */
const isLong = process.env['FIXGATE_TEST_LONG'] === '1';

export function rounds(short: number, long: number): number {
  return isLong ? long : short;
}
