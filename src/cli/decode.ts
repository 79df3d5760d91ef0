import { parseArgs } from 'node:util';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { type Bytes, fromHex, hex, visible } from '../base/wire/index.ts';
import type { Codec, Transport } from '../codec/index.ts';
import { textCodec } from '../codec/registry.ts';
import { recognised, transportBy } from '../explain/reading.ts';
import { type Message, Transcript } from '../explain/transcript.ts';
import { EXIT } from './exit-code.ts';
import { type HexLine, HexLines } from './hex-lines.ts';
import { io } from './io.ts';
import { codecNamed, deviceOf, installed, isTransport, optionsOf, transportOf } from './protocol.ts';

export const DECODE_HELP = `fixgate decode [options] [<hex> …]   or   fixgate decode [options] < lines of hex

Shows what bytes from a device mean and what the server answers. Each argument, or each line of standard input when
there is none, is the hex of one chunk as received (blanks ignored) on one connection, or of one datagram; an empty
one starts a new connection. With --transport sms each is the text of a message.

  --protocol <codec>     teltonika, gt06, h02, jt808, queclink (fixgate codecs lists them); default: recognised by the
                         first bytes of a connection, as a port with the protocol auto does
  --transport tcp|udp|sms   default tcp, or whichever reads the first bytes when the protocol is recognised; sms: text
                         messages, by default read as those of gt06 where no protocol recognises them
  --device <id>          identity from the start, for frames that need a login first
  --option k=v           an option of the codec; may be repeated (fixgate codecs <codec> lists them)
  --explain              annotate every byte of every frame, where the codec can
  --config <file>        configuration with codec packages and options (default: FIXGATE_CONFIG)
  --json                 one JSON line per line of input, in this form:

    {"messages":[{"offset":n,"length":n,"type":"login|records|heartbeat|reply|status|ignored|malformed",
      "name":"vendor's name","device":"id or null","records":[…],"answer":"hex or null","reply":"text or null",
      "reason":"only when malformed"}],"pending":n}

  offset    of the frame's first byte, counted from the first byte of the connection, noise included
  length    of the frame in bytes; it may have begun in an earlier line
  answer    what the server sends once the records are stored; null for silence, and for devices it does not know
  pending   bytes that still wait for the rest of their frame
  protocol  only when it was recognised: the codec
  damaged   only when a frame was accepted in spite of a failed integrity check: the reason
  explain   only with --explain: [{"at","length","name","raw","value"}], at from the frame's first byte
  noise     only when there was some: bytes of this line that belong to no frame
  error     only when the line could not be used (not hex; too long: the connection does not see it), or when the
            server would close the connection here: what follows is read only after an empty line

A line after which bytes are pending is printed when it is clear what becomes of them: with the next line, at the end,
or after half a second of silence, when the codec may take what is there for a frame, as the server does.

  fixgate decode 78780d01012345678901234500018cdd0d0a
  fixgate decode --transport sms 'SOS alarm! http://maps.google.com/maps?q=N22.571707,E113.857025'
  echo 000f333536333037303432343431303133 | fixgate decode --protocol teltonika --json
`;

/** A chunk is pushed in blocks of this size, so that a long line is printed while it is read. */
const BLOCK = 65536;
/** Silence after which a pending frame may be taken as it is (codecs/h02/protocol.md section 2.3, rule 9). */
const QUIET_MS = 500;
const MAX_DATAGRAM = 65507;
const LF = 10;

export async function decode(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      protocol: { type: 'string' },
      transport: { type: 'string' },
      device: { type: 'string' },
      option: { type: 'string', multiple: true, default: [] },
      explain: { type: 'boolean', default: false },
      config: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const isText = values.transport === 'sms';
  const bad = isText ? undefined : positionals.find((text) => fromHex(text) === undefined);
  if (bad !== undefined) throw new AppError('USAGE', `"${bad}" is not hex; options begin with --`);
  const known = await installed(values.config);
  const shared = { device: deviceOf(values.device), explain: values.explain, now: () => systemClock.now() };
  const openAs = (codec: Codec, transport: Transport): Transcript =>
    new Transcript(codec, transport, { ...shared, options: optionsOf(codec, known, values.option) });
  const named = values.protocol === undefined ? undefined : codecNamed(values.protocol, known);
  const open = (bytes: Bytes): Opened => {
    if (named !== undefined) return { transcript: openAs(named, transportOf(values.transport, named)), protocol: '' };
    const codec = isText ? textCodec(known.codecs, bytes) : recognised([...known.codecs.values()], bytes);
    if (codec === undefined) return { transcript: undefined, protocol: '' };
    const transport = values.transport === undefined ? transportBy(codec, bytes, openAs) : transportOf(values.transport, codec);
    return { transcript: openAs(codec, transport), protocol: codec.name };
  };
  // What is wrong with the command line is said before anything is read.
  if (named !== undefined) open(new Uint8Array(0));
  else if (values.transport !== undefined && !isTransport(values.transport))
    throw new AppError('USAGE', `--transport must be tcp, udp or sms, not "${values.transport}"`);
  const given = positionals.length > 0;
  if (!given && io().input.isTTY)
    io().error.write(`${isText ? 'texts, one a line' : 'hex, one line per chunk'}; an empty line starts a new connection, Ctrl-D ends\n`);
  const printer = values.json ? new JsonPrinter() : new TablePrinter();
  const texts = isText ? positionals.map((text) => Buffer.from(text).toString('hex')) : positionals;
  await conversation(given ? inTurn(texts) : isText ? asHex(io().input) : io().input, open, printer);
  return EXIT.Ok;
}

/** A connection, once its first bytes are there. `protocol`: as recognised, '' when it was named. */
interface Opened {
  /** Undefined: no codec knows these bytes. */
  readonly transcript: Transcript | undefined;
  readonly protocol: string;
}

async function* inTurn(texts: readonly string[]): AsyncGenerator<string> {
  for (const text of texts) yield `${text.replaceAll('\n', ' ')}\n`;
}

/** Lines of text as lines of hex. */
async function* asHex(input: AsyncIterable<unknown>): AsyncGenerator<string> {
  let rest = Buffer.alloc(0);
  for await (const chunk of input) {
    rest = Buffer.concat([rest, bytesOf(chunk)]);
    for (let end = rest.indexOf(LF); end >= 0; end = rest.indexOf(LF)) {
      yield `${rest.toString('hex', 0, end)}\n`;
      rest = rest.subarray(end + 1);
    }
  }
  if (rest.length > 0) yield rest.toString('hex');
}

/** What becomes text of one input line: `begin`, its messages, `end`. Each resolves when the output has taken it. */
interface Printer {
  /** `protocol`: what the connection that begins was recognised as, else ''. */
  begin(protocol: string): void;
  message(message: Message): void;
  end(pending: number, noise: number, error: string): void;
  connection(): void;
  flush(): Promise<void>;
}

async function conversation(input: AsyncIterable<unknown>, open: (bytes: Bytes) => Opened, printer: Printer): Promise<void> {
  let transcript: Transcript | undefined;
  /** A line whose messages are printed and whose end waits for what follows. */
  let held = false;
  let noiseBefore = 0;
  const finish = (quiet: boolean): void => {
    if (!held || transcript === undefined) return;
    held = false;
    if (quiet) for (const message of transcript.quiet()) printer.message(message);
    printer.end(transcript.pending, transcript.noise - noiseBefore, transcript.closed);
    noiseBefore = transcript.noise;
  };
  const take = async (line: HexLine): Promise<void> => {
    finish(line.empty);
    if (line.empty) {
      transcript = undefined;
      noiseBefore = 0;
      printer.connection();
      return;
    }
    const opened = transcript === undefined && line.error === '' ? open(line.bytes) : { transcript, protocol: '' };
    transcript = opened.transcript;
    printer.begin(opened.protocol);
    const error = line.error || refusal(transcript, line);
    if (error !== '' || transcript === undefined) {
      printer.end(transcript?.pending ?? 0, 0, error);
      return;
    }
    const block = transcript.isStream ? BLOCK : line.bytes.length;
    for (let p = 0; p < line.bytes.length; p += block) {
      for (const message of transcript.push(line.bytes.subarray(p, p + block))) printer.message(message);
      await printer.flush();
    }
    held = true;
    if (!transcript.salvages) finish(false);
  };

  const lines = new HexLines();
  const chunks = input[Symbol.asyncIterator]();
  let next = chunks.next();
  for (;;) {
    const got = held ? await orSilence(next) : await next;
    if (got === undefined) finish(true);
    else if (got.done === true) break;
    else {
      next = chunks.next();
      for (const line of lines.push(bytesOf(got.value))) await take(line);
    }
    await printer.flush();
  }
  for (const line of lines.end()) await take(line);
  finish(true);
  await printer.flush();
}

/** Why a line of hex cannot be read; '' when it can. */
function refusal(transcript: Transcript | undefined, { bytes }: HexLine): string {
  if (transcript === undefined) return 'no installed protocol begins like this; name one with --protocol';
  return !transcript.isStream && bytes.length > MAX_DATAGRAM ? `a datagram holds at most ${MAX_DATAGRAM} bytes` : '';
}

/** What the promise gives, or undefined when it gives nothing for a while. */
async function orSilence<T>(promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), QUIET_MS);
  });
  const got = await Promise.race([promise, silence]);
  clearTimeout(timer);
  return got;
}

function bytesOf(chunk: unknown): Bytes {
  return chunk instanceof Uint8Array ? chunk : Buffer.from(String(chunk));
}

/** Text on its way to standard output. */
class Output {
  #text = '';

  write(text: string): void {
    this.#text += text;
  }

  async flush(): Promise<void> {
    const text = this.#text;
    this.#text = '';
    if (text !== '') await new Promise<void>((resolve) => io().out.write(text, () => resolve()));
  }
}

class JsonPrinter extends Output implements Printer {
  #messages = 0;

  begin(protocol: string): void {
    this.write(protocol === '' ? '{"messages":[' : `{"protocol":"${protocol}","messages":[`);
    this.#messages = 0;
  }

  message(message: Message): void {
    this.write(`${this.#messages++ === 0 ? '' : ','}${JSON.stringify(message)}`);
  }

  end(pending: number, noise: number, error: string): void {
    this.write(`],"pending":${pending}`);
    if (noise > 0) this.write(`,"noise":${noise}`);
    if (error !== '') this.write(`,"error":${JSON.stringify(error)}`);
    this.write('}\n');
  }

  connection(): void {}
}

class TablePrinter extends Output implements Printer {
  #line = 0;

  /** Lines for a terminal, on which nothing of the device's may act. */
  override write(lines: string): void {
    super.write(lines.split('\n').map(visible).join('\n'));
  }

  begin(protocol: string): void {
    this.#line++;
    if (protocol !== '') this.write(`${String(this.#line).padStart(4)}  ${protocol}\n`);
  }

  message(message: Message): void {
    const { type, name, device, records, answer, reply, reason, damaged, explain } = message;
    const what = [
      name,
      ...(reason === undefined ? [] : [`(${reason})`]),
      ...(damaged === undefined ? [] : [`(accepted in spite of ${damaged})`]),
    ];
    this.write(
      `${String(this.#line).padStart(4)}  @${String(message.offset).padEnd(6)} ${`${message.length} bytes`.padEnd(11)} ${type.padEnd(9)} ${what.join(' ')}  device ${device ?? 'unknown'}\n`,
    );
    for (const record of records) this.write(`${recordText(record)}\n`);
    if (reply !== null) this.write(`      reply   ${visible(reply)}\n`);
    if (explain !== undefined) {
      if (explain.length === 0) this.write('      this codec cannot explain this frame\n');
      for (const note of explain)
        this.write(
          `      ${String(note.at).padStart(5)} +${String(note.length).padEnd(4)} ${note.name.padEnd(28)} ${visible(note.raw)}${note.value === undefined ? '' : `  = ${visible(note.value)}`}\n`,
        );
    }
    this.write(`      answer  ${answer === null ? '(none)' : answerText(answer)}\n`);
  }

  end(pending: number, noise: number, error: string): void {
    if (noise > 0) this.write(`${String(this.#line).padStart(4)}  ${noise} bytes of noise\n`);
    if (pending > 0) this.write(`${String(this.#line).padStart(4)}  ${pending} bytes wait for the rest of their frame\n`);
    if (error !== '') this.write(`${String(this.#line).padStart(4)}  ${error}\n`);
  }

  connection(): void {
    this.write('---- a new connection\n');
  }
}

/** One record on one line: what it is, when, where, and the rest as name=value. */
function recordText(record: Readonly<Record<string, unknown>>): string {
  const { kind, id, time, lat, lon, attrs, device: _device, account: _account, protocol: _protocol, received: _received, ...rest } = record;
  const place = typeof lat === 'number' && typeof lon === 'number' ? `${lat.toFixed(6)}, ${lon.toFixed(6)}` : '';
  const when = typeof time === 'number' ? new Date(time).toISOString() : '';
  const fields = { ...rest, ...(typeof attrs === 'object' && attrs !== null ? attrs : {}) };
  const others = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`,
  );
  return `      ${String(kind).padEnd(6)}  ${when}  ${place}  ${visible(others.join(' '))}  #${String(id)}`;
}

/** Hex, and as text where it is one. */
function answerText(answer: string): string {
  const bytes = Buffer.from(answer, 'hex');
  const printable = bytes.every((c) => c >= 32 && c < 127);
  return printable ? `${hex(bytes, 0, bytes.length)}  ${bytes.toString('latin1')}` : answer;
}
