import { expect, it } from 'vitest';
import { FAMILIES, familyOf, isMeasurement, LIMITS, NUMBER, Role, Width } from '../../codecs/teltonika/attributes.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { difference, Feed } from '../../src/codec/kit/index.ts';
import { RESEAL } from '../helpers/samples.ts';

/** Numbers at the edges of what the dictionary allows, as they come in a frame of codec 8E (codecs/teltonika/protocol.md section 3). */

const DEVICE = '356307042441013';
/** By width: bytes, and where its group stands among those of 1, 2, 4 and 8 bytes. */
const WIDTHS = [
  [Width.One, 1],
  [Width.Two, 2],
  [Width.Four, 4],
] as const;

/** A record with one element. */
function frameOf(id: number, bytes: number, value: number): Uint8Array {
  const groups = WIDTHS.map(([, of]) => {
    const group = Buffer.alloc(of === bytes ? 4 + bytes : 2);
    if (of !== bytes) return group;
    group.writeUInt16BE(1, 0);
    group.writeUInt16BE(id, 2);
    group.writeUIntBE(value, 4, bytes);
    return group;
  });
  const head = Buffer.alloc(8 + 1 + 15 + 2 + 2);
  head.writeBigUInt64BE(1_793_491_200_000n);
  head.writeUInt16BE(1, head.length - 2);
  const data = Buffer.concat([Buffer.of(0x8e, 1), head, ...groups, Buffer.alloc(2), Buffer.alloc(2), Buffer.of(1)]);
  const frame = Buffer.concat([Buffer.alloc(8), data, Buffer.alloc(4)]);
  frame.writeUInt32BE(data.length, 4);
  const bare = new Uint8Array(frame);
  RESEAL['teltonika']?.(bare, 'tcp', false);
  return bare;
}

/** The unsigned numbers of a width around a limit, read with a sign or without. */
function around(limit: number, bytes: number): number[] {
  const size = 256 ** bytes;
  return [limit - 1, limit, limit + 1].filter((value) => value >= -size / 2 && value < size).map((value) => (value + size) % size);
}

const signed = (value: number, bytes: number): number => (value >= 256 ** bytes / 2 ? value - 256 ** bytes : value);

it.each(FAMILIES.map(([name], index) => [name, index] as const))(
  'family %s: an element is a measurement within its limits, and the raw number beyond',
  (name, index) => {
    const { table } = familyOf(index);
    const wrong: unknown[] = [];
    let looked = 0;
    for (const [width, bytes] of WIDTHS) {
      const roles = new Set<number>();
      for (let id = 0; id < 65_536; id++) {
        const entry = table[width | id] ?? 0;
        const role = entry >>> 20;
        const limits = LIMITS[role - Role.Limited];
        if (limits === undefined || roles.has(role)) continue;
        roles.add(role);
        const edges = [limits.low, limits.high, limits.ones, 0, ...limits.codes].filter((edge) => Number.isFinite(edge));
        for (const value of new Set(edges.flatMap((edge) => around(edge, bytes)))) {
          const read = limits.signed ? signed(value, bytes) : value;
          const expected = isMeasurement(limits, read, value)
            ? { id: entry & 0xfffff, value: read }
            : { id: NUMBER | (entry & 0xffff), value };
          const connection = new Feed(teltonika, 'tcp', { device: DEVICE, options: { family: name } });
          const frame = frameOf(id, bytes, value);
          const [row] = connection.decode(frame, 0, frame.length).rows;
          looked++;
          // Beside the priority of the record.
          if (difference(row?.attributes.slice(1), [expected]) !== '')
            wrong.push({ id, bytes, value, limits, expected, found: row?.attributes });
        }
      }
    }
    expect(wrong.slice(0, 3)).toEqual([]);
    expect(looked).toBeGreaterThan(0);
  },
);
