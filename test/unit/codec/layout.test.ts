import { describe, expect, it } from 'vitest';
import { defineLayout } from '../../../src/codec/index.ts';
import { bytesOf } from '../../helpers/fixtures.ts';

const LAYOUT = defineLayout('all', 'nowhere 1.2', [
  { name: 'U8', type: 'u8' },
  { name: 'I8', type: 'i8' },
  { name: 'U16', type: 'u16', scale: 0.01, unit: 'V' },
  { name: 'I16', type: 'i16', unit: 'm' },
  { name: 'U32', type: 'u32' },
  { name: 'I32', type: 'i32', scale: 1e-7 },
  { name: 'U64', type: 'u64' },
  { name: 'U16LE', type: 'u16le' },
  { name: 'U32LE', type: 'u32le' },
  { name: 'F32', type: 'f32' },
  { name: 'Bytes', type: 'bytes', length: 3 },
  { name: 'Ascii', type: 'ascii', length: 2 },
  { name: 'Code', type: 'u8', show: (raw) => (raw === 1 ? 'on' : 'off') },
]);
const HEX =
  'ff' +
  'fe' +
  '04d2' +
  'fff6' +
  'fffffffe' +
  'e9fa3280' +
  '0000018bcfe56800' +
  '0201' +
  '04030201' +
  '3fc00000' +
  '0a0bcc' +
  '4142' +
  '01';

describe('defineLayout', () => {
  it('knows its length and reads every type, from any offset of a view', () => {
    const bytes = bytesOf(`eeee${HEX}ee`);
    expect(LAYOUT.bytes).toBe(HEX.length / 2);
    expect(LAYOUT.parse(bytes.subarray(1), 1)).toEqual({
      U8: 255,
      I8: -2,
      U16: 1234,
      I16: -10,
      U32: 4294967294,
      I32: -369479040,
      U64: 1700000000000n,
      U16LE: 258,
      U32LE: 16909060,
      F32: 1.5,
      Bytes: '0a0bcc',
      Ascii: 'AB',
      Code: 1,
    });
  });

  it('annotates every byte once, in order, with raw and translated values', () => {
    const notes: unknown[][] = [];
    LAYOUT.explain(bytesOf(`ee${HEX}`), 1, (at, length, name, raw, value) => notes.push([at, length, name, raw, value]));
    let next = 1;
    for (const [at, length] of notes) {
      expect(at).toBe(next);
      next += Number(length);
    }
    expect(next).toBe(1 + LAYOUT.bytes);
    expect(notes).toContainEqual([3, 2, 'U16', '1234', '12.34 V']);
    expect(notes).toContainEqual([5, 2, 'I16', '-10', '-10 m']);
    expect(notes).toContainEqual([11, 4, 'I32', '-369479040', '-36.947904']);
    expect(notes).toContainEqual([33, 3, 'Bytes', '0a0bcc', undefined]);
    expect(notes).toContainEqual([38, 1, 'Code', '1', 'on']);
    expect(notes).toContainEqual([15, 8, 'U64', '1700000000000', undefined]);
  });
});
