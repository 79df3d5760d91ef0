import { isDeepStrictEqual } from 'node:util';
import { AppError } from '../../base/errors.ts';
import type { Bytes } from '../../base/wire/bytes.ts';
import { hex } from '../../base/wire/text.ts';
import { datagramFrames } from '../frame/datagram.ts';
import { Splitter, Stop } from '../frame/splitter.ts';
import {
  AckRequest,
  type Codec,
  checkOptions,
  type Dialect,
  FRAME_KIND_NAMES,
  FrameKind,
  FrameResult,
  type Options,
  Settled,
  type Transport,
} from '../index.ts';

/**
 * One connection (tcp) or peer (udp) as a codec sees it, without sockets, time or disk: bytes go in, snapshots come out.
 *
 * 1. A snapshot holds copies only: nothing in it changes when the bytes or the next decode do.
 * 2. `answer` is what the device gets once everything in the frame is stored; null for silence.
 * 3. Offsets count from the first byte of the connection, noise included.
 */

/** The wall clock that tests give to answers unless they say otherwise. */
export const KIT_NOW = 1793491200000; // 2026-11-01T00:00:00Z

/** Room for a command's bytes. */
export const COMMAND_ROOM = 1024;

/** One row with every column of FrameResult under the column's name; `from` and `to` count from the frame's first byte. */
export interface RowSnapshot {
  readonly from: number;
  readonly to: number;
  readonly time: number;
  readonly latitude: number;
  readonly longitude: number;
  readonly altitudeM: number;
  readonly speedKmh: number;
  readonly courseDeg: number;
  readonly hdop: number;
  readonly satellites: number;
  readonly valid: number;
  readonly flags: number;
  readonly event: number;
  /** Raw values; texts for the ids that the codec's `attributes` declare as text. */
  readonly attributes: readonly { readonly id: number; readonly value: number | string }[];
  readonly cells: readonly {
    readonly mcc: number;
    readonly mnc: number;
    readonly lac: number;
    readonly cid: number;
    readonly rssiDbm: number;
  }[];
  readonly wifi: readonly { readonly mac: string; readonly rssiDbm: number }[];
}

export interface FrameSnapshot {
  readonly offset: number;
  readonly length: number;
  readonly kind: (typeof FRAME_KIND_NAMES)[number];
  readonly name: string;
  /** The identity that this frame carries, '' for none. */
  readonly deviceId: string;
  /** The connection's identity after this frame. */
  readonly device: string;
  readonly reason: string;
  readonly damaged: string;
  readonly rows: readonly RowSnapshot[];
  readonly tickets: readonly [number, number, number];
  /** Lower-case hex, or null for silence. */
  readonly answer: string | null;
  readonly replyKey: number;
  readonly replyText: string;
  /** Memo of the state before this frame was decoded: with it the frame decodes alone. */
  readonly memo: number;
}

export interface FeedSettings {
  /** Values for the codec's options; defaults fill in the rest. Throws AppError CODEC_INVALID when they do not fit. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Open the state as for a stored frame. Default 0: a fresh connection. */
  readonly memo?: number;
  /** What an earlier connection of the device knew, handed to the fresh state. */
  readonly adopt?: number;
  /** Identity known before the first frame. */
  readonly device?: string;
  /** Epoch ms for answers that carry the time. Default KIT_NOW. */
  readonly now?: number;
  /** Called behind each decode, while the result and the bytes are valid. */
  readonly onDecoded?: (out: FrameResult, bytes: Bytes, start: number, end: number) => void;
}

/** Filled and copied from inside one `decode`; a connection of its own each would be most of the cost of a check. */
const OUT = new FrameResult();

export class Feed {
  readonly codec: Codec;
  readonly state: object;
  readonly frames: FrameSnapshot[] = [];
  /** Identity of the connection; may be set for frames that need a login first. */
  device: string;
  now: number;
  readonly #dialect: Dialect;
  readonly #splitter: Splitter | undefined;
  readonly #onDecoded: FeedSettings['onDecoded'];
  readonly #request = new AckRequest();
  readonly #answer: Uint8Array;
  /** Bytes in the datagrams before this one, and the noise in all of them. */
  #before = 0;
  #noise = 0;
  #framed = 0;

  constructor(codec: Codec, transport: Transport, settings: FeedSettings = {}) {
    const dialect = codec[transport];
    if (dialect === undefined) throw new AppError('CODEC_INVALID', `codec "${codec.name}" does not speak ${transport}`);
    this.codec = codec;
    this.device = settings.device ?? '';
    this.now = settings.now ?? KIT_NOW;
    this.#dialect = dialect;
    this.#onDecoded = settings.onDecoded;
    this.#answer = new Uint8Array(codec.maxAnswerBytes);
    this.state = dialect.open(kitOptions(codec, settings.options), settings.memo ?? 0);
    if (settings.adopt !== undefined) dialect.adopt?.(this.state, settings.adopt);
    this.#splitter =
      transport === 'tcp' && codec.tcp !== undefined
        ? new Splitter(codec.tcp, this.state, codec.maxFrameBytes, (bytes, start, end) => this.#take(bytes, start, end))
        : undefined;
  }

  /** Bytes held of a frame that is not complete; always 0 for datagrams. */
  get pending(): number {
    return this.#splitter?.pending ?? 0;
  }

  get noise(): number {
    return this.#splitter?.noise ?? this.#noise;
  }

  get stopped(): Stop {
    return this.#splitter?.stopped ?? Stop.None;
  }

  /** One chunk of the stream, or one datagram. Returns the frames that it completed. */
  push(bytes: Bytes): FrameSnapshot[] {
    const had = this.frames.length;
    if (this.#splitter !== undefined) this.#splitter.push(bytes);
    else {
      this.#noise += datagramFrames(this.#dialect, this.state, bytes, this.codec.maxFrameBytes, (b, start, end) =>
        this.#take(b, start, end),
      );
      this.#before += bytes.length;
    }
    return this.frames.slice(had);
  }

  /** The peer fell quiet in the middle of a frame. Returns the frames that salvage made of what was held. */
  quiet(): FrameSnapshot[] {
    const had = this.frames.length;
    this.#splitter?.quiet();
    return this.frames.slice(had);
  }

  /** Decodes bytes[start, end) as one frame, whatever `frame` would say of it. */
  decode(bytes: Bytes, start: number, end: number): FrameSnapshot {
    const memo = this.#dialect.memo?.(this.state) ?? 0;
    const out = OUT;
    out.reset(start, end);
    this.#dialect.decode(bytes, start, end, this.state, out);
    if (out.kind !== FrameKind.Malformed && out.deviceId !== '') this.device = out.deviceId;
    this.#onDecoded?.(out, bytes, start, end);
    const offset = this.#splitter === undefined ? this.#before + start : this.#framed + this.#splitter.noise;
    this.#framed += end - start;
    const snapshot = {
      offset,
      length: end - start,
      kind: FRAME_KIND_NAMES[out.kind],
      name: out.name,
      deviceId: out.deviceId,
      device: this.device,
      reason: out.reason,
      damaged: out.damaged,
      rows: rowSnapshots(this.codec, out, start),
      tickets: [out.ticketA, out.ticketB, out.ticketC],
      answer: this.#encode(out),
      replyKey: out.replyKey,
      replyText: out.replyText,
      memo,
    } as const;
    this.frames.push(snapshot);
    return snapshot;
  }

  #take(bytes: Bytes, start: number, end: number): boolean {
    this.decode(bytes, start, end);
    return true;
  }

  #encode(out: FrameResult): string | null {
    if (out.kind === FrameKind.Malformed) return null;
    const request = this.#request;
    request.settled = Settled.Stored;
    request.kind = out.kind;
    request.rows = out.rows;
    request.accepted = out.rows;
    request.ticketA = out.ticketA;
    request.ticketB = out.ticketB;
    request.ticketC = out.ticketC;
    request.now = this.now;
    const n = this.#dialect.encodeAck(request, this.state, this.#answer, 0);
    return n > 0 ? hex(this.#answer, 0, Math.min(n, this.#answer.length)) : null;
  }
}

/** Runs chunks (or datagrams) through one connection from its start. */
export function feed(codec: Codec, transport: Transport, chunks: readonly Bytes[], settings: FeedSettings = {}): Feed {
  const connection = new Feed(codec, transport, settings);
  for (const chunk of chunks) connection.push(chunk);
  return connection;
}

/** Where two snapshots (or any plain values) differ first, as `path: a | b`; '' when they are equal. NaN equals NaN. */
export function difference(a: unknown, b: unknown): string {
  if (isDeepStrictEqual(a, b)) return '';
  const found = deepDifference(a, b);
  return found.startsWith(':') ? `value${found}` : found;
}

/** The path is put together on the way back: most of what is compared is equal. */
function deepDifference(a: unknown, b: unknown): string {
  if (Object.is(a, b)) return '';
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return `: ${show(a)} | ${show(b)}`;
  const keys = Object.keys(a);
  // Keys that only one of the two has: a missing one reads as undefined.
  if (Object.keys(b).length !== keys.length) keys.push(...Object.keys(b));
  for (const key of keys) {
    const found = deepDifference(Reflect.get(a, key), Reflect.get(b, key));
    if (found !== '') return found.startsWith(':') ? `${key}${found}` : `${key}.${found}`;
  }
  return '';
}

function show(value: unknown): string {
  return typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? 'absent');
}

/** Checked options with their defaults. Throws AppError CODEC_INVALID. */
export function kitOptions(codec: Codec, given: FeedSettings['options']): Options {
  const problems: string[] = [];
  const options = checkOptions(codec.options, given ?? {}, problems);
  if (problems.length > 0) throw new AppError('CODEC_INVALID', `codec "${codec.name}": options ${problems.join('; ')}`);
  return options;
}

function rowSnapshots(codec: Codec, out: FrameResult, start: number): RowSnapshot[] {
  const rows: RowSnapshot[] = [];
  let attr = 0;
  let cell = 0;
  let wifi = 0;
  for (let r = 0; r < out.rows; r++) {
    const attributes: { id: number; value: number | string }[] = [];
    for (const last = at(out.attrEnd, r); attr < last; attr++) {
      const id = at(out.attrId, attr);
      const value = at(out.attrNum, attr);
      attributes.push({ id, value: codec.attributes.get(id)?.type === 'text' ? (out.texts[value] ?? value) : value });
    }
    const cells: { mcc: number; mnc: number; lac: number; cid: number; rssiDbm: number }[] = [];
    for (const last = at(out.cellEnd, r); cell < last; cell++)
      cells.push({
        mcc: at(out.cellMcc, cell),
        mnc: at(out.cellMnc, cell),
        lac: at(out.cellLac, cell),
        cid: at(out.cellCid, cell),
        rssiDbm: at(out.cellRssiDbm, cell),
      });
    const points: { mac: string; rssiDbm: number }[] = [];
    for (const last = at(out.wifiEnd, r); wifi < last; wifi++)
      points.push({ mac: out.wifiMac[wifi] ?? '', rssiDbm: at(out.wifiRssiDbm, wifi) });
    rows.push({
      from: at(out.from, r) - start,
      to: at(out.to, r) - start,
      time: at(out.time, r),
      latitude: at(out.latitude, r),
      longitude: at(out.longitude, r),
      altitudeM: at(out.altitudeM, r),
      speedKmh: at(out.speedKmh, r),
      courseDeg: at(out.courseDeg, r),
      hdop: at(out.hdop, r),
      satellites: at(out.satellites, r),
      valid: at(out.valid, r),
      flags: at(out.flags, r),
      event: at(out.event, r),
      attributes,
      cells,
      wifi: points,
    });
  }
  return rows;
}

function at(column: ArrayLike<number>, index: number): number {
  return column[index] ?? Number.NaN;
}
