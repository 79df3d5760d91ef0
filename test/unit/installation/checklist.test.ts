import { describe, expect, test } from 'vitest';
import {
  concluded,
  type Evidence,
  evaluate,
  type Item,
  type ItemName,
  isComplete,
  type Shown,
  type Wanted,
} from '../../../src/fleet/installation/checklist.ts';
import { testText } from '../../../src/fleet/installation/test-text.ts';
import { shownOf } from '../../../src/fleet/installation/tester.ts';

/** Numbers quote the list of src/fleet/installation/checklist.ts. */

const T = 1_796_083_200_000;
const HOUR = 3_600_000;
const BERLIN = { lat: 52.52, lon: 13.405 };
const WANTED: Wanted = { profile: 'basic', at: { ...BERLIN, radius_m: 200 }, interval_s: 10 };

/** The i-th record of a good unit. */
function record(i: number, more: Partial<Shown> = {}, attrs: object = {}): Shown {
  return {
    received: T + 10_000 * i + 400,
    time: T + 10_000 * i,
    fix: true,
    valid: true,
    ...BERLIN,
    satellites: 9,
    hdop: 1.1,
    ...more,
    attrs: { ignition: i % 4 < 2, external_v: 12.4, gsm_level: 4, ...attrs },
  };
}

function seen(more: Partial<Evidence> = {}, each: (i: number) => Shown = (i) => record(i)): Evidence {
  return {
    frames: 8,
    protocol: 'teltonika',
    transport: 'tcp',
    known: true,
    firmware: '03.27.07',
    records: Array.from({ length: 8 }, (_, i) => each(i)),
    command: { type: 'version', state: 'answered', reply: 'Ver:03.27.07', note: '' },
    relay: [],
    ...more,
  };
}

function stateOf(items: readonly Item[], name: ItemName): string {
  const item = items.find((one) => one.name === name);
  return `${item?.state}: ${item?.measured}`;
}

const notPassed = (items: readonly Item[]): string[] => items.filter(({ state }) => state !== 'passed').map(({ name }) => name);

test('1: a good unit passes every item', () => {
  const items = evaluate(WANTED, seen());
  expect(items.map(({ name, state }) => `${name} ${state}`)).toEqual(
    ['contact', 'identity', 'gnss', 'place', 'time', 'ignition', 'power', 'signal', 'interval', 'command'].map((name) => `${name} passed`),
  );
  expect(isComplete(items)).toBe(true);
});

test('supply and signal are as the last record tells them', () => {
  const mended = evaluate(
    WANTED,
    seen({}, (i) => record(i, {}, i < 7 ? { external_v: 9.1, gsm_level: 1 } : {})),
  );
  expect([stateOf(mended, 'power'), stateOf(mended, 'signal')]).toEqual(['passed: 12.4 V', 'passed: 4 of 5']);
});

test('nothing passes before anything has come', () => {
  const items = evaluate(WANTED, seen({ frames: 0, known: false, protocol: '', records: [], command: undefined }));
  expect(items.every(({ state }) => state === 'waiting')).toBe(true);
  expect(isComplete(items)).toBe(false);
});

const CASES: readonly [fault: string, item: ItemName, measured: string, each: (i: number) => Shown, more?: Partial<Evidence>][] = [
  ['a clock two hours ahead', 'time', '2 h ahead: a wrong time zone', (i) => record(i, { time: T + 10_000 * i + 2 * HOUR })],
  [
    'a clock that is behind by a quarter of a zone',
    'time',
    '5.75 h behind: a wrong time zone',
    (i) => record(i, { time: T + 10_000 * i - 5.75 * HOUR }),
  ],
  ['a clock that is in no zone', 'time', '400.4 s behind', (i) => record(i, { time: T + 10_000 * i - 400_000 })],
  ['an ignition wire that hangs loose', 'ignition', 'off now, changed 0 times; turn it on', (i) => record(i, {}, { ignition: false })],
  ['no ignition at all', 'ignition', 'it has not told of an ignition', (i) => record(i, {}, { ignition: undefined })],
  ['a supply of 9 V', 'power', '9.1 V is not a supply of 12 V or 24 V', (i) => record(i, {}, { external_v: 9.1 })],
  ['a supply of 18 V', 'power', '18 V is not a supply of 12 V or 24 V', (i) => record(i, {}, { external_v: 18 })],
  ['a plug that is not in', 'power', 'external power is not connected', (i) => record(i, {}, { external_v: undefined, charging: false })],
  ['another place', 'place', '1112 m away, at most 200 m wanted', (i) => record(i, { lat: 52.53 })],
  // A degree of longitude is shorter here than at the equator: 111.2 km × cos 52.52°.
  ['a place further east', 'place', '677 m away, at most 200 m wanted', (i) => record(i, { lon: BERLIN.lon + 0.01 })],
  ['few satellites', 'gnss', '3 satellites, HDOP 1.1', (i) => record(i, { satellites: 3 })],
  ['a poor geometry', 'gnss', '9 satellites, HDOP 9.9', (i) => record(i, { hdop: 9.9 })],
  ['a weak signal', 'signal', '1 of 5 is too weak', (i) => record(i, {}, { gsm_level: 1 })],
  ['a weak signal in dBm', 'signal', '-110 dBm is too weak', (i) => record(i, {}, { gsm_level: undefined, gsm_dbm: -110 })],
  [
    'intervals that jump',
    'interval',
    '40, 10, 40, 10, 40, 10, 40 s between positions, 10 s programmed',
    (i) => record(i, { time: T + (i % 2 === 0 ? 25_000 * i : 25_000 * (i - 1) + 40_000) }),
  ],
  [
    'another interval than programmed',
    'interval',
    '20, 20, 20, 20, 20, 20, 20 s between positions, 10 s programmed',
    (i) => record(i, { time: T + 20_000 * i - 80_000 }),
  ],
  [
    'no reply to a command',
    'command',
    'version sent',
    (i) => record(i),
    { command: { type: 'version', state: 'sent', reply: '', note: '' } },
  ],
  [
    'a command that was refused',
    'command',
    'version: too many',
    (i) => record(i),
    { command: { type: 'version', state: '', reply: '', note: 'too many' } },
  ],
  [
    'an id that the registry does not know',
    'identity',
    'the registry does not know it; create the device, or adopt it from quarantine',
    (i) => record(i),
    { known: false },
  ],
];

test.each(CASES)('%s fails %s alone', (_fault, item, measured, each, more = {}) => {
  const items = concluded(evaluate(WANTED, seen(more, each)));
  expect(stateOf(items, item)).toBe(`failed: ${measured}`);
  expect(notPassed(items)).toEqual([item]);
});

describe('2: what a device does not tell', () => {
  const silent = (i: number): Shown =>
    record(i, { satellites: undefined, hdop: undefined }, { external_v: undefined, gsm_level: undefined });

  test('is skipped once enough records have come without it', () => {
    expect(notPassed(evaluate(WANTED, seen({}, silent)))).toEqual(['power', 'signal']);
    expect(isComplete(evaluate(WANTED, seen({}, silent)))).toBe(true);
    const few = seen({ records: [silent(0), silent(1)] });
    expect(evaluate(WANTED, few).find(({ name }) => name === 'power')?.state).toBe('waiting');
  });

  test('is not asked for where the protocol has no command that only asks', () => {
    expect(stateOf(evaluate(WANTED, seen({ command: undefined })), 'command')).toBe('skipped: the protocol has no command that only asks');
  });

  test('is no power, where it says that it is charged', () => {
    expect(
      stateOf(
        evaluate(
          WANTED,
          seen({}, (i) => record(i, {}, { external_v: undefined, charging: true })),
        ),
        'power',
      ),
    ).toBe('passed: external power is connected');
  });
});

test('1: what was seen once stays seen', () => {
  const before = evaluate(WANTED, seen());
  const after = evaluate(
    WANTED,
    seen({}, (i) => record(i, { valid: false, time: T + HOUR * i }, { external_v: 3 })),
    before,
  );
  expect(after).toEqual(before);
});

test('an interval that is not programmed must be even, and events may stand between or in place of its records', () => {
  const interval = (each: (i: number) => Shown): string =>
    stateOf(evaluate({ profile: 'asset' }, seen({}, each)), 'interval').split(':')[0] ?? '';
  expect(interval((i) => record(i, { time: T + 60_000 * i }))).toBe('passed');
  expect(interval((i) => record(i, { time: T + 60_000 * i, ...(i === 3 ? { event: 'ignition_on' } : {}) }))).toBe('passed');
  const between = (i: number): Shown =>
    record(i, i % 2 === 0 ? { time: T + 5_000 * i } : { time: T + 5_000 * i - 2_000, event: 'ignition_on' });
  expect(interval((i) => (i < 8 ? between(i) : between(i)))).toBe('waiting');
  expect(stateOf(evaluate({ profile: 'asset' }, seen({ records: Array.from({ length: 10 }, (_, i) => between(i)) })), 'interval')).toMatch(
    /^passed/,
  );
  expect(interval((i) => record(i, { time: T + 60_000 * i ** 2 }))).toBe('waiting');
  // The same record again.
  expect(interval(() => record(0))).toBe('waiting');
});

test('the relay passes when both its commands were answered', () => {
  const wanted: Wanted = { ...WANTED, profile: 'immobiliser' };
  const stop = { type: 'engine_stop', state: 'answered', reply: '', note: '' };
  const relay = (...all: Evidence['relay']): string => stateOf(evaluate(wanted, seen({ relay: all })), 'relay');
  expect(relay()).toBe('waiting: ');
  expect(relay(stop)).toBe('waiting: engine_stop answered');
  expect(relay(stop, { ...stop, type: 'engine_resume', state: 'sent' })).toBe('waiting: engine_stop answered, engine_resume sent');
  expect(relay(stop, { ...stop, type: 'engine_resume' })).toBe('passed: engine_stop answered, engine_resume answered');
});

test('a record of JSON says what the device itself takes for the time', () => {
  const base = { kind: 'fix', valid: true, time: 5, lat: 1, lon: 2, attrs: {} };
  expect(shownOf(base, 9)).toEqual({ received: 9, fix: true, valid: true, time: 5, lat: 1, lon: 2, attrs: {} });
  expect(shownOf({ ...base, flags: ['future'] }, 9).time).toBe(5);
  expect(shownOf({ ...base, flags: ['future'], device_time: 70 }, 9).time).toBe(70);
  expect(shownOf({ ...base, flags: ['no_time'] }, 9).time).toBeUndefined();
  // Learned and corrected.
  expect(shownOf({ ...base, device_time: 70 }, 9).time).toBe(5);
});

test('it can be printed', () => {
  const items = concluded(
    evaluate(
      WANTED,
      seen({}, (i) => record(i, {}, { external_v: 9 })),
    ),
  );
  const spec = { ...WANTED, at: WANTED.at ?? { ...BERLIN, radius_m: 1 } };
  const text = testText({ ...spec, id: '1', device: 'd-1', by: 'me', seconds: 60, started: T, ended: T + 1, state: 'failed', items });
  expect(text).toContain('Installation test of d-1\nprofile    basic\n');
  expect(text).toContain('[+] contact    teltonika over tcp\n');
  expect(text).toContain('[x] power      9 V is not a supply of 12 V or 24 V\n');
  expect(text.endsWith('result     failed: power\n')).toBe(true);
});

test.each<[what: string, of: Partial<Shown>, finding: string]>([
  ['all that tells how good it is', {}, 'passed: 9 satellites, HDOP 1.1'],
  ['no satellites', { satellites: undefined }, 'passed: HDOP 1.1'],
  ['no HDOP', { hdop: undefined }, 'passed: 9 satellites'],
  ['neither', { satellites: undefined, hdop: undefined }, 'passed: a valid fix'],
  ['neither, of a position that is not valid', { satellites: undefined, hdop: undefined, valid: false }, 'waiting: no valid fix'],
  ['as few satellites as will do', { satellites: 5 }, 'passed: 5 satellites, HDOP 1.1'],
  ['too few', { satellites: 4 }, 'waiting: 4 satellites, HDOP 1.1'],
  ['as much HDOP as will do', { hdop: 5 }, 'passed: 9 satellites, HDOP 5'],
  ['too much', { hdop: 5.1 }, 'waiting: 9 satellites, HDOP 5.1'],
])('a position is judged by what its record tells: %s', (_, of, finding) => {
  expect(
    stateOf(
      evaluate(
        WANTED,
        seen({}, (i) => record(i, of)),
      ),
      'gnss',
    ),
  ).toBe(finding);
});

test.each<[attrs: object, finding: string]>([
  [{ gsm_level: 2 }, 'passed: 2 of 5'],
  [{ gsm_level: 1 }, 'waiting: 1 of 5 is too weak'],
  [{ gsm_csq: 6 }, 'passed: CSQ 6'],
  [{ gsm_csq: 5 }, 'waiting: CSQ 5 is too weak'],
  [{ gsm_csq: 99 }, 'waiting: CSQ 99 is too weak'],
  [{ gsm_dbm: -103 }, 'passed: -103 dBm'],
  [{ gsm_dbm: -104 }, 'waiting: -104 dBm is too weak'],
  [{ gsm_dbm: 'strong' }, 'skipped: it does not tell its signal'],
])('a signal of %j is %s', (attrs, finding) => {
  expect(
    stateOf(
      evaluate(
        WANTED,
        seen({}, (i) => record(i, {}, { gsm_level: undefined, ...attrs })),
      ),
      'signal',
    ),
  ).toBe(finding);
});

test.each([
  [1, 'waiting: fewer than two positions have come'],
  [4, 'waiting: 10, 10, 10 s between positions, 10 s programmed'],
  [5, 'passed: 10, 10, 10, 10 s between positions, 10 s programmed'],
])('the interval of %i positions is %s', (count, finding) => {
  expect(stateOf(evaluate(WANTED, seen({ records: Array.from({ length: count }, (_, i) => record(i)) })), 'interval')).toBe(finding);
});

test('what has passed is told as it was last while it passes, and stays so when it does not any more', () => {
  const of = (level: number, before?: readonly Item[]) =>
    evaluate(
      WANTED,
      seen({}, (i) => record(i, {}, { gsm_level: level })),
      before,
    );
  const [good, better] = [of(3), of(4, of(3))];
  expect([stateOf(better, 'signal'), stateOf(of(1, good), 'signal'), stateOf(of(3, of(1)), 'signal')]).toEqual([
    'passed: 4 of 5',
    'passed: 3 of 5',
    'passed: 3 of 5',
  ]);
});
