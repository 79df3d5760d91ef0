import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { Random } from '../../src/simulate/random.ts';
import { dataDirectory, parkedLines, type Rig, Slot, ship } from '../ship/rig.ts';
import { rounds } from '../support/thorough.ts';
import { eventually, moment } from '../support/wait.ts';
import { DltDouble, type Fate } from './dlt-double.ts';
import { dltAdapter, dltSink, type Forwarding, imeiOf } from './dlt-rig.ts';

/** Forwarding to an authority. Numbers quote the invariants of src/out/sink/forward/sink.ts. */

const T = Date.UTC(2026, 9, 1);
const MINUTE = 60_000;

let double: DltDouble;
let data: string;
let slot: Slot;

beforeEach(async () => {
  double = await DltDouble.start();
  data = dataDirectory();
  slot = await Slot.open(data, 0);
});
afterEach(async () => {
  await slot.journal.close();
  await double.stop();
});

function forwarding(devices: readonly string[], options: Parameters<typeof dltSink>[3] = {}): Forwarding & Rig {
  const made = dltSink(data, double.url, devices, options);
  const rig = ship(data, [made.sink]);
  onTestFinished(() => rig.shipper.close());
  return { ...made, ...rig };
}

const takenOf = (unit = ''): (readonly [seq: number, minute: number])[] =>
  double.taken.filter(({ unit_id: id }) => id.endsWith(unit)).map(({ seq, utc_ts: at }) => [seq, (Date.parse(at) - T) / MINUTE]);
const minutes = (count: number): [number, number][] => Array.from({ length: count }, (_, i) => [i + 1, i]);

/** What the authority answered, as it was written down. */
const evidence = (): Record<string, unknown>[] =>
  readdirSync(join(data, 'forwarded'))
    .filter((name) => /^dlt-\d{4}-\d\d-\d\d\.jsonl$/.test(name))
    .flatMap((name) =>
      readFileSync(join(data, 'forwarded', name), 'utf8')
        .trim()
        .split('\n'),
    )
    .map((line): Record<string, unknown> => JSON.parse(line));

describe('what is forwarded', () => {
  test('records of devices with the label, in the form, and nothing of others', async () => {
    const { counts } = forwarding([imeiOf(0)]);
    slot.fixes(imeiOf(0), T + 500, [{ time: T, number: 3 }]);
    slot.fixes(imeiOf(0), T + 500, [{ time: T, place: false }]);
    slot.fixes(imeiOf(1), T + 500, [{ time: T }]);
    slot.event(imeiOf(0), T, { type: 'connected' });
    slot.relayed(imeiOf(0), T + 600, [{ time: T + 1 }]);
    slot.fixes(imeiOf(0), T + 700, [{ time: T + MINUTE, number: 4 }]);
    await slot.journal.flush();
    await eventually(() => expect(double.taken).toHaveLength(2));
    expect(double.taken[0]).toMatchObject({
      unit_id: '007001200000356307042000000',
      seq: 1,
      utc_ts: '2026-10-01T00:00:00.000Z',
      recv_utc_ts: '2026-10-01T00:00:00.500Z',
      lat: 54.6871237,
      lon: 25.279712,
      speed: 3,
      fix: 1,
      ext_power: 13.8,
      ext_power_status: 1,
    });
    await eventually(() => expect(evidence().filter(({ numbers }) => numbers !== undefined).length).toBeGreaterThan(0));
    await eventually(() => expect(takenOf()).toEqual(minutes(2)));
    expect(counts['locations taken']).toBeGreaterThan(0);
    // Neither the evidence nor the position says where the device was.
    for (const name of readdirSync(join(data, 'forwarded')))
      expect(readFileSync(join(data, 'forwarded', name), 'utf8')).not.toMatch(/54\.68|25\.27/);
  });

  test('master data, when they change, and that a device is not forwarded any more', async () => {
    const { subjects } = forwarding([imeiOf(0)]);
    slot.fixes(imeiOf(0), T, [{ time: T }]);
    await slot.journal.flush();
    await eventually(() => expect([...double.masters.values()].map(({ vehicle_id: id }) => id)).toEqual(['กท 1234']));
    const unit = [...double.masters.keys()][0] ?? '';
    subjects.changed(imeiOf(0), { id: imeiOf(0), labels: { dlt: '12', dlt_vehicle_id: 'กท 99' } });
    slot.fixes(imeiOf(0), T, [{ time: T + 1 }]);
    await slot.journal.flush();
    await eventually(() => expect(double.masters.get(unit)?.vehicle_id).toBe('กท 99'));
    subjects.changed(imeiOf(0), { id: imeiOf(0), labels: {} });
    slot.fixes(imeiOf(0), T, [{ time: T + 2 }]);
    await slot.journal.flush();
    await eventually(() => expect(double.masters.size).toBe(0));
    expect(double.taken).toHaveLength(2);
  });
});

test('5: master data that cannot be handed over hold up no records, and an operator is told', async () => {
  double.fate = (path) => (path.startsWith('/base/masterfile') ? 503 : 'answer');
  const devices = Array.from({ length: 40 }, (_, i) => imeiOf(i));
  const { shipper, metrics, counts } = forwarding(devices);
  for (let minute = 0; minute < 8; minute++) {
    for (const device of devices) slot.fixes(device, T + minute * MINUTE, [{ time: T + minute * MINUTE }]);
    await slot.journal.flush();
    await eventually(() => expect(double.taken).toHaveLength((minute + 1) * devices.length));
  }
  const concern = { reason: 'master data cannot be handed over: dlt: status 503' };
  await eventually(() => expect(shipper.health()['dlt']).toMatchObject(concern));
  const batches = (await metrics.sinkBatches.get()).values.filter(({ labels, value }) => labels.outcome === 'retry' && value > 0);
  expect(batches).toEqual([]);
  double.fate = () => 'answer';
  for (let minute = 8; double.masters.size < devices.length; minute++) {
    const before = counts['master taken'] ?? 0;
    slot.fixes(imeiOf(0), T + minute * MINUTE, [{ time: T + minute * MINUTE }]);
    await slot.journal.flush();
    await eventually(() => expect(counts['master taken']).toBeGreaterThan(before));
  }
  await eventually(() => expect(shipper.health()['dlt']).toEqual({ state: 'up' }));
});

describe('3: refused records', () => {
  test('are found by halving, and set aside with the reason; the others are taken in order', async () => {
    double.isBad = ({ seq }) => seq === 40 || seq === 71;
    const { said } = forwarding([imeiOf(0)]);
    for (let i = 0; i < 100; i++) slot.fixes(imeiOf(0), T + i * MINUTE, [{ time: T + i * MINUTE }]);
    await slot.journal.flush();
    await eventually(() => expect(double.taken).toHaveLength(98));
    expect(takenOf()).toEqual(minutes(100).filter(([seq]) => seq !== 40 && seq !== 71));
    await eventually(() =>
      expect(parkedLines(data, 'dlt').map(({ sequence, reason }) => [sequence, reason])).toEqual([
        [40, 'refused: 0 bad record 40'],
        [71, 'refused: 0 bad record 71'],
      ]),
    );
    expect(said.join()).not.toMatch(/geheim/);
  });

  test('what could not be right is not sent at all', async () => {
    forwarding([imeiOf(0)]);
    slot.fixes(imeiOf(0), T, [{ time: 0 }]);
    slot.fixes(imeiOf(0), T, [{ time: T }]);
    await slot.journal.flush();
    await eventually(() => expect(takenOf()).toEqual([[2, 0]]));
    const reasons = (): unknown[] => parkedLines(data, 'dlt').map(({ reason }) => reason);
    await eventually(() => expect(reasons()).toEqual(['no time of its own, or one that is ahead']));
  });

  test('are not set aside while every record is refused, and go when it is over', async () => {
    double.isBad = () => true;
    const { shipper } = forwarding([imeiOf(0)]);
    for (let i = 0; i < 40; i++) slot.fixes(imeiOf(0), T + i * MINUTE, [{ time: T + i * MINUTE }]);
    await slot.journal.flush();
    await eventually(() =>
      expect(shipper.health()['dlt']).toMatchObject({ reason: expect.stringContaining('dlt refuses every record: 0') }),
    );
    double.password = 'other';
    await eventually(() => expect(shipper.health()['dlt']).toMatchObject({ reason: 'dlt: status 401' }));
    double.password = 'geheim';
    double.isBad = () => false;
    await eventually(() => expect(takenOf()).toEqual(minutes(40)));
    expect(parkedLines(data, 'dlt')).toEqual([]);
  });
});

test('an end does not wait until the authority wants a call', async () => {
  const { shipper } = forwarding([imeiOf(0)], { callsPerMinute: 0.1 });
  // A record and the master data, another record, and one that waits.
  for (const [i, calls] of [2, 3, 3].entries()) {
    slot.fixes(imeiOf(0), T + i * MINUTE, [{ time: T + i * MINUTE }]);
    await slot.journal.flush();
    await eventually(() => expect(double.calls).toBe(calls));
  }
  expect(await shipper.drained(600_000)).toBe(true);
  await shipper.close();
  expect(double.calls).toBe(3);
});

test('an answer says that records are refused, that nothing is known of them, or that calls are to wait', async () => {
  const adapter = dltAdapter(data, double.url);
  await adapter.open();
  const outcomeOf = async (status: number): Promise<unknown> => {
    double.fate = () => status;
    return adapter.send([]).catch((error: unknown) => error);
  };
  for (const status of [400, 402, 406, 422, 499]) expect(await outcomeOf(status)).toEqual({ taken: false, code: status, message: '' });
  for (const status of [401, 403, 404, 405, 408, 425, 500, 503]) expect(await outcomeOf(status)).toEqual(new Error(`status ${status}`));
  expect(await outcomeOf(429)).toMatchObject({ message: 'too many calls', afterMs: 1000 });
  expect(await outcomeOf(200)).toEqual(new Error('not an answer of this interface'));
});

/** One fix a minute of each, through outages, errors, cut answers and kills. */
const [DEVICES, MINUTES, KILLS] = [rounds(60, 1_000), rounds(20, 60), rounds(3, 12)];

test(`1, 2: ${DEVICES} devices at a fix a minute: each taken once, in order, none lost over outages, errors and kill -9`, async () => {
  const random = new Random(18);
  double.fate = (): Fate => {
    const drawn = random.int(100);
    return drawn < 10 ? 503 : drawn < 15 ? 500 : drawn < 20 ? 'cut_before' : drawn < 22 ? 429 : drawn < 27 ? 'cut_after' : 'answer';
  };
  const started: ChildProcess[] = [];
  const start = (): ChildProcess => {
    const child = fork(new URL('dlt-child.ts', import.meta.url).pathname, [data, double.url, String(DEVICES)], { stdio: 'ignore' });
    started.push(child);
    return child;
  };
  onTestFinished(() => {
    for (const one of started) one.kill('SIGKILL');
  });
  let child = start();
  for (let minute = 0; minute < MINUTES; minute++) {
    for (let i = 0; i < DEVICES; i++) slot.fixes(imeiOf(i), T + minute * MINUTE + i, [{ time: T + minute * MINUTE, number: i % 100 }]);
    await slot.journal.flush();
    if (minute % Math.ceil(MINUTES / KILLS) === 1) {
      const before = double.calls;
      await eventually(() => expect(double.calls).toBeGreaterThan(before));
      await moment(random, 0, 50);
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
      child = start();
    }
  }
  const seen = new Map<string, number[]>();
  await eventually(() => {
    expect(new Set(double.taken.map(({ unit_id: unit, seq }) => `${unit} ${seq}`)).size).toBe(DEVICES * MINUTES);
  });
  const first = new Map<string, string>();
  let again = 0;
  for (const one of double.taken) {
    const key = `${one.unit_id} ${one.seq}`;
    const text = JSON.stringify(one);
    // A call whose answer was lost is made again: the same record under the same number, by which the authority knows it.
    if (first.has(key)) again++;
    expect(first.get(key) ?? text).toBe(text);
    if (!first.has(key)) seen.set(one.unit_id, [...(seen.get(one.unit_id) ?? []), (Date.parse(one.utc_ts) - T) / MINUTE]);
    first.set(key, text);
  }
  expect(seen.size).toBe(DEVICES);
  for (const times of seen.values()) expect(times).toEqual(Array.from({ length: MINUTES }, (_, i) => i));
  expect(again).toBeLessThan(double.taken.length / 2);
  expect(parkedLines(data, 'dlt')).toEqual([]);
});
