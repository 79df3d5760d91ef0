import { type Bytes, HASH, hash64, hex } from '../base/wire/index.ts';
import type { Deed, Order } from './obedience.ts';
import type { Sample } from './track.ts';

/**
 * What a simulated device says in its protocol, and what it must hear back. The encoders behind it are written from the
 * protocol documents, not from the codecs, so that a wrong reading on one side shows.
 */
export interface Speaker {
  /** Identity as the server normalises it. */
  readonly device: string;
  /** Step of the device's clock. */
  readonly resolutionMs: number;
  /** Answers that may be awaited at once; nothing more is sent while there are as many. */
  readonly window: number;
  /** The first bytes on a connection, which must be answered before anything else is sent; undefined: none. */
  hello(): Wire | undefined;
  /** What the device has to say about these samples, in order. `stored`: they were kept while nothing could be sent. */
  packets(samples: readonly Sample[], stored?: boolean): Packet[];
  /** A packet as bytes on the wire, with fresh serial numbers; a packet that is sent again keeps its record bytes. */
  wire(packet: Packet): Wire;
  /** A message whose answer proves that everything before it was taken; undefined: every packet is answered itself. */
  proof(): Wire | undefined;
  /** An answer that may come at any time and means nothing more: its length, More or Wrong. Absent: there is none. */
  extra?(bytes: Bytes, start: number, end: number): number;
  /** The command that bytes[start, end) begin with; undefined when they begin with something else. */
  order(bytes: Bytes, start: number, end: number): Order | undefined;
  /** What the device does about it. */
  deed(order: Order, where: () => Sample): Deed;
  /** The reply as bytes on the wire. */
  reply(order: Order, text: string): Uint8Array;
}

/** A fix as the ledger names it. */
export interface Fix {
  /** Epoch ms. */
  readonly time: number;
  /** 16 hex digits. */
  readonly id: string;
}

/** Something the device keeps until it knows that the server has it. */
export interface Packet {
  /** The protocol's own kind of message. */
  readonly kind: number;
  /** The message without what changes when it is sent again. */
  readonly body: Uint8Array;
  readonly fixes: readonly Fix[];
  /** How often it was sent. */
  tries: number;
  /** An answer has arrived, whether the device noticed or not: the ledger has its fixes. */
  acknowledged: boolean;
}

export function packetOf(kind: number, body: Uint8Array, fixes: readonly Fix[]): Packet {
  return { kind, body, fixes, tries: 0, acknowledged: false };
}

export interface Wire {
  readonly bytes: Uint8Array;
  /** The answer that the document prescribes; undefined: silence. */
  readonly expected: Expectation | undefined;
  /** An answer that the document allows where silence is the rule. */
  readonly allowed: Expectation | undefined;
}

/** Verdicts of a match other than the length of the answer. */
export const More = 0;
export const Wrong = -1;
/** The answer by which the protocol says no. */
export const Refused = -2;

export interface Expectation {
  /** Are bytes[start, …) the answer? Its length, or More, Wrong or Refused. */
  match(bytes: Bytes, start: number, end: number): number;
  /** For the report of a wrong answer. */
  readonly shown: string;
}

/** Exactly these bytes; `refusal`, of the same length, says no. */
export function exactly(answer: Uint8Array, refusal?: Uint8Array): Expectation {
  return {
    shown: hex(answer, 0, answer.length),
    match(bytes, start, end) {
      if (begins(bytes, start, end, answer)) return end - start < answer.length ? More : answer.length;
      if (refusal !== undefined && begins(bytes, start, end, refusal)) return end - start < refusal.length ? More : Refused;
      return Wrong;
    },
  };
}

/** Does bytes[start, end) agree with `form` as far as both go? */
export function begins(bytes: Bytes, start: number, end: number, form: Uint8Array): boolean {
  const length = Math.min(form.length, end - start);
  for (let p = 0; p < length; p++) if (bytes[start + p] !== form[p]) return false;
  return true;
}

/** A clock of the server that is off by more than this is a wrong answer. */
export const CLOCK_TOLERANCE_MS = 300_000;

/** The name of a record: hash of the device and bytes[start, end) (docs/formats/tables.md). */
export function recordId(device: string, bytes: Bytes, start: number, end: number): string {
  hash64(device, bytes, start, end);
  return HASH.high.toString(16).padStart(8, '0') + HASH.low.toString(16).padStart(8, '0');
}

/** 15 digits with a right check digit (ITU-T E.118 uses the same sum): `prefix` and a number that fills it up. */
export function imei(prefix: string, number: number): string {
  const digits = prefix + String(number).padStart(14 - prefix.length, '0');
  let sum = 0;
  for (let i = 0; i < 14; i++) {
    const digit = digits.charCodeAt(i) - 48;
    const doubled = i % 2 === 0 ? digit : 2 * digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return digits + String((10 - (sum % 10)) % 10);
}
