import { describe, expect, it } from 'vitest';
import { CIVIL, civilFromEpochMs, daysFromCivil, daysInMonth, epochMs } from '../../../src/base/wire/index.ts';
import { Random } from '../../../src/codec/kit/index.ts';

describe('calendar', () => {
  it('agrees with Date from 1900 to 2400, both ways', () => {
    const random = new Random(5);
    const first = Date.UTC(1900, 0, 1);
    const span = Date.UTC(2400, 0, 1) - first;
    for (let n = 0; n < 20_000; n++) {
      const ms = first + Math.floor((random.next() / 2 ** 32) * (span / 1000)) * 1000;
      const date = new Date(ms);
      const parts = [
        date.getUTCFullYear(),
        date.getUTCMonth() + 1,
        date.getUTCDate(),
        date.getUTCHours(),
        date.getUTCMinutes(),
        date.getUTCSeconds(),
      ] as const;
      if (epochMs(...parts) !== ms) expect([ms, epochMs(...parts)]).toEqual([ms, ms]);
      civilFromEpochMs(ms + 999);
      const civil = [CIVIL.year, CIVIL.month, CIVIL.day, CIVIL.hour, CIVIL.minute, CIVIL.second];
      if (civil.join() !== parts.join()) expect(civil).toEqual([...parts]);
    }
    expect(daysFromCivil(1970, 1, 1)).toBe(0);
    expect(epochMs(2026, 11, 1, 0, 0, 0)).toBe(1793491200000);
  });

  it('knows the length of every month, and every leap rule', () => {
    expect([1900, 2000, 2023, 2024].map((year) => daysInMonth(year, 2))).toEqual([28, 29, 28, 29]);
    expect(Array.from({ length: 12 }, (_, n) => daysInMonth(2023, n + 1))).toEqual([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]);
    expect([epochMs(2023, 2, 29, 0, 0, 0), epochMs(2024, 2, 29, 0, 0, 0)]).toEqual([Number.NaN, Date.UTC(2024, 1, 29)]);
  });

  it.each([
    [2024, 0, 1, 0, 0, 0],
    [2024, 13, 1, 0, 0, 0],
    [2024, 4, 31, 0, 0, 0],
    [2024, 1, 0, 0, 0, 0],
    [2024, 1, 1, 24, 0, 0],
    [2024, 1, 1, 0, 60, 0],
    [2024, 1, 1, 0, 0, 60],
    [2024, 1, 1, -1, 0, 0],
    [2024, 1, 1, 0, -1, 0],
    [2024, 1, 1, 0, 0, -1],
    [2024, Number.NaN, 1, 0, 0, 0],
  ] as const)('gives NaN for %s-%s-%s %s:%s:%s', (year, month, day, hour, minute, second) => {
    expect(epochMs(year, month, day, hour, minute, second)).toBeNaN();
  });
});
