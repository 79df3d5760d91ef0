import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { ServiceKeeper } from '../../src/fleet/plan/service-keeper.ts';
import { newAccountSchema } from '../../src/fleet/registry/account.ts';
import { AccountRecords } from '../../src/fleet/registry/account-records.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import { interposed } from '../helpers/interposed-store.ts';
import { Stores } from '../registry/stores.ts';

const stores = new Stores();
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(() => stores.clear());

const NOW = Date.UTC(2026, 5, 10);

it('what an account has been is read once for its devices, again when it has changed, and kept only if it has not meanwhile', async () => {
  const store = await stores.open('lmdb');
  await new AccountRecords({ store, now: () => NOW, record: () => {} }).create(newAccountSchema.parse({ id: 'acme' }), 'desk');
  let readings = 0;
  let meanwhile = (): void => {};
  const keeper = new ServiceKeeper({
    store: interposed(store, {
      beforeRead: (table) => void (readings += Number(table === 'accounts')),
      afterRead: (table) => table === 'accounts' && meanwhile(),
    }),
    instance: 'one',
    record: () => {},
  });
  const device = deviceSchema.parse({ id: 'd-1', account: 'acme', first_seen: 1 });
  const look = async (): Promise<number> => {
    const before = readings;
    await keeper.look('d-1', device, NOW, 0);
    return readings - before;
  };
  // The first look also reads it for the row that it writes.
  await look();
  expect([await look(), await look()]).toEqual([0, 0]);
  keeper.accountTold('acme');
  expect([await look(), await look()]).toEqual([1, 0]);
  keeper.accountTold('bolt');
  expect(await look()).toBe(0);
  keeper.accountTold(undefined);
  meanwhile = () => keeper.accountTold('acme');
  expect(await look()).toBe(1);
  meanwhile = () => {};
  expect([await look(), await look()]).toEqual([1, 0]);
});
