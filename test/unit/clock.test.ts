import { expect, test } from 'vitest';
import { originOf } from '../../src/base/clock.ts';

/** Two clocks of one time that begin 500 ms apart; some calls take `pauses` ms, as on a busy machine. */
function clocks(pauses: readonly number[]): { machine: () => number; own: () => number } {
  let time = 1_000_000;
  let calls = 0;
  const tick = (): number => {
    time += 0.001 + (pauses[calls++] ?? 0);
    return time;
  };
  return { machine: tick, own: () => tick() - 500 };
}

test.each([
  ['before the first reading', [300]],
  ['before the machine is asked', [0, 120]],
  ['after the machine was asked', [0, 0, 120]],
  ['again and again', [0, 90, 0, 0, 120, 3, 0, 0, 0]],
])('a pause of the process %s does not move the origin of its clock', (_when, pauses) => {
  const { machine, own } = clocks(pauses);
  expect(Math.abs(originOf(machine, own) - 500)).toBeLessThan(0.01);
});

test('on a machine where every reading takes long, the shortest counts', () => {
  const { machine, own } = clocks(Array.from({ length: 5000 }, (_, call) => (call === 700 || call === 701 ? 0.02 : 1)));
  expect(Math.abs(originOf(machine, own) - 500)).toBeLessThan(0.5);
});
