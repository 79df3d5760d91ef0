import { beforeEach, describe, expect, it } from 'vitest';
import { createMetrics, type Metrics } from '../../../src/base/metrics/catalog.ts';
import { type EventName, eventIndex, FrameKind, FrameResult } from '../../../src/codec/index.ts';
import { Seen } from '../../../src/fleet/plan/plan-cache.ts';
import type { Treatment } from '../../../src/fleet/plan/treatment.ts';
import { Keep, Verdict } from '../../../src/in/intake/keep.ts';
import { Terms } from '../../../src/in/session/terms.ts';
import { NO_CAPS } from '../../helpers/open-registry.ts';

/** Which records of a frame are kept: src/in/intake/keep.ts. A row: seconds after START, what it is, and whether it is kept. */

const START = Date.UTC(2026, 10, 1, 12);
const EVERY_S = 60;
const PLAIN: Treatment = {
  mode: 'keep',
  why: '',
  inService: true,
  keepEveryS: 0,
  bytesPerS: 0,
  relay: false,
  since: 0,
  exempt: ['sos'],
  until: Number.POSITIVE_INFINITY,
};
const DECIMATED: Treatment = { ...PLAIN, mode: 'decimate', why: 'decimate', keepEveryS: EVERY_S };
const SUSPENDED: Treatment = { ...PLAIN, mode: 'discard', why: 'suspended', inService: false };

type Row = readonly [atS: number, what: 'fix' | 'status' | EventName, kept: boolean];

let keep: Keep;
let metrics: Metrics;
let seen: Seen;
beforeEach(() => {
  [keep, metrics, seen] = [new Keep(), createMetrics(), new Seen()];
});

function frameOf(rows: readonly Row[]): FrameResult {
  const frame = new FrameResult();
  frame.reset(0, 10);
  frame.kind = FrameKind.Records;
  for (const [atS, what] of rows) {
    const row = frame.row();
    frame.time[row] = START + 1000 * atS;
    if (what !== 'status') [frame.latitude[row], frame.longitude[row]] = [52, 13];
    if (what !== 'status' && what !== 'fix') frame.event[row] = eventIndex(what);
  }
  return frame;
}

function judged(frame: FrameResult, treatment: Treatment, service: Partial<Terms['service']> = {}, received = START): Verdict {
  const terms = new Terms({ ...NO_CAPS, seen: () => seen, ...service }, 'd-1', undefined, START);
  return keep.judge(frame, terms, treatment, received, metrics);
}

/** Of each row, is it kept? */
const keptOf = (frame: FrameResult): boolean[] =>
  Array.from({ length: frame.rows }, (_, row) => {
    const mask = keep.marks?.keep ?? null;
    return keep.kept > 0 && (mask === null || (((mask[row >> 3] ?? 0) >> (row & 7)) & 1) === 1);
  });
const withheld = async (): Promise<object> =>
  Object.fromEntries((await metrics.withheld.get()).values.map(({ labels, value }) => [labels.reason, value]));

describe('by `decimate`', () => {
  it.each<[what: string, rows: readonly Row[]]>([
    [
      'those exactly so far apart',
      [
        [0, 'fix', true],
        [60, 'fix', true],
        [120, 'fix', true],
      ],
    ],
    [
      'not one that is a millisecond less behind',
      [
        [0, 'fix', true],
        [59.999, 'fix', false],
        [60, 'fix', true],
      ],
    ],
    [
      'from the last one that was kept, not from the last one',
      [
        [0, 'fix', true],
        [40, 'fix', false],
        [80, 'fix', true],
        [120, 'fix', false],
      ],
    ],
    [
      'of a backlog that goes back in time',
      [
        [0, 'fix', true],
        [-59.999, 'fix', false],
        [-60, 'fix', true],
        [-119, 'fix', false],
      ],
    ],
    [
      'those with a place apart from those without',
      [
        [0, 'fix', true],
        [1, 'status', true],
        [59, 'fix', false],
        [60, 'status', false],
        [61, 'status', true],
      ],
    ],
    [
      'every event, which moves nothing',
      [
        [0, 'fix', true],
        [30, 'door', true],
        [60, 'fix', true],
        [61, 'power_cut', true],
        [119, 'fix', false],
      ],
    ],
  ])('are kept: %s', (_what, rows) => {
    const frame = frameOf(rows);
    expect(judged(frame, DECIMATED)).toBe(Verdict.Store);
    expect(keptOf(frame)).toEqual(rows.map(([, , isKept]) => isKept));
    expect(keep.kept).toBe(rows.filter(([, , isKept]) => isKept).length);
  });

  it('one without a time is of its receipt', () => {
    const frame = frameOf([[0, 'fix', true]]);
    frame.time[0] = Number.NaN;
    expect([0, 59_999, 60_000, 119_999, 120_000].map((ms) => judged(frame, DECIMATED, {}, START + ms))).toEqual([
      Verdict.Store,
      Verdict.Withhold,
      Verdict.Store,
      Verdict.Withhold,
      Verdict.Store,
    ]);
  });

  it('holds over frames, and what is withheld is counted', async () => {
    judged(frameOf([[0, 'fix', true]]), DECIMATED);
    expect(
      judged(
        frameOf([
          [1, 'fix', false],
          [2, 'fix', false],
        ]),
        DECIMATED,
      ),
    ).toBe(Verdict.Withhold);
    expect(
      judged(
        frameOf([
          [3, 'fix', false],
          [60, 'fix', true],
        ]),
        DECIMATED,
      ),
    ).toBe(Verdict.Store);
    expect([keep.kept, keep.marks?.relay, await withheld()]).toEqual([1, false, { decimate: 3 }]);
  });
});

describe('without decimation', () => {
  const MIXED: readonly Row[] = [
    [0, 'fix', false],
    [1, 'door', false],
    [2, 'sos', true],
    [3, 'status', false],
  ];
  const all = MIXED.map(() => true);
  const none = MIXED.map(() => false);
  const onlySos = MIXED.map(([, , isKept]) => isKept);
  it.each<[what: string, treatment: Treatment, service: Partial<Terms['service']>, kept: boolean[], reasons: object, passed: number]>([
    ['a device in service', PLAIN, {}, all, {}, 0],
    [
      'one whose data is discarded: what is exempt',
      { ...PLAIN, mode: 'discard', why: 'discard' },
      { alarmsPass: false },
      onlySos,
      { discard: 3 },
      0,
    ],
    ['one that is suspended: alarms of persons', SUSPENDED, {}, onlySos, { suspended: 3 }, 1],
    ['one that is suspended, where alarms do not pass', SUSPENDED, { alarmsPass: false }, none, { suspended: 4 }, 0],
    ['one that is terminated', { ...SUSPENDED, mode: 'terminate', why: 'terminated' }, {}, none, { terminated: 4 }, 0],
    ['one with a new unit: what that measured', { ...PLAIN, since: START + 2000 }, {}, [false, false, true, true], { unit: 2 }, 0],
    ['one with a new unit that is suspended', { ...SUSPENDED, since: START + 1000 }, {}, onlySos, { unit: 1, suspended: 2 }, 1],
    ['one with a new unit, of which all is older', { ...PLAIN, since: START + 3001 }, {}, none, { unit: 4 }, 0],
  ])('%s', async (_what, treatment, service, kept, reasons, passed) => {
    const frame = frameOf(MIXED);
    expect(judged(frame, treatment, service)).toBe(kept.includes(true) ? Verdict.Store : Verdict.Withhold);
    expect([keptOf(frame), await withheld()]).toEqual([kept, reasons]);
    expect((await metrics.alarmsPassed.get()).values.map(({ value }) => value)).toEqual(passed > 0 ? [passed] : []);
    expect(keep.marks !== undefined).toBe(kept.includes(true) && kept.includes(false));
  });

  it('each frame is counted by itself', async () => {
    for (const rows of [MIXED, MIXED]) judged(frameOf(rows), { ...SUSPENDED, since: START + 1000 });
    judged(frameOf([[5, 'fix', false]]), { ...SUSPENDED, since: START + 1000 });
    expect([await withheld(), (await metrics.alarmsPassed.get()).values.map(({ value }) => value)]).toEqual([
      { unit: 2, suspended: 5 },
      [2],
    ]);
  });

  it('a reply passes, whatever holds', async () => {
    const frame = frameOf([[0, 'status', true]]);
    frame.kind = FrameKind.Reply;
    expect([judged(frame, SUSPENDED), keep.kept, await withheld()]).toEqual([Verdict.Store, 1, {}]);
  });

  it('what is relayed says so, with and without a mask', () => {
    const relayed = (treatment: Treatment, rows: readonly Row[]) => {
      judged(frameOf(rows), { ...treatment, relay: true });
      return [keep.marks?.relay, keep.marks?.keep === null];
    };
    expect(relayed(PLAIN, MIXED)).toEqual([true, true]);
    expect(
      relayed(DECIMATED, [
        [0, 'fix', true],
        [1, 'fix', false],
      ]),
    ).toEqual([true, false]);
  });

  it('a frame of many records has a mask of its length, and nothing of the frame before', () => {
    const many = Array.from({ length: 600 }, (_, n): Row => [n, 'fix', n % EVERY_S === 0]);
    const frame = frameOf(many);
    judged(frame, DECIMATED);
    expect(keptOf(frame)).toEqual(many.map(([, , isKept]) => isKept));
    const next = frameOf([[630, 'fix', true], ...many.slice(1, 300).map(([n]): Row => [630 + n / 10, 'fix', false])]);
    judged(next, DECIMATED);
    expect([keep.kept, keptOf(next).indexOf(true), keptOf(next).lastIndexOf(true)]).toEqual([1, 0, 0]);
  });
});

describe('of a device that was erased (15)', () => {
  const service = { erased: () => [{ from: 0, to: START, until: START }] };
  it.each<[what: string, rows: readonly Row[], received: number, verdict: Verdict]>([
    [
      'nothing but older records',
      [
        [-2, 'fix', false],
        [-0.001, 'status', false],
      ],
      START,
      Verdict.Erased,
    ],
    [
      'a newer record among them',
      [
        [-2, 'fix', true],
        [0, 'status', true],
      ],
      START,
      Verdict.Store,
    ],
    ['all that came before then', [[0, 'fix', false]], START - 1, Verdict.Erased],
    ['a frame without records', [], START - 1, Verdict.Store],
  ])('%s', async (_what, rows, received, verdict) => {
    expect(judged(frameOf(rows), PLAIN, service, received)).toBe(verdict);
    expect(await withheld()).toEqual(verdict === Verdict.Erased ? { erased: rows.length } : {});
  });
});
