import { describe, expect, it } from 'vitest';
import { Directory } from '../../../src/cluster/directory.ts';
import type { Claim } from '../../../src/in/session/claim.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

const claim = (since: number, standing = true): Claim => ({ since, standing, transport: 'tcp', peer: '' });

describe('the directory of connected devices', () => {
  function open() {
    const told: string[] = [];
    const clock = new FakeClock();
    const directory = new Directory(
      (slot, device, { claims, leader }) => told.push(`${slot} ${device} ${claims.map(({ since }) => since)} → ${leader?.since}`),
      () => clock.elapsed(),
    );
    return { directory, told, clock };
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
    expect([directory.slotOf('a01'), directory.slotOf('b02'), told]).toEqual([1, undefined, ['1 a01  → 10', '1 a01  → 20', '1 b02  → 21']]);
  });

  it('tells each worker of the sessions on the others, whichever reports first, and where commands go', () => {
    for (const order of ['old first', 'new first']) {
      const { directory, told } = open();
      const reports = [() => directory.moved(1, [['a01', [claim(10)]]]), () => directory.moved(2, [['a01', [claim(12)]]])];
      for (const report of order === 'old first' ? reports : reports.reverse()) report();
      expect([order, directory.slotOf('a01'), told.slice(1).sort()]).toEqual([order, 2, ['1 a01 12 → 12', '2 a01 10 → 12']]);
      expect([directory.spoke(1, 'a01'), directory.spoke(1, 'b02')]).toEqual([[2], []]);
      directory.moved(1, [['a01', []]]);
      expect([order, directory.slotOf('a01'), told.at(-1)]).toEqual([order, 2, '2 a01  → 12']);
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
    expect([directory.slotOf('a01'), directory.slotOf('b02'), told.at(-1)]).toEqual([2, 2, '2 a01  → 9']);
  });

  it('the way of commands moves between workers once in a while; a session that leaves and comes back does not speed that up', () => {
    const { directory, clock } = open();
    directory.moved(1, [['a01', [claim(10)]]]);
    directory.moved(2, [['a01', [claim(12)]]]);
    expect(directory.slotOf('a01')).toBe(2);
    directory.moved(2, [['a01', []]]);
    expect(directory.slotOf('a01')).toBe(1);
    directory.moved(2, [['a01', [claim(14)]]]);
    expect(directory.slotOf('a01')).toBe(1);
    clock.step(30_000);
    directory.spoke(2, 'a01');
    expect(directory.slotOf('a01')).toBe(2);
  });

  it('goes on with what a worker has decided alone', () => {
    const { directory } = open();
    directory.moved(1, [['a01', [{ ...claim(10), leads: true }, claim(11)]]]);
    directory.moved(2, [['a01', [claim(9)]]]);
    // The newest would have them by the rule, and moves it: once.
    expect(directory.slotOf('a01')).toBe(1);
    directory.moved(2, [['a01', [claim(12)]]]);
    expect(directory.slotOf('a01')).toBe(1);
  });
});
