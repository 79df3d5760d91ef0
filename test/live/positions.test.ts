import { describe, expect, it } from 'vitest';
import { Positions, type PositionsOptions, type Row, wants } from '../../src/live/positions.ts';
import type { SightRow } from '../../src/live/sights.ts';

const NOW = 1_790_000_000_000;

function rig(parts: Partial<PositionsOptions> = {}) {
  const changed: string[] = [];
  const at = { now: NOW };
  const connected = new Set<string>(['d-1', 'd-2', 'd-3']);
  const positions = new Positions({
    now: () => at.now,
    isConnected: (device) => connected.has(device),
    isOverCap: () => false,
    isRelay: () => false,
    erasedBefore: () => 0,
    ownedSince: () => 0,
    passedOn: () => {},
    changed: ({ device }) => changed.push(device),
    ...parts,
  });
  const see = (device: string, more: { lat?: number; speed?: number; time?: number; received?: number; alarm?: number } = {}): void => {
    const { lat = 50, speed = 0, time = NOW, received = NOW, alarm = 0 } = more;
    const row: SightRow = [device, lat, 10, speed, 90, time, received, alarm];
    positions.seen([row], []);
  };
  return { positions, changed, at, connected, see };
}

const stateOf = (positions: Positions, device: string): string | undefined => positions.get(device)?.state;

describe('last positions', () => {
  it('are forgotten when a device has another account, and nothing from before comes back, invariant 2', () => {
    const left: string[] = [];
    let since = 0;
    const { positions, see } = rig({ ownedSince: () => since, passedOn: (device, from) => left.push(`${device} ${from}`) });
    see('d-1', { lat: 50 });
    positions.describe('d-1', 'a', 'default', 0);
    positions.describe('d-1', 'a', 'gold', 0);
    expect([positions.get('d-1')?.lat, left]).toEqual([50, []]);
    since = NOW + 10;
    positions.describe('d-1', 'b', 'gold', 0);
    expect([positions.get('d-1'), left]).toEqual([undefined, ['d-1 a']]);
    see('d-1', { lat: 51, received: NOW + 5 });
    positions.restored([{ device: 'd-1', lat: 50, lon: 2, speed_kmh: null, course_deg: null, time: NOW, received: NOW }]);
    expect(positions.get('d-1')).toBeUndefined();
    // It is in contact again, and its place is from before.
    see('d-1', { lat: 51, time: NOW, received: NOW + 15 });
    expect(positions.get('d-1')).toMatchObject({ received: NOW + 15, lat: Number.NaN });
    see('d-1', { lat: 52, time: NOW + 16, received: NOW + 17 });
    expect(positions.get('d-1')).toMatchObject({ lat: 52 });
  });

  it('never go back in time, invariant 1', () => {
    const { positions, see } = rig();
    see('d-1', { lat: 50 });
    see('d-1', { lat: 40, time: NOW - 1, received: NOW - 5 });
    expect(positions.get('d-1')).toMatchObject({ lat: 50, time: NOW, received: NOW });
    positions.restored([{ device: 'd-1', lat: 1, lon: 2, speed_kmh: null, course_deg: null, time: NOW - 9, received: NOW - 9 }]);
    expect(positions.get('d-1')).toMatchObject({ lat: 50, via: 'live' });
    positions.restored([{ device: 'd-9', lat: 1, lon: 2, speed_kmh: null, course_deg: null, time: NOW - 9, received: NOW - 9 }]);
    expect(positions.get('d-9')).toMatchObject({ lat: 1, via: 'store', state: 'offline' });
  });

  it('are not of relayed devices, nor from before an erasure, invariant 2', () => {
    const { positions, see } = rig({ isRelay: (device) => device === 'd-1', erasedBefore: (device) => (device === 'd-2' ? NOW : 0) });
    see('d-1');
    see('d-2', { received: NOW - 1 });
    see('d-2', { received: NOW + 1, time: NOW - 1 });
    positions.restored([
      { device: 'd-1', lat: 1, lon: 2, speed_kmh: null, course_deg: null, time: NOW, received: NOW },
      { device: 'd-2', lat: 1, lon: 2, speed_kmh: null, course_deg: null, time: NOW - 1, received: NOW - 1 },
    ]);
    expect(positions.get('d-1')).toBeUndefined();
    // It is there, and where is not known.
    expect(positions.get('d-2')?.lat).toBeNaN();
    see('d-2', { received: NOW + 1, time: NOW + 1 });
    expect(positions.get('d-2')?.lat).toBe(50);
  });

  it('are bounded: the longest silent go, invariant 3', () => {
    const { positions, see } = rig({ most: 100 });
    for (let n = 0; n < 150; n++) see(`d-${n}`, { received: NOW + n });
    expect(positions.size).toBe(100);
    expect([positions.get('d-0'), positions.get('d-49'), positions.get('d-50')?.device]).toEqual([undefined, undefined, 'd-50']);
  });

  it('have the first state that is true', () => {
    const capped = new Set<string>();
    const { positions, see, at, connected } = rig({ isOverCap: (device) => capped.has(device) });
    see('d-1', { speed: 4.9 });
    see('d-2', { speed: 5 });
    expect([stateOf(positions, 'd-1'), stateOf(positions, 'd-2')]).toEqual(['standing', 'moving']);
    capped.add('d-2');
    see('d-2', { speed: 5 });
    expect(stateOf(positions, 'd-2')).toBe('over_cap');
    at.now += 300_001;
    positions.sweep();
    expect([stateOf(positions, 'd-1'), positions.silent]).toEqual(['silent', 2]);
    see('d-1', { received: at.now, alarm: at.now });
    expect([stateOf(positions, 'd-1'), positions.alarms]).toEqual(['alarm', 1]);
    connected.delete('d-2');
    positions.touch('d-2');
    expect([stateOf(positions, 'd-2'), positions.silent]).toEqual(['offline', 0]);
    at.now += 3_700_000;
    positions.sweep();
    expect([stateOf(positions, 'd-1'), positions.alarms]).toEqual(['silent', 0]);
  });

  it('are silent after three programmed intervals, when that is longer', () => {
    const { positions, see, at } = rig();
    see('d-1');
    positions.describe('d-1', 'a', 'gold', 600);
    at.now += 1_700_000;
    positions.sweep();
    expect(stateOf(positions, 'd-1')).toBe('standing');
    at.now += 200_000;
    positions.sweep();
    expect(stateOf(positions, 'd-1')).toBe('silent');
  });

  it('are told when time changes their state, in the next sweep, and only then are looked at, invariant 4', () => {
    let looks = 0;
    const { positions, changed, at, see } = rig({ isConnected: () => ++looks > 0 });
    for (let n = 0; n < 20_000; n++) see(`d-${n}`);
    changed.length = 0;
    looks = 0;
    at.now += 299_000;
    positions.sweep();
    expect([changed.length, looks <= 100]).toEqual([0, true]);
    see('d-7', { received: at.now });
    at.now += 1_500;
    positions.sweep();
    expect([new Set(changed).size, stateOf(positions, 'd-7'), positions.silent]).toEqual([20_000, 'standing', 19_999]);
    at.now += 300_000;
    positions.sweep();
    expect(positions.silent).toBe(20_000);
  });

  it('are looked at within three hundred sweeps, whatever has been missed, invariant 4', () => {
    const { positions, connected, changed, see } = rig();
    for (let n = 0; n < 5_000; n++) {
      connected.add(`d-${n}`);
      see(`d-${n}`);
    }
    changed.length = 0;
    connected.clear();
    for (let second = 0; second <= 300; second++) positions.sweep();
    expect(new Set(changed).size).toBe(5_000);
  });

  it('that were removed are not looked at any more, and one that has an interval now is silent later', () => {
    const { positions, at, see } = rig();
    for (const device of ['d-1', 'd-2']) see(device);
    positions.remove('d-1');
    positions.describe('d-2', 'a', 'gold', 200);
    at.now += 301_000;
    positions.sweep();
    expect([positions.silent, stateOf(positions, 'd-2')]).toEqual([0, 'standing']);
    positions.describe('d-2', 'a', 'gold', 30);
    at.now += 1_000;
    positions.sweep();
    expect([positions.silent, stateOf(positions, 'd-2')]).toEqual([1, 'silent']);
  });

  it('are chosen by box, also over the antimeridian, and by what the registry says', () => {
    const row = (lat: number, lon: number): Row => {
      const { positions } = rig();
      positions.seen([['d-1', lat, lon, 0, 0, NOW, NOW, 0]], [['d-1', 'a', 'gold', 0]]);
      const found = positions.get('d-1');
      if (found === undefined) throw new Error('no row');
      return found;
    };
    const europe = { bbox: [0, 40, 30, 60] } as const;
    const pacific = { bbox: [170, -10, -170, 10] } as const;
    expect([wants(europe, row(50, 10)), wants(europe, row(50, 31)), wants(europe, row(61, 10))]).toEqual([true, false, false]);
    expect([wants(pacific, row(0, 175)), wants(pacific, row(0, -175)), wants(pacific, row(0, 0))]).toEqual([true, true, false]);
    expect([wants({ account: 'a', plan: 'gold', state: 'standing' }, row(0, 0)), wants({ account: 'b' }, row(0, 0))]).toEqual([
      true,
      false,
    ]);
    expect(wants({}, row(Number.NaN, 0))).toBe(false);
  });
});
