import { expect, it } from 'vitest';
import type { Codec } from '../../../src/codec/index.ts';
import { recordOptions } from '../../../src/codec/registry.ts';
import toy from '../../helpers/toy-codec.ts';

const codec = (name: string, options: Codec['options']): Codec => ({ ...toy, name, options });
const east = codec('east', {
  zone: { type: 'number', fallback: 0, about: '', min: -12, max: 14 },
  key: { type: 'string', fallback: '', about: '', secret: true },
});
const west = codec('west', { zone: { type: 'string', fallback: 'utc', about: '', oneOf: ['utc', 'local'] } });
const check = recordOptions(new Map([east, west].map((one) => [one.name, one])));

it.each([
  ['what its codec takes, read as it asks', 'east', { zone: '8' }, { zone: 8 }, []],
  ['what another codec takes', 'west', { zone: 'local' }, { zone: 'local' }, []],
  ['what any codec takes, while the protocol is not known', undefined, { zone: 'local' }, { zone: 'local' }, []],
  ['one that its codec does not have', 'west', { key: 'a' }, { key: 'a' }, ['key: unknown; options of west are zone']],
  ['one that no codec has', undefined, { zome: 1 }, { zome: 1 }, ['zome: unknown; no codec has it']],
  ['a secret', 'east', { key: 'a' }, { key: 'a' }, ['key: is a secret; set it in the configuration']],
  ['a value that does not fit', 'east', { zone: 15 }, { zone: 15 }, ['zone: 15 is outside -12 … 14']],
])('options of a device: %s', (_, protocol, given, options, problems) => {
  const checked = check(protocol, given);
  expect(checked.options).toEqual(options);
  expect(checked.problems.map(({ name, problem }) => `${name}: ${problem}`)).toEqual(problems);
});
