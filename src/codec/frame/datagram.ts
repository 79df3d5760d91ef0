import type { Bytes } from '../../base/wire/bytes.ts';
import type { DatagramDialect } from '../index.ts';
import type { OnFrame } from './splitter.ts';

/**
 * Hands over the frames of one datagram; returns the bytes that belong to none (noise, or a frame cut short: a datagram
 * has no continuation). Stops early when the consumer says so.
 */
export function datagramFrames(dialect: DatagramDialect, state: object, bytes: Bytes, maxFrameBytes: number, onFrame: OnFrame): number {
  const end = bytes.length;
  if (dialect.frame === undefined) {
    if (end === 0 || end > maxFrameBytes) return end;
    onFrame(bytes, 0, end);
    return 0;
  }
  let noise = 0;
  let p = 0;
  while (p < end) {
    const n = dialect.frame(bytes, p, end, state);
    if (n === 0 || n > end - p || n > maxFrameBytes) return noise + end - p;
    if (n < 0) {
      const drop = Math.min(-n, end - p);
      noise += drop;
      p += drop;
    } else {
      if (!onFrame(bytes, p, p + n)) return noise;
      p += n;
    }
  }
  return noise;
}
