import { epochMs } from '../base/wire/index.ts';

/**
 * Positions in texts that trackers write: replies to commands, and text messages (each codec documents its forms). The patterns are
 * linear: bounded repetition of single characters.
 *
 * ```
 * Current position! Lat:S23.525024,Lon:W46.679787,Course:263.28,Speed:0.00Km/h,DateTime:2021-10-29 11:11:43     WHERE#
 * DWXX=Lat:N23d5.1708m,Lon:E114d23.6212m,Course:0.00,Speed:0.3518,DateTime:11-11-15  11:53:43                     DWXX#
 * http://maps.google.com/maps?q=N22.571707,E113.857025                                                            URL#
 * GPS:1 Sat:7 Lat:54.71473 Long:25.30304 Alt:147 Speed:0 Dir:77 Date: 2007/8/24 Time: 13:4:36                     getgps
 * lat:22.571707 long:113.857025 speed:000.0 F:3.85V,1,Signal:F imei:354776031222631                               TK103
 * ```
 *
 * A date with slashes whose year has two digits is not read: makers disagree about the order.
 */
export interface TextPosition {
  readonly latitude: number;
  readonly longitude: number;
  /** False: the device names it its last position, or says that it has no fix. */
  readonly valid: boolean;
  /** NaN when the text has none. */
  readonly speedKmh: number;
  readonly courseDeg: number;
  readonly altitudeM: number;
  /** -1 when the text has none. */
  readonly satellites: number;
  /** Epoch ms as if the device's own zone were UTC; NaN when the text has no date. */
  readonly localMs: number;
}

/** Degrees with decimals, or degrees and minutes: whole, decimals, minutes. */
const DEGREES = String.raw`([+-]?\d{1,3})(?:\.(\d{1,12})|[d°](\d{1,2}(?:\.\d{1,12})?)['m]?)`;
const LATITUDE = new RegExp(String.raw`\bLat(?:itude)?\s?[:=]\s?([NS]?)\s?${DEGREES}\s?([NS]?)`, 'i');
const LONGITUDE = new RegExp(String.raw`\bL(?:on|ong|ongitude|ng)\s?[:=]\s?([EW]?)\s?${DEGREES}\s?([EW]?)`, 'i');
const LINK = new RegExp(
  String.raw`(?:[?&](?:q|ll|query|daddr|center)=(?:loc:)?|/maps/(?:@|place/|search/)|/maps\?)([NS]?)${DEGREES}([NS]?)(?:,|%2C)([EW]?)${DEGREES}([EW]?)`,
  'i',
);
const DATE = /(?:^|\D)(\d{4}[-/]|\d{2}-)(\d{1,2})[-/](\d{1,2})(?:[ T]{1,4}|,? ?T(?:ime)?: ?)(\d{1,2}):(\d{1,2}):(\d{1,2})/i;
const COURSE = /\b(?:Course|Dir)\s?[:=]\s?(\d{1,3}(?:\.\d{1,6})?)/i;
const ALTITUDE = /\bAlt(?:itude)?\s?[:=]\s?(-?\d{1,5}(?:\.\d{1,6})?)/i;
const SATELLITES = /\bSat\s?[:=]\s?(\d{1,2})\b/i;
const NO_FIX = /\bLast position|^GPS:0\b/i;
const SPEED = /\bSpeed\s?[:=]\s?(\d{1,3}(?:\.\d{1,6})?)/i;

/** Undefined when the text holds no place on the globe. */
export function readPosition(text: string): TextPosition | undefined {
  const link = LINK.exec(text);
  const latitude = degrees(LATITUDE.exec(text) ?? link?.slice(0, 6), 'S');
  const longitude = degrees(LONGITUDE.exec(text) ?? link?.slice(5), 'W');
  if (!(Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180) || (latitude === 0 && longitude === 0)) return undefined;
  return {
    latitude,
    longitude,
    valid: !NO_FIX.test(text),
    speedKmh: numberIn(text, SPEED),
    courseDeg: numberIn(text, COURSE),
    altitudeM: numberIn(text, ALTITUDE),
    satellites: Number(SATELLITES.exec(text)?.[1] ?? -1),
    localMs: dateIn(text),
  };
}

/** [_, hemisphere, whole, decimals, minutes, hemisphere]: the hemisphere stands in front or behind, or is the sign. */
function degrees(parts: readonly (string | undefined)[] | undefined, negative: 'S' | 'W'): number {
  if (parts === undefined) return Number.NaN;
  const [, before = '', whole = '', decimals, minutes, behind = ''] = parts;
  const size = minutes === undefined ? Number(`${whole}.${decimals ?? ''}`) : Math.abs(Number(whole)) + Number(minutes) / 60;
  const isNegative = (before || behind).toUpperCase() === negative || whole.startsWith('-');
  return isNegative ? -Math.abs(size) : Math.abs(size);
}

function numberIn(text: string, form: RegExp): number {
  return Number(form.exec(text)?.[1] ?? Number.NaN);
}

function dateIn(text: string): number {
  const parts = DATE.exec(text)
    ?.slice(1)
    .map((part) => Number.parseInt(part, 10));
  if (parts === undefined) return Number.NaN;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
  return epochMs(year < 100 ? 2000 + year : year, month, day, hour, minute, second);
}
