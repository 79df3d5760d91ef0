import { describe, expect, it } from 'vitest';
import { Counted } from '../../../src/roles/counted.ts';

/** Numbers quote src/roles/counted.ts. Times in seconds. */

const NOON = 1_793_491_200;

function rig(workers = 2) {
  let at = NOON;
  const counted = new Counted(workers, ['state', 'clickhouse'], () => 1000 * at);
  return (time: number, settled: readonly number[], state: number | undefined, clickhouse: number | undefined): number => {
    at = NOON + time;
    const until = counted.look({
      settledUntil: new Map(settled.map((one, slot) => [String(slot), NOON + one])),
      deliveredUntil: new Map(
        Object.entries({ state, clickhouse }).flatMap(([sink, one]) => (one === undefined ? [] : [[sink, NOON + one]])),
      ),
    });
    return until === 0 ? 0 : until / 1000 - NOON;
  };
}

describe('all usage is counted', () => {
  it('1: up to when the disks had it, once both sinks have come to the moment of that', () => {
    const look = rig();
    expect(look(10, [9, 8], 10, 10)).toBe(0);
    // What the sinks say is of before it was asked.
    expect(look(11, [11, 11], 9.9, 9.9)).toBe(0);
    expect(look(12, [12, 12], 12, 9.9)).toBe(0);
    expect(look(13, [13, 13], 10, 10)).toBe(8);
    // Asked anew at 13.
    expect(look(14, [14, 14], 12, 12)).toBe(8);
    expect(look(15, [15, 15], 14, 13)).toBe(13);
  });

  it('1: not what a disk took so long to write that the shipper believed to be done meanwhile', () => {
    const look = rig(1);
    look(0, [0], 0, 0);
    // Something was received at 1, and is written at 100 only. The shipper sees nothing of it.
    for (const time of [10, 50, 99]) expect(look(time, [0], time, time)).toBe(0);
    expect(look(101, [101], 99, 99)).toBe(0);
    expect(look(102, [102], 100, 100)).toBe(0);
    expect(look(103, [103], 103, 103)).toBe(101);
  });

  it.each([
    ['a worker is not there', [20], 20, 20],
    ['a worker says nothing new', [5, 20], 20, 20],
    ['a sink has said nothing', [20, 20], 20, undefined],
    ['a sink says nothing new', [20, 20], 20, 5],
  ] as const)('2: is held back when %s', (_, settled, state, clickhouse) => {
    const look = rig();
    for (const time of [20, 40, 60]) expect(look(time, settled, state, clickhouse)).toBeLessThanOrEqual(5);
  });
});
