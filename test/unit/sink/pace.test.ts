import { describe, expect, it } from 'vitest';
import { Pace } from '../../../src/out/sink/forward/pace.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

/** A call in ten seconds, three at once after a rest. */
function paced(): { clock: FakeClock; pace: Pace } {
  const clock = new FakeClock();
  return { clock, pace: new Pace(6, clock) };
}

describe('calls to an authority', () => {
  it('come three at once, and then as many as were allowed a minute', () => {
    const { clock, pace } = paced();
    expect([1, 2, 3, 4].map(() => pace.takes())).toEqual([true, true, true, false]);
    clock.step(9_999);
    expect(pace.takes()).toBe(false);
    clock.step(1);
    expect([pace.takes(), pace.takes()]).toEqual([true, false]);
    clock.step(3_600_000);
    expect([1, 2, 3, 4].map(() => pace.takes())).toEqual([true, true, true, false]);
  });

  it('are left for others where so many are wanted', () => {
    const { pace } = paced();
    expect([pace.takes(3), pace.takes(3), pace.takes(2), pace.takes(2), pace.takes()]).toEqual([true, false, true, false, true]);
  });

  it('wait for as long as the authority wants none, the longer of two times', () => {
    const { clock, pace } = paced();
    pace.close(5_000);
    pace.close(1_000);
    clock.step(4_999);
    expect(pace.takes()).toBe(false);
    clock.step(1);
    expect(pace.takes()).toBe(true);
  });

  it('end with the server', async () => {
    const { pace } = paced();
    expect(await pace.wait()).toBe(true);
    pace.close(60_000);
    const waiting = pace.wait();
    pace.end();
    expect([await waiting, await pace.wait()]).toEqual([false, false]);
  });
});
