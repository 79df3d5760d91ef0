import { expect, it } from 'vitest';
import { example } from '../../../src/fleet/command/parameters.ts';

it('an example has for each parameter a value that its rule takes, the default first', () => {
  const about = '';
  expect(
    example({
      given: { type: 'number', about, fallback: 7 },
      off: { type: 'boolean', about, fallback: false },
      number: { type: 'number', about },
      small: { type: 'number', about, max: 5 },
      large: { type: 'number', about, min: 100 },
      on: { type: 'boolean', about },
      one: { type: 'string', about, oneOf: ['a', 'b'] },
      text: { type: 'string', about },
      host: { type: 'string', about },
    }),
  ).toEqual({ given: 7, off: false, number: 60, small: 5, large: 100, on: true, one: 'a', text: 'status', host: '192.0.2.1' });
});
