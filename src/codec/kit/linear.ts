import type { Bytes } from '../../base/wire/bytes.ts';
import { putAscii } from '../../base/wire/write.ts';
import { type Codec, type Command, FrameResult, type Options, type Transport } from '../index.ts';
import { COMMAND_ROOM, type FeedSettings, type FrameSnapshot, KIT_NOW, kitOptions } from './feed.ts';

/**
 * Does the cost of a text grow with its length, and not with the square of it? Every word of known texts is repeated, with and
 * without what stands in front of it: a pattern that looks for what follows, and does not find it, starts anew at each.
 *
 * Processor time at two lengths, 4 kB and 32 kB, is compared, not measured against a clock: eight times the text may cost twelve
 * times as much. The best try counts, since other work of the process, such as clearing memory, gets in between: at least five are made
 * before something is said to cost too much, and more of what takes so little time that such work can double it. Frames are made as long
 * as that whatever `maxFrameBytes` is: a splitter would not cut them, but what is linear is so at any length.
 */
const LONG = 32_000;
const SHORTER = 8;
const MOST_RATIO = 12;
const TRIES = 5;
/** Of all tries together: what takes so long is not doubled by other work. */
const SURE_US = 500_000;
/** A square at the long size takes far more. */
const NEGLIGIBLE_US = 3_000;
/** Where text is put into a frame, as parts of its length. */
const PLACES = [0.5, 1] as const;
const MOST_WORDS = 4;
/** For codecs that encode commands only for a device that they know. */
const DEVICE = '352093701000019';

/** A text of any length: `head`, then `part` again and again. */
interface Filler {
  readonly head: string;
  readonly part: string;
}

const WORD = /[A-Za-z]{2,12}[:=,]?/g;
const PLAIN: readonly Filler[] = ['a', '0', ' ', ',', ';', ':', '.', '=', '\n'].map((part) => ({ head: '', part }));

/** What in `readReply` costs too much; '' when nothing does. */
export function readReplyProblem(codec: Codec, texts: readonly string[]): string {
  const { readReply } = codec;
  if (readReply === undefined) return '';
  const commands: (Command | undefined)[] = [undefined, ...codec.commands.map(({ type }) => ({ type, parameters: {} }))];
  for (const filler of fillersOf(texts))
    for (const command of commands) {
      const problem = growth(LONG, (size) => {
        const text = filled(filler, size);
        let calls = 0;
        // Never the same text twice: an engine that remembers what it did with one would make the short one cheap.
        return () => readReply(command, `${text}${calls++}`);
      });
      const what = `readReply to ${command?.type ?? 'nothing'} of ${JSON.stringify(filler.head)} and then ${JSON.stringify(filler.part)}`;
      if (problem !== '') return `${what} repeated: ${problem}`;
    }
  return '';
}

/** The same of what takes the parameters of a command: `encodeCommand`, `switches` and `actsAs`. */
export function commandProblem(codec: Codec, transport: Transport): string {
  const dialect = codec[transport];
  const options = kitOptions(codec, 'device' in codec.options ? { device: DEVICE } : undefined);
  const state = dialect?.open(options, 0);
  const room = new Uint8Array(COMMAND_ROOM);
  // What a command is about names the vendor's words.
  const fillers = fillersOf([...new Set(codec.commands.flatMap(({ about }) => about.match(WORD) ?? []))]);
  for (const { type, parameters: rules, switches, actsAs } of codec.commands) {
    const names = Object.keys(rules).filter((name) => rules[name]?.type === 'string');
    for (const filler of names.length === 0 ? [] : fillers)
      for (const [what, call] of [
        ['switches', (given: Options) => void switches?.(given, options)],
        ['actsAs', (given: Options) => void actsAs?.(given)],
        [
          'encodeCommand',
          (given: Options) => void (state && dialect?.encodeCommand?.({ type, parameters: given }, 1, state, room, 0, KIT_NOW)),
        ],
      ] as const) {
        const problem = growth(LONG, (size) => {
          const given = Object.fromEntries(names.map((name) => [name, filled(filler, size)]));
          return () => call(given);
        });
        if (problem !== '') return `${what} of ${type} with ${JSON.stringify(filler.part)} repeated: ${problem}`;
      }
  }
  return '';
}

/** The same of `recognise`, `frame`, `salvage`, `decode` and `explain`, for frames that hold such texts. */
export function frameProblem(codec: Codec, transport: Transport, frame: Bytes, texts: readonly string[], settings: FrameSettings): string {
  const words = [...new Set(texts.flatMap((text) => text.match(WORD) ?? []))].slice(0, MOST_WORDS);
  const calls = Object.entries(frameCalls(codec, transport, settings.options));
  for (const part of ['a', ',', '0', ...words])
    for (const place of PLACES) {
      const at = Math.min(frame.length - 1, Math.floor(frame.length * place));
      const bytesOf = once((size) => stretched(frame, at, filled({ head: '', part }, size), settings.reseal));
      for (const [name, call] of calls) {
        const problem = growth(LONG, (size) => {
          const bytes = bytesOf(size);
          return () => call(bytes);
        });
        if (problem !== '') return `${name} with ${JSON.stringify(part)} repeated at ${at}: ${problem}`;
      }
    }
  return '';
}

/** The frame with a text put into it. */
function stretched(frame: Bytes, at: number, text: string, reseal: FrameSettings['reseal']): Uint8Array {
  const bytes = new Uint8Array(frame.length + text.length);
  bytes.set(frame.subarray(0, at));
  putAscii(bytes, at, text);
  bytes.set(frame.subarray(at), at + text.length);
  reseal(bytes);
  return bytes;
}

/** Makes each size once: a frame of 32 kB costs more to build, and to seal, than most of what is then asked of it. */
function once(make: (size: number) => Uint8Array): (size: number) => Uint8Array {
  const made = new Map<number, Uint8Array>();
  return (size) => {
    const bytes = made.get(size) ?? make(size);
    made.set(size, bytes);
    return bytes;
  };
}

interface FrameSettings {
  readonly options: FeedSettings['options'];
  /** Repairs lengths and checksums in place. */
  readonly reseal: (bytes: Uint8Array) => void;
}

/** What a codec does with the bytes of a frame, each on a state of its own. */
function frameCalls(
  codec: Codec,
  transport: Transport,
  options: FeedSettings['options'],
): Readonly<Record<string, (bytes: Bytes) => void>> {
  const dialect = codec[transport];
  if (dialect === undefined) return {};
  const salvage = transport === 'tcp' ? codec.tcp?.salvage : undefined;
  const out = new FrameResult();
  const checked = kitOptions(codec, options);
  const state = (): object => dialect.open(checked, 0);
  return {
    recognise: (bytes) => void codec.recognise(bytes, 0, bytes.length),
    frame: (bytes) => void dialect.frame?.(bytes, 0, bytes.length, state()),
    salvage: (bytes) => void salvage?.call(dialect, bytes, 0, bytes.length, state()),
    decode(bytes) {
      out.reset(0, bytes.length);
      dialect.decode(bytes, 0, bytes.length, state(), out);
    },
    explain: (bytes) => dialect.explain?.(bytes, 0, bytes.length, state(), () => {}),
  };
}

/** The texts that frames hold. */
export function textsOf(frames: readonly FrameSnapshot[]): string[] {
  const texts = new Set<string>();
  for (const { replyText, rows } of frames) {
    if (replyText !== '') texts.add(replyText);
    for (const { attributes } of rows) for (const { value } of attributes) if (typeof value === 'string' && value !== '') texts.add(value);
  }
  return [...texts];
}

function fillersOf(texts: readonly string[]): Filler[] {
  const found = new Map<string, Filler>();
  const add = (head: string, part: string): void => void found.set(`${head}\n${part}`, { head, part });
  for (const text of texts)
    for (const { 0: word, index } of text.matchAll(WORD)) {
      for (const part of [word, `${word}1`, `${word} `]) add('', part);
      for (const part of [word, `${word} `]) add(text.slice(0, index), part);
    }
  return [...PLAIN, ...found.values()];
}

function filled({ head, part }: Filler, size: number): string {
  return head + part.repeat(Math.max(1, Math.floor((size - head.length) / part.length)));
}

/** `prepare` makes the work for a size. */
function growth(longest: number, prepare: (size: number) => () => void): string {
  const long = prepare(longest);
  if (cpuOf(long) < NEGLIGIBLE_US) return '';
  const short = prepare(Math.floor(longest / SHORTER));
  let best = Number.POSITIVE_INFINITY;
  for (let [n, spent] = [0, 0]; n < TRIES || spent < SURE_US; n++) {
    const cost = cpuOf(long);
    if (cost < NEGLIGIBLE_US) return '';
    // As much text as in the long one, so that the memory that is used up and cleared away is the same.
    const shorts = cpuOf(() => {
      for (let k = 0; k < SHORTER; k++) short();
    });
    best = Math.min(best, (SHORTER * cost) / shorts);
    if (best <= MOST_RATIO) return '';
    spent += cost + shorts;
  }
  return `${Math.round(best)} times the processor time for ${SHORTER} times the text`;
}

/** Processor time of one call, µs. */
function cpuOf(work: () => void): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return user + system;
}
