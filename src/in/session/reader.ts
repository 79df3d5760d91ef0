import { AppError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Bytes } from '../../base/wire/index.ts';
import type { AckRequest, Codec, DatagramDialect, FrameResult, Options, StreamDialect, Transport } from '../../codec/index.ts';
import { clockOffset } from '../../codec/options.ts';

/**
 * The codec at work for one turn on a connection: the dialect, the options that frames are read under, and the dialect's state.
 *
 * 3. Nothing that a codec throws while it decodes, encodes or adopts passes here (promise 6): the frame is malformed, the answer
 *    empty, and the stream goes on. `memo`, like `frame` and `salvage`, may throw: the intake closes the connection then.
 */
export class Reader {
  readonly options: Options;
  readonly #codec: Codec;
  readonly #dialect: StreamDialect | DatagramDialect;
  readonly #transport: Transport;
  readonly #log: Log;
  /** Minutes that the device's clock is ahead, as learned. */
  readonly clockOffset: number;
  #state: object;

  /** Throws CONFIG_INVALID when the codec has no dialect for the transport. */
  constructor(codec: Codec, transport: Transport, options: Options, log: Log) {
    const dialect = codec[transport];
    if (dialect === undefined) throw new AppError('CONFIG_INVALID', `codec ${codec.name} does not speak ${transport}`);
    this.options = options;
    this.#codec = codec;
    this.#dialect = dialect;
    this.#transport = transport;
    this.#log = log;
    this.clockOffset = clockOffset(options);
    this.#state = dialect.open(options, 0);
  }

  get state(): object {
    return this.#state;
  }

  /** Can this dialect take up what earlier connections learned? */
  get adopts(): boolean {
    return this.#dialect.adopt !== undefined;
  }

  memo(): number {
    return this.#dialect.memo?.(this.#state) ?? 0;
  }

  /** The connection goes on under other options. */
  reopened(options: Options): Reader {
    const next = new Reader(this.#codec, this.#transport, options, this.#log);
    const { reopen } = this.#dialect;
    try {
      if (reopen === undefined) next.adopt(this.memo());
      else next.#state = reopen(options, this.#state);
    } catch (error) {
      this.threw(error);
    }
    return next;
  }

  /** A fresh state that reads as the one did that had this memo: a frame decoded since is as if it had not been. */
  rewind(memo: number): void {
    this.#state = this.#dialect.open(this.options, memo);
  }

  decode(bytes: Bytes, start: number, end: number, out: FrameResult): void {
    out.reset(start, end);
    try {
      this.#dialect.decode(bytes, start, end, this.#state, out);
    } catch (error) {
      this.threw(error);
      out.malformed('codec_error');
    }
    if (this.clockOffset !== 0) out.correct(60_000 * this.clockOffset);
  }

  /** The device may not wait for the answers to its reports. */
  get guessesAcks(): boolean {
    try {
      return this.#dialect.guessesAcks?.(this.#state) ?? false;
    } catch (error) {
      this.threw(error);
      return true;
    }
  }

  /** Length of the answer written at `at`; 0: there is none. */
  encodeAck(request: AckRequest, out: Bytes, at: number): number {
    try {
      return this.#dialect.encodeAck(request, this.#state, out, at);
    } catch (error) {
      this.threw(error);
      return 0;
    }
  }

  /** Length of the command written at the beginning of `out`; 0: it cannot be said to this device. */
  encodeCommand(type: string, parameters: Options, key: number, out: Bytes, now: number): number {
    try {
      return this.#dialect.encodeCommand?.({ type, parameters }, key, this.#state, out, 0, now) ?? 0;
    } catch (error) {
      this.threw(error);
      return 0;
    }
  }

  /** Takes up the memo of an earlier connection; false when the codec threw. */
  adopt(memo: number): boolean {
    try {
      if (memo !== 0) this.#dialect.adopt?.(this.#state, memo);
      return true;
    } catch (error) {
      this.threw(error);
      return false;
    }
  }

  /** What a new connection would adopt of a memo; undefined when the codec threw. */
  durablePart(memo: number): number | undefined {
    try {
      const state = this.#dialect.open(this.options, 0);
      this.#dialect.adopt?.(state, memo);
      return this.#dialect.memo?.(state) ?? 0;
    } catch (error) {
      this.threw(error);
      return undefined;
    }
  }

  /** What a memo means, for people; undefined when the codec has no words for it. */
  describe(memo: number): Readonly<Record<string, string>> | undefined {
    try {
      return this.#dialect.describeMemo?.(memo);
    } catch (error) {
      this.threw(error);
      return undefined;
    }
  }

  threw(error: unknown): void {
    const stack = error instanceof Error ? error.stack : String(error);
    this.#log.error({ codec: this.#codec.name, stack }, 'a codec threw an exception; please report this defect of the codec');
  }
}
