import { describe, expect, it } from 'vitest';
import { Views } from '../../../src/fleet/privacy/views.ts';

describe('who has looked at where a device was', () => {
  let now = 1_000_000_000;
  const seen: string[] = [];
  const views = (): Views => {
    seen.length = 0;
    return new Views({ now: () => now, record: (device, event, account) => seen.push(JSON.stringify({ device, ...event, account })) });
  };

  it('is told once in ten minutes for each device, caller and kind', () => {
    const noted = views();
    for (let n = 0; n < 3; n++) {
      noted.note('d-1', 'track', 'ann', 'acme');
      noted.note('d-1', 'export', 'ann', 'acme');
      noted.note('d-1', 'track', 'bob');
      noted.note('d-2', 'track', 'ann', 'acme');
    }
    expect(seen).toEqual([
      '{"device":"d-1","type":"viewed","what":"track","by":"ann","account":"acme"}',
      '{"device":"d-1","type":"viewed","what":"export","by":"ann","account":"acme"}',
      '{"device":"d-1","type":"viewed","what":"track","by":"bob"}',
      '{"device":"d-2","type":"viewed","what":"track","by":"ann","account":"acme"}',
    ]);
    now += 599_999;
    noted.note('d-1', 'track', 'bob');
    expect(seen).toHaveLength(4);
    now += 1;
    noted.note('d-1', 'track', 'bob');
    expect(seen).toHaveLength(5);
  });

  it('is remembered of ten thousand; the tenth that is told again soonest is of those seen longest ago', () => {
    const noted = views();
    const all = (from: number, to: number): number => {
      const before = seen.length;
      for (let n = from; n < to; n++) noted.note(`d-${n}`, 'track', 'ann');
      return seen.length - before;
    };
    expect(all(0, 10_000)).toBe(10_000);
    expect(all(0, 10_000)).toBe(0);
    expect(all(10_000, 10_001)).toBe(1);
    expect([all(1000, 10_001), all(0, 1)]).toEqual([0, 1]);
  });
});
