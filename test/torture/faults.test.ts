import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fault } from '../../bench/torture/fault.ts';
import { DAMAGES, FAULTS, faultsOf, together, wreck } from '../../bench/torture/faults.ts';
import { Rig } from '../../bench/torture/rig.ts';
import { rounds } from '../support/thorough.ts';
import { calm, hurt, LIMIT_MS } from './hurt.ts';

/** In the short form each protocol on each transport once. */
const DEVICES = rounds(10, 24);

/**
 * The long form has every fault alone. The short one has two: a process of each kind dies and does not synchronise while both stores
 * take what they do not confirm; and a crash that takes and leaves in files what it may. `.ci/run` has two minutes of all kinds.
 */
const SHORT = ['kill -9 worker', 'kill -9 shipper', 'fsync fails', 'ClickHouse answers cut', 'Redis answers cut'];

function faults(): readonly Fault[] {
  if (rounds(0, 1) === 0) return [together(...SHORT.map(named)), wreck];
  const onServer = faultsOf('server').filter((fault) => !DAMAGES.includes(fault));
  // A flipped bit needs entries that no device will send again, so it comes late.
  return [...faultsOf('stores'), ...onServer, ...DAMAGES, wreck];
}

function named(wanted: string): Fault {
  const fault = FAULTS.find(({ name }) => name === wanted);
  if (fault === undefined) throw new Error(`there is no fault ${wanted}`);
  return fault;
}

describe('every acknowledged record is in both stores, once and in order, after', () => {
  let rig: Rig;

  beforeAll(async () => {
    rig = await Rig.start(1);
  }, LIMIT_MS);
  afterAll(async () => {
    expect(await rig.close()).toBe(0);
  }, LIMIT_MS);

  it.each(faults())(
    '$name',
    async (fault) => {
      const said = await hurt(rig, fault, DEVICES);
      if (fault.name === 'flipped bit') expect(said).toMatch(/^1 in a delivered entry$/);
    },
    LIMIT_MS,
  );

  it('all of them', () => calm(rig), LIMIT_MS);
});
