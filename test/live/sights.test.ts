import { describe, expect, it } from 'vitest';
import { eventIndex, FrameResult } from '../../src/codec/index.ts';
import { Sight, type SightRow, Sights, type WhoRow } from '../../src/live/sights.ts';

const RECEIVED = 1_790_000_000_000;

interface Place {
  readonly lat?: number;
  readonly time?: number;
  readonly valid?: number;
  readonly event?: number;
}

function frameOf(...places: readonly Place[]): FrameResult {
  const frame = new FrameResult();
  frame.reset(0, 0);
  for (const { lat = Number.NaN, time = RECEIVED, valid = 1, event = 0 } of places) {
    const row = frame.row();
    frame.time[row] = time;
    frame.latitude[row] = lat;
    frame.longitude[row] = lat / 2;
    frame.speedKmh[row] = 10;
    frame.valid[row] = valid;
    frame.event[row] = event;
  }
  return frame;
}

function rig(): { sights: Sights; sight: Sight; pass(ms: number): void; tick(durable?: number): SightRow[]; who: WhoRow[] } {
  let now = 0;
  const sights = new Sights(() => now);
  const who: WhoRow[] = [];
  return {
    sights,
    who,
    sight: new Sight({ device: 'd-1', record: { account: 'a', plan: 'gold', interval_s: 30 } }),
    pass: (ms) => (now += ms),
    tick(durable = Number.MAX_SAFE_INTEGER) {
      const told: SightRow[] = [];
      sights.tick(durable, (rows, about) => {
        told.push(...rows);
        who.push(...about);
      });
      return told;
    },
  };
}

describe('what a worker has seen', () => {
  it('is the newest valid place of the rows that are kept, and when it came', () => {
    const { sights, sight, tick, who } = rig();
    sights.watch();
    const old = RECEIVED - 60_000;
    sights.saw(sight, frameOf({ lat: 10, time: old }, { lat: 20 }, { lat: 30, time: old }, { lat: 40, valid: 0 }), null, RECEIVED, 1);
    expect(tick()).toEqual([['d-1', 20, 10, 10, null, RECEIVED, RECEIVED, 0]]);
    // Only the first is kept; it is older.
    sights.saw(sight, frameOf({ lat: 50, time: old }, { lat: 60 }), new Uint8Array([1]), RECEIVED + 1, 2);
    expect(tick()).toEqual([['d-1', 20, 10, 10, null, RECEIVED, RECEIVED + 1, 0]]);
    // Too far ahead to be believed.
    sights.saw(sight, frameOf({ lat: 70, time: RECEIVED + 400_000 }), null, RECEIVED + 2, 3);
    expect(tick()[0]?.[1]).toBe(20);
    expect(who).toEqual([['d-1', 'a', 'gold', 30]]);
    expect(tick()).toEqual([]);
  });

  it('has the last alarm, of kept rows', () => {
    const { sights, sight, tick } = rig();
    sights.watch();
    sights.saw(sight, frameOf({ event: eventIndex('ignition_on') }), null, RECEIVED, 1);
    expect(tick()[0]?.[7]).toBe(0);
    sights.saw(sight, frameOf({ event: eventIndex('sos') }, {}), new Uint8Array([2]), RECEIVED, 1);
    expect(tick()[0]?.[7]).toBe(0);
    sights.saw(sight, frameOf({ event: eventIndex('sos') }), null, RECEIVED, 1);
    expect(tick()).toEqual([['d-1', null, null, null, null, 0, RECEIVED, RECEIVED]]);
  });

  it('is told when it is on the disk, and never when its commit has failed, invariant 2', () => {
    const { sights, sight, tick } = rig();
    sights.watch();
    sights.saw(sight, frameOf({ lat: 1 }), null, RECEIVED, 7);
    expect(tick(6)).toEqual([]);
    expect(tick(7)).toHaveLength(1);
    sights.saw(sight, frameOf({ lat: 2 }), null, RECEIVED, 9);
    sights.failed(8, 9);
    expect(tick(20)).toEqual([]);
    // What comes next is taken, though it is no newer.
    sights.saw(sight, frameOf({ lat: 3, time: RECEIVED - 1 }), null, RECEIVED, 10);
    expect(tick(20)[0]?.[1]).toBe(3);
  });

  it('is told in parts while somebody looks, every ten seconds otherwise, invariant 3', () => {
    const { sights, pass, tick } = rig();
    const see = (count: number): void => {
      for (let n = 0; n < count; n++)
        sights.saw(new Sight({ device: `d-${n}`, record: undefined }), frameOf({ lat: n }), null, RECEIVED, 1);
    };
    see(5_000);
    sights.watch();
    expect(sights.isHasty).toBe(true);
    expect([tick().length, tick().length]).toEqual([500, 450]);
    pass(14_000);
    expect(tick().length).toBe(405);
    // After the last client has left, ten seconds pass, then the list is told in messages of a thousand.
    for (let second = 1; second < 10; second++) {
      pass(1_000);
      expect([tick().length, sights.isHasty]).toEqual([0, false]);
    }
    pass(1_000);
    expect(sights.isHasty).toBe(true);
    expect(Array.from({ length: 5 }, () => tick().length)).toEqual([1000, 1000, 1000, 645, 0]);
    see(3);
    expect([tick().length, sights.isHasty]).toEqual([0, false]);
    sights.watch();
    expect([sights.isHasty, tick().length]).toEqual([true, 3]);
    pass(15_000);
    // With nothing to tell there is no haste.
    expect(sights.isHasty).toBe(false);
  });
});
