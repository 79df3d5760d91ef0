/**
 * Calendar digits to epoch ms without Date objects, in UTC and the proleptic Gregorian calendar.
 */

/** Days from 1970-01-01 to the given civil date. `month` 1…12. Years start in March here, so that the leap day comes last. */
export function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146097 + dayOfEra - 719468;
}

export function daysInMonth(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Epoch ms of a full date and time in UTC; NaN when any part is out of its range (second 60 is out: GNSS has no leap seconds here). */
export function epochMs(year: number, month: number, day: number, hour: number, minute: number, second: number): number {
  if (!(month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month))) return Number.NaN;
  if (!(hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 && second <= 59)) return Number.NaN;
  return ((daysFromCivil(year, month, day) * 24 + hour) * 60 + minute) * 60000 + second * 1000;
}

/** Calendar parts of an epoch ms in UTC, left in `CIVIL`: for answers that carry the time. */
export const CIVIL = { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0 };

export function civilFromEpochMs(ms: number): void {
  const seconds = Math.floor(ms / 1000);
  const days = Math.floor(seconds / 86400);
  const rest = seconds - days * 86400;
  const z = days + 719468;
  const era = Math.floor(z / 146097);
  const doe = z - era * 146097;
  const yoe = Math.floor((doe - Math.floor(doe / 1460) + Math.floor(doe / 36524) - Math.floor(doe / 146096)) / 365);
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100));
  const mp = Math.floor((5 * doy + 2) / 153);
  CIVIL.day = doy - Math.floor((153 * mp + 2) / 5) + 1;
  CIVIL.month = mp < 10 ? mp + 3 : mp - 9;
  CIVIL.year = yoe + era * 400 + (CIVIL.month <= 2 ? 1 : 0);
  CIVIL.hour = Math.floor(rest / 3600);
  CIVIL.minute = Math.floor((rest % 3600) / 60);
  CIVIL.second = rest % 60;
}
