import type { Bytes } from '../../src/base/wire/index.ts';
import type { OptionRule, Options } from '../../src/codec/index.ts';
import { Repeats } from './repeats.ts';

/**
 * What one connection (or UDP peer) remembers. These change how a later frame reads or is answered, and are the memo:
 *
 * | bits | meaning |
 * |---|---|
 * | 0–10 | zone of the login word in minutes + 1024; 0: no zone was given |
 * | 11–15 | variant learned from the messages (Variant) |
 * | 16 | the device is a lock: its login wants the time in the answer |
 * | 17 | the device speaks the Topin dialect: its frames are cut by the stop bytes |
 * | 18 | the device repeats a fix until it is answered |
 * | 19 | the device does not know LJDW#: it is asked by WHERE# where it is |
 * | 20–23 | alarms of TERM that are on, and were raised (TERM_ALARMS) |
 *
 * All are properties of the device and its settings, and outlive the connection; so does an alarm: a device that connects again with it
 * has no new one.
 */

/** Families whose frames look alike and mean something else (protocol.md section 10). */
export const Variant = { Auto: 0, Standard: 1, R11: 2, Lw: 3, Seeworld: 4, Trx16i: 5, Vl103: 6, MSeries: 7, Benway: 8, Vxt01: 9 } as const;
export type Variant = (typeof Variant)[keyof typeof Variant];

/** Option values, by variant number. */
const VARIANT_NAMES = ['auto', 'standard', 'r11', 'lw', 'seeworld', 'trx16i', 'vl103', 'm-series', 'benway', 'vxt01'] as const;

/** Alarms of TERM that heartbeats raise, as bits from the lowest: the four of the manuals. The order is stored in memos: append only. */
export const TERM_ALARMS = ['vibration', 'power_cut', 'low_battery', 'sos'] as const;

/** A variant is believed after this many frames in a row that only it explains. */
const CONSISTENT = 3;

export const OPTIONS: Readonly<Record<string, OptionRule>> = {
  integrity: {
    type: 'string',
    fallback: 'count',
    oneOf: ['count', 'verify'],
    about: 'a frame with a wrong checksum or length: accepted and counted, or refused',
  },
  variant: {
    type: 'string',
    fallback: 'auto',
    oneOf: [...VARIANT_NAMES, 'lock'],
    about: 'the family of the device, where its frames alone do not tell; auto learns it',
  },
  time_zone: {
    type: 'string',
    fallback: 'auto',
    pattern: /^(auto|utc|login|[+-](0?\d|1[0-4])(:[0-5]\d)?)$/,
    about:
      'zone of the dates: auto (as documented per message, with the zone of the login), utc, login (for every message), or an offset such as +08:00',
  },
  acknowledge: {
    type: 'string',
    fallback: 'auto',
    oneOf: ['auto', 'document', 'all'],
    decodes: false,
    about:
      'all also answers the location messages that need no answer; document never does; auto answers those of a device that repeats one until it is answered',
  },
  fence_answer: {
    type: 'string',
    fallback: 'echo',
    oneOf: ['echo', '26'],
    decodes: false,
    about: 'number in the answer to alarms 27 and A4: their own, or 26 as one manual prints it',
  },
  address: {
    type: 'string',
    fallback: 'none',
    oneOf: ['none', 'coordinates'],
    decodes: false,
    about: 'answer to an address request: silence, or the coordinates as text',
  },
  command_language: {
    type: 'string',
    fallback: 'none',
    oneOf: ['none', 'zh', 'en'],
    decodes: false,
    about: 'language field behind a text command: a few clones need it, a few refuse it',
  },
  locate: {
    type: 'string',
    fallback: 'auto',
    oneOf: ['auto', 'ljdw', 'where'],
    decodes: false,
    about: 'text of the command locate: LJDW#, or WHERE# for units without it; auto learns it from a refusal',
  },
  relay: {
    type: 'string',
    fallback: 'relay',
    oneOf: ['relay', 'dyd'],
    decodes: false,
    about: 'text of the engine commands: Relay,1# and Relay,0#, or DYD# and HFYD#',
  },
};

export class Gt06State {
  readonly verify: boolean;
  /** Location messages are answered; `acknowledge` of the options, or learned. */
  acknowledges: boolean;
  readonly fixedAcknowledge: boolean;
  readonly fenceAs26: boolean;
  readonly addressAnswer: boolean;
  /** 0 none, 1 Chinese, 2 English. */
  readonly commandLanguage: number;
  readonly relayByName: boolean;
  /** Set by the operator: never learned over, and no part of the memo. */
  readonly fixedVariant: Variant;
  readonly fixedLock: boolean;
  /** Minutes ahead of UTC, or NaN when nothing is known of it. */
  zone: number;
  /** A login of this connection has given the zone: no reply to a command overrides it. */
  zoneOfLogin: boolean;
  /** What to subtract from a date of the local and of the UTC family, in ms. */
  localMs: number;
  utcMs: number;
  variant: Variant;
  lock: boolean;
  topin: boolean;
  /** A login of this connection has shown the dialect. */
  topinTold: boolean;
  /** Locate by WHERE#; set by the operator, or learned. */
  where: boolean;
  readonly fixedLocate: boolean;
  /** Key of the LJDW# that is not replied to yet, or -1. */
  locateKey: number;
  /** Alarms of TERM that are on (alarms.ts). */
  alarms: number;
  /** A heartbeat of this connection has said which. */
  alarmsTold: boolean;
  /** The frame being read is whole: only such frames teach anything. */
  whole: boolean;
  /** Picture being fetched from an X1. */
  photoId: number;
  photoBytes: number;
  readonly #mode: string;
  readonly #repeats = new Repeats();
  #candidate: Variant = Variant.Auto;
  #count = 0;

  constructor(options: Options, memo: number) {
    this.verify = options['integrity'] === 'verify';
    this.fixedAcknowledge = options['acknowledge'] === 'all' || options['acknowledge'] === 'document';
    this.acknowledges = options['acknowledge'] === 'all' || (!this.fixedAcknowledge && bit(memo, 18));
    this.fenceAs26 = options['fence_answer'] === '26';
    this.addressAnswer = options['address'] === 'coordinates';
    this.commandLanguage = options['command_language'] === 'zh' ? 1 : options['command_language'] === 'en' ? 2 : 0;
    this.relayByName = options['relay'] !== 'dyd';
    this.fixedVariant = variantOf(options['variant']);
    this.#mode = String(options['time_zone'] ?? 'auto');
    const zone = memo & 0x7ff;
    this.zone = zone === 0 ? Number.NaN : zone - 1024;
    this.zoneOfLogin = false;
    this.localMs = 0;
    this.utcMs = 0;
    this.variant = this.fixedVariant === Variant.Auto ? variantAt((memo >> 11) & 31) : this.fixedVariant;
    this.photoId = 0;
    this.photoBytes = 0;
    this.whole = false;
    this.fixedLock = options['variant'] === 'lock';
    this.lock = this.fixedLock || bit(memo, 16);
    this.topin = bit(memo, 17);
    this.topinTold = false;
    this.fixedLocate = options['locate'] === 'ljdw' || options['locate'] === 'where';
    this.where = options['locate'] === 'where' || (!this.fixedLocate && bit(memo, 19));
    this.locateKey = -1;
    this.alarms = (memo >> 20) & 15;
    this.alarmsTold = false;
    this.#setZones();
  }

  /** The zone word of a login, or the zone in a reply: minutes ahead of UTC. */
  setZone(minutes: number): void {
    this.zone = minutes;
    this.#setZones();
  }

  /** The variant of a frame that only `own` sends: what the operator set comes first. */
  family(own: Variant): Variant {
    return this.fixedVariant === Variant.Auto ? own : this.fixedVariant;
  }

  /** A frame was seen that only this variant explains. */
  learn(variant: Variant): void {
    if (!this.whole || this.fixedVariant !== Variant.Auto) return;
    if (this.#candidate !== variant) {
      this.#candidate = variant;
      this.#count = 0;
    }
    this.#count++;
    if (this.#count >= CONSISTENT) this.variant = variant;
  }

  /** Has bytes[from, to), a record that is not answered, come again and again? */
  isRepeated(time: number, bytes: Bytes, from: number, to: number): boolean {
    return !this.fixedAcknowledge && this.#repeats.isRepeated(time, bytes, from, to);
  }

  #setZones(): void {
    const login = Number.isNaN(this.zone) ? 0 : this.zone * 60000;
    const fixed = offsetMs(this.#mode);
    this.localMs = this.#mode === 'utc' ? 0 : Number.isNaN(fixed) ? login : fixed;
    this.utcMs = this.#mode === 'login' ? login : Number.isNaN(fixed) ? 0 : fixed;
  }
}

export function open(options: Options, memo: number): Gt06State {
  return new Gt06State(options, memo);
}

export function memoOf(state: Gt06State): number {
  const zone = Number.isNaN(state.zone) ? 0 : state.zone + 1024;
  const learned = state.fixedVariant === Variant.Auto ? state.variant : Variant.Auto;
  return (
    zone |
    (learned << 11) |
    (state.lock && !state.fixedLock ? 1 << 16 : 0) |
    (state.topin ? 1 << 17 : 0) |
    (state.acknowledges && !state.fixedAcknowledge ? 1 << 18 : 0) |
    (state.where && !state.fixedLocate ? 1 << 19 : 0) |
    (state.alarms << 20)
  );
}

export function adopt(state: Gt06State, memo: number): void {
  const zone = memo & 0x7ff;
  if (zone !== 0 && Number.isNaN(state.zone)) state.setZone(zone - 1024);
  if (state.variant === Variant.Auto) state.variant = variantAt((memo >> 11) & 31);
  if (bit(memo, 16)) state.lock = true;
  if (bit(memo, 17) && !state.topinTold) state.topin = true;
  if (bit(memo, 18) && !state.fixedAcknowledge) state.acknowledges = true;
  if (bit(memo, 19) && !state.fixedLocate) state.where = true;
  if (!state.alarmsTold) state.alarms |= (memo >> 20) & 15;
}

export function describeMemo(memo: number): Record<string, string> {
  const said: Record<string, string> = {};
  const variant = variantAt((memo >> 11) & 31);
  if (variant !== Variant.Auto) said['variant'] = VARIANT_NAMES[variant];
  const zone = memo & 0x7ff;
  if (zone !== 0) said['time_zone'] = offsetText(zone - 1024);
  if (bit(memo, 16)) said['lock'] = 'yes';
  if (bit(memo, 17)) said['dialect'] = 'topin';
  if (bit(memo, 18)) said['acknowledge'] = 'all';
  if (bit(memo, 19)) said['locate'] = 'where';
  const alarms = TERM_ALARMS.filter((_, n) => bit(memo, 20 + n));
  if (alarms.length > 0) said['alarms'] = alarms.join(', ');
  return said;
}

function bit(memo: number, n: number): boolean {
  return ((memo >> n) & 1) === 1;
}

/** Minutes ahead of UTC as the option `time_zone` takes them: `+08:00`. */
function offsetText(minutes: number): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** `+08:00`, `-3:30`, `+8` to ms; NaN for any other text. */
function offsetMs(text: string): number {
  const match = /^([+-])(\d{1,2})(?::(\d{2}))?$/.exec(text);
  if (match === null) return Number.NaN;
  const minutes = Number(match[2]) * 60 + Number(match[3] ?? 0);
  return minutes > 840 ? Number.NaN : (match[1] === '-' ? -minutes : minutes) * 60000;
}

function variantOf(value: unknown): Variant {
  const names: readonly unknown[] = VARIANT_NAMES;
  return variantAt(names.indexOf(value));
}

function variantAt(index: number): Variant {
  return Object.values(Variant).find((variant) => variant === index) ?? Variant.Auto;
}
