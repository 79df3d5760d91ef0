/**
 * The bytes of a usage entry: JSON, `{"in":n,"out":n,"segments":n,"datagrams":n,"records":n}`, what the entry's device used
 * since the entry before. Whole numbers from 0 to 2^53 - 1; fields that a reader does not know are passed over.
 */
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
}

const ENCODER = new TextEncoder();

export function encodeUsage({ in: bytesIn, out, segments, datagrams, records }: Traffic): Uint8Array {
  return ENCODER.encode(`{"in":${bytesIn},"out":${out},"segments":${segments},"datagrams":${datagrams},"records":${records}}`);
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
    return Object.values(traffic).some(Number.isNaN) ? undefined : traffic;
  } catch {
    return undefined;
  }
}
