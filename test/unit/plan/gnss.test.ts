import { describe, expect, it } from 'vitest';
import { Gnss } from '../../../src/fleet/plan/gnss.ts';

/** A device whose receiver is followed: what it says, minute by minute. */

const MINUTE = 60_000;
const AFTER = 30 * MINUTE;

/** `-`: no position; a letter: the place; lower case: standing. Returns the news with the minute. */
function told(minutes: string, gnss = new Gnss()): unknown[] {
  return [...minutes].flatMap((letter, minute) => {
    const isFix = letter !== '-';
    const place = isFix ? letter.toLowerCase().charCodeAt(0) : Number.NaN;
    const news = gnss.saw(minute * MINUTE, isFix, place, place, letter === letter.toLowerCase() ? 0 : 50, AFTER);
    return news === undefined ? [] : [[minute, news]];
  });
}

describe('a receiver', () => {
  it('that has no position for so long is lost once, and back with the first one', () => {
    expect(told(`a${'-'.repeat(45)}aa`)).toEqual([
      [31, { type: 'gnss_lost', reason: 'no_fix', since: MINUTE }],
      [46, { type: 'gnss_back', lost_s: 45 * 60 }],
    ]);
  });

  it('that says the same place at speed for so long is stuck, and back with another', () => {
    expect(told(`a${'A'.repeat(40)}aaB`)).toEqual([
      [31, { type: 'gnss_lost', reason: 'stuck', since: MINUTE }],
      [43, { type: 'gnss_back', lost_s: 42 * 60 }],
    ]);
  });

  it.each([
    ['has a position now and then', `${'-'.repeat(29)}a`.repeat(4)],
    ['stands', 'a'.repeat(200)],
    ['moves', 'ABCDEFGHIJ'.repeat(20)],
    ['moves and stops at one place', `${'A'.repeat(20)}a${'A'.repeat(20)}`],
  ])('that %s is not', (_what, minutes) => {
    expect(told(minutes)).toEqual([]);
  });

  it('is not lost by an old backlog behind live data', () => {
    const gnss = new Gnss();
    expect(told('abc', gnss)).toEqual([]);
    for (let n = 0; n < 100; n++) expect(gnss.saw(-n * MINUTE, false, Number.NaN, Number.NaN, 0, AFTER)).toBeUndefined();
  });
});
