import { expect, it } from 'vitest';
import type { Command } from '../../../src/fleet/command/command.ts';
import { isNewer } from '../../../src/fleet/command/delivery-line.ts';

const CREATED = 1_793_491_200_000;
const command: Command = Object({ created: CREATED });

it.each([
  ['a text without a time speaks of now', {}, true],
  ['so does one whose time is none', { time: '12:00' }, true],
  ['a position of the time of the request is the answer', { time: CREATED }, true],
  ['devices cut off what is below the second', { time: CREATED - 1000 }, true],
  ['one from before is not', { time: CREATED - 1001 }, false],
])('is a position newer than the request? %s', (_, values, expected) => {
  expect(isNewer(values, command)).toBe(expected);
});
