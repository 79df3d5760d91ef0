/**
 * What reads a frame, beside its bytes and the memo in its entry: the codec, the transport, the options that affect decoding
 * (never secret ones), and the account of the device at receipt. It stands in every segment whose entries refer to it
 * (`entry.ts`), so that a segment alone decodes the same for ever.
 *
 * The bytes of a definition entry:
 *
 *      0  1  transport      1 TCP, 2 UDP, 3 SMS
 *      1  1  c              length of codec
 *      2  1  a              length of account
 *      3  c  codec          name, UTF-8
 *         a  account        UTF-8; empty when there is none
 *         …  options        JSON object of texts, numbers and booleans, names in order; empty: not kept
 */
export type Transport = 'tcp' | 'udp' | 'sms';

export type KeptOptions = Readonly<Record<string, string | number | boolean>>;

const TRANSPORTS: readonly Transport[] = ['tcp', 'udp', 'sms'];
const HEAD_BYTES = 3;

export class Definition {
  readonly codec: string;
  readonly transport: Transport;
  /** Null: they were not kept (an entry of format 1 or 2, or one that nothing decodes). */
  readonly options: KeptOptions | null;
  readonly account: string;
  readonly encoded: Buffer;
  /** The same for equal definitions, and for no others. */
  readonly text: string;

  /** Throws RangeError when a name is longer than 255 bytes of UTF-8: cutting it would make it another name. */
  constructor(codec: string, transport: Transport, options: KeptOptions | null = null, account = '') {
    this.codec = codec;
    this.transport = transport;
    this.options = options;
    this.account = account;
    const names = [Buffer.from(codec, 'utf8'), Buffer.from(account, 'utf8')];
    for (const name of names) if (name.length > 255) throw new RangeError('the name of a codec or account is longer than 255 bytes');
    const head = Buffer.from([TRANSPORTS.indexOf(transport) + 1, ...names.map((name) => name.length)]);
    const sorted = options === null ? '' : JSON.stringify(Object.fromEntries(Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1))));
    this.encoded = Buffer.concat([head, ...names, Buffer.from(sorted, 'utf8')]);
    this.text = this.encoded.toString('latin1');
  }

  /** Null for bytes that are not a definition. */
  static read(bytes: Buffer, start: number, end: number): Definition | null {
    const transport = transportAt(bytes[start] ?? 0);
    const codecAt = start + HEAD_BYTES;
    const accountAt = codecAt + (bytes[start + 1] ?? 0);
    const optionsAt = accountAt + (bytes[start + 2] ?? 0);
    if (transport === undefined || end - start < HEAD_BYTES || optionsAt > end) return null;
    const options = optionsOf(bytes.toString('utf8', optionsAt, end));
    if (options === undefined) return null;
    return new Definition(bytes.toString('utf8', codecAt, accountAt), transport, options, bytes.toString('utf8', accountAt, optionsAt));
  }
}

/** Of entries that no codec has to do with. Number 0 in every segment. */
export const NO_DEFINITION = new Definition('', 'tcp');

/** Undefined if the number is not a transport. */
export function transportAt(number: number): Transport | undefined {
  return TRANSPORTS[number - 1];
}

function optionsOf(text: string): KeptOptions | null | undefined {
  if (text === '') return null;
  try {
    const value: unknown = JSON.parse(text);
    return isOptions(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isOptions(value: unknown): value is KeptOptions {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((one) => typeof one === 'string' || typeof one === 'number' || typeof one === 'boolean');
}
