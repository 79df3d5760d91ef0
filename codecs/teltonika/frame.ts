import { type Bytes, crc16Arc, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult, type Options } from '../../src/codec/index.ts';
import { FAMILIES, type Family, type FamilyName, familyOf, GH } from './attributes.ts';
import { Codec8, Codec8E, Codec16, readRecord, recordEnd } from './avl.ts';
import { Codec7, codec7End, readCodec7 } from './codec7.ts';
import { Codec12, Codec15, readMessage } from './message.ts';

/**
 * What the two transports share: the connection's state and the data field, from codec id to second count
 * (protocol.md section 2).
 *
 * 1. With integrity `verify` a wrong length, checksum or second count makes the frame malformed; with `count` its records
 *    are read as far as they go and the frame is marked as damaged.
 * 2. A sound frame is never malformed for what its records hold: those that can be read are rows; a frame without a
 *    readable record is ignored, which keeps its bytes. Either way its answer names all records, for a device repeats
 *    what is not acknowledged for ever (protocol.md section 11.5).
 */
export interface State {
  readonly counts: boolean;
  readonly family: Family;
  readonly memo: number;
  /** Name of the family: the parameters of commands differ. */
  readonly familyName: FamilyName;
  /** Commands name the device they are for (codec 14). */
  readonly addressed: boolean;
  /** Of commands by text message. */
  readonly smsLogin: string;
  readonly smsPassword: string;
  /** As the device gave it, for commands only: nothing that decode reads depends on it. */
  imei: string;
}

export const Reason = {
  Short: 'short',
  Imei: 'imei',
  Length: 'length',
  Checksum: 'checksum',
  Count: 'count',
  Record: 'record',
} as const;

/** Preamble, length, and the checksum behind. */
export const ENVELOPE = 12;

/** memo: bit 0 set (so that it is never 0), bit 1 integrity `count`, bits 2… the family. */
export function open(options: Options, memo: number): State {
  const named = FAMILIES.findIndex(([name]) => name === options['family']);
  const family = Math.min(memo === 0 ? Math.max(0, named) : memo >> 2, FAMILIES.length - 1);
  const counts = memo === 0 ? options['integrity'] === 'count' : (memo & 2) !== 0;
  return {
    counts,
    family: familyOf(family),
    memo: 1 | (counts ? 2 : 0) | (family << 2),
    familyName: FAMILIES[family]![0],
    addressed: options['commands'] === 'codec_14',
    smsLogin: String(options['sms_login'] ?? ''),
    smsPassword: String(options['sms_password'] ?? ''),
    imei: '',
  };
}

export function reopen(options: Options, { imei }: State): State {
  return { ...open(options, 0), imei };
}

export function memoOf(of: State): number {
  return of.memo;
}

/** Names of the data codecs by codec id, as `out.name` has them. */
const NAMES: readonly string[] = Array.from({ length: 256 }, (_, id) => {
  if (id === Codec7) return 'codec_7';
  if (id === Codec8) return 'codec_8';
  if (id === Codec8E) return 'codec_8e';
  if (id === Codec16) return 'codec_16';
  return id >= Codec12 && id <= Codec15 ? `codec_${id}` : 'unknown_codec';
});
export const TEXT_MESSAGE = 'text_message';
export const MESSAGES = ['imei', 'ping', ...new Set(NAMES), TEXT_MESSAGE];

/**
 * Reads a data field: codec id at `at`; with `exact` the second count is the last byte before `end`, else it is where the
 * records end. Leaves the number of records that the device waits to have acknowledged, or -1, in ticket A.
 */
export function readData(bytes: Bytes, at: number, end: number, exact: boolean, of: State, out: FrameResult): void {
  if (end - at < 3) {
    out.malformed(Reason.Short);
    return;
  }
  const codec = bytes[at]!;
  const n = bytes[at + 1]!;
  out.name = NAMES[codec]!;
  if (exact && bytes[end - 1] !== n) {
    if (!of.counts) {
      out.malformed(Reason.Count);
      return;
    }
    out.damaged = Reason.Count;
  }
  out.ticketA = n;
  if (codec >= Codec12 && codec <= Codec15) {
    out.ticketA = -1;
    if (!readMessage(bytes, at, end, out)) out.damaged = Reason.Record;
    return;
  }
  if (!hasRecords(codec)) return;
  const last = exact ? end - 1 : end;
  let p = at + 2;
  while (out.rows < n && p >= 0 && p < last) {
    p = codec === Codec7 ? readCodec7(bytes, p, last, familyOf(GH), out) : readRecord(bytes, p, last, codec, of.family, out);
  }
  if (out.damaged === '' && (out.rows < n || (exact && p !== last))) out.damaged = Reason.Record;
  if (out.rows > 0 || n === 0) out.kind = FrameKind.Records;
}

function hasRecords(codec: number): boolean {
  return codec === Codec8 || codec === Codec8E || codec === Codec16 || codec === Codec7;
}

/**
 * Length of the TCP frame at `start` by what its records say, for headers that lie: 0 while bytes are missing, -1 when it
 * makes no sense. `checksum` is how many of the four last bytes must be there.
 */
export function measure(bytes: Bytes, start: number, end: number, checksum: number): number {
  if (end - start < 10) return 0;
  const codec = bytes[start + 8]!;
  if (!hasRecords(codec)) return -1;
  let p = start + 10;
  for (let n = bytes[start + 9]!; n > 0; n--) {
    p = codec === Codec7 ? codec7End(bytes, p, end) : recordEnd(bytes, p, end, codec);
    if (p < 0) return 0;
  }
  if (p >= end) return 0;
  if (bytes[p] !== bytes[start + 9]) return -1;
  return p + 1 + checksum > end ? 0 : Math.min(p + 5, end) - start;
}

/** Does the checksum behind a data field of `length` bytes fit? */
export function checksumFits(bytes: Bytes, start: number, length: number): boolean {
  return crc16Arc(bytes, start + 8, start + 8 + length) === u32be(bytes, start + 8 + length);
}
