import { beforeEach, expect, it } from 'vitest';
import { type Meter, Meters } from '../../../src/in/session/meter.ts';
import { Definition } from '../../../src/journal/definition.ts';
import { Origin } from '../../../src/journal/entry.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { MemoryJournal } from '../../support/intake-rig.ts';

/** Numbers quote the invariants of src/in/session/meter.ts. */

let journal: MemoryJournal;
let meters: Meters;
beforeEach(() => {
  journal = new MemoryJournal();
  meters = new Meters(journal, new FakeClock());
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
