import { type Codec, checkOptions, type Dialect, FrameKind, FrameResult, type Options } from '../codec/index.ts';
import { messageOf } from '../errors.ts';
import type { EntryView } from '../journal/entry.ts';
import type { Rows } from '../record/rows.ts';
import type { Codecs } from '../sink/sink.ts';

/** How many states are kept before all are made anew: a memo has 31 bits, real ones take a handful of values. */
const MAX_STATES = 1024;

interface State {
  readonly codec: Codec;
  readonly dialect: Dialect;
  readonly memo: number;
  readonly state: object;
}

/**
 * Reads journaled frames again, each on its own: a state per (codec, transport, memo) is all that its reading depends on
 * (codec contract, 5). Never throws: a codec that does costs the entry, not the loop.
 */
export class Decoder {
  readonly #codecs: Codecs;
  readonly #options: ReadonlyMap<string, Options>;
  readonly #states = new Map<string, State>();
  readonly #frame = new FrameResult();

  /** `options` by codec name; a codec without any gets its defaults. */
  constructor(codecs: Codecs, options: ReadonlyMap<string, Options>) {
    this.#codecs = codecs;
    this.#options = options;
  }

  /** Adds the entry's accepted records to `rows`. Returns why the entry could not be read (in full), or ''. */
  decode(entry: EntryView, rows: Rows): string {
    const before = rows.count;
    try {
      return this.#decode(entry, rows, before);
    } catch (error) {
      this.#states.clear();
      return `codec "${entry.codec}" threw: ${messageOf(error)}`;
    }
  }

  #decode(entry: EntryView, rows: Rows, before: number): string {
    const name = entry.codec;
    const key = `${name} ${entry.transport} ${entry.memo}`;
    const known = this.#states.get(key) ?? this.#open(key, name, entry);
    if (typeof known === 'string') return known;
    const frame = this.#frame;
    frame.reset(entry.start, entry.end);
    known.dialect.decode(entry.bytes, entry.start, entry.end, known.state, frame);
    // A frame may teach its state something (a login that names the model, say): the next one must not see it.
    if ((known.dialect.memo?.(known.state) ?? 0) !== known.memo) this.#states.delete(key);
    if (frame.kind === FrameKind.Malformed) return `malformed: ${frame.reason}`;
    if (entry.accepted > 0) rows.append(frame, known.codec, entry.device, entry.received, entry.accepted, entry.bytes);
    const read = rows.count - before;
    return read < entry.accepted ? `${entry.accepted} records were accepted, the codec now reads ${read}` : '';
  }

  #open(key: string, name: string, entry: EntryView): State | string {
    const codec = this.#codecs.get(name);
    if (codec === undefined) return `codec "${name}" is not installed`;
    const dialect = entry.transport === 'tcp' ? codec.tcp : codec.udp;
    if (dialect === undefined) return `codec "${name}" has no ${entry.transport} dialect`;
    const options = this.#options.get(name) ?? checkOptions(codec.options, {}, []);
    const made: State = { codec, dialect, memo: entry.memo, state: dialect.open(options, entry.memo) };
    if (this.#states.size >= MAX_STATES) this.#states.clear();
    // A state that does not come back with its memo is used once.
    if ((dialect.memo?.(made.state) ?? 0) === entry.memo) this.#states.set(key, made);
    return made;
  }
}
