import { describe, expect, it } from 'vitest';
import { BUILTIN_CODECS } from '../../../src/codec/builtin.ts';
import { codecOptions } from '../../../src/codec/registry.ts';

const codecs = new Map(BUILTIN_CODECS.map((codec) => [codec.name, codec]));
const gt06 = BUILTIN_CODECS.find((codec) => codec.name === 'gt06');
const h02 = BUILTIN_CODECS.find((codec) => codec.name === 'h02');

describe('options of codecs and of single devices', () => {
  it('a device goes before its codec, the codec before the defaults', () => {
    if (gt06 === undefined || h02 === undefined) throw new Error('a built-in codec is missing');
    const of = codecOptions(codecs, { gt06: { integrity: 'verify', variant: 'lw' } }, { '123456789012345': { variant: 'benway' } });
    expect(of(gt06, '')).toMatchObject({ integrity: 'verify', variant: 'lw' });
    expect(of(gt06, '123456789012345')).toMatchObject({ integrity: 'verify', variant: 'benway' });
    // Another protocol has no such option: the device is read under its general ones, and always under the same object.
    expect(of(h02, '123456789012345')).toBe(of(h02, ''));
  });

  it('names every problem with its path', () => {
    const make = () => codecOptions(codecs, { gt06: { integrty: 'count' } }, { a01: { variant: 'nonsense', colour: 'red' } });
    expect(make).toThrow(/codecs\.options\.gt06\.integrty: unknown/);
    expect(make).toThrow(/devices\.a01\.variant: "nonsense" is not one of/);
    expect(make).toThrow(/devices\.a01\.colour: no codec has this option/);
  });
});
