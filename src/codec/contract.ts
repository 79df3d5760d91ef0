import type { Bytes } from '../base/wire/bytes.ts';
import type { AckRequest } from './ack-request.ts';
import type { FrameResult } from './frame-result.ts';
import type { Layout } from './layout.ts';
import type { SimulatedDevice } from './simulated.ts';

/**
 * The codec contract (codecs/README.md).
 *
 * 1. A codec is synchronous and pure: no I/O, timers, clocks, randomness, logging. The host owns all of these.
 * 2. Bytes are lent for the call: index them, never keep, slice or write them.
 * 3. `frame` never depends on how the stream was cut: for the same bytes after `start` it gives 0 or its one final verdict.
 * 4. `decode` never throws for bad bytes; it says `out.malformed(REASON)`.
 * 5. What decode reads depends only on bytes, options, device and memo, so that a stored frame decodes alone later.
 * 6. `encodeAck` sees what was settled and the tickets that decode left, never the frame.
 * 7. A memo means the same on both transports. What is adopted shows in the memo, and what the connection was told itself comes first.
 */
export type Transport = 'tcp' | 'udp' | 'sms';

export type OptionValue = string | number | boolean;
export type Options = Readonly<Record<string, OptionValue>>;

/** One option of a codec or one parameter of a command: type, default, documentation, and the values it may take. */
export interface OptionRule {
  readonly type: 'string' | 'number' | 'boolean';
  /** Absent: the value must be given (command parameters only; every codec option has a default). */
  readonly fallback?: OptionValue;
  readonly about: string;
  /** The only values allowed, for strings. */
  readonly oneOf?: readonly string[];
  /** What a string must match. */
  readonly pattern?: RegExp;
  /** Inclusive limits, for numbers. */
  readonly min?: number;
  readonly max?: number;
  /**
   * Of a codec's option: false when no value of it changes what `decode` reads. The others are kept with every stored frame, so
   * that it reads the same when they have been changed. Default true.
   */
  readonly decodes?: boolean;
  /**
   * Of a codec's option: a password or key. It is kept nowhere: a stored frame is read under the one that is configured then. To be
   * given, true or false, where the name looks like one. Default false.
   */
  readonly secret?: boolean;
}

/** A codec's own attribute id, translated once, in the record room, to the standard name and unit (docs/vocabulary.md). */
export interface Attribute {
  readonly name: string;
  readonly type: 'number' | 'boolean' | 'text';
  /** Raw value × scale + offset = value in the unit of the name. Default 1 and 0. */
  readonly scale?: number;
  readonly offset?: number;
}

/** A command type that the codec encodes, with its typed parameters (docs/commands.md). */
export interface CommandRule {
  readonly type: string;
  readonly about: string;
  readonly parameters: Readonly<Record<string, OptionRule>>;
  /** Which device families know it; absent: all of the protocol. */
  readonly families?: string;
  /**
   * What shows that a device has carried it out. Default `reply`; `fix`: a position newer than the request; `departure`: the end of
   * the connection, or a reply; `contact`: its next word, for it never replies.
   */
  readonly shownBy?: 'reply' | 'fix' | 'departure' | 'contact';
  /**
   * Which outputs a command with these parameters switches, under the codec's options for the device. Pure, never throws; a text it
   * cannot read is taken for the worst. Absent: none, but the host knows `engine_stop`, `engine_resume` and `set_output`.
   */
  readonly switches?: (parameters: Options, options: Options) => readonly Switching[];
  /**
   * The type that a command with these parameters amounts to, of the catalogue: `set_server` for everything after which the device
   * may not come back (another server, access point, factory settings), `reboot` for a restart. '' when it is nothing but itself. Pure,
   * never throws. What `shownBy` and `switches` of that type say holds for it too, and it is as critical. Absent: never.
   */
  readonly actsAs?: (parameters: Options) => string;
}

/** What a command does to one output of the device. */
export interface Switching {
  /** The device's number of it; 0: its engine relay, where that has no number. */
  readonly output: number;
  readonly on: boolean;
  /** The vehicle may be unable to drive then: such a command waits until it stands. */
  readonly immobilises: boolean;
}

/** What the text of a reply means. */
export interface Reading {
  /**
   * `deferred`: the device does it when it can (an engine stop, when the vehicle is slow). `unclear`: no documented form; it is the
   * reply when no other comes.
   */
  readonly outcome: 'done' | 'deferred' | 'refused' | 'unclear';
  /** Values that the text gives, under standard names (docs/vocabulary.md) where there are such; settings as `interval`, `server`, `time_zone`. */
  readonly values: Options;
}

/** A command whose parameters the host has checked against the rule. */
export interface Command {
  readonly type: string;
  readonly parameters: Options;
}

/** One annotation of bytes[at, at + length): vendor's field name, raw value, and the scaled or translated value where it differs. */
export type Note = (at: number, length: number, name: string, raw: string, value?: string) => void;

/** What one transport of a protocol looks like on the wire. `S` is the codec's own connection state. */
export interface Dialect<S extends object = object> {
  /** Fresh state of one connection or peer, or the state that a stored frame was decoded under (memo ≠ 0). */
  open(options: Options, memo: number): S;
  /** The bits of the state that change what decode reads, as 31 bits ≥ 0; stored beside every frame. */
  memo?(state: S): number;
  /**
   * The host knows now who is talking and hands back the memo of an earlier connection of that device. Fills only what this state has not
   * been told or learned itself, and takes only what holds beyond a connection (a variant, not an alarm in progress). What it
   * takes is the durable part, memo(adopt(open(options, 0), memo)); the host keeps that when it changes. Any 31 bits may come:
   * an older version may have written them. Absent: nothing outlives a connection.
   */
  adopt?(state: S, memo: number): void;
  /**
   * The connection goes on under other options: a fresh state that keeps what commands and answers need (an id to repeat in them, say) and
   * what the device has taught, but for what the options settle. Absent: open(options, 0), which adopts the memo of `before`.
   */
  reopen?(options: Options, before: S): S;
  /** What a memo says, for people, under the names of the options that override it where there are such. Not on the byte path. */
  describeMemo?(memo: number): Readonly<Record<string, string>>;
  /** Reads the one frame bytes[start, end) into `out`, which the host has reset. */
  decode(bytes: Bytes, start: number, end: number, state: S, out: FrameResult): void;
  /** Writes the answer at `at` (at least `maxAnswerBytes` of room) and returns its length, 0 for silence. */
  encodeAck(request: AckRequest, state: S, out: Bytes, at: number): number;
  /**
   * Does the codec only guess that the device waits for the answers to its reports? One that does not takes a later heartbeat's answer for
   * proof, so none may follow a report that could not be stored. Absent: the protocol says it.
   */
  guessesAcks?(state: S): boolean;
  /**
   * Writes a downlink command at `at` (at least 1024 bytes of room), carrying `key` (0…`highestKey`; 0 if no reply is awaited) if the protocol echoes one; returns its length, 0 when
   * the command does not fit this state (see `commands` for what may be asked). `now`: epoch ms, for a command that says when it was sent.
   */
  encodeCommand?(command: Command, key: number, state: S, out: Bytes, at: number, now: number): number;
  /** Annotates every byte of one frame for people. Not on the byte path. */
  explain?(bytes: Bytes, start: number, end: number, state: S, note: Note): void;
}

export interface StreamDialect<S extends object = object> extends Dialect<S> {
  /**
   * Looks at bytes[start, end). n > 0: the frame at `start` is n bytes long, even if fewer have arrived; 0: cannot tell
   * yet; n < 0: the first −n bytes (≤ end − start) are noise.
   */
  frame(bytes: Bytes, start: number, end: number, state: S): number;
  /** The peer fell quiet mid-frame: the length ≤ end − start to take as a frame anyway, or 0 when there is none. */
  salvage?(bytes: Bytes, start: number, end: number, state: S): number;
}

export interface DatagramDialect<S extends object = object> extends Dialect<S> {
  /** Present when one datagram may hold several frames; same meaning as on a stream. Absent: the datagram is the frame. */
  frame?(bytes: Bytes, start: number, end: number, state: S): number;
}

export interface Codec {
  readonly api: 1;
  /** Lower-case name used in config, records and metrics: letters, digits, dashes; at most 16 characters. */
  readonly name: string;
  /** One line for people: the makers or families that speak it. */
  readonly about: string;
  readonly maxFrameBytes: number;
  readonly maxAnswerBytes: number;
  /** How a reply finds its command: the key comes back, replies come in the order of commands, or there are none. */
  readonly replies: 'echoed' | 'in-order' | 'none';
  /** The highest key that a command can carry: 86 399, a second of the day, or where the protocol has no room for it less, from 43 200. */
  readonly highestKey: number;
  readonly options: Readonly<Record<string, OptionRule>>;
  /**
   * Name of the option that says in which zone dates are, where frames have no UTC. While it is at its default the host may find that a
   * device's clock is hours off, and correct the times that decode reads. '': there is none.
   */
  readonly zoneOption: string;
  readonly attributes: ReadonlyMap<number, Attribute>;
  /** Prefix of the name of an attribute id that is not in `attributes`: `io_` gives `io_9999`. */
  readonly attributePrefix: string;
  readonly commands: readonly CommandRule[];
  /** How long a device may take to reply while it is connected, ms. */
  readonly replyMs: number;
  /**
   * Reads the text of a reply to this command, or one that was not asked for (undefined). Undefined: no reply to such a command looks
   * like this. Absent: every text is one and says nothing. The host hands in 4096 characters at most; the kit checks that the cost
   * grows with the length only.
   */
  readonly readReply: ((command: Command | undefined, text: string) => Reading | undefined) | undefined;
  readonly layouts: readonly Layout[];
  /** Vendor's names of the messages, as `out.name` may carry them. */
  readonly messages: readonly string[];
  /** Reasons that `out.malformed` and `out.damaged` may carry: a bounded set, used as metric labels. `short`, `length` and `checksum` are called so in every codec. */
  readonly reasons: readonly string[];
  /** Do the first bytes of a connection or datagram look like this protocol? true, false, or undefined: needs more bytes. */
  recognise(bytes: Bytes, start: number, end: number): boolean | undefined;
  readonly tcp: StreamDialect | undefined;
  readonly udp: DatagramDialect | undefined;
  /** What devices write as text messages. A message is one frame of UTF-8 bytes, whose sender the host knows; nothing is answered. Absent: none is read. */
  readonly sms?: DatagramDialect | undefined;
  /** Makes the n-th device of `fixgate simulate` for a transport; undefined: none on that. Absent: the codec brings none. */
  readonly simulated: ((n: number, transport: Transport) => SimulatedDevice | undefined) | undefined;
}
