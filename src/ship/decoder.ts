import { type Codec, type Dialect, FrameKind, FrameResult, type Options } from '../codec/index.ts';
import type { OptionsOf } from '../codec/registry.ts';
import { messageOf } from '../errors.ts';
import type { EntryView } from '../journal/entry.ts';
import type { Rows } from '../record/rows.ts';
import type { Codecs } from '../sink/sink.ts';

/** How many states are kept before all are made anew: a memo has 31 bits, real ones take a handful of values. */
const MAX_STATES = 1024;

/**
 * Reads journaled frames again, each on its own: a state per (codec, transport, options, memo) is all that its reading depends
 * on (codec contract, 5). Never throws: a codec that does costs the entry, not the loop.
 */
export class Decoder {
  readonly #codecs: Codecs;
  readonly #optionsOf: OptionsOf;
  readonly #states = new Map<Options, Map<string, object>>();
  readonly #frame = new FrameResult();

  constructor(codecs: Codecs, optionsOf: OptionsOf) {
    this.#codecs = codecs;
    this.#optionsOf = optionsOf;
  }

  /**
   * Adds the entry's records to `rows`: those accepted and kept, and not from before `notBefore`, epoch ms. Returns why the entry
   * could not be read (in full), or ''.
   */
  decode(entry: EntryView, rows: Rows, notBefore = 0): string {
    try {
      return this.#decode(entry, rows, notBefore);
    } catch (error) {
      this.#states.clear();
      return `codec "${entry.codec}" threw: ${messageOf(error)}`;
    }
  }

  #decode(entry: EntryView, rows: Rows, notBefore: number): string {
    const codec = this.#codecs.get(entry.codec);
    if (codec === undefined) return `codec "${entry.codec}" is not installed`;
    const dialect = entry.transport === 'tcp' ? codec.tcp : codec.udp;
    if (dialect === undefined) return `codec "${entry.codec}" has no ${entry.transport} dialect`;
    const states = this.#statesUnder(this.#optionsOf(codec, entry.device));
    const key = `${entry.codec} ${entry.transport} ${entry.memo}`;
    const state = states.get(key) ?? this.#open(states, key, codec, dialect, entry);
    const frame = this.#frame;
    frame.reset(entry.start, entry.end);
    dialect.decode(entry.bytes, entry.start, entry.end, state, frame);
    // A frame may teach its state something (a login that names the model, say): the next one must not see it.
    if ((dialect.memo?.(state) ?? 0) !== entry.memo) states.delete(key);
    if (frame.kind === FrameKind.Malformed) return `malformed: ${frame.reason}`;
    if (entry.accepted === 0) return '';
    const { device, received, accepted, bytes, keepAt } = entry;
    const read = rows.append(frame, codec, device, received, accepted, bytes, keepAt, notBefore);
    return read < entry.accepted ? `${entry.accepted} records were accepted, the codec now reads ${read}` : '';
  }

  #statesUnder(options: Options): Map<string, object> {
    let states = this.#states.get(options);
    if (states === undefined) {
      if (this.#states.size >= MAX_STATES) this.#states.clear();
      states = new Map();
      this.#states.set(options, states);
    }
    return states;
  }

  #open(states: Map<string, object>, key: string, codec: Codec, dialect: Dialect, entry: EntryView): object {
    const state = dialect.open(this.#optionsOf(codec, entry.device), entry.memo);
    if (states.size >= MAX_STATES) states.clear();
    // A state that does not come back with its memo is used once.
    if ((dialect.memo?.(state) ?? 0) === entry.memo) states.set(key, state);
    return state;
  }
}
