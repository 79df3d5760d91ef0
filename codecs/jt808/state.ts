import type { Bytes } from '../../src/base/wire/index.ts';
import type { OptionRule, Options } from '../../src/codec/index.ts';

/** Makers that mean other things by the same bytes (protocol.md section 13). The order is stored in memos: append only, at most 15. */
const DIALECTS = ['standard', 'bsj', 'g10ls', 'huabao', 'jimi', 'aovx', 'c5', 'mv', 'padlock', 'seeworld', 'obd', 'jointech'] as const;
export type DialectName = (typeof DIALECTS)[number];

/** Bits 9 to 14 of the alarm word: faults of parts and pre-warnings. */
const FAULTS = 0x7e00;
/** A place in the word for what items tell and no alarm bit does: the supply is switched off, the network is jammed. */
export const SWITCHED = 1 << 30;

export const OPTIONS: Readonly<Record<string, OptionRule>> = {
  integrity: {
    type: 'string',
    fallback: 'verify',
    oneOf: ['verify', 'count'],
    about: 'a frame with a wrong checksum: refused and not answered, for devices repeat it, or accepted and counted',
  },
  dialect: {
    type: 'string',
    fallback: 'auto',
    oneOf: ['auto', ...DIALECTS],
    about: 'the maker of the device, where its frames do not tell; auto learns it',
  },
  verify_auth: {
    type: 'boolean',
    fallback: false,
    decodes: false,
    about: 'authentication with another code than the one that registering gave is answered with a failure: the device registers then',
  },
  unknown_result: {
    type: 'string',
    fallback: 'success',
    oneOf: ['success', 'unsupported'],
    decodes: false,
    about: 'the answer to a message that has no name here; it is stored',
  },
  alarm_result: {
    type: 'string',
    fallback: 'success',
    oneOf: ['success', 'confirmed'],
    decodes: false,
    about: 'the answer to a report with an SOS; confirmed: for units that end the alarm when they are told that it was seen',
  },
  device: { type: 'string', fallback: '', decodes: false, about: 'identity for commands before the device has spoken' },
  time_zone: {
    type: 'string',
    fallback: '+08:00',
    pattern: /^(utc|[+-](0?\d|1[0-4])(:[0-5]\d)?)$/,
    about: 'zone of the dates: an offset such as +08:00 (the standard), or utc',
  },
};

/** Pictures that come whole before the first of them is answered. */
const MOST_MEDIA = 16;

/**
 * One connection or UDP peer. The memo packs what decode reads:
 *
 *     bits 0–3   dialect, as its position in DIALECTS
 *     bits 4–29  alarms that are on and were raised: bits 0–8 and 15–31 of the alarm word, 30 (as 29: a collision) being SWITCHED
 *     bit 30     all of FAULTS
 *
 *     bits 0–3   LISTED: some of FAULTS are on, and not more than three others
 *     bits 4–7   dialect
 *     bits 8–13  FAULTS
 *     bits 14–28 the others, five bits each: their position in the bits 4–29 of the first form, + 1; 0: none
 *
 * Both outlive the connection: an alarm that lasts over a reconnect is not a new one.
 */
export class Jt808State {
  readonly verify: boolean;
  readonly verifyAuth: boolean;
  readonly refusesUnknown: boolean;
  readonly confirmsSos: boolean;
  readonly fixedDialect: boolean;
  readonly zoneMs: number;
  dialect: number;
  /** Alarms that are on, as in the alarm word, as far as the memo holds them: `kept`. */
  alarms: number;
  alarmsTold = false;
  /** Alarms that are on behind the row read last, of this frame; before its first row those of `alarms`. */
  chain = 0;
  /** ms, the newest time in a row of this connection. Decides what `alarms` is behind stored records, and nothing that a frame reads as. */
  newest = Number.NEGATIVE_INFINITY;
  /** The identity read last: the bytes it came in, and its text. */
  readonly phone = new Uint8Array(10);
  phoneBytes = 0;
  is2019 = false;
  e7 = false;
  version = 0;
  id = '';
  /** Identity for commands before the device has spoken. */
  readonly #device: string;
  /** The picture that is being received: serial of its first package, packages, the number that comes next, its id. */
  #media = { first: -1, total: 0, next: 0, id: 0 };
  /** Pictures that have come whole and whose answer is owed: by serial of the last package. */
  readonly #whole = new Map<number, number>();

  constructor(options: Options, memo: number) {
    this.verify = options['integrity'] !== 'count';
    this.verifyAuth = options['verify_auth'] === true;
    this.refusesUnknown = options['unknown_result'] === 'unsupported';
    this.confirmsSos = options['alarm_result'] === 'confirmed';
    const named = DIALECTS.map(String).indexOf(String(options['dialect']));
    this.fixedDialect = named >= 0;
    this.dialect = named >= 0 ? named : dialectIn(memo);
    this.alarms = unpacked(memo);
    this.#device = String(options['device'] ?? '');
    this.zoneMs = offsetMs(String(options['time_zone'] ?? '+08:00'));
  }

  is(name: DialectName): boolean {
    return DIALECTS[this.dialect] === name;
  }

  /** A sure sign of a maker was seen: the first one holds. */
  learn(name: DialectName): void {
    if (!this.fixedDialect && this.dialect === 0) this.dialect = DIALECTS.indexOf(name);
  }

  /** The first package of a picture, or all of it. */
  mediaBegins(first: number, total: number, id: number): void {
    this.#media = { first, total: Math.max(1, total), next: 1, id };
  }

  /** A package has come: true when it is the last and all others came before it, on this connection. */
  isLastOfMedia(serial: number, number: number): boolean {
    const { first, total, next, id } = this.#media;
    if (((serial - number + 1) & 0xffff) !== first) return false;
    if (number === next) this.#media.next++;
    if (number !== total || this.#media.next <= total) return false;
    if (this.#whole.size >= MOST_MEDIA) this.#whole.clear();
    this.#whole.set(serial, id);
    return true;
  }

  /** Id of the picture whose last package had this serial, -1 if that is not known. */
  mediaOf(serial: number): number {
    return this.#whole.get(serial) ?? -1;
  }

  /** Is the phone field known that a command is sent under? Before the device has spoken it is made of the digits of option `device`. */
  hasPhone(): boolean {
    if (this.phoneBytes > 0) return true;
    if (!/^\d{1,20}$/.test(this.#device)) return false;
    this.phoneBytes = this.#device.length > 12 ? 10 : 6;
    this.is2019 = this.phoneBytes === 10;
    const digits = this.#device.padStart(2 * this.phoneBytes, '0');
    for (let k = 0; k < this.phoneBytes; k++) this.phone[k] = Number.parseInt(digits.slice(2 * k, 2 * k + 2), 16);
    return true;
  }

  /** Keeps the phone field as it came: answers and commands copy it. True: it is the one of the frame before. */
  knows(bytes: Bytes, at: number, n: number): boolean {
    let same = n === this.phoneBytes;
    for (let k = 0; same && k < n; k++) same = this.phone[k] === bytes[at + k];
    if (same) return true;
    for (let k = 0; k < n; k++) this.phone[k] = bytes[at + k]!;
    this.phoneBytes = n;
    return false;
  }
}

export function open(options: Options, memo: number): Jt808State {
  return new Jt808State(options, memo);
}

export function reopen(options: Options, before: Jt808State): Jt808State {
  const state = new Jt808State(options, 0);
  adopt(state, memoOf(before));
  state.knows(before.phone, 0, before.phoneBytes);
  state.is2019 = before.is2019;
  state.e7 = before.e7;
  state.version = before.version;
  state.id = before.id;
  return state;
}

export function memoOf(state: Jt808State): number {
  return packed(state.alarms, state.fixedDialect ? 0 : state.dialect);
}

export function adopt(state: Jt808State, memo: number): void {
  if (!state.fixedDialect && state.dialect === 0) state.dialect = dialectIn(memo);
  if (!state.alarmsTold) state.alarms = kept(state.alarms | unpacked(memo));
}

export function describeMemo(memo: number): Record<string, string> {
  const said: Record<string, string> = {};
  const dialect = DIALECTS[dialectIn(memo)];
  if (dialect !== undefined && dialect !== 'standard') said['dialect'] = dialect;
  const alarms = unpacked(memo);
  if (alarms !== 0) said['alarms'] = `0x${(alarms >>> 0).toString(16)}`;
  return said;
}

/** In place of a dialect: the second form of the memo. */
const LISTED = 15;
const MOST_LISTED = 3;

function dialectIn(memo: number): number {
  const first = memo & 15;
  return Math.min(first === LISTED ? (memo >> 4) & 15 : first, DIALECTS.length - 1);
}

/** What a memo holds of these alarms: beside more than three others, one of FAULTS stands for all of them. */
export function kept(alarms: number): number {
  return (alarms & FAULTS) === 0 ? alarms : unpacked(packed(alarms, 0));
}

function packed(alarms: number, dialect: number): number {
  const others = (alarms & 0x1ff) | ((alarms >>> 15) << 9);
  if ((alarms & FAULTS) === 0) return dialect | (others << 4);
  let list = 0;
  let n = 0;
  for (let rest = others; rest !== 0 && n <= MOST_LISTED; rest &= rest - 1, n++) list = (list << 5) | (32 - Math.clz32(rest & -rest));
  if (n > MOST_LISTED) return dialect | (others << 4) | (1 << 30);
  return LISTED | (dialect << 4) | ((alarms & FAULTS) >> 1) | (list << 14);
}

function unpacked(memo: number): number {
  if ((memo & 15) !== LISTED) return spread((memo >> 4) & 0x3ffffff) | ((memo & (1 << 30)) !== 0 ? FAULTS : 0);
  let others = 0;
  for (let at = 14; at <= 24; at += 5) {
    const place = (memo >> at) & 31;
    if (place >= 1 && place <= 26) others |= 1 << (place - 1);
  }
  return spread(others) | ((memo << 1) & FAULTS);
}

/** Bits 0–8 and 15–31 of the alarm word from 26 bits. */
function spread(others: number): number {
  return (others & 0x1ff) | ((others >>> 9) << 15);
}

/** `+08:00`, `-3`, `utc` to ms; the standard's zone for any other text. */
function offsetMs(text: string): number {
  if (text === 'utc') return 0;
  const match = /^([+-])(\d{1,2})(?::(\d{2}))?$/.exec(text);
  if (match === null) return 28_800_000;
  const minutes = Number(match[2]) * 60 + Number(match[3] ?? 0);
  return (match[1] === '-' ? -minutes : minutes) * 60_000;
}
