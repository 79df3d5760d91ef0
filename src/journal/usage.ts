/**
 * The bytes of a usage entry: JSON, `{"in":n,"out":n,"segments":n,"datagrams":n,"records":n}`, what the entry's device used
 * since the entry before, and where it is known over which network: `"mcc":n,"mnc":n,"roaming":n`. Whole numbers from 0 to 2^53 - 1;
 * fields that a reader does not know are passed over.
 */
/** The mobile network of the serving cell. */
export interface Network {
  readonly mcc: number;
  /** -1: not known. */
  readonly mnc: number;
  /** The country is not one of the device's home networks. */
  readonly roaming: boolean;
}

export interface Traffic {
  /** Bytes at the socket, before decoding. */
  readonly in: number;
  readonly out: number;
  /** Chunks read and writes made on TCP: the server's view of segments, which the kernels join and split. */
  readonly segments: number;
  /** Both ways. */
  readonly datagrams: number;
  /** Accepted into the journal. */
  readonly records: number;
  /** Undefined: not known. */
  readonly network?: Network | undefined;
}

const ENCODER = new TextEncoder();

export function encodeUsage({ in: bytesIn, out, segments, datagrams, records, network }: Traffic): Uint8Array {
  const { mcc, mnc = -1, roaming = false } = network ?? {};
  const over = mcc === undefined ? '' : `,"mcc":${mcc}${mnc < 0 ? '' : `,"mnc":${mnc}`},"roaming":${roaming ? 1 : 0}`;
  return ENCODER.encode(`{"in":${bytesIn},"out":${out},"segments":${segments},"datagrams":${datagrams},"records":${records}${over}}`);
}

/** Returns undefined if the text is not a usage entry. */
export function parseUsage(text: string): Traffic | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const number = (name: string): number => {
      const found: unknown = Reflect.get(value, name);
      return typeof found === 'number' && Number.isSafeInteger(found) && found >= 0 ? found : Number.NaN;
    };
    const traffic = {
      in: number('in'),
      out: number('out'),
      segments: number('segments'),
      datagrams: number('datagrams'),
      records: number('records'),
    };
    if (Object.values(traffic).some(Number.isNaN)) return undefined;
    const [mcc, mnc] = [number('mcc'), number('mnc')];
    if (Number.isNaN(mcc)) return traffic;
    return { ...traffic, network: { mcc, mnc: Number.isNaN(mnc) ? -1 : mnc, roaming: number('roaming') === 1 } };
  } catch {
    return undefined;
  }
}
