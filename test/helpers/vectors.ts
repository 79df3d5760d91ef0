import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { hex } from '../../src/base/wire/index.ts';
import type { Codec, Command } from '../../src/codec/index.ts';
import { type FeedSettings, type FrameSnapshot, KIT_NOW } from '../../src/codec/kit/feed.ts';
import { bytesOf, RecordFeed, readLines } from './fixtures.ts';
import { expectedFields, fieldProblems } from './vector-fields.ts';

/**
 * Checks a codec against ../shared/vectors/<codec>.jsonl and extra-<codec>.jsonl, which lie beside the repository and not in it. What each
 * assertion asks of the frames that the vector's bytes give:
 *
 * | assert | passes when |
 * |---|---|
 * | frame | the first frame is exactly `expect.hex` |
 * | null | a frame is found and no fix comes out |
 * | notNull | at least one frame that is neither malformed nor ignored |
 * | attributes | at least one record |
 * | position | exactly one fix; `time`, `valid`, `lat`, `lon` as far as given (5 decimals) |
 * | positions | at least one record, and all are fixes |
 * | positionsNoLocation | at least one record |
 * | attribute | a record with the value that `attributeMap` translates the vector's to |
 * | command | the bytes that `command` makes the codec encode |
 * | fields | every field of `expect`: see vector-fields.ts |
 */

const vector = z.object({
  id: z.string(),
  kind: z.enum(['frame', 'decode', 'encode']),
  transport: z.enum(['tcp', 'udp']),
  frame: z.object({ hex: z.string() }),
  assert: z.enum([
    'frame',
    'null',
    'notNull',
    'position',
    'positions',
    'positionsNoLocation',
    'attributes',
    'attribute',
    'command',
    'fields',
  ]),
  expect: expectedFields.extend({
    hex: z.string().optional(),
    time: z.string().optional(),
    valid: z.boolean().optional(),
    lat: z.number().optional(),
    lon: z.number().optional(),
    key: z.string().optional(),
    value: z.union([z.string(), z.number(), z.boolean(), z.null()]).optional(),
    absent: z.union([z.boolean(), z.array(z.string())]).optional(),
    command: z.string().optional(),
    params: z.record(z.string(), z.unknown()).optional(),
    uniqueId: z.string().optional(),
  }),
  needs: z.array(z.string()).optional(),
  integrity: z.enum(['ok', 'crc', 'length', 'none']).optional(),
  config: z.record(z.string(), z.unknown()).optional(),
  options: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
});
type Vector = z.infer<typeof vector>;
export type VectorValue = string | number | boolean | null;

/** A field of the record (`event`, `satellites`, …) or the name of one of its `attrs`, and the value it must have; undefined: it must be absent. */
export interface ExpectedValue {
  readonly name: string;
  readonly value: unknown;
}

export interface VectorSettings {
  /** By the vectors' key: what that value reads as in our records. Several: all must hold in one record. */
  readonly attributeMap: Readonly<Record<string, (value: VectorValue) => ExpectedValue | readonly ExpectedValue[]>>;
  /**
   * Vectors that a later issue covers: by id, or by message name for all whose frame has that name. They must still run
   * without an exception. One listed by id that passes is an error: take it off.
   */
  readonly later?: readonly string[];
  /** Codec options for a vector, by its `config` or id. `integrity: count` is added for damaged ones where the codec has that option. */
  readonly options?: (vector: Vector) => FeedSettings['options'];
  /** How an `encode` vector is asked of the codec; undefined, or left out: later. `first`: frames in hex that give the state its identity. */
  readonly command?: (
    vector: Vector,
  ) => { readonly command: Command; readonly key: number; readonly first?: readonly string[] } | undefined;
}

/** Registers one test a vector; none where the vectors, which are no part of the repository, are not beside it. */
export function vectorTests(codec: Codec, settings: VectorSettings): void {
  const path = `../shared/vectors/${codec.name}.jsonl`;
  const lines = readLines(path);
  const extra = readLines(`../shared/vectors/extra-${codec.name}.jsonl`);
  const vectors = [...(lines ?? []), ...(extra ?? [])].map((line) => vector.parse(line));
  const byId = new Map(vectors.map((v) => [v.id, v]));
  const later = new Set(settings.later ?? []);

  if (lines === undefined) return;
  describe(`${codec.name} vectors`, () => {
    it('lists nothing as later that does not exist', () => {
      const known = new Set([...byId.keys(), ...codec.messages]);
      expect([...later].filter((entry) => !known.has(entry))).toEqual([]);
    });
    it.for(vectors)('$id $assert', (v) => {
      const run = new VectorRun(codec, settings, byId, v);
      const failure = run.failure();
      const names = [...new Set(run.frames.map((frame) => frame.name || frame.kind))].join(', ') || 'no frame';
      if (later.has(v.id)) {
        expect(failure, `${v.id} (${names}) passes: take it off the list of later ones`).not.toBe('');
        return;
      }
      if (failure !== '' && (v.kind === 'encode' ? settings.command === undefined : run.frames.some((frame) => later.has(frame.name))))
        return;
      expect(failure, names).toBe('');
    });
  });
}

class VectorRun {
  readonly frames: FrameSnapshot[];
  readonly records: Record<string, unknown>[];
  readonly #codec: Codec;
  readonly #settings: VectorSettings;
  readonly #connection: RecordFeed;
  readonly #vector: Vector;
  /** Offset of the vector's first byte on the connection. */
  readonly #offset: number;

  constructor(codec: Codec, settings: VectorSettings, byId: ReadonlyMap<string, Vector>, v: Vector) {
    this.#codec = codec;
    this.#settings = settings;
    this.#vector = v;
    const damaged = (v.integrity === 'crc' || v.integrity === 'length') && codec.options['integrity'] !== undefined;
    const options = { ...(damaged ? { integrity: 'count' } : {}), ...settings.options?.(v), ...v.options };
    this.#connection = new RecordFeed(codec, v.transport, { options });
    const { feed } = this.#connection;
    let sent = 0;
    for (const id of v.needs ?? []) {
      const needed = bytesOf(byId.get(id)?.frame.hex ?? '');
      feed.push(needed);
      feed.quiet();
      sent += needed.length;
    }
    this.#offset = sent;
    const before = this.#connection.records.length;
    const bytes = bytesOf(v.frame.hex);
    if (v.kind === 'encode') this.frames = [];
    // A frame whose length field lies cannot be cut from a stream: the assertion is about reading it, not about finding it.
    else if (v.kind === 'decode' && v.integrity === 'length') this.frames = [feed.decode(bytes, 0, bytes.length)];
    else {
      this.frames = feed.push(bytes);
      if (feed.pending > 0) this.frames.push(...feed.quiet());
    }
    this.records = this.#connection.records.slice(before).flat();
  }

  /** Why the assertion does not hold, '' when it does. */
  failure(): string {
    const v = this.#vector;
    const fixes = this.records.filter((record) => record['kind'] === 'fix');
    switch (v.assert) {
      case 'frame': {
        const frame = this.frames[0];
        if (frame === undefined) return 'no frame';
        const bytes = bytesOf(v.frame.hex);
        const at = frame.offset - this.#offset;
        return differs('frame', hex(bytes, at, at + frame.length), v.expect.hex);
      }
      case 'null':
        if (this.frames.length === 0) return 'no frame';
        return fixes.length === 0 ? '' : `a fix came out: ${JSON.stringify(fixes[0])}`;
      case 'notNull':
        return this.frames.some((frame) => frame.kind !== 'malformed' && frame.kind !== 'ignored')
          ? ''
          : `nothing came out: ${this.#outcome()}`;
      case 'attributes':
      case 'positionsNoLocation':
        return this.records.length > 0 ? '' : `no record: ${this.#outcome()}`;
      case 'positions':
        if (this.records.length === 0) return `no record: ${this.#outcome()}`;
        return fixes.length === this.records.length
          ? ''
          : `${this.records.length - fixes.length} of ${this.records.length} records have no place`;
      case 'position':
        return this.#position(fixes);
      case 'attribute':
        return this.#attribute();
      case 'command':
        return this.#command();
      case 'fields': {
        const { absent, ...rest } = v.expect;
        const expected = { ...rest, absent: Array.isArray(absent) ? absent : undefined };
        return fieldProblems(expected, this.frames, this.records, this.#connection.feed.device).join('\n');
      }
    }
  }

  #outcome(): string {
    return this.frames.map((frame) => `${frame.kind} ${frame.name} ${frame.reason}`.trim()).join('; ') || 'no frame';
  }

  #position(fixes: readonly Record<string, unknown>[]): string {
    const [fix] = fixes;
    if (fix === undefined || fixes.length > 1) return `${fixes.length} fixes: ${this.#outcome()}`;
    const { time, valid, lat, lon } = this.#vector.expect;
    if (time !== undefined && fix['time'] !== Date.parse(time)) return differs('time', fix['time'], Date.parse(time));
    if (valid !== undefined && fix['valid'] !== valid) return differs('valid', fix['valid'], valid);
    for (const [key, value] of [
      ['lat', lat],
      ['lon', lon],
    ] as const)
      if (value !== undefined && !(Math.abs(Number(fix[key]) - value) < 6e-6)) return differs(key, fix[key], value);
    return '';
  }

  #attribute(): string {
    const { key, value, absent } = this.#vector.expect;
    const translate = this.#settings.attributeMap[key ?? ''];
    if (translate === undefined) return `attributeMap has no "${key}"`;
    const translated = translate(absent === true || value === undefined ? null : value);
    const wanted: readonly ExpectedValue[] = 'name' in translated ? [translated] : translated;
    if (this.records.length === 0) return `no record: ${this.#outcome()}`;
    const holds = this.records.some((record) => wanted.every((want) => same(read(record, want.name), want.value)));
    return holds ? '' : `${JSON.stringify(wanted)} is in no record: ${JSON.stringify(this.records)}`;
  }

  #command(): string {
    const v = this.#vector;
    const asked = this.#settings.command?.(v);
    if (asked === undefined) return 'not asked of the codec';
    for (const text of asked.first ?? []) this.#connection.feed.push(bytesOf(text));
    const out = new Uint8Array(4096);
    const n = this.#codec[v.transport]?.encodeCommand?.(asked.command, asked.key, this.#connection.feed.state, out, 0, KIT_NOW) ?? 0;
    return differs('command', hex(out, 0, n), v.expect.hex);
  }
}

function read(record: Record<string, unknown>, name: string): unknown {
  if (Object.hasOwn(record, name)) return record[name];
  const attrs = record['attrs'];
  return typeof attrs === 'object' && attrs !== null ? new Map<string, unknown>(Object.entries(attrs)).get(name) : undefined;
}

function same(actual: unknown, wanted: unknown): boolean {
  if (typeof actual === 'number' && typeof wanted === 'number') return Math.abs(actual - wanted) < 1e-6;
  return actual === wanted;
}

function differs(what: string, actual: unknown, wanted: unknown): string {
  return actual === wanted ? '' : `${what}: got ${String(actual)}, expected ${String(wanted)}`;
}
