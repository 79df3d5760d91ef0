import { describe, expect, it } from 'vitest';
import { Deadlines, type Due } from '../../../src/base/deadlines.ts';

interface One extends Due {
  readonly name: string;
}

const START = 10_000;

function rig() {
  const deadlines = new Deadlines<One>(START);
  const one = (name: string): One => ({ name, due: 0 });
  const taken = (now: number): string[] => {
    const names: string[] = [];
    deadlines.take(now, ({ name }) => names.push(name));
    return names;
  };
  return { deadlines, one, taken };
}

describe('deadlines', () => {
  it.each([
    // [waits until, is not looked at when it is, is looked at when it is]
    [10_001, 10_000, 10_250],
    [10_250, 10_249, 10_250],
    [10_251, 10_499, 10_500],
    [910_000, 909_999, 910_000],
    // What is over is looked at in the next turn.
    [3, 10_100, 10_250],
  ])('until %i: not at %i, at %i, and once', (until, before, at) => {
    const { deadlines, one, taken } = rig();
    deadlines.wait(one('a'), until);
    expect(taken(before)).toEqual([]);
    expect(taken(at)).toEqual(['a']);
    expect(taken(at + 1_000_000)).toEqual([]);
  });

  it('wait for the earliest of what was asked, and look again only at what waits anew', () => {
    const { deadlines, one, taken } = rig();
    const a = one('a');
    deadlines.wait(a, 20_000);
    deadlines.wait(a, 15_000);
    deadlines.wait(a, 30_000);
    expect(taken(15_000)).toEqual(['a']);
    expect(taken(40_000)).toEqual([]);
    deadlines.wait(a, 41_000);
    expect(taken(41_000)).toEqual(['a']);
    deadlines.wait(a, Number.POSITIVE_INFINITY);
    expect([a.due, taken(1_000_000)]).toEqual([0, []]);
  });

  it('that are late are taken together; what waits anew meanwhile is left for the next turn', () => {
    const { deadlines, one, taken } = rig();
    const [a, b, c] = [one('a'), one('b'), one('c')];
    deadlines.wait(b, 12_000);
    deadlines.wait(a, 11_000);
    deadlines.wait(c, 90_000);
    const looked: string[] = [];
    deadlines.take(60_000, (each) => {
      looked.push(each.name);
      deadlines.wait(each, 0);
    });
    expect(looked).toEqual(['a', 'b']);
    expect(taken(60_250)).toEqual(['a', 'b']);
  });

  it('of what is forgotten do not come, also when another look forgets it', () => {
    const { deadlines, one, taken } = rig();
    const [a, b, c] = [one('a'), one('b'), one('c')];
    for (const each of [a, b, c]) deadlines.wait(each, 11_000);
    deadlines.forget(a);
    deadlines.forget(a);
    const looked: string[] = [];
    deadlines.take(11_000, (each) => {
      looked.push(each.name);
      deadlines.forget(c);
    });
    expect(looked).toEqual(['b']);
    expect(taken(99_000)).toEqual([]);
  });

  it('are met after the clock was set back, and after it was set forward by days', () => {
    const { deadlines, one, taken } = rig();
    const [a, b] = [one('a'), one('b')];
    deadlines.wait(a, 20_000);
    expect(taken(15_000)).toEqual([]);
    expect(taken(5_000)).toEqual([]);
    deadlines.wait(b, 6_000);
    expect(taken(6_000)).toEqual(['b']);
    expect(taken(20_000)).toEqual(['a']);
    deadlines.wait(a, 3 * 86_400_000);
    expect(taken(4 * 86_400_000)).toEqual(['a']);
  });
});
