import { expect, test } from 'vitest';
import { textProblems } from '../../../src/fleet/registry/field-problem.ts';

const PROBLEM = 'must be text without control characters and lone surrogates';

test.each<[unknown, readonly string[]]>([
  ['plain', []],
  ['a\u0000b', ['body']],
  ['two\nlines', ['body']],
  [null, []],
  [undefined, []],
  [5, []],
  [{ a: null, b: undefined, c: 1, d: true }, []],
  [{ name: 'x\u0007', labels: { site: 'y', other: '\ud800' } }, ['name', 'labels.other']],
  [{ list: ['ok', { deep: '\u001b' }] }, ['list.1.deep']],
])('%j: %j', (value, fields) => {
  expect(textProblems(value)).toEqual(fields.map((field) => ({ field, problem: PROBLEM })));
});

test('what lies deeper than any record is not looked at', () => {
  const nested = (depth: number): unknown => (depth === 0 ? '\u0000' : { a: nested(depth - 1) });
  expect(textProblems(nested(17))).toHaveLength(1);
  expect(textProblems(nested(18))).toEqual([]);
});
