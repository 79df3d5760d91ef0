import { beforeEach, expect, it } from 'vitest';
import { type Meter, Meters } from '../../../src/in/session/meter.ts';
import { Definition } from '../../../src/journal/definition.ts';
import { Origin } from '../../../src/journal/entry.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { MemoryJournal } from '../../support/intake-rig.ts';

/** Numbers quote the invariants of src/in/session/meter.ts. */

let journal: MemoryJournal;
let meters: Meters;
let clock: FakeClock;
beforeEach(() => {
  journal = new MemoryJournal();
  clock = new FakeClock();
  clock.step(1_000_000_000);
  meters = new Meters(journal, clock);
});

const originOf = (account: string): Origin => new Origin(new Definition('toy', 'tcp', {}, account), 'd', '');
const acme = originOf('acme');

function used(meter: Meter, bytes: number): void {
  meter.in += bytes;
  meters.noted(meter);
}

/** Of each entry, the account and the bytes that came. */
const told = (): unknown[] => journal.usage.map(({ in: bytes }, n) => [journal.entries[n]?.account, bytes]);

it('4: a device has one meter while a connection holds it or something waits, and then another', () => {
  const meter = meters.open(acme);
  expect(meters.open(acme)).toBe(meter);
  meters.close(meter);
  expect(meters.open(acme)).toBe(meter);
  used(meter, 5);
  meters.close(meter);
  meters.close(meter);
  journal.accepting = false;
  meters.flush();
  expect(meters.open(acme)).toBe(meter);
  meters.close(meter);
  journal.accepting = true;
  meters.flush();
  expect(told()).toEqual([['acme', 5]]);
  expect(meters.open(acme)).not.toBe(meter);
});

it('what has gathered under one account is journaled under it when the device has another', () => {
  const meter = meters.open(acme);
  used(meter, 5);
  meters.turn(meter, originOf('bolt'));
  used(meter, 7);
  meters.flush();
  expect(told()).toEqual([
    ['acme', 5],
    ['bolt', 7],
  ]);
});

it('what has gathered over one network is journaled with it when another serves; with the first that is named it is one entry', () => {
  const meter = meters.open(acme);
  used(meter, 5);
  meters.roam(meter, { mcc: 240, mnc: 1, roaming: false });
  used(meter, 6);
  meters.roam(meter, { mcc: 244, mnc: 5, roaming: true });
  used(meter, 7);
  meters.flush();
  expect(journal.usage).toMatchObject([
    { in: 11, mcc: 240 },
    { in: 7, mcc: 244, roaming: 1 },
  ]);
});

it('nothing is journaled of a meter that has nothing', () => {
  const meter = meters.open(acme);
  meters.noted(meter);
  expect(meters.journal(meter)).toBe(true);
  meters.turn(meter, originOf('bolt'));
  meters.close(meter);
  expect(journal.entries).toEqual([]);
});

const other = new Origin(new Definition('toy', 'tcp', {}, 'acme'), 'e', '');
/** Of each entry, the device and what passed: bytes both ways, segments, datagrams and records. */
const entries = (): unknown[] =>
  journal.usage.map(({ device, in: bytesIn, out, segments, datagrams, records }) => [device, bytesIn, out, segments, datagrams, records]);

it('what has gathered is journaled when it is 16 KiB both ways, or 4 s old when the timer comes, the oldest first', () => {
  const [first, second] = [meters.open(acme), meters.open(other)];
  used(second, 1);
  clock.step(1);
  used(first, 2);
  first.out = 16_381;
  meters.noted(first);
  expect(entries()).toEqual([]);
  first.in++;
  meters.noted(first);
  expect(entries()).toEqual([['d', 3, 16_381, 0, 0, 0]]);
  used(first, 4);
  clock.step(3_998);
  meters.tick();
  expect(entries()).toHaveLength(1);
  clock.step(1);
  meters.tick();
  expect(entries().slice(1)).toEqual([['e', 1, 0, 0, 0, 0]]);
  clock.step(1);
  meters.tick();
  expect(entries().slice(2)).toEqual([['d', 4, 0, 0, 0, 0]]);
  clock.step(100_000);
  meters.tick();
  expect(entries()).toHaveLength(3);
});

it.each(['segments', 'datagrams', 'records', 'out', 'in'] as const)('%s alone are journaled, too', (what) => {
  const meter = meters.open(acme);
  meter[what] = 3;
  meters.noted(meter);
  meters.flush();
  meters.flush();
  expect(journal.usage).toMatchObject([{ device: 'd', [what]: 3 }]);
});

it('bytes that would cancel each other are something', () => {
  const meter = meters.open(acme);
  [meter.in, meter.out, meter.segments, meter.datagrams, meter.records] = [5, 5, 1, 1, 1];
  meters.noted(meter);
  meters.flush();
  expect(entries()).toEqual([['d', 5, 5, 1, 1, 1]]);
});

it('2: while the journal refuses, what waits stays, and is journaled in the same order when it accepts again', () => {
  const [first, second] = [meters.open(acme), meters.open(other)];
  used(first, 1);
  used(second, 2);
  journal.accepting = false;
  clock.step(5_000);
  meters.tick();
  meters.flush();
  expect(meters.journal(first)).toBe(false);
  used(first, 16_384);
  journal.accepting = true;
  meters.tick();
  expect(entries()).toEqual([
    ['d', 16_385, 0, 0, 0, 0],
    ['e', 2, 0, 0, 0, 0],
  ]);
});

it('1: what a failed commit has lost is journaled again, with the network that it was under; what is durable is not', () => {
  const [first, second] = [meters.open(acme), meters.open(other)];
  for (const [meter, bytes] of [
    [first, 1],
    [second, 2],
    [first, 4],
    [first, 8],
  ] as const) {
    if (meter === first && bytes < 8) meters.roam(first, { mcc: 240, mnc: 1, roaming: false });
    used(meter, bytes);
    meters.flush();
  }
  expect(entries()).toHaveLength(4);
  meters.durable(1);
  meters.failed(1, 3);
  meters.failed(1, 3);
  meters.flush();
  expect(journal.usage.slice(4)).toMatchObject([
    { device: 'd', in: 4, mcc: 240 },
    { device: 'e', in: 2 },
  ]);
  // The fourth was not among them.
  meters.failed(4, 4);
  used(second, 16);
  meters.flush();
  expect(journal.usage.slice(6)).toMatchObject([
    { device: 'd', in: 8, mcc: 240 },
    { device: 'e', in: 16 },
  ]);
});

it('4: of a device without a connection, what was lost has a meter until it is journaled', () => {
  const meter = meters.open(acme);
  used(meter, 5);
  meters.flush();
  meters.close(meter);
  meters.failed(1, 1);
  const again = meters.open(acme);
  expect([again === meter, again.in]).toEqual([false, 5]);
  meters.close(again);
  meters.flush();
  expect(told()).toEqual([
    ['acme', 5],
    ['acme', 5],
  ]);
  expect(meters.open(acme)).not.toBe(again);
});
