import type { Stretch } from '../../base/erased.ts';
import { messageOf } from '../../base/errors.ts';
import { type Codec, type Dialect, FrameKind, FrameResult, type Options } from '../../codec/index.ts';
import { clockOffset, readingOptions, withOptions } from '../../codec/options.ts';
import type { OptionsOf } from '../../codec/registry.ts';
import type { Definition } from '../../journal/definition.ts';
import type { EntryView } from '../../journal/entry.ts';
import type { Rows } from '../record/rows.ts';
import type { Codecs } from '../sink/sink.ts';
import { CANARY_CODEC } from './canary.ts';

/** How many states, and ways of reading, are kept before all are made anew: a memo has 31 bits, real ones take a handful of values. */
const MAX_STATES = 1024;

/** How the frames of one definition are read. */
interface Reading {
  readonly codec: Codec;
  readonly dialect: Dialect;
  readonly options: Options;
  readonly clockMs: number;
  /** By memo. */
  readonly states: Map<number, object>;
  /** The same for equal options, and for no others. */
  readonly number: number;
}

/**
 * Reads journaled frames again, each on its own: a state per definition and memo is all that its reading depends on (codec contract, 5).
 * What is configured now matters to entries of journal formats that had no definitions, and for secrets. Never throws: a codec that
 * does costs the entry, not the loop.
 */
export class Decoder {
  readonly #codecs: Codecs;
  readonly #optionsOf: OptionsOf;
  readonly #anew: Options | undefined;
  readonly #readings = new Map<string, Reading>();
  readonly #frame = new FrameResult();
  readonly #numbers = new Map<string, number>();
  /** Number of the options that the entry decoded last was read under. */
  reading = 0;
  /** The definition asked for last; only one whose options do not depend on the device. */
  #lastDefinition: Definition | null = null;
  #lastReading: Reading | null = null;

  /**
   * With `anew`, frames are read as if they came in now: all records of a frame of which all were kept, however many it was accepted with,
   * and under these options where the codec has them.
   */
  constructor(codecs: Codecs, optionsOf: OptionsOf, anew?: Options) {
    this.#codecs = new Map([...codecs, [CANARY_CODEC.name, CANARY_CODEC]]);
    this.#optionsOf = optionsOf;
    this.#anew = anew;
  }

  /**
   * Adds the entry's records to `rows`: those accepted and kept, and not erased. `slot` is part of the ids of
   * records that have no time of their own. Returns why the entry could not be read (in full), or ''.
   */
  decode(entry: EntryView, rows: Rows, slot: string, erased?: readonly Stretch[]): string {
    try {
      return this.#decode(entry, rows, slot, erased);
    } catch (error) {
      this.#forget();
      return `codec "${entry.codec}" threw: ${messageOf(error)}`;
    }
  }

  #decode(entry: EntryView, rows: Rows, slot: string, erased: readonly Stretch[] | undefined): string {
    const reading = this.#readingOf(entry);
    if (typeof reading === 'string') return reading;
    const { codec, dialect, options, clockMs, states } = reading;
    this.reading = reading.number;
    const { memo } = entry;
    let state = states.get(memo);
    if (state === undefined) {
      state = dialect.open(options, memo);
      if (states.size >= MAX_STATES) states.clear();
      // A state that does not come back with its memo is used once.
      if ((dialect.memo?.(state) ?? 0) === memo) states.set(memo, state);
    }
    const frame = this.#frame;
    frame.reset(entry.start, entry.end);
    dialect.decode(entry.bytes, entry.start, entry.end, state, frame);
    if (clockMs !== 0) frame.correct(clockMs);
    // A frame may teach its state something (a login that names the model, say): the next one must not see it.
    if ((dialect.memo?.(state) ?? 0) !== memo) states.delete(memo);
    if (frame.kind === FrameKind.Malformed) return `malformed: ${frame.reason}`;
    const { device, received, bytes, keepAt, account } = entry;
    const accepted = this.#anew !== undefined && keepAt < 0 ? Number.MAX_SAFE_INTEGER : entry.accepted;
    if (accepted === 0) return '';
    // Before format 3 the place of an entry gave no ids, and what was delivered keeps its own.
    const sequence = entry.version < 3 ? 0 : entry.sequence;
    const read = rows.append(frame, codec, device, received, accepted, bytes, keepAt, erased, slot, sequence, account);
    return this.#anew === undefined && read < accepted ? `${accepted} records were accepted, the codec now reads ${read}` : '';
  }

  /** Or why there is none. */
  #readingOf(entry: EntryView): Reading | string {
    const { definition } = entry;
    if (definition === null) return 'what it was read under is lost';
    if (definition === this.#lastDefinition && this.#lastReading !== null) return this.#lastReading;
    const codec = this.#codecs.get(definition.codec);
    if (codec === undefined) return `codec "${definition.codec}" is not installed`;
    const dialect = codec[definition.transport];
    if (dialect === undefined) return `codec "${definition.codec}" has no ${definition.transport} dialect`;
    const now = this.#optionsOf(codec, entry.device);
    const kept = definition.options === null ? now : readingOptions(codec, definition.options, now);
    const options = this.#anew === undefined ? kept : withOptions(codec, kept, this.#anew);
    const isOfDevice = definition.options === null || hasSecrets(codec);
    const key = isOfDevice ? `${definition.text} ${JSON.stringify(options)}` : definition.text;
    let reading = this.#readings.get(key);
    if (reading === undefined) {
      if (this.#readings.size >= MAX_STATES) this.#forget();
      const text = JSON.stringify(options);
      const number = this.#numbers.get(text) ?? this.#numbers.size + 1;
      this.#numbers.set(text, number);
      reading = { codec, dialect, options, clockMs: 60_000 * clockOffset(options), states: new Map(), number };
      this.#readings.set(key, reading);
    }
    this.#lastDefinition = isOfDevice ? null : definition;
    this.#lastReading = reading;
    return reading;
  }

  #forget(): void {
    this.#readings.clear();
    this.#lastDefinition = null;
    this.#lastReading = null;
  }
}

/** Does what is read depend on a secret, which is not kept with the frame? */
function hasSecrets(codec: Codec): boolean {
  return Object.values(codec.options).some(({ secret, decodes }) => secret === true && decodes !== false);
}
