import { crc32 } from 'node:zlib';
import { putU16le, putU32le, putU64le, u16le, u32le, u64le } from '../wire/index.ts';

/**
 * The journal's format, byte by byte. Integers are little-endian; 64-bit ones hold at most 2^53 - 1.
 *
 * A segment is a header followed by entries, back to back. Its name is the sequence of its first entry, 16 lower-case
 * hex digits, and `.seg`.
 *
 *     segment header, 32 bytes
 *      0  8  magic          "FIXGATEJ"
 *      8  2  version        2. A reader refuses a higher one, and reads a lower one: 1 had no flags but bit 0. The magic,
 *                           this field and the CRC stay where they are in every version, so that any version can say so.
 *     10  6  reserved       0
 *     16  8  first          sequence of the first entry, as in the name
 *     24  4  reserved       0
 *     28  4  CRC-32         of bytes 0…27
 *
 *     entry
 *      0  4  size           bytes of the whole entry, this field included: 40…1 048 576
 *      4  4  CRC-32         of bytes 8…size-1
 *      8  8  sequence       ≥ 1, rising; numbers may be missing, none is used twice
 *     16  8  received       epoch ms
 *     24  4  memo           the codec's memo: how the frame reads when decoded alone
 *     28  4  accepted       how many leading records of the frame were accepted
 *     32  1  kind           1 frame, 2 event, 3 usage; 4 void: an entry was here and has been removed, no names, no bytes;
 *                           6 identity: the peer names the installation, no bytes.
 *                           A reader passes over kinds that it does not know.
 *     33  1  flags          bit 0: `order` is there; bit 1: `keep` is there; bit 2: relay, the entry goes to the stream and to no
 *                           table, and leaves the journal once it has. A reader ignores bits that it does not know: what
 *                           they announce lies between keep and bytes, and `head` steps over it. A change that an old
 *                           reader must not overlook takes a new version: bits 1 and 2 did.
 *     34  2  head           offset of bytes, ≥ 40 + the three lengths
 *     36  1  transport      1 TCP, 2 UDP
 *     37  1  c              length of codec
 *     38  1  d              length of device
 *     39  1  p              length of peer
 *     40  c  codec          name, UTF-8
 *         d  device         identity as normalised, UTF-8; empty when not known
 *         p  peer           address and port, UTF-8
 *         8  order          rises from entry to entry over all slots of a machine, whatever the wall clock does: slots are
 *                           merged by it. Where it is missing, received × 1000 stands for it.
 *         k  keep           k = accepted ÷ 8, rounded up: of the accepted records, number i is kept when bit i mod 8 of byte
 *                           i ÷ 8 is set. The others were acknowledged and go nowhere. Bits from accepted on mean nothing.
 *                           Where it is missing, all are kept.
 *   head  …  bytes          up to size: the raw frame, or the JSON of an event or usage entry
 *
 * Bytes 36 up to order are the same for every entry of a session: `Origin` keeps them ready.
 */
export const FORMAT_VERSION = 2;
export const SEGMENT_HEADER_BYTES = 32;
/** Bytes before codec, device and peer. */
export const ENTRY_HEAD_BYTES = 40;
/** Largest entry: bounds what a reader has to hold, and tells a size from garbage. */
export const MAX_ENTRY_BYTES = 1 << 20;
/** Largest `bytes` that surely fits, whatever the names in the origin, a keep mask counted with them. Frame limits must stay below it. */
export const MAX_PAYLOAD_BYTES = MAX_ENTRY_BYTES - ENTRY_HEAD_BYTES - 3 * 255 - 8;

const MAGIC = Buffer.from('FIXGATEJ', 'latin1');
const ORIGIN_AT = 36;
const HAS_ORDER = 1;
const HAS_KEEP = 2;
const IS_RELAY = 4;
const ORDER_BYTES = 8;
/** Longest keep mask that fits before `head` overflows, whatever the names in the origin: half a million records. */
export const MAX_KEEP_BYTES = 0xffff - ENTRY_HEAD_BYTES - 3 * 255 - ORDER_BYTES;

/** 5 is of a later version. */
export const EntryKind = { Frame: 1, Event: 2, Usage: 3, Void: 4, Identity: 6 } as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

export type Transport = 'tcp' | 'udp';

/**
 * Where a session's entries come from. Make one when the session learns who it is, not per frame: it holds the
 * encoded bytes, and an append copies them in one step.
 */
export class Origin {
  readonly codec: string;
  readonly transport: Transport;
  readonly device: string;
  readonly peer: string;
  /** Bytes 36… of an entry, up to order. */
  readonly encoded: Uint8Array;

  /** Throws RangeError when a name is longer than 255 bytes of UTF-8: cutting it would make it another name. */
  constructor(codec: string, transport: Transport, device: string, peer: string) {
    this.codec = codec;
    this.transport = transport;
    this.device = device;
    this.peer = peer;
    const names = [Buffer.from(codec, 'utf8'), Buffer.from(device, 'utf8'), Buffer.from(peer, 'utf8')];
    for (const name of names) if (name.length > 255) throw new RangeError('a codec, device or peer name is longer than 255 bytes');
    this.encoded = Buffer.concat([Buffer.from([transport === 'tcp' ? 1 : 2, ...names.map((name) => name.length)]), ...names]);
  }
}

/** What is to become of an entry's records, where that is not the usual. The object may be used again after the append. */
export interface Marks {
  /** Which of the accepted records are kept, as `keep` in the format; longer than it need be does no harm. Null: all. */
  readonly keep: Uint8Array | null;
  /** To the stream and to no table. */
  readonly relay: boolean;
}

function u8(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

/** Length of the keep mask of so many accepted records. */
export function keepBytes(accepted: number): number {
  return Math.ceil(accepted / 8);
}

/** Bytes that an entry of this origin, payload and keep mask takes. */
export function entrySize(origin: Origin, payloadBytes: number, maskBytes = 0): number {
  return ORIGIN_AT + origin.encoded.length + ORDER_BYTES + maskBytes + payloadBytes;
}

/**
 * Writes an entry into `out` at `at` and returns its size; the caller has made room for `entrySize`. `received`, `order`,
 * `memo` and `accepted` are whole numbers ≥ 0; a mask in `marks` has the length that belongs to `accepted`, or more.
 *
 * Copying and summing take a view of the bytes each. That costs about 10 ns, and what it replaces costs more
 * (bench/micro/journal.bench.ts): a byte loop copies 400 bytes in 270 ns against 30, and a CRC over eight tables
 * is quicker than zlib's only below 200 bytes.
 */
export function writeEntry(
  out: Uint8Array,
  at: number,
  sequence: number,
  origin: Origin,
  kind: EntryKind,
  received: number,
  order: number,
  memo: number,
  accepted: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  marks?: Marks,
): number {
  const orderAt = ORIGIN_AT + origin.encoded.length;
  let head = orderAt + ORDER_BYTES;
  let flags = HAS_ORDER;
  if (marks !== undefined) {
    if (marks.relay) flags |= IS_RELAY;
    if (marks.keep !== null) {
      flags |= HAS_KEEP;
      const length = keepBytes(accepted);
      for (let i = 0; i < length; i++) out[at + head + i] = marks.keep[i] ?? 0;
      head += length;
    }
  }
  const size = head + end - start;
  putU32le(out, at, size);
  putU64le(out, at + 8, sequence);
  putU64le(out, at + 16, received);
  putU32le(out, at + 24, memo);
  putU32le(out, at + 28, accepted);
  out[at + 32] = kind;
  out[at + 33] = flags;
  putU16le(out, at + 34, head);
  out.set(origin.encoded, at + ORIGIN_AT);
  putU64le(out, at + orderAt, order);
  out.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), at + head);
  putU32le(out, at + 4, crc32(out.subarray(at + 8, at + size)));
  return size;
}

/**
 * What lies at `at`: the size of a whole, sound entry; 0 for what may be one whose end is not in `[at, end)`;
 * -1 for what is none.
 */
export function checkEntry(bytes: Buffer, at: number, end: number): number {
  const there = end - at;
  if (there < ENTRY_HEAD_BYTES) return 0;
  const size = u32le(bytes, at);
  if (size < ENTRY_HEAD_BYTES || size > MAX_ENTRY_BYTES) return -1;
  const head = u16le(bytes, at + 34);
  const names = u8(bytes, at + 37) + u8(bytes, at + 38) + u8(bytes, at + 39);
  if (head < ENTRY_HEAD_BYTES + names || head > size) return -1;
  if (u64le(bytes, at + 8) > Number.MAX_SAFE_INTEGER) return -1;
  if (there < size) return 0;
  if (crc32(bytes.subarray(at + 8, at + size)) !== u32le(bytes, at + 4)) return -1;
  return size;
}

/** The sequence in an entry's head, for a look before the whole entry is there. Needs 16 bytes. */
export function peekSequence(bytes: Uint8Array, at: number): number {
  return u64le(bytes, at + 8);
}

/**
 * One entry, read in place. The object is aimed again for the next entry and its bytes belong to the reader: take what
 * you need before the reader moves. Names are decoded when asked for, since most readers ask for few.
 */
export class EntryView {
  sequence = 0;
  /** Epoch ms. */
  received = 0;
  /** Rises over all slots of a machine. */
  order = 0;
  /** One of `EntryKind`, or a number that a later version wrote: pass over those. */
  kind = 0;
  flags = 0;
  memo = 0;
  accepted = 0;
  /** To the stream and to no table. */
  relay = false;
  /** Where the keep mask begins in `bytes`; -1 when all accepted records are kept. */
  keepAt = -1;
  transport: Transport = 'tcp';
  /** The lent buffer; the whole entry is `[at, end)` of it, the payload `[start, end)`. */
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  start = 0;
  end = 0;
  #codecAt = 0;
  #deviceAt = 0;
  #peerAt = 0;
  #peerEnd = 0;

  /** `at` must be where `checkEntry` found an entry of `size` bytes. */
  aim(bytes: Buffer, at: number, size: number): void {
    this.sequence = u64le(bytes, at + 8);
    this.received = u64le(bytes, at + 16);
    this.memo = u32le(bytes, at + 24);
    this.accepted = u32le(bytes, at + 28);
    this.kind = u8(bytes, at + 32);
    this.flags = u8(bytes, at + 33);
    this.transport = bytes[at + 36] === 2 ? 'udp' : 'tcp';
    this.bytes = bytes;
    this.at = at;
    this.start = at + u16le(bytes, at + 34);
    this.end = at + size;
    this.#codecAt = at + ENTRY_HEAD_BYTES;
    this.#deviceAt = this.#codecAt + u8(bytes, at + 37);
    this.#peerAt = this.#deviceAt + u8(bytes, at + 38);
    this.#peerEnd = this.#peerAt + u8(bytes, at + 39);
    const hasOrder = (this.flags & HAS_ORDER) !== 0 && this.#peerEnd + ORDER_BYTES <= this.start;
    this.order = hasOrder ? u64le(bytes, this.#peerEnd) : 1000 * this.received;
    this.relay = (this.flags & IS_RELAY) !== 0;
    const keepAt = this.#peerEnd + (hasOrder ? ORDER_BYTES : 0);
    this.keepAt = (this.flags & HAS_KEEP) !== 0 && keepAt + keepBytes(this.accepted) <= this.start ? keepAt : -1;
  }

  /** Is accepted record `index` to go anywhere? */
  keeps(index: number): boolean {
    return this.keepAt < 0 || ((u8(this.bytes, this.keepAt + (index >> 3)) >> (index & 7)) & 1) === 1;
  }

  get codec(): string {
    return this.bytes.toString('utf8', this.#codecAt, this.#deviceAt);
  }

  get device(): string {
    return this.bytes.toString('utf8', this.#deviceAt, this.#peerAt);
  }

  get peer(): string {
    return this.bytes.toString('utf8', this.#peerAt, this.#peerEnd);
  }
}

export function segmentHeader(first: number): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  MAGIC.copy(header);
  putU16le(header, 8, FORMAT_VERSION);
  putU64le(header, 16, first);
  putU32le(header, 28, crc32(header.subarray(0, 28)));
  return header;
}

/** `version` of a sound header; 0 when it is not sound (torn, damaged, or not a segment at all). */
export function segmentVersion(header: Buffer, length: number): number {
  if (length < SEGMENT_HEADER_BYTES) return 0;
  if (MAGIC.compare(header, 0, MAGIC.length) !== 0) return 0;
  if (crc32(header.subarray(0, 28)) !== u32le(header, 28)) return 0;
  return u16le(header, 8);
}
