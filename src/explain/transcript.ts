import { AppError, messageOf } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import { type Bytes, hex } from '../base/wire/index.ts';
import { datagramFrames } from '../codec/frame/datagram.ts';
import { Splitter, Stop } from '../codec/frame/splitter.ts';
import {
  AckRequest,
  type Codec,
  type Dialect,
  FRAME_KIND_NAMES,
  FrameKind,
  FrameResult,
  type Options,
  Settled,
  type Transport,
} from '../codec/index.ts';
import { isDeviceId } from '../in/session/identity.ts';
import { Rows } from '../out/record/rows.ts';

/**
 * One connection (or UDP peer) as the server would treat it, told message by message: what `fixgate decode` prints.
 *
 * 1. The same splitter, codec and rules of identity as the intake: what is shown is what the server would do.
 * 2. `answer` is what the device gets once everything in the frame is stored; null where the server stays silent, also
 *    towards a device that has not said who it is.
 * 3. `offset` counts from the first byte of the connection (on UDP: of the first datagram), noise included.
 */

export interface Annotation {
  readonly at: number;
  readonly length: number;
  readonly name: string;
  readonly raw: string;
  readonly value?: string;
}

export interface Message {
  readonly offset: number;
  readonly length: number;
  readonly type: (typeof FRAME_KIND_NAMES)[number];
  readonly name: string;
  readonly device: string | null;
  /** JSON objects of docs/formats/tables.md. */
  readonly records: readonly Readonly<Record<string, unknown>>[];
  /** Lower-case hex. */
  readonly answer: string | null;
  readonly reply: string | null;
  /** Only when malformed. */
  readonly reason?: string;
  /** Only when accepted in spite of a failed integrity check. */
  readonly damaged?: string;
  /** Only when asked for, and the codec can. */
  readonly explain?: readonly Annotation[];
}

export interface TranscriptSettings {
  readonly options: Options;
  /** Identity known from the start, '' for none. */
  readonly device: string;
  readonly explain: boolean;
  /** What was learned before; 0, or absent: nothing. */
  readonly memo?: number;
  /** Epoch ms, for the time of receipt and answers that carry the time. */
  now(): number;
}

export class Transcript {
  /** Why nothing more is read on this connection: the server closes it. '' while it is open. */
  closed = '';
  readonly #codec: Codec;
  readonly #transport: Transport;
  readonly #dialect: Dialect;
  readonly #settings: TranscriptSettings;
  readonly #state: object;
  readonly #splitter: Splitter | undefined;
  readonly #out = new FrameResult();
  readonly #rows = new Rows();
  readonly #request = new AckRequest();
  readonly #answer: Uint8Array;
  #device: string;
  /** Bytes of frames so far; of datagrams before this one; of noise in datagrams. */
  #framed = 0;
  #before = 0;
  #noise = 0;
  #found: Message[] = [];
  /** A copy of the bytes that are pending. */
  #tail: Bytes = new Uint8Array(0);

  /** Throws AppError USAGE when the codec does not speak the transport. */
  constructor(codec: Codec, transport: Transport, settings: TranscriptSettings) {
    const dialect = codec[transport];
    if (dialect === undefined) throw new AppError('USAGE', `${codec.name} does not speak ${transport}; leave --transport out`);
    this.#codec = codec;
    this.#transport = transport;
    this.#dialect = dialect;
    this.#settings = settings;
    this.#device = settings.device;
    this.#answer = new Uint8Array(codec.maxAnswerBytes);
    this.#state = dialect.open(settings.options, settings.memo ?? 0);
    this.#splitter =
      transport === 'tcp' && codec.tcp !== undefined
        ? new Splitter(codec.tcp, this.#state, codec.maxFrameBytes, (bytes, start, end) => this.#frame(bytes, start, end))
        : undefined;
  }

  /** A connection, not datagrams. */
  get isStream(): boolean {
    return this.#splitter !== undefined;
  }

  /** Bytes of a frame that is not complete. */
  get pending(): number {
    return this.#splitter?.pending ?? 0;
  }

  /** Bytes that belong to no frame. */
  get noise(): number {
    return this.#splitter?.noise ?? this.#noise;
  }

  /** Would silence make a frame of what is pending? Tried on a state of its own: the answer changes nothing here. */
  get salvages(): boolean {
    const { tcp } = this.#codec;
    if (this.pending === 0 || this.closed !== '' || this.#splitter === undefined || tcp?.salvage === undefined) return false;
    const state = tcp.open(this.#settings.options, tcp.memo?.(this.#state) ?? 0);
    return tcp.salvage(this.#tail, 0, this.#tail.length, state) > 0;
  }

  /** Takes one chunk of the stream, or one datagram; returns the messages it completed. */
  push(bytes: Bytes): Message[] {
    return this.#take(() => {
      if (this.#splitter !== undefined) {
        this.#splitter.push(bytes);
        const seen = bytes.length < this.pending ? Buffer.concat([this.#tail, bytes]) : bytes;
        this.#tail = Uint8Array.from(seen.subarray(seen.length - this.pending));
      } else {
        this.#noise += datagramFrames(this.#dialect, this.#state, bytes, this.#codec.maxFrameBytes, (b, start, end) =>
          this.#frame(b, start, end),
        );
        this.#before += bytes.length;
      }
    });
  }

  /** The device fell quiet: returns the messages that the codec makes of what is pending. */
  quiet(): Message[] {
    return this.#take(() => {
      this.#splitter?.quiet();
      this.#tail = this.#tail.subarray(this.#tail.length - this.pending);
    });
  }

  #take(read: () => void): Message[] {
    try {
      if (this.closed === '') read();
    } catch (error) {
      // The length of a frame comes from `frame`; one that throws leaves the stream without a next frame.
      this.closed = `codec_error: ${messageOf(error)}`;
    }
    if (this.#splitter?.stopped === Stop.TooLong) this.closed = `frame_too_long: a frame longer than ${this.#codec.maxFrameBytes} bytes`;
    const found = this.#found;
    this.#found = [];
    return found;
  }

  #frame(bytes: Bytes, start: number, end: number): boolean {
    const out = this.#out;
    const memo = this.#dialect.memo?.(this.#state) ?? 0;
    out.reset(start, end);
    try {
      this.#dialect.decode(bytes, start, end, this.#state, out);
    } catch {
      out.malformed('codec_error');
    }
    if (out.kind !== FrameKind.Malformed && out.deviceId !== '') {
      if (isDeviceId(out.deviceId)) this.#device = out.deviceId;
      else out.malformed('device_id');
    }
    const malformed = out.kind === FrameKind.Malformed;
    this.#found.push({
      offset: this.#splitter === undefined ? this.#before + start : this.#framed + this.#splitter.noise,
      length: end - start,
      type: FRAME_KIND_NAMES[out.kind],
      name: out.name,
      device: this.#device === '' ? null : this.#device,
      records: this.#records(bytes),
      answer: malformed ? null : this.#answerOf(),
      reply: out.kind === FrameKind.Reply ? out.replyText : null,
      ...(malformed ? { reason: out.reason } : {}),
      ...(out.damaged !== '' && !malformed ? { damaged: out.damaged } : {}),
      ...(this.#settings.explain ? { explain: this.#explain(bytes, start, end, memo) } : {}),
    });
    this.#framed += end - start;
    return true;
  }

  #records(bytes: Bytes): Readonly<Record<string, unknown>>[] {
    const rows = this.#rows;
    rows.clear();
    rows.append(this.#out, this.#codec, this.#device, this.#settings.now(), this.#out.rows, bytes);
    const records: Readonly<Record<string, unknown>>[] = [];
    for (let r = 0; r < rows.count; r++) {
      const record: Record<string, unknown> = Object(jsonOf(rows.json(r)));
      if (this.#device === '') record['device'] = null;
      records.push(record);
    }
    return records;
  }

  #answerOf(): string | null {
    const out = this.#out;
    const { promises } = out;
    if (this.#device === '' && (promises || out.rows > 0)) return null;
    const request = this.#request;
    request.settled = Settled.Stored;
    request.kind = out.kind;
    request.rows = out.rows;
    request.accepted = out.rows;
    request.ticketA = out.ticketA;
    request.ticketB = out.ticketB;
    request.ticketC = out.ticketC;
    request.now = this.#settings.now();
    const n = this.#dialect.encodeAck(request, this.#state, this.#answer, 0);
    return n > 0 ? hex(this.#answer, 0, n) : null;
  }

  /** With a fresh state, as a stored frame is read. */
  #explain(bytes: Bytes, start: number, end: number, memo: number): Annotation[] {
    const notes: Annotation[] = [];
    const dialect = this.#codec[this.#transport];
    dialect?.explain?.(bytes, start, end, dialect.open(this.#settings.options, memo), (at, length, name, raw, value) => {
      notes.push({ at: at - start, length, name, raw, ...(value === undefined ? {} : { value }) });
    });
    return notes;
  }
}
