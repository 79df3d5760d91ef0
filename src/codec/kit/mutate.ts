import type { Bytes } from '../../base/wire/bytes.ts';

/** Seeded generator of numbers: the same seed gives the same run, so that a failure is its seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 … 2^32 − 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** 0 … n − 1; 0 for n < 1. */
  below(n: number): number {
    return n < 1 ? 0 : this.next() % n;
  }

  /** true once in n. */
  once(n: number): boolean {
    return this.below(n) === 0;
  }
}

/** Values at which counts and lengths go wrong. */
const EDGES = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff];

/**
 * A damaged copy of `bytes`: one to three of bit flip, byte edit, cut short, range doubled, range removed, range of
 * `other` spliced in, length-like field edited. Never longer than `bytes` and `other` together.
 */
export function mutate(bytes: Bytes, other: Bytes, random: Random): Uint8Array {
  let out = Uint8Array.from(bytes);
  for (let n = 1 + random.below(3); n > 0 && out.length > 0; n--) out = step(out, other, random);
  return out.length > bytes.length + other.length ? out.slice(0, bytes.length + other.length) : out;
}

function step(bytes: Uint8Array<ArrayBuffer>, other: Bytes, random: Random): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length);
  const to = at + 1 + random.below(bytes.length - at);
  switch (random.below(8)) {
    case 0:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
      return bytes;
    case 1:
      // A byte that the protocol uses elsewhere: delimiters and type numbers, which random values seldom hit.
      bytes[at] = other[random.below(other.length)] ?? 0;
      return bytes;
    case 2:
      bytes[at] = random.below(256);
      return bytes;
    case 3:
      return bytes.slice(0, at);
    case 4:
      return joined([bytes.subarray(0, to), bytes.subarray(at)]);
    case 5:
      return joined([bytes.subarray(0, at), bytes.subarray(to)]);
    case 6: {
      const from = random.below(other.length);
      return joined([bytes.subarray(0, at), other.subarray(from, from + 1 + random.below(other.length - from)), bytes.subarray(to)]);
    }
    default:
      return editLength(bytes, random);
  }
}

/** Nudges or replaces a one-, two- or four-byte number, mostly near the head, where lengths and counts live. */
function editLength(bytes: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  const at = random.below(random.once(4) ? bytes.length : Math.min(bytes.length, 16));
  const width = [1, 2, 4][random.below(3)] ?? 1;
  const last = Math.min(at + width, bytes.length) - 1;
  if (random.once(2)) {
    bytes[last] = (bytes[last] ?? 0) + (random.once(2) ? 1 : -1) * (1 + random.below(3));
    return bytes;
  }
  const edge = EDGES[random.below(EDGES.length)] ?? 0;
  for (let p = at; p <= last; p++) bytes[p] = p === last ? edge : edge === 0xff ? 0xff : 0;
  return bytes;
}

/** Cuts bytes into `parts` chunks (fewer when there are fewer bytes) at random places; all are copies. */
export function cutRandomly(bytes: Bytes, parts: number, random: Random): Uint8Array[] {
  const cuts = new Set<number>();
  const wanted = Math.min(parts, bytes.length) - 1;
  while (cuts.size < wanted) cuts.add(1 + random.below(bytes.length - 1));
  const chunks: Uint8Array[] = [];
  let from = 0;
  for (const cut of [...[...cuts].sort((a, b) => a - b), bytes.length]) {
    chunks.push(bytes.slice(from, cut));
    from = cut;
  }
  return chunks;
}

export function joined(parts: readonly Bytes[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
