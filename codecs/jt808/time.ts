import { type Bytes, epochMs } from '../../src/base/wire/index.ts';

/** Years in which a device has had a fix: before it, clocks stand at 2000 or 2007. */
const FIRST_YEAR = 2010;

/** BCD YY MM DD hh mm ss, ahead of UTC by `zoneMs`; NaN if it is not a date, or one from before the first fix. */
export function bcdTime(b: Bytes, at: number, zoneMs: number): number {
  const date = (b[at]! << 16) | (b[at + 1]! << 8) | b[at + 2]!;
  if (date !== lastDate) {
    lastDate = date;
    const year = 2000 + two(b[at]!);
    lastMidnight = year >= FIRST_YEAR ? epochMs(year, two(b[at + 1]!), two(b[at + 2]!), 0, 0, 0) : Number.NaN;
  }
  const hour = two(b[at + 3]!);
  const minute = two(b[at + 4]!);
  const second = two(b[at + 5]!);
  if (!(hour < 24 && minute < 60 && second < 60)) return Number.NaN;
  return lastMidnight + ((hour * 60 + minute) * 60 + second) * 1000 - zoneMs;
}

/** The date that was read last, as it came, and when it began: most times are of one day. */
let lastDate = -1;
let lastMidnight = Number.NaN;

/** Two BCD digits; NaN for others. */
function two(byte: number): number {
  return byte >> 4 > 9 || (byte & 15) > 9 ? Number.NaN : (byte >> 4) * 10 + (byte & 15);
}
