import { describe, expect, it } from 'vitest';
import { Directory } from '../../../src/cluster/directory.ts';

describe('the directory of connected devices', () => {
  function open() {
    const superseded: string[] = [];
    const directory = new Directory((slot, device, since) => superseded.push(`${slot} ${device} ${since}`));
    return { directory, superseded };
  }

  it('knows where a device is, until it leaves', () => {
    const { directory, superseded } = open();
    directory.moved(1, [['a01', 10]]);
    expect([directory.slotOf('a01'), directory.slotOf('b02')]).toEqual([1, undefined]);
    directory.moved(1, [
      ['a01', 0],
      ['a01', 20],
      ['b02', 21],
      ['b02', 0],
    ]);
    expect([directory.slotOf('a01'), directory.slotOf('b02'), superseded]).toEqual([1, undefined, []]);
  });

  it('the newest connection wins, whichever worker reports first', () => {
    for (const order of ['old first', 'new first']) {
      const { directory, superseded } = open();
      const reports = [() => directory.moved(1, [['a01', 10]]), () => directory.moved(2, [['a01', 12]])];
      for (const report of order === 'old first' ? reports : reports.reverse()) report();
      // The loser's end must not remove the winner.
      directory.moved(1, [['a01', 0]]);
      expect([order, directory.slotOf('a01'), superseded]).toEqual([order, 2, ['1 a01 12']]);
    }
  });

  it('forgets a worker that has ended, and only that', () => {
    const { directory } = open();
    directory.moved(1, [['a01', 10]]);
    directory.moved(2, [['b02', 10]]);
    directory.forget(1);
    expect([directory.slotOf('a01'), directory.slotOf('b02')]).toEqual([undefined, 2]);
  });
});
