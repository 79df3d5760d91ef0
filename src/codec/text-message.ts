import type { Bytes } from '../base/wire/bytes.ts';
import { type EventName, eventIndex } from './events.ts';
import { FrameKind } from './frame-kind.ts';
import { type FrameResult, RowFlag } from './frame-result.ts';
import { readPosition } from './position-text.ts';

/** Characters of a command by text message: one message. */
export const MOST_OF_A_MESSAGE = 160;

/** Value of the attribute `transport`. */
export const SMS = 'sms';

/** Longer ones are cut: ten messages joined. */
const MOST_CHARACTERS = 1600;

/** Words of an alarm (the tables of text messages in the documents of the codecs). The first that a text has is its event. */
const ALARMS: readonly (readonly [RegExp, EventName])[] = [
  [/\bhelp me\b|\bSOS ?(?:alarm|alert|!)/i, 'sos'],
  [
    /\b(?:power (?:off|cut|failure|supply cut) ?(?:alarm|alert|!)|power alarm\b|external power (?:cut|off)|cut off power|main power (?:off|cut))/i,
    'power_cut',
  ],
  [/\b(?:low ?battery|battery low|low power|bat(?:tery)?: ?low)\b/i, 'low_battery'],
  [/\b(?:vibration|shock|sensor) (?:alarm|alert)/i, 'vibration'],
  [/\b(?:over ?speed|speed (?:alarm|alert)|speed ?!)/i, 'overspeed'],
  [/\b(?:geo-?fence|fence) ?in\b|\b(?:enter|into|in) (?:the )?(?:geo-?fence|fence)\b/i, 'geofence_enter'],
  [/\b(?:geo-?fence|fence) ?out\b|\b(?:exit|leave|out of|out) (?:the )?(?:geo-?fence|fence)\b|\bstockade ?!/i, 'geofence_exit'],
  [/\b(?:move(?:ment)?|displacement) (?:alarm|alert)|\bmove ?!/i, 'movement'],
  [/\bdoor (?:alarm|alert)/i, 'door'],
  [/\bACC (?:alarm|alert|on alarm)/i, 'ignition_on'],
  [/\b(?:accident|collision|crash) (?:alarm|alert)/i, 'collision'],
  [/\b(?:tow|towing) (?:alarm|alert)/i, 'towing'],
  [/\b(?:tamper|removal|remove|drop|light sensor) (?:alarm|alert)/i, 'tamper'],
];
/** The reply to a setting has the words of the alarm that is set. */
const OF_A_SETTING = /\b(?:ok|success\w{0,5}|fail\w{0,3}|error|invalid|activated|deactivated|cancel\w{0,3}|set|setup|wrong)\b/i;

/** `name`: of the message; `reply`, `transport`: ids of the attributes for the text and for how it came; `localMs`: what to take off a date in it. */
export interface TextAttributes {
  readonly name: string;
  readonly reply: number;
  readonly transport: number;
  readonly localMs?: number;
}

export interface TextMessage {
  readonly text: string;
  /** Row of the result. */
  readonly row: number;
}

/**
 * Reads a text message: one row, with the place and the alarm that the text names. A text with neither is kept as a reply.
 */
export function readTextMessage(
  bytes: Bytes,
  range: { readonly start: number; readonly end: number },
  out: FrameResult,
  { name, reply, transport, localMs = 0 }: TextAttributes,
): TextMessage {
  const text = new TextDecoder().decode(bytes.subarray(range.start, range.end)).slice(0, MOST_CHARACTERS).trim();
  out.name = name;
  const row = out.row();
  const place = readPosition(text);
  const event = OF_A_SETTING.test(text) ? undefined : ALARMS.find(([words]) => words.test(text))?.[1];
  if (place !== undefined) {
    out.latitude[row] = place.latitude;
    out.longitude[row] = place.longitude;
    out.valid[row] = place.valid ? 1 : 0;
    out.speedKmh[row] = place.speedKmh;
    out.altitudeM[row] = place.altitudeM;
    out.satellites[row] = place.satellites;
    if (place.courseDeg <= 360) out.courseDeg[row] = place.courseDeg;
    out.time[row] = place.localMs - localMs;
  }
  if (Number.isNaN(out.time[row])) out.flags[row] = RowFlag.NoTime;
  if (event !== undefined) out.event[row] = eventIndex(event);
  out.kind = place === undefined && event === undefined ? FrameKind.Reply : FrameKind.Records;
  out.replyText = text;
  out.attrText(reply, text);
  out.attrText(transport, SMS);
  return { text, row };
}
