import { describe, expect, it } from 'vitest';
import { checkOptions, type OptionRule, parseOption } from '../../../src/codec/index.ts';

const RULES: Readonly<Record<string, OptionRule>> = {
  integrity: { type: 'string', fallback: 'verify', about: 'what a wrong checksum costs', oneOf: ['verify', 'count'] },
  hours: { type: 'number', fallback: 0, about: 'zone', min: -12, max: 14 },
  strict: { type: 'boolean', fallback: false, about: 'strict' },
  seconds: { type: 'number', about: 'interval' },
};

function check(given: Readonly<Record<string, unknown>>): { values: unknown; problems: string[] } {
  const problems: string[] = [];
  return { values: checkOptions(RULES, given, problems), problems };
}

describe('checkOptions', () => {
  it('fills in defaults and keeps what fits, limits included', () => {
    expect(check({ seconds: 5 })).toEqual({ values: { integrity: 'verify', hours: 0, strict: false, seconds: 5 }, problems: [] });
    expect(check({ integrity: 'count', hours: 14, strict: true, seconds: -1.5 }).problems).toEqual([]);
    expect(check({ hours: -12, seconds: 0 }).problems).toEqual([]);
  });

  it('reports every problem at once, each with key and remedy', () => {
    expect(check({ integrty: 'count', integrity: 'maybe', hours: 15, strict: 'yes' }).problems).toEqual([
      'integrty: unknown; known are integrity, hours, strict, seconds',
      'integrity: "maybe" is not one of verify, count',
      'hours: 15 is outside -12 … 14',
      'strict: must be a boolean',
      'seconds: must be given (number: interval)',
    ]);
  });

  it('refuses numbers that are none and values that are no option at all', () => {
    expect(check({ seconds: Number.NaN }).problems).toEqual(['seconds: NaN is outside −∞ … ∞']);
    expect(check({ seconds: [5] }).problems).toEqual(['seconds: must be a number']);
  });

  it('leaves what does not fit out of the result', () => {
    expect(check({ hours: 15, seconds: 1 }).values).toEqual({ integrity: 'verify', strict: false, seconds: 1 });
  });
});

describe('parseOption', () => {
  it('reads texts into the type of the rule, and leaves what does not fit for the check', () => {
    expect(parseOption(RULES['hours'], '-3.5')).toBe(-3.5);
    expect(parseOption(RULES['hours'], 'three')).toBe('three');
    expect(parseOption(RULES['hours'], ' ')).toBe(' ');
    expect([parseOption(RULES['strict'], 'true'), parseOption(RULES['strict'], 'false'), parseOption(RULES['strict'], '1')]).toEqual([
      true,
      false,
      '1',
    ]);
    expect([parseOption(RULES['integrity'], '7'), parseOption(undefined, '7')]).toEqual(['7', '7']);
  });
});
