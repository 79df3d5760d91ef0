import type { Options } from '../../src/codec/index.ts';
import { LATCH_BITS, latched, type StatusTable, statusTable } from './status.ts';

/** Lengths of `$` frames with a short id, ascending (protocol.md section 2.3). A memo stores 1 + the position in this list: at most 7. */
export const BINARY_LENGTHS = [32, 45, 46, 47, 48, 51] as const;

/** The maker letters of nearly every device, `HQ`, as two bytes. */
const HQ = 0x4851;

/** `answers`: which frames are answered (protocol.md section 8.3). */
export const Answers = { None: 0, V1: 1, R12: 2, V4All: 3, Auto: 4 } as const;
export type Answers = (typeof Answers)[keyof typeof Answers];
const ANSWERS: Readonly<Record<string, Answers>> = {
  none: Answers.None,
  v1: Answers.V1,
  r12: Answers.R12,
  'v4-all': Answers.V4All,
  auto: Answers.Auto,
};
export const ANSWER_PROFILES: readonly string[] = Object.keys(ANSWERS);

/** Months are counted from here in the memo. */
const FIRST_YEAR = 2020;

/**
 * One connection or UDP peer. The memo packs what decode reads:
 *
 *     bits 0–13  latch: alarms already raised (status.ts)
 *     bits 14–16 learned binary length, as 1 + position in BINARY_LENGTHS, 0 none
 *     bit  17    the device was found to want R12 confirmations
 *     bits 18–22 day of month of the last dated fix, 0 unknown
 *     bits 23–30 its month, counted from January 2020
 *
 * Bits 0–17 belong to the device and outlive the connection: its habits, and the alarms that it holds until it is told to forget
 * them. The date does not: kept over the end of a month it would put a batch into the month before, where without it the batch
 * says `no_time`.
 */
export class H02State {
  readonly answers: Answers;
  /** Length of `$` frames when set by option, else 0. */
  readonly fixedLength: number;
  readonly timeOffsetMs: number;
  readonly status: StatusTable;
  readonly model: string;
  readonly interval: string;
  /** Of commands by text message. */
  readonly smsPassword: string;
  /** Maker letters of the device, two bytes. */
  maker = HQ;
  /** Identity last seen: text, its digits as a number, and how many digits. */
  id = '';
  idNumber = -1;
  idLength = 0;
  learned = 0;
  /** Length of the frame decoded last when it was a `$` frame, else 0: bytes that follow it may be its tail. */
  tail = 0;
  /** Record number of the last 45- or 47-byte frame, -1 before the first. */
  record = -1;
  latch = 0;
  /** A status word has been read: the latch is the connection's own. */
  heard = false;
  wantsR12 = false;
  /** Newest time of a position in epoch ms, and how many frames in a row were far older. */
  newest = 0;
  stale = 0;
  /** Hashes of frames, and how often each came; made when first needed. */
  repeats: Int32Array | undefined = undefined;
  day = 0;
  month = 0;

  constructor(options: Options, memo: number) {
    this.answers = ANSWERS[String(options['answers'])] ?? Answers.Auto;
    this.fixedLength = Number(options['binaryLength'] ?? 0);
    this.timeOffsetMs = Number(options['timeOffset'] ?? 0) * 60_000;
    this.status = statusTable(String(options['status']));
    this.model = String(options['model'] ?? 'sinotrack');
    this.interval = String(options['interval'] ?? 'auto');
    this.smsPassword = String(options['sms_password'] ?? '0000');
    const device = String(options['device'] ?? '');
    if (/^[0-9]{1,15}$/.test(device)) {
      this.id = device;
      this.idNumber = Number(device);
      this.idLength = device.length;
    }
    const maker = String(options['maker'] ?? 'HQ');
    if (/^[A-Za-z]{2}$/.test(maker)) this.maker = (maker.charCodeAt(0) << 8) | maker.charCodeAt(1);
    this.latch = memo & ((1 << LATCH_BITS) - 1);
    this.learned = BINARY_LENGTHS[((memo >> 14) & 7) - 1] ?? 0;
    this.wantsR12 = ((memo >> 17) & 1) === 1;
    this.day = (memo >> 18) & 31;
    this.month = (memo >> 23) & 255;
  }
}

export function memoOf(state: H02State): number {
  let length = 0;
  for (let k = 0; k < BINARY_LENGTHS.length; k++) if (BINARY_LENGTHS[k] === state.learned) length = k + 1;
  return state.latch | (length << 14) | (state.wantsR12 ? 1 << 17 : 0) | (state.day << 18) | (state.month << 23);
}

export function adopt(state: H02State, memo: number): void {
  if (!state.heard && state.latch === 0) state.latch = memo & ((1 << LATCH_BITS) - 1);
  if (state.learned === 0) state.learned = BINARY_LENGTHS[((memo >> 14) & 7) - 1] ?? 0;
  if (((memo >> 17) & 1) === 1) state.wantsR12 = true;
}

export function reopen(options: Options, before: H02State): H02State {
  const state = new H02State(options, memoOf(before));
  const { maker, id, idNumber, idLength, tail, record, heard, repeats } = before;
  return Object.assign(state, { maker, id, idNumber, idLength, tail, record, heard, repeats });
}

export function describeMemo(memo: number): Record<string, string> {
  const said: Record<string, string> = {};
  const state = new H02State({}, memo);
  if (state.learned > 0) said['binaryLength'] = String(state.learned);
  if (state.wantsR12) said['answers'] = 'r12';
  if (state.latch !== 0) said['alarms'] = latched(state.latch).join(', ');
  if (state.day > 0) said['last_date'] = [rememberedYear(state), rememberedMonth(state), state.day].map(twoDigits).join('-');
  return said;
}

function twoDigits(n: number): string {
  return String(n).padStart(2, '0');
}

/** Remembers the date of a fix: batches (`BC`) leave out month and year. */
export function rememberDate(state: H02State, year: number, month: number, day: number): void {
  const months = (year - FIRST_YEAR) * 12 + month - 1;
  if (months < 0 || months > 255) return;
  state.month = months;
  state.day = day;
}

export function rememberedYear(state: H02State): number {
  return FIRST_YEAR + Math.floor(state.month / 12);
}

/** 1…12 */
export function rememberedMonth(state: H02State): number {
  return (state.month % 12) + 1;
}

/** The identity as text: the one made last time when its digits are the same, so that a device's frames share one string. */
export function identify(state: H02State, digits: number, length: number): string {
  if (digits !== state.idNumber || length !== state.idLength) {
    state.idNumber = digits;
    state.idLength = length;
    state.id = String(digits).padStart(length, '0');
  }
  return state.id;
}
