import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { lookMs, originOf, systemClock, testClock } from '../../src/base/clock.ts';
import { until } from '../support/wait.ts';

const DAY = 86_400_000;

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

test('a test clock follows its file, also backwards; monotonic time does not', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-clock-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'clock');
  expect(() => testClock(file).now()).toThrow(`FIXGATE_TEST_CLOCK: cannot read ${file} (ENOENT)`);
  writeFileSync(file, '1 day');
  expect(() => testClock(file).now()).toThrow('must hold a number of milliseconds');
  writeFileSync(file, `${40 * DAY}\n`);
  const clock = testClock(file);
  const ahead = (): number => Math.round((clock.now() - systemClock.now()) / DAY);
  expect(ahead()).toBe(40);
  writeFileSync(file, String(-3 * DAY));
  await until(() => ahead() === -3);
  // One that is being written, or gone, moves nothing.
  writeFileSync(file, '');
  const since = clock.elapsed();
  await until(() => clock.elapsed() - since > 100);
  expect(ahead()).toBe(-3);
  expect(Math.abs(clock.elapsed() - systemClock.elapsed())).toBeLessThan(DAY);
});

test('without a test clock nobody looks more often than usual', () => {
  expect(lookMs(60_000)).toBe(60_000);
});
