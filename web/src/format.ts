/** Numbers, sizes and times as the pages write them. */
const THIN = '\u2009';

export function number(value: number | undefined | null, digits = 0): string {
  if (value === undefined || value === null || !Number.isFinite(value)) return '–';
  const [whole = '', part] = Math.abs(value).toFixed(digits).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, THIN);
  return `${value < 0 ? '−' : ''}${grouped}${part === undefined ? '' : `.${part}`}`;
}

export function bytes(value: number | undefined | null): string {
  if (value === undefined || value === null || !Number.isFinite(value)) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let rest = value;
  let unit = 0;
  for (; rest >= 1000 && unit < units.length - 1; unit++) rest /= 1000;
  return `${number(rest, rest < 10 && unit > 0 ? 1 : 0)} ${units[unit]}`;
}

export function seconds(value: number | undefined | null): string {
  if (value === undefined || value === null || !Number.isFinite(value)) return '–';
  if (value < 10) return `${number(value, value < 1 ? 1 : 0)} s`;
  if (value < 120) return `${number(value)} s`;
  if (value < 7200) return `${number(value / 60)} min`;
  if (value < 172_800) return `${number(value / 3600)} h`;
  return `${number(value / 86_400)} d`;
}

/** Since then, in words. */
export function ago(time: number | undefined | null, now = Date.now()): string {
  if (time === undefined || time === null || time === 0) return 'never';
  return time > now + 1000 ? `in ${seconds((time - now) / 1000)}` : `${seconds(Math.max(0, now - time) / 1000)} ago`;
}

/** Local time with its offset from UTC. */
export function clock(time: number | undefined | null, withDate = true): string {
  if (time === undefined || time === null || time === 0) return '–';
  const at = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  const offset = -at.getTimezoneOffset();
  const zone = `${offset < 0 ? '−' : '+'}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  const day = withDate ? `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` : '';
  return `${day}${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}${withDate ? ` ${zone}` : ''}`;
}

const WINDS = ['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW'];

export function wind(degrees: number | null | undefined): string {
  if (degrees === null || degrees === undefined || !Number.isFinite(degrees)) return '';
  return WINDS[Math.round((((degrees % 360) + 360) % 360) / 45) % 8] ?? '';
}
