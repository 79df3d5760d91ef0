import { describe, expect, it } from 'vitest';
import { FrameResult } from '../../../src/codec/index.ts';
import { planSchema } from '../../../src/fleet/plan/plan.ts';
import { Seen } from '../../../src/fleet/plan/plan-cache.ts';
import { Territory } from '../../../src/fleet/plan/territory.ts';
import { deviceSchema } from '../../../src/fleet/registry/device.ts';
import { Terms } from '../../../src/in/session/terms.ts';

const NOW = Date.UTC(2026, 10, 1);
const HOME = 240;

function termsOf(roams: (roaming: boolean) => void = () => {}): Terms {
  const seen = new Seen();
  seen.territory = new Territory(false);
  const service = {
    plan: () => planSchema.parse({ name: 'default' }),
    policy: () => undefined,
    seen: () => seen,
    roams: (_id: string, roaming: boolean) => roams(roaming),
    said: () => {},
    programmed: (_id: string, usual: number) => usual,
    erased: () => undefined,
    accountState: () => undefined,
    alarmsPass: false,
  };
  return new Terms(service, 'car', deviceSchema.parse({ id: 'car', home_networks: [HOME] }), NOW);
}

/** A record of this time with a cell in this country; `alone`: the country is named without a cell. */
function frameOf(mcc: number, time: number, alone: boolean): FrameResult {
  const frame = new FrameResult();
  frame.reset(0, 1);
  frame.time[frame.row()] = time;
  if (alone) [frame.networkMcc, frame.networkMnc] = [mcc, 7];
  else frame.cell(mcc, 7, 1, 2, 0);
  return frame;
}

describe('the country that serves a device', () => {
  const codes: readonly (readonly [mcc: number, isCountry: boolean])[] = [
    [-1, false],
    [0, false],
    [1, true],
    [310, true],
    [999, true],
    [1000, false],
    [65_535, false],
  ];
  const cases = codes.flatMap(([mcc, isCountry]) => [false, true].map((alone) => [mcc, alone, isCountry] as const));
  it.each(cases)('%d, alone %s, is one: %s', (mcc, alone, isCountry) => {
    const told: object[] = [];
    const roams: boolean[] = [];
    const terms = termsOf((roaming) => roams.push(roaming));
    for (let k = 0; k < 3; k++) {
      const at = NOW + 30_000 * k;
      terms.watch(frameOf(mcc, at, alone), at, { event: (event) => told.push(event) });
    }
    expect([told, roams]).toEqual(isCountry ? [[{ type: 'roaming_started', mcc }], [true]] : [[], []]);
    const before = { mcc: HOME, mnc: 1, roaming: false };
    expect(terms.networkOf(frameOf(mcc, NOW, alone), NOW, before)).toEqual(isCountry ? { mcc, mnc: 7, roaming: true } : before);
  });

  it.each([
    ['of now', NOW, true],
    ['a minute old', NOW - 60_000, true],
    ['older', NOW - 60_001, false],
    ['without a time', Number.NaN, true],
  ])('is that of a record %s: %s', (_what, time, isLive) => {
    const network = termsOf().networkOf(frameOf(HOME, time, false), NOW, undefined);
    expect(network).toEqual(isLive ? { mcc: HOME, mnc: 7, roaming: false } : undefined);
  });

  it('is the same network as long as it serves the device the same', () => {
    const terms = termsOf();
    const network = terms.networkOf(frameOf(HOME, NOW, false), NOW, undefined);
    expect(terms.networkOf(frameOf(HOME, NOW, true), NOW, network)).toBe(network);
    expect(terms.networkOf(frameOf(310, NOW, true), NOW, network)).not.toBe(network);
  });
});
