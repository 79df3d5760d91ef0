import { type Bytes, epochMs } from '../../src/base/wire/index.ts';

/** Years in which a device has had a fix: before it, clocks stand at 2000 or 2007. */
const FIRST_YEAR = 2010;

/** BCD YY MM DD hh mm ss, ahead of UTC by `zoneMs`; NaN if it is not a date, or one from before the first fix. */
export function bcdTime(b: Bytes, at: number, zoneMs: number): number {
  const year = 2000 + two(b[at]!);
  if (!(year >= FIRST_YEAR)) return Number.NaN;
  return epochMs(year, two(b[at + 1]!), two(b[at + 2]!), two(b[at + 3]!), two(b[at + 4]!), two(b[at + 5]!)) - zoneMs;
}

/** Two BCD digits; NaN for others. */
function two(byte: number): number {
  return byte >> 4 > 9 || (byte & 15) > 9 ? Number.NaN : (byte >> 4) * 10 + (byte & 15);
}
