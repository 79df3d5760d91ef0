import { describe, expect, it } from 'vitest';
import { Directory } from '../../../src/cluster/directory.ts';
import type { Claim } from '../../../src/in/session/claim.ts';

const claim = (since: number, standing = true): Claim => ({ since, standing, transport: 'tcp', peer: '' });

describe('the directory of connected devices', () => {
  function open() {
    const told: string[] = [];
    const directory = new Directory((slot, device, claims) => told.push(`${slot} ${device} ${claims.map(({ since }) => since)}`));
    return { directory, told };
  }

  it('knows where a device is, until it leaves', () => {
    const { directory, told } = open();
    directory.moved(1, [['a01', [claim(10)]]]);
    expect([directory.slotOf('a01'), directory.slotOf('b02')]).toEqual([1, undefined]);
    directory.moved(1, [
      ['a01', []],
      ['a01', [claim(20)]],
      ['b02', [claim(21)]],
      ['b02', []],
    ]);
    expect([directory.slotOf('a01'), directory.slotOf('b02'), told]).toEqual([1, undefined, []]);
  });

  it('tells each worker of the sessions on the others, whichever reports first, and where commands go', () => {
    for (const order of ['old first', 'new first']) {
      const { directory, told } = open();
      const reports = [() => directory.moved(1, [['a01', [claim(10)]]]), () => directory.moved(2, [['a01', [claim(12)]]])];
      for (const report of order === 'old first' ? reports : reports.reverse()) report();
      expect([order, directory.slotOf('a01'), told.sort()]).toEqual([order, 2, ['1 a01 12', '2 a01 10']]);
      expect(directory.othersThan(1, 'a01')).toEqual([2]);
      directory.moved(1, [['a01', []]]);
      expect([order, directory.slotOf('a01'), told.at(-1)]).toEqual([order, 2, '2 a01 ']);
    }
  });

  it('commands do not go to a newer session that has no standing', () => {
    const { directory } = open();
    directory.moved(1, [['a01', [claim(10)]]]);
    directory.moved(2, [['a01', [claim(12, false)]]]);
    expect(directory.slotOf('a01')).toBe(1);
  });

  it('forgets a worker that has ended, and only that, and tells the others', () => {
    const { directory, told } = open();
    directory.moved(1, [['a01', [claim(10)]]]);
    directory.moved(2, [
      ['b02', [claim(10)]],
      ['a01', [claim(9)]],
    ]);
    directory.forget(1);
    expect([directory.slotOf('a01'), directory.slotOf('b02'), told.at(-1)]).toEqual([2, 2, '2 a01 ']);
  });
});
