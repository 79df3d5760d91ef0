import type { Bytes } from '../base/wire/index.ts';
import { fromHex } from '../base/wire/index.ts';
import { type Codec, checkOptions, type Options, type Transport } from '../codec/index.ts';
import { readingOptions } from '../codec/options.ts';
import { textCodec } from '../codec/registry.ts';
import { recogniseCodec } from '../in/listen/recognise.ts';
import { isDeviceId } from '../in/session/identity.ts';
import { type Message, Transcript } from './transcript.ts';

/** What is asked to be read: one connection, or the datagrams of one peer. */
export interface Reading {
  /** Hex of chunks or datagrams, in order. */
  readonly hex: readonly string[];
  /** '': recognised by the first bytes. */
  readonly protocol: string;
  /** '': as the bytes look. */
  readonly transport: '' | Transport;
  /** Identity from the start, '' for none. */
  readonly device: string;
  /** Over those of the configuration. */
  readonly options: Readonly<Record<string, unknown>>;
}

export interface Read {
  readonly protocol: string;
  /** The protocol was recognised by the first bytes. */
  readonly guessed: boolean;
  readonly transport: Transport;
  readonly messages: readonly Message[];
  /** Bytes that wait for the rest of their frame, and such that belong to no frame. */
  readonly pending: number;
  readonly noise: number;
  /** Why the server would close the connection; absent: it would not. */
  readonly closed?: string;
}

/** What is wrong with a request, by field. */
export interface ReadingProblem {
  readonly field: string;
  readonly problem: string;
}

type Open = (codec: Codec, transport: Transport) => Transcript;

/** Reads the bytes as the server would. `configured`: options by codec name. */
export function read(
  { hex, protocol, transport, device, options }: Reading,
  codecs: ReadonlyMap<string, Codec>,
  configured: Readonly<Record<string, Options>>,
  now: () => number,
): Read | ReadingProblem {
  const chunks: Bytes[] = [];
  for (const [i, text] of hex.entries()) {
    const bytes = fromHex(text);
    if (bytes === undefined) return { field: `hex.${i}`, problem: 'must be hex' };
    chunks.push(bytes);
  }
  if (device !== '' && !isDeviceId(device)) return { field: 'device', problem: 'must be a device id' };
  const first = chunks.find(({ length }) => length > 0) ?? new Uint8Array(0);
  const guessed = protocol === '';
  const guess = (): Codec | undefined => (transport === 'sms' ? textCodec(codecs, first) : recognised([...codecs.values()], first));
  const codec = guessed ? guess() : codecs.get(protocol);
  if (codec === undefined)
    return guessed
      ? { field: 'protocol', problem: 'no installed protocol begins like this; name one' }
      : { field: 'protocol', problem: `unknown protocol; known are ${[...codecs.keys()].join(', ')}` };
  if (transport !== '' && codec[transport] === undefined)
    return { field: 'transport', problem: `${codec.name} does not speak ${transport}` };
  const problems: string[] = [];
  const checked = checkOptions(codec.options, { ...configured[codec.name], ...options }, problems);
  if (problems.length > 0) return { field: 'options', problem: problems.join('; ') };
  const openAs: Open = (as, on) => new Transcript(as, on, { options: checked, device, explain: true, now });
  const chosen = transport === '' ? transportBy(codec, first, openAs) : transport;
  const transcript = openAs(codec, chosen);
  const messages = [...chunks.flatMap((chunk) => transcript.push(chunk)), ...transcript.quiet()];
  const { pending, noise, closed } = transcript;
  return { protocol: codec.name, guessed, transport: chosen, messages, pending, noise, ...(closed === '' ? {} : { closed }) };
}

/** A frame as it was taken from a connection: whole, with what it is read under. */
export interface LoneFrame {
  readonly protocol: string;
  readonly transport: Transport;
  readonly device: string;
  readonly hex: string;
  readonly memo: number;
  readonly options: Options;
  /** Epoch ms. */
  readonly at: number;
}

/** What one frame means. `configured`: for secrets, which do not travel with it. */
export function readFrame(
  { protocol, transport, device, hex, memo, options, at }: LoneFrame,
  codecs: ReadonlyMap<string, Codec>,
  configured: Readonly<Record<string, Options>>,
): Partial<Message> {
  const codec = codecs.get(protocol);
  const bytes = fromHex(hex);
  if (codec === undefined || bytes === undefined) return {};
  const now = checkOptions(codec.options, configured[protocol] ?? {}, []);
  const settings = { options: readingOptions(codec, options, now), device, explain: true, memo, now: () => at };
  const transcript = new Transcript(codec, transport, settings);
  const [message] = [...transcript.push(bytes), ...transcript.quiet()];
  if (message === undefined) return {};
  const { offset, length, ...meaning } = message;
  return meaning;
}

/** The codec whose protocol the bytes speak: the one that says so, else the only one that may still be it. */
export function recognised(codecs: readonly Codec[], bytes: Bytes): Codec | undefined {
  const sure = recogniseCodec(codecs, bytes, bytes.length);
  if (sure !== undefined) return sure ?? undefined;
  const possible = codecs.filter((codec) => recogniseCodec([codec], bytes, bytes.length) === undefined);
  return possible.length === 1 ? possible[0] : undefined;
}

/** The transport on which the bytes are something. */
export function transportBy(codec: Codec, bytes: Bytes, openAs: Open): Transport {
  const reads = (transport: Transport): boolean => {
    if (codec[transport] === undefined) return false;
    const transcript = openAs(codec, transport);
    return [...transcript.push(bytes), ...transcript.quiet()].some(({ type }) => type !== 'malformed');
  };
  if (codec.tcp === undefined) return 'udp';
  return !reads('tcp') && reads('udp') ? 'udp' : 'tcp';
}
