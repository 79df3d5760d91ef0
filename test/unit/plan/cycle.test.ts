import { describe, expect, it } from 'vitest';
import { type Cycle, cycleOf, proration } from '../../../src/fleet/plan/cycle.ts';
import { Random } from '../../../src/simulate/random.ts';
import { rounds } from '../../support/thorough.ts';

const at = (anchor_day: number, time_zone: string, time: string): [string, string] => {
  const { start, end } = cycleOf({ anchor_day, time_zone }, Date.parse(time));
  return [new Date(start).toISOString(), new Date(end).toISOString()];
};

/** Days behind one that a zone has skipped: Kiritimati, Apia. */
const BEHIND_SKIPPED = ['1995-01-01', '2011-12-31'];

describe('a billing cycle', () => {
  it.each([
    // The anchor day.
    [1, 'UTC', '2026-10-01T00:00:00Z', '2026-10-01T00:00:00.000Z', '2026-11-01T00:00:00.000Z'],
    [1, 'UTC', '2026-10-31T23:59:59.999Z', '2026-10-01T00:00:00.000Z', '2026-11-01T00:00:00.000Z'],
    [15, 'UTC', '2026-10-14T23:59:59.999Z', '2026-09-15T00:00:00.000Z', '2026-10-15T00:00:00.000Z'],
    [15, 'UTC', '2026-12-31T12:00:00Z', '2026-12-15T00:00:00.000Z', '2027-01-15T00:00:00.000Z'],
    // The 31st of a shorter month is its last day.
    [31, 'UTC', '2026-02-28T00:00:00Z', '2026-02-28T00:00:00.000Z', '2026-03-31T00:00:00.000Z'],
    [31, 'UTC', '2028-02-28T23:00:00Z', '2028-01-31T00:00:00.000Z', '2028-02-29T00:00:00.000Z'],
    [30, 'UTC', '2026-04-30T00:00:00Z', '2026-04-30T00:00:00.000Z', '2026-05-30T00:00:00.000Z'],
    // Local midnight, in summer and winter time.
    [1, 'Europe/Berlin', '2026-10-15T00:00:00Z', '2026-09-30T22:00:00.000Z', '2026-10-31T23:00:00.000Z'],
    [1, 'Asia/Kathmandu', '2026-06-30T18:15:00Z', '2026-06-30T18:15:00.000Z', '2026-07-31T18:15:00.000Z'],
    // Midnight is skipped: clocks went from 24:00 on the 14th to 01:00 on the 15th.
    [15, 'America/Sao_Paulo', '2017-10-15T03:00:00Z', '2017-10-15T03:00:00.000Z', '2017-11-15T02:00:00.000Z'],
    // Midnight would be, and is 23:00 again: the day begins an hour later.
    [18, 'America/Sao_Paulo', '2018-02-18T02:30:00Z', '2018-01-18T02:00:00.000Z', '2018-02-18T03:00:00.000Z'],
    // Midnight comes twice: clocks went from 00:01 back to 23:01.
    [7, 'America/St_Johns', '2010-11-07T02:45:00Z', '2010-11-07T02:30:00.000Z', '2010-12-07T03:30:00.000Z'],
    [1, 'America/St_Johns', '2009-11-01T02:45:00Z', '2009-11-01T02:30:00.000Z', '2009-12-01T03:30:00.000Z'],
    // The whole day is skipped: it went from 24:00 on the 29th to the 31st.
    [30, 'Pacific/Apia', '2011-12-30T12:00:00Z', '2011-12-30T10:00:00.000Z', '2012-01-29T10:00:00.000Z'],
  ])('anchor %i in %s at %s', (anchor, zone, time, start, end) => {
    expect(at(anchor, zone, time)).toEqual([start, end]);
  });

  it.each([
    'UTC',
    'Europe/Berlin',
    'Europe/Dublin',
    'Africa/Casablanca',
    'Africa/Monrovia',
    'America/Sao_Paulo',
    'America/Asuncion',
    'America/St_Johns',
    'America/Havana',
    'America/Scoresbysund',
    'Asia/Kathmandu',
    'Asia/Amman',
    'Asia/Beirut',
    'Asia/Tehran',
    'Asia/Kolkata',
    'Australia/Lord_Howe',
    'Pacific/Apia',
    'Pacific/Chatham',
    'Pacific/Kiritimati',
    'Antarctica/Troll',
  ])('cycles in %s tile the time line, and begin on their day', (time_zone) => {
    const random = new Random(7);
    const date = new Intl.DateTimeFormat('en-CA', { timeZone: time_zone });
    for (const anchor_day of [1, 15, 31]) {
      const plan = { anchor_day, time_zone };
      let before: Cycle | undefined;
      for (let time = Date.UTC(1994, 0, 1); time < Date.UTC(2030, 0, 1); ) {
        const cycle: Cycle = cycleOf(plan, time);
        const days = (cycle.end - cycle.start) / 86_400_000;
        const tiles = cycle.start <= time && cycle.end > time && cycle.start === (before?.end ?? cycle.start);
        if (!tiles || days < 26.9 || days > 32.1) expect.fail(`${JSON.stringify(cycle)} of ${time}, behind ${JSON.stringify(before)}`);
        // Every moment of it says the same, whatever was asked before.
        const moments = [cycle.end - 1, Math.floor(cycle.start + random.next() * (cycle.end - cycle.start))];
        for (const moment of random.int(rounds(4, 1)) === 0 ? moments : []) {
          cycleOf(plan, Date.UTC(1980, 0, 1));
          const { start, end } = cycleOf(plan, moment);
          if (start !== cycle.start || end !== cycle.end) expect.fail(`${moment}: ${start} to ${end} for ${cycle.start} to ${cycle.end}`);
        }
        // The day has just begun: a moment ago it was an earlier one.
        const [today, earlier] = [date.format(cycle.start), date.format(cycle.start - 1)];
        const [year = 0, month = 0, day = 0] = today.split('-').map(Number);
        const wanted = Math.min(anchor_day, new Date(Date.UTC(year, month, 0)).getUTCDate());
        if (earlier >= today || (day !== wanted && !BEHIND_SKIPPED.includes(today)))
          expect.fail(`${today} behind ${earlier} for ${wanted}`);
        before = cycle;
        time = cycle.end;
      }
    }
  });
});

describe('proration', () => {
  const cycle = { start: Date.UTC(2026, 10, 1), end: Date.UTC(2026, 11, 1) };

  it('gives the share of the cycle that is left', () => {
    expect(proration({ prorate: true, prorate_floor_pct: 0 }, cycle, Date.UTC(2026, 10, 16))).toBe(0.5);
    expect(proration({ prorate: true, prorate_floor_pct: 0 }, cycle, cycle.end - 1)).toBeGreaterThan(0);
  });

  it('is no less than the floor of the plan, and is of the time until the device was passed on', () => {
    expect(proration({ prorate: true, prorate_floor_pct: 10 }, cycle, cycle.end - 1_800_000)).toBe(0.1);
    expect(proration({ prorate: true, prorate_floor_pct: 10 }, cycle, Date.UTC(2026, 10, 7), Date.UTC(2026, 10, 13))).toBe(0.2);
  });

  it('leaves alone cycles that did not begin in the middle', () => {
    for (const activated of [undefined, cycle.start - 1, cycle.start, cycle.end])
      expect(proration({ prorate: true, prorate_floor_pct: 0 }, cycle, activated)).toBe(1);
    expect(proration({ prorate: false, prorate_floor_pct: 10 }, cycle, Date.UTC(2026, 10, 16))).toBe(1);
  });
});
