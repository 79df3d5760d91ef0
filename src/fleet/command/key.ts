const SECONDS_A_DAY = 86_400;

/**
 * Key of a command that leaves at `now`, epoch ms, unlike the one before: the second of the day, which H02 carries as a time; or from 1 to
 * the codec's highest, where that is less. The same comes again after more than half a day.
 */
export function nextKey(now: number, before: number, highest = SECONDS_A_DAY - 1): number {
  const second = Math.floor(now / 1000);
  const key = highest < SECONDS_A_DAY - 1 ? (second % highest) + 1 : Math.max(1, second % SECONDS_A_DAY);
  return key === before ? (key % highest) + 1 : key;
}
