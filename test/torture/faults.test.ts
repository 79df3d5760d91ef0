import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fault } from '../../bench/torture/fault.ts';
import { DAMAGES, faultsOf, together, wreck } from '../../bench/torture/faults.ts';
import { Rig } from '../../bench/torture/rig.ts';
import { rounds } from '../support/thorough.ts';
import { calm, hurt, LIMIT_MS } from './hurt.ts';

/** In the short form each protocol on each transport once. */
const DEVICES = rounds(10, 24);

/**
 * Every fault there is. In the long form each alone; in the short one something is done to ClickHouse, to Redis and to the server at
 * once, where it leaves the shipper and all but one of the workers at work, and what a crash does to files comes at one crash. A flipped
 * bit needs entries that no device will send again, so it comes late.
 */
function faults(): readonly Fault[] {
  const onServer = faultsOf('server').filter((fault) => !DAMAGES.includes(fault));
  const onStores = faultsOf('stores');
  if (rounds(0, 1) === 1) return [...onStores, ...onServer, ...DAMAGES, wreck];
  const names = ['kill -9 worker', 'SIGSTOP worker', 'clock stepped', 'second server', 'descriptors run out'];
  const mild = onServer.filter(({ name }) => names.includes(name));
  const clickHouse = onStores.filter(({ name }) => name.includes('ClickHouse'));
  const [first, ...redis] = onStores.filter((fault) => !clickHouse.includes(fault));
  // The two stores are each hurt in another way.
  const lists = [mild, clickHouse, first === undefined ? redis : [...redis, first]];
  const rows = Array.from({ length: Math.max(...lists.map((list) => list.length)) }, (_, nth) => lists.flatMap((list) => list[nth] ?? []));
  return [...rows.map((row) => together(...row)), ...onServer.filter((fault) => !mild.includes(fault)), wreck];
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
      if (fault.name.endsWith('flipped bit')) expect(said).toMatch(/1 in a delivered entry$/);
    },
    LIMIT_MS,
  );

  it('all of them', () => calm(rig), LIMIT_MS);
});
