import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { faultsOf } from '../../bench/torture/faults.ts';
import { Rig } from '../../bench/torture/rig.ts';
import { calm, hurt, LIMIT_MS } from './hurt.ts';

describe('every acknowledged record is in both stores, once and in order, after', () => {
  let rig: Rig;

  beforeAll(async () => {
    rig = await Rig.start(1);
  }, LIMIT_MS);
  afterAll(async () => {
    expect(await rig.close()).toBe(0);
  }, LIMIT_MS);

  it.each(faultsOf('stores'))(
    '$name',
    async (fault) => {
      await hurt(rig, fault);
    },
    LIMIT_MS,
  );

  it('all of them', () => calm(rig), LIMIT_MS);
});
