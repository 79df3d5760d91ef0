import { expect, it } from 'vitest';
import { Sightings } from '../../../src/in/session/sightings.ts';

const PLACE = { lat: 52, lon: 13, time: 1000, received: 1000 };

function spoken(n: number) {
  return { device: `d-${n}`, peer: '192.0.2.1:4000', record: undefined, terms: { mostKmh: 250 } };
}

it('what connections say is told together, a thousand at most, and each once', () => {
  const told: string[][] = [];
  const later: (() => void)[] = [];
  const sightings = new Sightings(
    (some) => told.push(some.map(({ device }) => device)),
    (work) => later.push(work),
  );
  const motion = { news: () => PLACE };
  const add = (from: number, to: number): string[] => {
    const devices: string[] = [];
    for (let n = from; n < to; n++) {
      sightings.add(spoken(n), motion, 0);
      devices.push(`d-${n}`);
    }
    return devices;
  };
  const first = add(0, 3);
  expect([told, later.length]).toEqual([[], 1]);
  later.shift()?.();
  expect(told.splice(0)).toEqual([first]);
  const many = add(3, 1003);
  expect([told.splice(0), later.length]).toEqual([[many], 1]);
  later.shift()?.();
  expect(told).toEqual([]);
  const rest = add(1003, 1004);
  later.shift()?.();
  expect(told).toEqual([rest]);
});

it('a connection that has nothing new to say is not told of', () => {
  const later: unknown[] = [];
  const sightings = new Sightings(
    () => {},
    (work) => later.push(work),
  );
  sightings.add(spoken(1), { news: () => undefined }, 0);
  sightings.add(spoken(1), undefined, 0);
  expect(later).toEqual([]);
});
