import type { Bytes } from '../../base/wire/bytes.ts';
import type { Codec, OptionValue } from '../index.ts';
import type { Sample } from './checks.ts';
import { Feed, type FrameSnapshot } from './feed.ts';

/** What two runs of one conversation must have in common. */

/** Everything that a cut or a copy must not change, and what salvage makes of the rest. */
export function outcome(connection: Feed): object {
  const { noise, pending, stopped } = connection;
  const frames = [...connection.frames];
  return { frames, noise, pending, stopped, salvaged: connection.quiet() };
}

/** What a stored frame must give again. Answers and tickets belong to the moment, the offset to the stream. */
export function stable(frame: FrameSnapshot): object {
  const { offset: _offset, answer: _answer, tickets: _tickets, ...rest } = frame;
  return rest;
}

/** What is stored of a frame. */
export function stored({ kind, reason, rows }: FrameSnapshot): object {
  return { kind, reason, rows };
}

/** Options that are not stored, with each value that they may take, or some that they might. */
export function otherValues(codec: Codec): [string, OptionValue][] {
  const values: [string, OptionValue][] = [];
  for (const [name, { decodes, type, oneOf, min = 0, max = 1000 }] of Object.entries(codec.options)) {
    if (decodes !== false) continue;
    const possible = type === 'boolean' ? [false, true] : type === 'number' ? [min, max] : (oneOf ?? ['XY', '0123456789']);
    for (const value of possible) values.push([name, value]);
  }
  return values;
}

export function sameBytes(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export function copies(chunks: readonly Bytes[]): Uint8Array[] {
  return chunks.map((chunk) => chunk.slice());
}

/** What a new connection keeps of a memo. */
export function durablePart(codec: Codec, sample: Sample, memo: number): number {
  const { state } = new Feed(codec, sample.transport, { options: sample.options ?? {}, adopt: memo });
  return codec[sample.transport]?.memo?.(state) ?? 0;
}
