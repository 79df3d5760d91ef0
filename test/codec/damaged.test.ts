import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { hex } from '../../src/base/wire/index.ts';
import { BUILTIN_CODECS } from '../../src/codec/builtin.ts';
import type { Codec } from '../../src/codec/index.ts';
import { Feed, mutate, Random, type Sample } from '../../src/codec/kit/index.ts';
import { RESEAL, samplesOf } from '../helpers/samples.ts';

/**
 * What a codec makes of damaged bytes changes on purpose only. `fixtures/<codec>/damaged.txt` has a line for each fixture: its id, and
 * a check value of what came of each of its damaged copies. Where the change is meant, or a fixture is new,
 *
 *   DAMAGED=write npx vitest run test/codec/damaged.test.ts
 *
 * writes the files, and their difference says which messages are concerned.
 */
const WRITE = process.env['DAMAGED'] === 'write';
const COPIES = 64;
const DIGITS = 4;
/** Bytes in front: a place that is counted from the buffer's start instead of the frame's shows. */
const FRONT = 7;

function damagedCopies({ name, transport, chunks }: Sample, codec: string): Uint8Array[] {
  // Of its own, so that another fixture changes no copy of this one.
  const random = new Random(createHash('sha256').update(name).digest().readUInt32LE());
  const whole = chunks.at(-1) ?? new Uint8Array(0);
  return Array.from({ length: COPIES }, (_, n) => {
    const copy = n % 2 === 0 ? edited(whole, random) : mutate(whole, whole, random);
    // Without a sound seal the damage is hardly looked at.
    if (n % 4 < 3) RESEAL[codec]?.(copy, transport, true);
    return copy;
  });
}

/** One byte is another: one more or less, where lengths, counts and limits show; none or all of its bits; or any. */
function edited(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = bytes.slice();
  const at = random.below(copy.length);
  const byte = copy[at] ?? 0;
  const others = [byte + 1, byte - 1, byte ^ (1 << random.below(8)), random.below(2) === 0 ? 0 : 255, random.below(256), random.below(256)];
  copy[at] = others[random.below(others.length)] ?? 0;
  return copy;
}

/** What the protocol guess, `--explain` and a connection say of them. */
function madeOf(codec: Codec, { transport, options, chunks }: Sample, copy: Uint8Array): unknown[] {
  const connection = new Feed(codec, transport, { options: options ?? {} });
  for (const chunk of chunks.slice(0, -1)) connection.push(chunk);
  const shifted = new Uint8Array(FRONT + copy.length).fill(0x31, 0, FRONT);
  shifted.set(copy, FRONT);
  const notes: unknown[] = [];
  codec[transport]?.explain?.(shifted, FRONT, shifted.length, connection.state, (...note) => notes.push(note));
  const recognised = codec.recognise(shifted, FRONT, shifted.length);
  return [recognised, notes, connection.push(copy), connection.quiet(), connection.noise, connection.pending];
}

it.each(BUILTIN_CODECS.map((codec) => [codec.name, codec] as const))('%s makes of damaged bytes what it did', (name, codec) => {
  const path = join(import.meta.dirname, `../../fixtures/${name}/damaged.txt`);
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const known = new Map(text.split('\n').map((line) => [line.split(' ', 1)[0], line]));
  const lines: string[] = [];
  const changed: string[] = [];
  for (const sample of samplesOf(name)) {
    const copies = damagedCopies(sample, name);
    const results = copies.map((copy) => JSON.stringify(madeOf(codec, sample, copy), (_, value) => (Number.isNaN(value) ? 'NaN' : value)));
    const sums = results.map((result) => createHash('sha256').update(result).digest('hex').slice(0, DIGITS));
    lines.push(`${sample.name} ${sums.join(' ')}`);
    const before = known.get(sample.name)?.split(' ').slice(1) ?? [];
    const n = sums.findIndex((sum, at) => sum !== before[at]);
    const bytes = copies[n] ?? new Uint8Array(0);
    if (n >= 0) changed.push(`${sample.name}: ${hex(bytes, 0, bytes.length)} is now ${results[n]}`);
  }
  if (WRITE) {
    writeFileSync(path, `${lines.join('\n')}\n`);
    return;
  }
  expect(changed.slice(0, 5)).toEqual([]);
  expect(text).toBe(`${lines.join('\n')}\n`);
});
