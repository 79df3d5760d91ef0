import type { Bytes } from '../../src/base/wire/index.ts';
import type { OptionRule, Options } from '../../src/codec/index.ts';
import { type Model, modelNamed, modelOf, UNKNOWN } from './model.ts';

export const OPTIONS: Readonly<Record<string, OptionRule>> = {
  sack: {
    type: 'string',
    fallback: 'auto',
    oneOf: ['auto', 'on', 'off'],
    decodes: false,
    about:
      'answer each report with +SACK, as the unit is configured to expect; auto: from the first report that it repeats, or when its configuration says so',
  },
  integrity: {
    type: 'string',
    fallback: 'verify',
    oneOf: ['verify', 'count'],
    about: 'a binary frame with a wrong checksum: refused and not answered, or accepted and counted',
  },
  model: { type: 'string', fallback: '', about: 'model in place of the one that the protocol version stands for, such as gl300w' },
  device: { type: 'string', fallback: '', decodes: false, about: 'identity for commands before the device has spoken' },
  password: {
    type: 'string',
    fallback: '',
    decodes: false,
    secret: true,
    about: 'password of commands; empty: the factory one, which is the model in lower case',
  },
};

const VEHICLE = modelNamed('gv300');
/** A quarter of an hour: the step of time zones. */
const QUARTER_MS = 900_000;
const MOST_QUARTERS = 56;
/** How long after its fix a live report is sent at most. */
const FRESH_MS = 60_000;
/** Reports that are remembered to notice a repeated one. */
const SLOTS = 16;
/** `,` 14 digits `,` 4 hex digits */
const TAIL = 20;

/**
 * One connection or UDP peer. The memo packs what outlives it:
 *
 *     bit  0     the unit waits for +SACK
 *     bits 1–7   quarters of an hour that its send times are ahead of UTC, + 57; 0 unknown
 */
export class QueclinkState {
  readonly sack: string;
  readonly verify: boolean;
  readonly password: string;
  /** Commands are wanted before the device has spoken, of a model that is not known: they are checked as a vehicle unit takes them. */
  readonly #assumed: boolean;
  readonly #fixedModel: Model;
  model: Model;
  wantsSack: boolean;
  /** Quarters, NaN unknown; and the difference that the last report had, which counts when the next has it too. */
  quarters: number;
  #candidate = Number.NaN;
  #sent = Number.NaN;
  /** A report was repeated on this connection; when the next one is another, the unit was content with the answer. */
  #heardRepeat = false;
  /** Identity and version as they came last, and the text of the identity. */
  readonly #id = new Uint8Array(16);
  #idBytes = 0;
  id = '';
  readonly #version = new Uint8Array(12);
  #versionBytes = -1;
  version = '';
  #repeats: Int32Array | undefined = undefined;

  constructor(options: Options, memo: number) {
    this.sack = String(options['sack'] ?? 'auto');
    this.verify = options['integrity'] !== 'count';
    this.password = String(options['password'] ?? '');
    this.#assumed = String(options['device'] ?? '') !== '';
    this.#fixedModel = modelNamed(String(options['model'] ?? ''));
    this.model = this.#fixedModel;
    this.wantsSack = (memo & 1) === 1;
    this.quarters = quartersIn(memo);
  }

  get answers(): boolean {
    return this.sack === 'on' || (this.sack === 'auto' && (this.wantsSack || this.#heardRepeat));
  }

  /** Is this the identity that came last? */
  knows(bytes: Bytes, from: number, to: number): boolean {
    const n = to - from;
    let same = n === this.#idBytes;
    for (let k = 0; same && k < n; k++) same = this.#id[k] === bytes[from + k];
    return same;
  }

  /** bytes[from, to) are an identity, and this is its text. Nothing else is kept: the next frame would take it for the last identity. */
  keep(bytes: Bytes, from: number, to: number, id: string): void {
    this.#idBytes = to - from;
    for (let k = 0; k < this.#idBytes; k++) this.#id[k] = bytes[from + k]!;
    this.id = id;
  }

  /** The model that commands are for. */
  get addressed(): Model {
    return this.#assumed && this.version === '' && this.model === UNKNOWN ? VEHICLE : this.model;
  }

  /** Sets the model by the version in bytes[from, to). */
  readVersion(bytes: Bytes, from: number, to: number): void {
    const n = to - from;
    let same = n === this.#versionBytes;
    for (let k = 0; same && k < n; k++) same = this.#version[k] === bytes[from + k];
    if (same) return;
    this.#versionBytes = n > 12 ? -1 : n;
    let text = '';
    for (let k = 0; k < n && k < 12; k++) {
      this.#version[k] = bytes[from + k]!;
      text += String.fromCharCode(bytes[from + k]!);
    }
    this.version = text;
    this.#setModel(modelOf(text));
  }

  /** The model that a binary frame says; the next text says its own, though it has the version of the text before. */
  readModel(model: Model): void {
    this.#versionBytes = -1;
    this.#setModel(model);
  }

  #setModel(model: Model): void {
    this.model = this.#fixedModel === UNKNOWN ? model : this.#fixedModel;
  }

  /** A live report with a fix was sent at that time of the device's clock: what they differ by is its time zone. */
  learnZone(sent: number, fixed: number): void {
    if (sent === this.#sent) return;
    this.#sent = sent;
    const quarters = Math.round((sent - fixed) / QUARTER_MS);
    const isZone = Math.abs(sent - fixed - quarters * QUARTER_MS) <= FRESH_MS && Math.abs(quarters) <= MOST_QUARTERS;
    if (isZone && quarters === this.#candidate) this.quarters = quarters;
    this.#candidate = isZone ? quarters : Number.NaN;
  }

  /** UTC of a send time, NaN while the zone is not known. */
  utc(sent: number): number {
    return sent - this.quarters * QUARTER_MS;
  }

  /** Was a report of this name with these last bytes, send time and count, seen shortly before? A unit that waits for +SACK repeats it. */
  watchRepeats(name: number, bytes: Bytes, start: number, end: number): void {
    if (this.sack !== 'auto' || this.wantsSack) return;
    let h = 0x811c9dc5 ^ name;
    for (let p = Math.max(start, end - TAIL); p < end; p++) h = Math.imul(h ^ bytes[p]!, 0x01000193);
    const slots = (this.#repeats ??= new Int32Array(SLOTS));
    const slot = (h >>> 16) % SLOTS;
    if (slots[slot] === h) this.#heardRepeat = true;
    else if (this.#heardRepeat) this.wantsSack = true;
    slots[slot] = h;
  }
}

function quartersIn(memo: number): number {
  const quarters = ((memo >> 1) & 127) - 57;
  return quarters < -MOST_QUARTERS || quarters > MOST_QUARTERS ? Number.NaN : quarters;
}

export function open(options: Options, memo: number): QueclinkState {
  return new QueclinkState(options, memo);
}

export function memoOf(state: QueclinkState): number {
  return (state.wantsSack ? 1 : 0) | (Number.isNaN(state.quarters) ? 0 : (state.quarters + 57) << 1);
}

export function adopt(state: QueclinkState, memo: number): void {
  if ((memo & 1) === 1) state.wantsSack = true;
  if (Number.isNaN(state.quarters)) state.quarters = quartersIn(memo);
}

export function describeMemo(memo: number): Record<string, string> {
  const said: Record<string, string> = {};
  if ((memo & 1) === 1) said['sack'] = 'on';
  const quarters = quartersIn(memo);
  if (!Number.isNaN(quarters)) {
    const minutes = Math.abs(quarters) * 15;
    const two = (n: number): string => String(n).padStart(2, '0');
    said['time_zone'] = `${quarters < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
  }
  return said;
}
