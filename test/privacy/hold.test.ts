import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { Eraser } from '../../src/fleet/privacy/eraser.ts';
import type { Erasure } from '../../src/fleet/privacy/erasure.ts';
import { Holds } from '../../src/fleet/privacy/hold.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import type { StateStore } from '../../src/state/store.ts';
import { Api } from '../api/rig.ts';
import { fixgate } from '../cli/command.ts';
import { interposed, times } from '../helpers/interposed-store.ts';
import { Stores } from '../registry/stores.ts';
import { eventually } from '../support/wait.ts';

const stores = new Stores();
beforeAll(() => stores.start());
afterEach(() => stores.clear());
afterAll(() => stores.stop());

const known: Device = deviceSchema.parse({ id: 'held', aliases: ['alias'] });
const NONE: Erasure = { device: '', ids: [], before: 0, by: '', registry: 'keep', instances: {} };
const CASE = { reference: 'AZ 1', reason: 'court order' };

describe.each(['lmdb', 'redis'] as const)('a hold, with the state in %s', (kind) => {
  test('1: of a hold and an erasure at the same moment one is refused', async () => {
    const store = await stores.open(kind);
    const now = Date.now;
    const device = async (id: string): Promise<Device | undefined> => (id === 'held' || id === 'alias' ? known : undefined);
    const gate = Promise.withResolvers<void>();
    const eraser = new Eraser({
      store,
      instance: 'one',
      now,
      log: silentLog,
      device,
      record: () => {},
      parts: {
        journal: async () => {
          await gate.promise;
          return {};
        },
      },
      pauseMs: 20,
    });
    eraser.start();
    onTestFinished(() => eraser.stop());
    const holds = new Holds({ store, now, device });
    for (let round = 0; round < 20; round++) {
      const id = `both-${round}`;
      const [held, erased] = await Promise.allSettled([holds.set(id, CASE, 'me'), eraser.request(id, 'me', 'keep')]);
      const isHeld = held.status === 'fulfilled' && held.value !== undefined;
      expect([round, isHeld]).toEqual([round, erased.status === 'rejected']);
      expect((await holds.get(id)) !== undefined).toBe(isHeld);
    }
    // By an alias, too, and also for a device that has taken the alias over.
    expect(await holds.set('alias', CASE, 'me')).toMatchObject({ before: undefined, hold: { device: 'held', ...CASE, by: 'me' } });
    for (const id of ['held', 'alias']) await expect(eraser.request(id, 'me', 'keep')).rejects.toMatchObject({ code: 'UNDER_HOLD' });
    expect((await holds.list()).filter(({ device: of }) => of === 'held')).toHaveLength(1);
    expect(await holds.end('alias')).toMatchObject(CASE);
    expect(await holds.end('held')).toBeUndefined();
    await eraser.request('held', 'me', 'keep');
    expect(await holds.set('held', CASE, 'me')).toBeUndefined();
    gate.resolve();
    await eventually(async () => expect(await holds.set('held', CASE, 'me')).toBeDefined());
  });

  describe('1: of several installations on the store', () => {
    /** One of them, whose part of an erasure waits for the gate, if there is one. */
    const installation = (store: StateStore, instance: string, done: string[], gate?: Promise<void>) => {
      const eraser = new Eraser({
        store,
        instance,
        now: Date.now,
        log: silentLog,
        device: async () => undefined,
        record: () => {},
        parts: {
          async journal() {
            done.push(`${instance} begins`);
            await gate;
            done.push(`${instance} ends`);
            return {};
          },
          state: async () => ({}),
        },
        pauseMs: 20,
      });
      eraser.start();
      onTestFinished(() => eraser.stop());
      return eraser;
    };
    const holdsOf = (store: StateStore): Holds => new Holds({ store, now: Date.now, device: async () => undefined });
    const ended = async (eraser: Eraser): Promise<void> => {
      await eventually(async () => expect(eraser.progress((await eraser.get('d')) ?? NONE).erased).toBeGreaterThan(0));
    };

    test('one that has not begun when the hold is answered begins after its end', async () => {
      const [store, other] = [await stores.open(kind), await stores.open(kind)];
      const done: string[] = [];
      const first = installation(store, 'one', []);
      await first.request('d', 'me', 'keep');
      await ended(first);
      expect(await holdsOf(store).set('d', CASE, 'me')).toBeDefined();
      const second = installation(other, 'two', done);
      // What is not under a hold is not kept waiting by it.
      await second.request('e', 'me', 'keep');
      await eventually(async () => expect(second.progress((await second.get('e')) ?? NONE).erased).toBeGreaterThan(0));
      expect(second.progress((await second.get('d')) ?? NONE).waiting).toEqual(['journal', 'state']);
      expect(await holdsOf(other).set('d', { ...CASE, reason: 'more' }, 'me')).toMatchObject({ before: CASE });
      done.length = 0;
      await holdsOf(store).end('d');
      await ended(second);
      expect(done).toEqual(['two begins', 'two ends']);
    });

    test('one that has begun is waited for, also when the erasure was asked for once more', async () => {
      const [store, other] = [await stores.open(kind), await stores.open(kind)];
      const done: string[] = [];
      const gate = Promise.withResolvers<void>();
      const first = installation(store, 'one', done);
      installation(other, 'two', done, gate.promise);
      await first.request('d', 'me', 'keep');
      await ended(first);
      await eventually(() => expect(done).toContain('two begins'));
      expect(await holdsOf(store).set('d', CASE, 'me')).toBeUndefined();
      await first.request('d', 'me', 'keep');
      await ended(first);
      expect(await holdsOf(store).set('d', CASE, 'me')).toBeUndefined();
      gate.resolve();
      await eventually(async () => expect(await holdsOf(store).set('d', CASE, 'me')).toBeDefined());
      expect(done.filter((what) => what === 'two begins')).toHaveLength(done.filter((what) => what === 'two ends').length);
    });

    test('a hold that is set in the moment in which one begins wins', async () => {
      const [store, other] = [await stores.open(kind), await stores.open(kind)];
      const done: string[] = [];
      const first = installation(store, 'one', []);
      await first.request('d', 'me', 'keep');
      await ended(first);
      const held = Promise.withResolvers<void>();
      const between = async (): Promise<void> => {
        expect(await holdsOf(store).set('d', CASE, 'me')).toBeDefined();
        held.resolve();
      };
      // Each part of it would begin.
      let once: Promise<void> | undefined;
      const beforeWrite = (tables: readonly string[]): unknown => (tables.includes('erasures') ? (once ??= between()) : undefined);
      const second = installation(interposed(other, { beforeWrite }), 'two', done);
      await held.promise;
      await second.request('e', 'me', 'keep');
      await eventually(async () => expect(second.progress((await second.get('e')) ?? NONE).erased).toBeGreaterThan(0));
      expect(second.progress((await second.get('d')) ?? NONE).waiting).toEqual(['journal', 'state']);
    });

    test('an erasure of an id that is an alias by now is waited for', async () => {
      const store = await stores.open(kind);
      const gate = Promise.withResolvers<void>();
      const done: string[] = [];
      await installation(store, 'one', done, gate.promise).request('alias', 'me', 'keep');
      const holds = new Holds({ store, now: Date.now, device: async () => known });
      expect(await holds.set('held', CASE, 'me')).toBeUndefined();
      gate.resolve();
      await eventually(async () => expect(await holds.set('held', CASE, 'me')).toBeDefined());
    });
  });

  test('ends with its change by somebody else in between', async () => {
    const [store, other] = [await stores.open(kind), await stores.open(kind)];
    const options = { now: () => 1, device: async () => known };
    const theirs = new Holds({ ...options, store: other });
    await theirs.set('held', CASE, 'me');
    const change = (): Promise<unknown> => theirs.set('held', { ...CASE, reason: 'more' }, 'somebody else');
    const ended = await new Holds({ ...options, store: interposed(store, { beforeWrite: times(1, 'holds', change) }) }).end('held');
    expect([ended, await store.list('holds', { limit: 9 })]).toMatchObject([{ reason: 'more' }, []]);
  });

  test('2: it ends by itself', async () => {
    const store = await stores.open(kind);
    let time = 1_000;
    const holds = new Holds({ store, now: () => time, device: async () => undefined });
    await holds.set('d', { ...CASE, until: 2_000 }, 'me');
    expect(await holds.get('d')).toMatchObject({ since: 1_000, until: 2_000 });
    time = 2_000;
    expect([await holds.get('d'), await holds.list()]).toEqual([undefined, []]);
  });
});

test('over HTTP and on the command line', async () => {
  const api = await Api.start();
  onTestFinished(() => api.stop());
  const path = '/v1/devices/d-01';
  await api.call('POST', '/v1/devices', { id: 'd-01', aliases: ['a-01'] });
  expect((await api.call('GET', `${path}/hold`)).status).toBe(404);
  expect(await api.call('PUT', `${path}/hold`, { ...CASE, until: 1 })).toMatchObject({ status: 422 });
  expect(await api.call('PUT', '/v1/devices/a-01/hold', CASE)).toMatchObject({ status: 201, body: { device: 'd-01', by: 'tester' } });
  for (const id of ['d-01', 'a-01'])
    expect(await api.call('DELETE', `/v1/devices/${id}/data?registry=remove`)).toMatchObject({
      status: 409,
      body: { title: 'device d-01 is under the hold "AZ 1": nothing of it is erased' },
    });
  const env = { FIXGATE_URL: api.url, FIXGATE_TOKEN: await api.token(['admin']) };
  const erase = await fixgate(['erase', 'd-01'], '', env);
  expect([erase.code, erase.error]).toEqual([2, expect.stringContaining('under the hold "AZ 1"')]);
  expect((await fixgate(['hold', 'set', 'd-01', '--reference', 'AZ 2', '--reason', 'more'], '', env)).out).toContain('AZ 2');
  expect((await fixgate(['hold', 'show', 'd-01', '--json'], '', env)).out).toContain('"reason":"more"');
  expect((await fixgate(['hold', 'ls'], '', env)).out).toContain('AZ 2');
  expect((await fixgate(['hold', 'end', 'd-01'], '', env)).code).toBe(0);
  expect((await fixgate(['hold', 'end', 'd-01'], '', env)).code).toBe(1);
  expect((await api.call('DELETE', `${path}/data`)).status).toBe(200);
  const entries = api.audit.filter(({ operation, status }) => String(operation).endsWith('/hold') && status !== 0);
  expect(entries.map(({ operation, status, old, new: now }) => [operation, status, old, now])).toContainEqual([
    'PUT /v1/devices/{id}/hold',
    200,
    expect.objectContaining({ reference: 'AZ 1' }),
    expect.objectContaining({ reference: 'AZ 2' }),
  ]);
});
