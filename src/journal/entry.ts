import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { putU16le, putU32le, putU64le, u16le, u32le, u64le } from '../base/wire/index.ts';
import { type Definition, NO_DEFINITION, type Transport, transportAt } from './definition.ts';

/**
 * The journal's format, byte by byte. Integers are little-endian; 64-bit ones hold at most 2^53 - 1.
 *
 * A segment is a header followed by entries, back to back. Its name is the sequence of its first entry, 16 lower-case
 * hex digits, and `.seg`.
 *
 *     segment header, 4128 bytes: these 32, zeros up to 4095, and these 32 again at 4096, so that no single bad sector costs the
 *     segment
 *      0  8  magic          "FIXGATEJ"
 *      8  2  version        3. A reader refuses a higher one, and reads lower ones (below). The magic, this field and the CRC stay
 *                           where they are in every version, so that any version can say so.
 *     10  2  reserved       0
 *     12  4  key            random: hides sizes
 *     16  8  first          sequence of the first entry, as in the name
 *     24  4  salt           random: begins checksums
 *     28  4  CRC-32         of bytes 0…27
 *
 *     entry
 *      0  4  size           bytes of the whole entry, this field included: 42…1 048 576; xor a mask of key and file offset
 *      4  4  CRC-32         of bytes 8…size-1, begun with salt
 *      8  8  sequence       first…first + 2^32, rising; numbers may be missing, none is used twice. Of a definition: that of the
 *                           entry behind it when it was written
 *     16  8  received       epoch ms
 *     24  4  memo           the codec's memo: how the frame reads when decoded alone
 *     28  4  accepted       how many leading records of the frame were accepted
 *     32  1  kind           1 frame, 2 event, 3 usage; 4 void: an entry was here and has been removed, no names, no bytes;
 *                           5 definition; 6 identity: the peer names the installation, no bytes; 7 audit: names no device here, so that erasing one
 *                           leaves it. A reader passes over kinds that it does not know.
 *     33  1  flags          bit 0: `order` is there; bit 1: `keep` is there; bit 2: relay, the entry goes to the stream and to no
 *                           table, and leaves the journal once it has. A reader ignores bits that it does not know: what
 *                           they announce lies between keep and bytes, and `head` steps over it. A change that an old
 *                           reader must not overlook takes a new version: bits 1 and 2 did.
 *     34  2  head           offset of bytes, ≥ 42 + the two lengths
 *     36  4  definition     number of the definition that it is read under, 0 for none. Of a definition: its number
 *     40  1  d              length of device
 *     41  1  p              length of peer
 *     42  d  device         identity as normalised, UTF-8; empty when not known
 *         p  peer           address and port, UTF-8
 *         8  order          rises from entry to entry over all slots of a machine, whatever the wall clock does: slots are
 *                           merged by it. Where it is missing, received × 1000 stands for it.
 *         k  keep           k = accepted ÷ 8, rounded up: of the accepted records, number i is kept when bit i mod 8 of byte
 *                           i ÷ 8 is set. The others were acknowledged and go nowhere. Bits from accepted on mean nothing.
 *                           Where it is missing, all are kept.
 *   head  …  bytes          up to size: the raw frame, the JSON of an event, usage or audit entry, or a definition (`definition.ts`)
 *
 * The mask, in 32 bits without sign, of the low 32 bits of the file offset of the entry:
 *
 *     h = (offset xor key) * 9e3779b1;  h = (h xor h>>15 xor key) * 85ebca77;  h = (h xor h>>13) * c2b2ae3d;  mask = h xor h>>16
 *
 * Devices choose what stands in `bytes`, and a reader that looks for the next entry behind a bad sector looks there, too. They do
 * not know key and salt, so what they write is not taken for an entry, and its sizes are not believed before it is summed.
 *
 * A definition stands in front of the first entry of its segment that refers to it, twice, and again further on: first behind
 * 4 KiB, then at growing distances. Numbers are a segment's own. An entry whose definition cannot be found anywhere in its
 * segment cannot be read: it counts as damage.
 *
 * Versions 1 and 2: the header is its first 32 bytes alone, without key and salt; sizes stand as they are, checksums begin with
 * 0. There are no definitions; from byte 36 on an entry has
 *
 *     36  1  transport      1 TCP, 2 UDP
 *     37  1  c              length of codec
 *     38  1  d              length of device
 *     39  1  p              length of peer
 *     40  c  codec          name, UTF-8
 *
 * and goes on with device. Version 1 has no flags but bit 0. Its options were not kept: it is read under those configured now.
 *
 * Bytes 40 up to order are the same for every entry of a session: `Origin` keeps them ready.
 */
export const FORMAT_VERSION = 3;
export const SEGMENT_HEADER_BYTES = 4128;
/** Bytes before device and peer. */
export const ENTRY_HEAD_BYTES = 42;
/** Largest entry: bounds what a reader has to hold, and tells a size from garbage. */
export const MAX_ENTRY_BYTES = 1 << 20;
/** Largest `bytes` that surely fits, whatever the names in the origin, a keep mask counted with them. Frame limits must stay below it. */
export const MAX_PAYLOAD_BYTES = MAX_ENTRY_BYTES - ENTRY_HEAD_BYTES - 2 * 255 - 8;

const MAGIC = Buffer.from('FIXGATEJ', 'latin1');
/** A header, and where it stands. */
export const HEADER_COPY_BYTES = 32;
const HEADER_COPY_AT = SEGMENT_HEADER_BYTES - HEADER_COPY_BYTES;
export const HEADER_COPIES = [0, HEADER_COPY_AT] as const;
const OLD_HEAD_BYTES = 40;
const ORIGIN_AT = 40;
const HAS_ORDER = 1;
const HAS_KEEP = 2;
const IS_RELAY = 4;
const ORDER_BYTES = 8;
const MOST_SEQUENCES = 2 ** 32;
/** Longest keep mask that fits before `head` overflows, whatever the names in the origin: half a million records. */
export const MAX_KEEP_BYTES = 0xffff - ENTRY_HEAD_BYTES - 2 * 255 - ORDER_BYTES;

export const EntryKind = { Frame: 1, Event: 2, Usage: 3, Void: 4, Definition: 5, Identity: 6, Audit: 7 } as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/** How the entries of one segment are laid out, hidden and summed. */
export interface SegmentFormat {
  readonly version: number;
  /** Sequence of the first entry. */
  readonly first: number;
  readonly key: number;
  readonly salt: number;
  /** File offset of the first entry. */
  readonly begin: number;
}

/** Of a segment to be written. */
export function newFormat(first: number): SegmentFormat {
  const random = randomBytes(8);
  return { version: FORMAT_VERSION, first, key: u32le(random, 0), salt: u32le(random, 4), begin: SEGMENT_HEADER_BYTES };
}

/** Of a segment of an earlier version, also one whose header is lost. */
export function oldFormat(version: number, first: number): SegmentFormat {
  return { version, first, key: 0, salt: 0, begin: HEADER_COPY_BYTES };
}

/**
 * Where a session's entries come from. Make one when the session learns who it is, not per frame: it holds the
 * encoded bytes, and an append copies them in one step.
 */
export class Origin {
  readonly definition: Definition;
  readonly device: string;
  readonly peer: string;
  /** Bytes 40… of an entry, up to order. */
  readonly encoded: Uint8Array;

  /** Throws RangeError when a name is longer than 255 bytes of UTF-8: cutting it would make it another name. */
  constructor(definition: Definition, device: string, peer: string) {
    this.definition = definition;
    this.device = device;
    this.peer = peer;
    const names = [Buffer.from(device, 'utf8'), Buffer.from(peer, 'utf8')];
    for (const name of names) if (name.length > 255) throw new RangeError('the name of a device or peer is longer than 255 bytes');
    this.encoded = Buffer.concat([Buffer.from(names.map((name) => name.length)), ...names]);
  }
}

/** Of entries that belong to no device. */
const NOWHERE = new Origin(NO_DEFINITION, '', '');
const NO_BYTES = new Uint8Array(0);

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
 * `memo`, `accepted` and `definition` are whole numbers ≥ 0; a mask in `marks` has the length that belongs to `accepted`, or
 * more. The entry is complete when it has been sealed: which segment it goes to need not be known before.
 *
 * Copying takes a view of the bytes. That costs about 10 ns, and what it replaces costs more (bench/micro/journal.bench.ts): a
 * byte loop copies 400 bytes in 270 ns against 30.
 */
export function writeEntry(
  out: Uint8Array,
  at: number,
  sequence: number,
  origin: Origin,
  definition: number,
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
  putU32le(out, at + 36, definition);
  out.set(origin.encoded, at + ORIGIN_AT);
  putU64le(out, at + orderAt, order);
  out.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), at + head);
  return size;
}

/** Seals the entries that `writeEntry` has left back to back in bytes[0, end), for file offset `offset` of a segment. */
export function sealEntries(bytes: Uint8Array, end: number, format: SegmentFormat, offset: number): void {
  for (let at = 0; at < end; ) {
    const size = u32le(bytes, at);
    putU32le(bytes, at + 4, crc32(bytes.subarray(at + 8, at + size), format.salt));
    placeEntry(bytes, at, size, format, offset + at);
    at += size;
  }
}

/** Hides the size of a sealed entry for another file offset of its segment. */
export function placeEntry(bytes: Uint8Array, at: number, size: number, format: SegmentFormat, offset: number): void {
  putU32le(bytes, at, size ^ maskAt(format, offset));
}

/** Writes a sealed definition entry and returns its size; `sequence` is that of the entry behind it. */
export function writeDefinition(
  out: Uint8Array,
  at: number,
  sequence: number,
  number: number,
  definition: Definition,
  format: SegmentFormat,
  offset: number,
): number {
  const { encoded } = definition;
  const size = writeEntry(out, at, sequence, NOWHERE, number, EntryKind.Definition, 0, 0, 0, 0, encoded, 0, encoded.length);
  sealEntries(out.subarray(at, at + size), size, format, offset);
  return size;
}

/** Bytes that `writeDefinition` writes. */
export function definitionSize(definition: Definition): number {
  return entrySize(NOWHERE, definition.encoded.length);
}

/** Writes a sealed void entry, in any version, and returns its size: at most 64 bytes. */
export function writeVoid(
  out: Uint8Array,
  format: SegmentFormat,
  offset: number,
  sequence: number,
  received: number,
  order: number,
): number {
  const size = writeEntry(out, 0, sequence, NOWHERE, 0, EntryKind.Void, received, order, 0, 0, NO_BYTES, 0, 0);
  if (format.version === FORMAT_VERSION) {
    sealEntries(out, size, format, offset);
    return size;
  }
  const old = OLD_HEAD_BYTES + ORDER_BYTES;
  putU16le(out, 34, old);
  putU32le(out, 36, 1);
  putU64le(out, OLD_HEAD_BYTES, order);
  putU32le(out, 0, old);
  putU32le(out, 4, crc32(out.subarray(8, old)));
  return old;
}

/** What the size of an entry at a file offset is hidden under. Nothing that a device can write is likely to look like a size. */
function maskAt(format: SegmentFormat, offset: number): number {
  if (format.version < 3) return 0;
  let h = Math.imul((offset ^ format.key) | 0, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15) ^ format.key, 0x85ebca77);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae3d);
  return h ^ (h >>> 16);
}

/**
 * What lies at `at`, which is `offset` in the file: the size of a whole, sound entry; 0 for what may be one whose end is not in
 * `[at, end)`; -1 if there is no entry.
 */
export function checkEntry(bytes: Buffer, at: number, end: number, format: SegmentFormat, offset: number): number {
  const there = end - at;
  const isOld = format.version < 3;
  const headBytes = isOld ? OLD_HEAD_BYTES : ENTRY_HEAD_BYTES;
  if (there < headBytes) return 0;
  const size = (u32le(bytes, at) ^ maskAt(format, offset)) >>> 0;
  if (size < headBytes || size > MAX_ENTRY_BYTES) return -1;
  const head = u16le(bytes, at + 34);
  const names = isOld ? u8(bytes, at + 37) + u8(bytes, at + 38) + u8(bytes, at + 39) : u8(bytes, at + 40) + u8(bytes, at + 41);
  if (head < headBytes + names || head > size) return -1;
  const sequence = u64le(bytes, at + 8);
  if (sequence < format.first || sequence > format.first + MOST_SEQUENCES || sequence > Number.MAX_SAFE_INTEGER) return -1;
  if (there < size) return 0;
  if (crc32(bytes.subarray(at + 8, at + size), format.salt) !== u32le(bytes, at + 4)) return -1;
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
  /** Version of the format that the entry was written in. */
  version = FORMAT_VERSION;
  /** Number of the definition; 0 for none, and in versions without them. */
  number = 0;
  /** What the entry is read under, as its reader has found it; null when it is lost. */
  definition: Definition | null = null;
  /** The lent buffer; the whole entry is `[at, end)` of it, the payload `[start, end)`. */
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  start = 0;
  end = 0;
  #deviceAt = 0;
  #peerAt = 0;
  #peerEnd = 0;

  /** `at` must be where `checkEntry` found an entry of `size` bytes. The definition is the caller's to set. */
  aim(bytes: Buffer, at: number, size: number, version = FORMAT_VERSION): void {
    this.sequence = u64le(bytes, at + 8);
    this.received = u64le(bytes, at + 16);
    this.memo = u32le(bytes, at + 24);
    this.accepted = u32le(bytes, at + 28);
    this.kind = u8(bytes, at + 32);
    this.flags = u8(bytes, at + 33);
    this.bytes = bytes;
    this.at = at;
    this.start = at + u16le(bytes, at + 34);
    this.end = at + size;
    this.version = version;
    this.definition = null;
    if (version < 3) {
      this.number = 0;
      this.#deviceAt = at + OLD_HEAD_BYTES + u8(bytes, at + 37);
      this.#peerAt = this.#deviceAt + u8(bytes, at + 38);
      this.#peerEnd = this.#peerAt + u8(bytes, at + 39);
    } else {
      this.number = u32le(bytes, at + 36);
      this.#deviceAt = at + ENTRY_HEAD_BYTES;
      this.#peerAt = this.#deviceAt + u8(bytes, at + 40);
      this.#peerEnd = this.#peerAt + u8(bytes, at + 41);
    }
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
    return this.definition?.codec ?? '';
  }

  get transport(): Transport {
    return this.definition?.transport ?? 'tcp';
  }

  /** Of the device, at receipt; '' when it had none. */
  get account(): string {
    return this.definition?.account ?? '';
  }

  get device(): string {
    return this.bytes.toString('utf8', this.#deviceAt, this.#peerAt);
  }

  get peer(): string {
    return this.bytes.toString('utf8', this.#peerAt, this.#peerEnd);
  }

  /** In versions 1 and 2: the transport and the codec's name, which stand in the entry itself. */
  get oldNames(): { readonly codec: string; readonly transport: Transport } {
    const codec = this.bytes.toString('utf8', this.at + OLD_HEAD_BYTES, this.#deviceAt);
    return { codec, transport: transportAt(u8(this.bytes, this.at + 36)) ?? 'tcp' };
  }
}

/** Is a sound header, of any version, at `at`? */
export function isHeader(bytes: Buffer, at: number, end: number): boolean {
  if (end < at + HEADER_COPY_BYTES || MAGIC.compare(bytes, at, at + MAGIC.length) !== 0) return false;
  return crc32(bytes.subarray(at, at + 28)) === u32le(bytes, at + 28);
}

/** The header of a segment, `format.begin` bytes. */
export function segmentHeader(format: SegmentFormat): Buffer {
  const header = Buffer.alloc(format.begin);
  MAGIC.copy(header);
  putU16le(header, 8, format.version);
  putU32le(header, 12, format.key);
  putU64le(header, 16, format.first);
  putU32le(header, 24, format.salt);
  putU32le(header, 28, crc32(header.subarray(0, 28)));
  if (format.version >= 3) header.copy(header, HEADER_COPY_AT, 0, HEADER_COPY_BYTES);
  return header;
}

/**
 * The format that the first `length` bytes of a segment give, of a later version, too; undefined when they hold no sound header (it is
 * torn, damaged, or never was one).
 */
export function readFormat(bytes: Buffer, length: number, first: number): SegmentFormat | undefined {
  for (const at of HEADER_COPIES) {
    if (!isHeader(bytes, at, length)) continue;
    const version = u16le(bytes, at + 8);
    if (version < 3) return oldFormat(version, first);
    return { version, first, key: u32le(bytes, at + 12), salt: u32le(bytes, at + 24), begin: SEGMENT_HEADER_BYTES };
  }
  return undefined;
}
