import { messageOf } from '../../base/errors.ts';
import type { Bytes } from '../../base/wire/bytes.ts';
import { hex } from '../../base/wire/text.ts';
import { Stop } from '../frame/splitter.ts';
import type { Codec, Dialect, Transport } from '../index.ts';
import { copies, durablePart, otherValues, outcome, sameBytes, stable, stored } from './compare.ts';
import { difference, Feed, type FeedSettings, type FrameSnapshot, feed, kitOptions } from './feed.ts';
import { carriageProblem, commandsOf, unfitAnswer, type Watch, watched } from './guards.ts';
import { commandProblem, frameProblem, readReplyProblem, textsOf } from './linear.ts';
import { cutRandomly, joined, mutate, Random } from './mutate.ts';
import { insane, unplainReading } from './sanity.ts';

/**
 * The checks that any codec must pass. Each takes samples (real conversations) and says what went wrong, with what it
 * takes to see it again; none depends on a test runner.
 *
 * 1. every-split, byte-by-byte, random-cuts: the same frames, noise and answers, however a stream was cut.
 * 2. decodes-alone: with options and memo, a stored frame gives the same rows, wherever it lies in a buffer. Options marked
 *    `decodes: false` are not stored with it, and must not matter.
 * 3. adopts: what `adopt` takes of a memo shows in the memo, reads as a state opened with that, gives way to what the connection itself was
 *    told, and is something. What `reopen` makes of a connection under its own options has the memo that it had.
 * 4. input-untouched: lent bytes are not written, and nothing depends on them behind the call.
 * 5. hostile: damaged bytes, checksums repaired, never throw, never cost more than their length, never break rules 1, 2 and 4.
 * 6. answers-fit: an answer stays inside the room that `maxAnswerBytes` promises, however a frame was settled.
 * 7. sanity: every value is in its range and every name in its list, for samples and for damaged bytes alike.
 * 8. linear: whatever takes text or bytes costs at most twelve times the processor time at 32 kB of what it costs at 4 kB: `recognise`,
 *    `frame`, `salvage`, `decode`, `explain`, `readReply`, `encodeCommand`, `switches` and `actsAs`.
 */
export const CHECK_NAMES = [
  'every-split',
  'byte-by-byte',
  'random-cuts',
  'decodes-alone',
  'adopts',
  'input-untouched',
  'hostile',
  'answers-fit',
  'sanity',
  'linear',
] as const;
export type CheckName = (typeof CHECK_NAMES)[number];

/** One conversation of one device: whole frames or datagrams, in order. */
export interface Sample {
  readonly name: string;
  readonly transport: Transport;
  readonly chunks: readonly Bytes[];
  readonly options?: FeedSettings['options'];
}

export interface CheckSettings {
  /** Repairs the checksum of one damaged frame in place, and its length field when asked, so that hostile bytes get past them. */
  readonly reseal?: (bytes: Uint8Array, transport: Transport, length: boolean) => void;
  /** Replies that the protocol documents: the check `linear` repeats their words, beside those of the samples. */
  readonly texts?: readonly string[];
  /** Default 1. */
  readonly seed?: number;
  /** Damaged conversations to try. Default 2000. */
  readonly rounds?: number;
}

export interface Failure {
  readonly check: CheckName;
  readonly sample: string;
  readonly transport: Transport;
  readonly detail: string;
  /** What was fed, a chunk each: enough to see it again with `feed`. */
  readonly chunks: readonly string[];
}

/** Longer samples make every-split quadratic work: cut them into several. */
const MAX_SAMPLE_BYTES = 8192;
const RANDOM_CUTS = 50;
/** No single chunk of a sample's size takes so much of a processor unless work grows with a number in the bytes. */
const MAX_CHUNK_MS = 1000;
/** A codec breaks in the same way again and again: failures that differ in numbers only are reported once, and not more of a check than these. */
const MAX_FAILURES = 8;
/** Memos of other conversations that each frame is tried against, and how many of any value besides. */
const FOREIGN_MEMOS = 8;
const ANY_MEMOS = 5;
/** Texts, and frames of different names, that are made long. */
const MOST_TEXTS = 40;
const MOST_STRETCHED = 24;
const MARGIN = 37;

/** Runs every check. An empty list: the codec passes. */
export function checkCodec(codec: Codec, samples: readonly Sample[], settings: CheckSettings = {}): Failure[] {
  const run = new Run(codec, settings);
  run.all(samples);
  return run.failures;
}

/** A failure in one line for a test's message. */
export function describeFailure(failure: Failure): string {
  return `${failure.check}, ${failure.sample} over ${failure.transport}: ${failure.detail}\n  ${failure.chunks.join('\n  ')}`;
}

class Run {
  readonly failures: Failure[] = [];
  readonly #codec: Codec;
  readonly #reseal: CheckSettings['reseal'];
  readonly #texts: readonly string[];
  readonly #seed: number;
  readonly #rounds: number;
  readonly #seen = new Set<string>();

  constructor(codec: Codec, settings: CheckSettings) {
    this.#codec = codec;
    this.#reseal = settings.reseal;
    this.#texts = settings.texts ?? [];
    this.#seed = settings.seed ?? 1;
    this.#rounds = settings.rounds ?? 2000;
  }

  all(samples: readonly Sample[]): void {
    const sound = samples.filter((sample) => this.#isSound(sample));
    for (const sample of sound) {
      if (sample.transport === 'tcp') this.#cuts(sample);
      this.#decodesAlone(sample);
      this.#reopens(sample);
      this.#inputUntouched(sample);
      this.#probe(sample, sample.chunks, sample.name);
    }
    for (const transport of ['tcp', 'udp', 'sms'] as const)
      this.#adopts(
        transport,
        sound.filter((sample) => sample.transport === transport),
      );
    this.#hostile(sound);
    this.#commands();
    this.#linear(sound);
  }

  #fail(check: CheckName, transport: Transport, sample: string, detail: string, chunks: readonly Bytes[]): void {
    const pattern = `${check} ${detail.replace(/\d+/g, '0')}`;
    if (this.#seen.has(pattern) || this.failures.filter((failure) => failure.check === check).length >= MAX_FAILURES) return;
    this.#seen.add(pattern);
    this.failures.push({ check, sample, transport, detail, chunks: chunks.map((chunk) => hex(chunk, 0, chunk.length)) });
  }

  /** The other checks mean nothing for a sample that throws, holds no frame or is too long. */
  #isSound(sample: Sample): boolean {
    const bytes = joined(sample.chunks).length;
    if (bytes > MAX_SAMPLE_BYTES) {
      this.#fail('sanity', sample.transport, sample.name, `${bytes} bytes: cut the sample into several of at most ${MAX_SAMPLE_BYTES}`, []);
      return false;
    }
    try {
      const connection = this.#feed(sample, copies(sample.chunks));
      connection.quiet();
      if (connection.frames.length > 0) return true;
      this.#fail('sanity', sample.transport, sample.name, 'no frame comes out', sample.chunks);
    } catch (error) {
      this.#fail('hostile', sample.transport, sample.name, `throws: ${messageOf(error)}`, sample.chunks);
    }
    return false;
  }

  #feed(sample: Sample, chunks: readonly Bytes[]): Feed {
    return feed(this.#codec, sample.transport, chunks, { options: sample.options ?? {} });
  }

  #cuts(sample: Sample): void {
    const bytes = joined(sample.chunks);
    const whole = outcome(this.#feed(sample, [bytes.slice()]));
    const compare = (check: CheckName, chunks: readonly Bytes[], how: string): void => {
      const found = difference(whole, outcome(this.#feed(sample, chunks)));
      if (found !== '') this.#fail(check, sample.transport, sample.name, `${how}: ${found}`, [bytes]);
    };
    for (let cut = 1; cut < bytes.length; cut++) compare('every-split', [bytes.slice(0, cut), bytes.slice(cut)], `cut at ${cut}`);
    compare(
      'byte-by-byte',
      Array.from(bytes, (byte) => Uint8Array.of(byte)),
      'one byte a chunk',
    );
    const random = new Random(this.#seed);
    for (let n = 0; n < RANDOM_CUTS; n++) {
      const chunks = cutRandomly(bytes, 3 + random.below(4), random);
      compare('random-cuts', chunks, `chunks of ${chunks.map((chunk) => chunk.length).join(', ')}`);
    }
  }

  #decodesAlone(sample: Sample): void {
    const found = this.#aloneDifference(sample, sample.chunks);
    if (found !== '') this.#fail('decodes-alone', sample.transport, sample.name, found, sample.chunks);
  }

  /** How a frame of the conversation differs when it is decoded alone, as from the journal; '' when none does. */
  #aloneDifference(sample: Sample, chunks: readonly Bytes[]): string {
    const all = joined(chunks);
    const connection = this.#feed(sample, copies(chunks));
    connection.quiet();
    let device = '';
    for (const frame of connection.frames) {
      const bytes = all.slice(frame.offset, frame.offset + frame.length);
      const settings = { options: sample.options ?? {}, memo: frame.memo, device };
      device = frame.device;
      const alone = new Feed(this.#codec, sample.transport, settings).decode(bytes.slice(), 0, bytes.length);
      const found = difference(stable(frame), stable(alone));
      if (found !== '') return `frame at ${frame.offset} with memo ${frame.memo}: ${found}`;
      // Among foreign bytes, a read outside the frame gives another result. The answer counts too: it would leak them.
      const around = new Uint8Array(MARGIN + bytes.length + MARGIN).fill(0x24);
      around.set(bytes, MARGIN);
      const among = new Feed(this.#codec, sample.transport, settings).decode(around, MARGIN, MARGIN + bytes.length);
      const leaked = difference({ ...stable(alone), answer: alone.answer }, { ...stable(among), answer: among.answer });
      if (leaked !== '') return `frame at ${frame.offset} depends on bytes around it: ${leaked}`;
      for (const [name, value] of otherValues(this.#codec)) {
        const other = { ...settings, options: { ...settings.options, [name]: value } };
        const changed = difference(
          stored(alone),
          stored(new Feed(this.#codec, sample.transport, other).decode(bytes.slice(), 0, bytes.length)),
        );
        if (changed !== '') return `frame at ${frame.offset} under ${name} ${value}, an option with \`decodes: false\`: ${changed}`;
      }
    }
    return '';
  }

  #reopens(sample: Sample): void {
    const { transport, chunks, options } = sample;
    const dialect: Dialect | undefined = this.#codec[transport];
    if (dialect?.reopen === undefined) return;
    const { state } = this.#feed(sample, copies(chunks));
    const before = dialect.memo?.(state) ?? 0;
    const after = dialect.memo?.(dialect.reopen(kitOptions(this.#codec, options), state)) ?? 0;
    if (after !== before)
      this.#fail('adopts', transport, sample.name, `reopened under its own options it has memo ${after}, not ${before}`, chunks);
  }

  #adopts(transport: Transport, samples: readonly Sample[]): void {
    if (this.#codec[transport]?.adopt === undefined) return;
    const random = new Random(this.#seed);
    const memos = new Set<number>();
    for (const sample of samples) for (const { memo } of this.#feed(sample, copies(sample.chunks)).frames) memos.add(memo);
    let learned: Sample | undefined;
    let kept = false;
    for (const sample of samples) {
      let found: string;
      try {
        const nothing = durablePart(this.#codec, sample, 0);
        const foreign = [...memos].filter((memo) => memo !== nothing);
        if (foreign.length > 0) learned = sample;
        kept ||= foreign.some((memo) => durablePart(this.#codec, sample, memo) !== nothing);
        found = this.#adoptDifference(sample, foreign.slice(0, FOREIGN_MEMOS));
        for (let n = 0; n < ANY_MEMOS && found === ''; n++) found = this.#durableProblem(sample, random.below(0x7fffffff));
      } catch (error) {
        found = `throws: ${messageOf(error)}`;
      }
      if (found !== '') this.#fail('adopts', transport, sample.name, found, sample.chunks);
    }
    if (learned !== undefined && !kept)
      this.#fail('adopts', transport, learned.name, `nothing is kept of any memo: ${[...memos].join(', ')}`, learned.chunks);
  }

  /** What of a memo is durable must be a memo, and all of it durable. */
  #durableProblem(sample: Sample, memo: number): string {
    const durable = durablePart(this.#codec, sample, memo);
    if (!Number.isInteger(durable) || durable < 0 || durable > 0x7fffffff)
      return `of memo ${memo} ${durable} is kept, which is not 31 bits`;
    const again = durablePart(this.#codec, sample, durable);
    return again === durable ? '' : `of memo ${memo} ${durable} is kept, and of that ${again}`;
  }

  /** How a frame reads otherwise, or teaches less, where something was adopted; '' when none does. */
  #adoptDifference(sample: Sample, foreign: readonly number[]): string {
    const codec = this.#codec;
    const options = sample.options ?? {};
    const dialect: Dialect | undefined = codec[sample.transport];
    const open = (settings: FeedSettings): Feed => new Feed(codec, sample.transport, { options, ...settings });
    const memoOf = ({ state }: Feed): number => dialect?.memo?.(state) ?? 0;
    const fresh = memoOf(open({}));
    if (durablePart(codec, sample, fresh) !== fresh)
      return `a fresh state adopts ${durablePart(codec, sample, fresh)} of its own memo ${fresh}`;
    const all = joined(sample.chunks);
    const connection = this.#feed(sample, copies(sample.chunks));
    connection.quiet();
    let device = '';
    for (const frame of connection.frames) {
      const bytes = all.slice(frame.offset, frame.offset + frame.length);
      const decode = (by: Feed): FrameSnapshot => by.decode(bytes.slice(), 0, bytes.length);
      const problem = this.#durableProblem(sample, frame.memo);
      if (problem !== '') return problem;
      const durable = durablePart(codec, sample, frame.memo);
      const found = difference(stable(decode(open({ memo: durable, device }))), stable(decode(open({ adopt: frame.memo, device }))));
      if (found !== '') return `frame at ${frame.offset} opened with ${durable} or behind the adoption of ${frame.memo}: ${found}`;
      for (const memo of foreign) {
        const told = open({ device });
        decode(told);
        dialect?.adopt?.(told.state, memo);
        const adopted = durablePart(codec, sample, memoOf(told));
        decode(told);
        const repeated = durablePart(codec, sample, memoOf(told));
        if (repeated !== adopted)
          return `frame at ${frame.offset}, said again behind the adoption of ${memo}, takes the memo from ${adopted} to ${repeated}: adopt overrode it`;
      }
      device = frame.device;
    }
    return '';
  }

  /** Bytes are spoilt as soon as decode is done with them; every later frame and answer must come out as before. */
  #inputUntouched(sample: Sample): void {
    const options = sample.options ?? {};
    let given: Bytes = new Uint8Array(0);
    let expected: Bytes = given;
    let written = false;
    const onDecoded: FeedSettings['onDecoded'] = (_out, bytes, start, end) => {
      written ||= !sameBytes(given, expected);
      bytes.fill(0xee, start, end);
      expected = given.slice();
    };
    const spoilt = new Feed(this.#codec, sample.transport, { options, onDecoded });
    for (const chunk of sample.chunks) {
      given = chunk.slice();
      expected = chunk.slice();
      spoilt.push(given);
      written ||= !sameBytes(given, expected);
    }
    if (written) this.#fail('input-untouched', sample.transport, sample.name, 'the codec wrote into the bytes', sample.chunks);
    const found = difference(outcome(feed(this.#codec, sample.transport, copies(sample.chunks), { options })), outcome(spoilt));
    if (found !== '')
      this.#fail('input-untouched', sample.transport, sample.name, `results change when the bytes do: ${found}`, sample.chunks);
  }

  /** Ranges, names and answers of every frame. What throws here is hostile's business. */
  #probe(sample: Sample, chunks: readonly Bytes[], label: string): void {
    const codec = this.#codec;
    const report = (check: CheckName, detail: string): void => this.#fail(check, sample.transport, label, detail, chunks);
    const connection: Feed = new Feed(codec, sample.transport, {
      options: sample.options ?? {},
      onDecoded: (out, _bytes, start, end) => {
        const problem = insane(codec, out, start, end);
        if (problem !== '') report('sanity', problem);
        const unplain = unplainReading(codec, out);
        if (unplain !== '') report('sanity', unplain);
        const memo = codec[sample.transport]?.memo?.(connection.state) ?? 0;
        if (!Number.isInteger(memo) || memo < 0 || memo > 0x7fffffff) report('sanity', `memo ${memo} is not 31 bits`);
        const unfit = unfitAnswer(codec, sample.transport, out, connection.state);
        if (unfit !== '') report('answers-fit', unfit);
      },
    });
    for (const chunk of chunks) connection.push(chunk.slice());
    connection.quiet();
  }

  #hostile(samples: readonly Sample[]): void {
    // What has been reported for good bytes would only repeat itself for damaged ones.
    const failed = new Set(this.failures.map((failure) => failure.check));
    const compares = !failed.has('every-split') && !failed.has('byte-by-byte') && !failed.has('random-cuts');
    const probes = !failed.has('answers-fit') && !failed.has('sanity');
    const spares = samples.flatMap((sample) => sample.chunks);
    for (let round = 0; round < this.#rounds && samples.length > 0; round++) {
      const random = new Random(this.#seed * 1_000_003 + round);
      const sample = samples[random.below(samples.length)];
      if (sample === undefined) continue;
      const chunks = this.#damage(sample, spares[random.below(spares.length)] ?? new Uint8Array(0), random);
      const label = `${sample.name}, seed ${this.#seed}, round ${round}`;
      let problem: string;
      try {
        problem = this.#survives(sample, chunks, !failed.has('input-untouched'));
        if (problem === '' && !failed.has('decodes-alone')) problem = this.#aloneDifference(sample, chunks);
        if (problem === '' && compares && sample.transport === 'tcp') problem = this.#cutDifference(sample, joined(chunks), random);
      } catch (error) {
        problem = `throws: ${messageOf(error)}`;
      }
      if (problem !== '') this.#fail('hostile', sample.transport, label, problem, chunks);
      else if (probes) this.#probe(sample, chunks, label);
    }
  }

  #cutDifference(sample: Sample, bytes: Bytes, random: Random): string {
    const chunks = cutRandomly(bytes, 2 + random.below(4), random);
    const found = difference(outcome(this.#feed(sample, [bytes])), outcome(this.#feed(sample, chunks)));
    return found === '' ? '' : `in chunks of ${chunks.map((chunk) => chunk.length).join(', ')}: ${found}`;
  }

  #damage(sample: Sample, spare: Bytes, random: Random): Uint8Array[] {
    const chunks = copies(sample.chunks);
    for (let n = random.once(4) ? 2 : 1; n > 0; n--) {
      const i = random.below(chunks.length);
      const damaged = mutate(chunks[i] ?? new Uint8Array(0), spare, random);
      if (!random.once(4)) this.#reseal?.(damaged, sample.transport, random.once(2));
      chunks[i] = damaged;
    }
    return chunks;
  }

  /** Feeds damaged chunks under watch; '' when every call kept its contract. */
  #survives(sample: Sample, chunks: readonly Bytes[], untouched: boolean): string {
    const watch: Watch = { problem: '' };
    const codec = watched(this.#codec, watch);
    const connection = new Feed(codec, sample.transport, {
      options: sample.options ?? {},
      onDecoded: (out, _bytes, start, end) => {
        const most = end - start;
        if (out.rows > most || out.cells > most || out.wifis > most || out.attrs > 8 * most)
          watch.problem = `${out.rows} rows, ${out.attrs} attributes, ${out.cells} cells, ${out.wifis} access points from ${most} bytes`;
      },
    });
    for (const chunk of chunks) {
      const given = chunk.slice();
      const before = process.threadCpuUsage();
      connection.push(given);
      const { user, system } = process.threadCpuUsage(before);
      const ms = (user + system) / 1000;
      if (ms > MAX_CHUNK_MS) return `${Math.round(ms)} ms for ${chunk.length} bytes`;
      if (untouched && !sameBytes(given, chunk)) return 'the codec wrote into the bytes';
      if (watch.problem !== '') return watch.problem;
      if (connection.stopped !== Stop.None) break;
    }
    connection.quiet();
    return watch.problem;
  }

  /** Every command with the edges of its parameters, for every dialect that encodes. */
  #commands(): void {
    const codec = this.#codec;
    for (const transport of ['tcp', 'udp', 'sms'] as const) {
      const dialect: Dialect | undefined = codec[transport];
      if (dialect?.encodeCommand === undefined) continue;
      for (const rule of codec.commands)
        for (const command of commandsOf(rule.type, rule.parameters)) {
          const problem = carriageProblem(codec, dialect, command);
          if (problem !== '') this.#fail('sanity', transport, `command ${rule.type} ${JSON.stringify(command.parameters)}`, problem, []);
        }
    }
  }

  #linear(samples: readonly Sample[]): void {
    // A codec that throws, or does not come to an end, has been told so.
    if (this.failures.some(({ check }) => check === 'hostile')) return;
    const texts = new Set(this.#texts);
    const seen = new Set<string>();
    for (const sample of samples) {
      const { transport } = sample;
      const { frames } = this.#feed(sample, copies(sample.chunks));
      for (const text of textsOf(frames)) texts.add(text);
      const bytes = joined(sample.chunks);
      for (const { offset, length, name } of frames) {
        if (seen.has(`${transport} ${name}`) || seen.size >= MOST_STRETCHED) continue;
        seen.add(`${transport} ${name}`);
        const frame = bytes.slice(offset, offset + length);
        const reseal = (stretched: Uint8Array): void => this.#reseal?.(stretched, transport, true);
        const problem = frameProblem(this.#codec, transport, frame, [...texts], { options: sample.options, reseal });
        if (problem === '') continue;
        this.#fail('linear', transport, sample.name, problem, [frame]);
        // One is enough: the next would take as long.
        return;
      }
    }
    const transport = this.#codec.tcp === undefined ? 'udp' : 'tcp';
    const problem = readReplyProblem(this.#codec, [...texts].slice(0, MOST_TEXTS)) || commandProblem(this.#codec, transport);
    if (problem !== '') this.#fail('linear', transport, 'commands', problem, []);
  }
}
