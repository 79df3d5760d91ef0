import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { newAccountSchema } from '../../src/fleet/registry/account.ts';
import { AccountRecords } from '../../src/fleet/registry/account-records.ts';
import { OWNERS } from '../../src/fleet/registry/owners.ts';
import { newRecipientSchema, RecipientRecords } from '../../src/fleet/registry/recipient.ts';
import { RecipientRoutes } from '../../src/fleet/registry/recipient-routes.ts';
import { Definition } from '../../src/journal/definition.ts';
import { EntryKind, type Marks, Origin } from '../../src/journal/entry.ts';
import type { Shipper } from '../../src/out/ship/shipper.ts';
import type { RedisStreamOptions } from '../../src/out/sink/redis-stream/sink.ts';
import { Random } from '../../src/simulate/random.ts';
import type { StateStore } from '../../src/state/store.ts';
import { interposed, type Moments } from '../helpers/interposed-store.ts';
import { whole } from '../helpers/whole.ts';
import { Stores } from '../registry/stores.ts';
import { DEADLINE, dataDirectory, frameOf, RedisServer, redisSink, Slot, ship, streamed } from '../ship/rig.ts';
import { eventually, moment } from '../support/wait.ts';

/** Streams of recipients. Numbers quote the invariants of src/fleet/registry/recipient-routes.ts and redis-stream/recipients.ts. */

const T = Date.UTC(2026, 9, 1);

const stores = new Stores();
let server: RedisServer;
let redis: Redis;
let store: StateStore;
/** What the changes are dated with. */
let now: number;
let accounts: AccountRecords;
let recipients: RecipientRecords;
let slot: Slot;
let data: string;

beforeEach(async () => {
  server = await RedisServer.start('--appendonly', 'yes');
  redis = server.client();
  store = await stores.open('lmdb');
  now = T;
  accounts = new AccountRecords({ store, now: () => now, record: () => {} });
  recipients = new RecipientRecords({ store, now: () => now, record: () => {} });
  for (const id of ['acme', 'beta', 'gamma']) await accounts.create(newAccountSchema.parse({ id }), 'desk');
  data = dataDirectory();
  slot = await Slot.open(data, 0);
});
afterEach(async () => {
  await slot.journal.close();
  await stores.clear();
  await server.stop();
});

/** Delivers, as a process of its own would: what it knows it reads from the store. */
async function shipping(
  options: Partial<RedisStreamOptions> = {},
  moments: Moments = {},
): Promise<{ shipper: Shipper; passed: { entries: number } }> {
  const routes = new RecipientRoutes(interposed(await stores.open('lmdb'), moments), silentLog);
  const passed = { entries: 0 };
  const onPassed = (entries: number): void => {
    passed.entries += entries;
  };
  const { shipper } = ship(data, [redisSink(server.url, { recipients: routes, onPassed, ...options })]);
  onTestFinished(async () => {
    await shipper.close();
    routes.stop();
  });
  return { shipper, passed };
}

const origin = (device: string, account: string): Origin =>
  new Origin(new Definition('tiny', 'tcp', null, account), device, '192.0.2.1:1000');

function fix(device: string, account: string, received: number, time = received, marks?: Marks): void {
  const bytes = frameOf([{ time, number: time - T }]);
  slot.journal.append(origin(device, account), EntryKind.Frame, received, 0, 1, bytes, 0, bytes.length, marks);
}

function happened(device: string, account: string, received: number, event: object, marks?: Marks): void {
  const bytes = Buffer.from(JSON.stringify(event));
  slot.journal.append(origin(device, account), EntryKind.Event, received, 0, 0, bytes, 0, bytes.length, marks);
}

const consent = (account: string, fields: readonly string[] | undefined): Promise<unknown> =>
  accounts.consent(account, 'insurer', fields, 'desk');
const recipient = (id: string, wanted: object): Promise<unknown> => recipients.put(id, newRecipientSchema.parse(wanted), 'desk');
const at = async (id: string): Promise<string[]> =>
  (await streamed(redis, `fixgate:to:${id}`)).map(({ device, time }) => `${device} ${time - T}`);

describe('a recipient with a purpose', () => {
  test('has records of those who consent, with the fields that they consent to', async () => {
    await recipient('alpha', { purpose: 'insurer' });
    await consent('acme', ['speed_kmh', 'number']);
    await consent('beta', ['all']);
    await consent('gamma', ['odometer_m']);
    const { shipper, passed } = await shipping();
    fix('a-1', 'acme', T + 1);
    fix('b-1', 'beta', T + 2);
    fix('c-1', 'gamma', T + 3);
    fix('d-1', 'delta', T + 4);
    fix('e-1', '', T + 5);
    happened('a-1', 'acme', T + 6, { type: 'connected' });
    happened('b-1', 'beta', T + 7, { type: 'connected' });
    await slot.journal.flush();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const found = await streamed(redis, 'fixgate:to:alpha');
    expect(found.map(({ device }) => device)).toEqual(['a-1', 'b-1', 'b-1']);
    // Without its place, a fix is a status.
    expect(found[0]?.data).toEqual({
      kind: 'status',
      id: expect.stringMatching(/^[0-9a-f]{16}$/),
      device: 'a-1',
      account: 'acme',
      protocol: 'tiny',
      time: T + 1,
      received: T + 1,
      speed_kmh: 1,
      attrs: { number: 1 },
    });
    const [, whole] = await streamed(redis);
    expect(found[1]?.data).toEqual(whole?.data);
    const [, event] = await streamed(redis, 'fixgate:events');
    expect(found[2]?.data).toEqual(event?.data);
    expect(await redis.xlen('fixgate:positions')).toBe(5);
    expect(passed).toEqual({ entries: 3 });
  });

  test('is read once, and again when it has changed', async () => {
    await recipient('alpha', { purpose: 'insurer' });
    let readings = 0;
    const { shipper } = await shipping(
      {},
      { beforeRead: (table, key) => void (readings += Number(table === 'recipients' && key === undefined)) },
    );
    const deliver = async (n: number): Promise<number> => {
      fix('a-1', 'acme', T + n);
      await slot.journal.flush();
      expect(await shipper.drained(DEADLINE)).toBe(true);
      return readings;
    };
    expect([await deliver(1), await deliver(2), await deliver(3)]).toEqual([1, 1, 1]);
    await recipient('beta', { purpose: 'insurer' });
    expect(await deliver(4)).toBe(2);
    // Once more at most: the change may be announced after it was seen.
    let count = 5;
    await eventually(async () => {
      const before = await deliver(count++);
      expect(await deliver(count++)).toBe(before);
    });
    expect(readings).toBeLessThanOrEqual(3);
  });

  test('2: has nothing from before the consent, nor from before it was there', async () => {
    now = T + 10;
    await consent('acme', ['all']);
    now = T + 20;
    await recipient('alpha', { purpose: 'insurer' });
    now = T + 30;
    await consent('beta', ['all']);
    for (let i = 0; i < 40; i += 5) for (const account of ['acme', 'beta']) fix(`of-${account}`, account, T + i);
    await slot.journal.flush();
    const { shipper } = await shipping();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await at('alpha')).toEqual(['of-acme 20', 'of-acme 25', 'of-acme 30', 'of-beta 30', 'of-acme 35', 'of-beta 35']);
  });

  test('1: a withdrawal holds from the next record on, and so does what is given again', async () => {
    await recipient('alpha', { purpose: 'insurer' });
    await consent('acme', ['all']);
    const { shipper } = await shipping();
    const expected: string[] = [];
    for (let round = 0; round < 10; round++) {
      fix('a-1', 'acme', ++now);
      expected.push(`a-1 ${now - T}`);
      await slot.journal.flush();
      expect(await shipper.drained(DEADLINE)).toBe(true);
      await consent('acme', undefined);
      fix('a-1', 'acme', ++now);
      await slot.journal.flush();
      expect(await shipper.drained(DEADLINE)).toBe(true);
      now++;
      await consent('acme', ['all']);
    }
    expect(await at('alpha')).toEqual(expected);
    expect(await redis.xlen('fixgate:positions')).toBe(20);
    await recipients.remove('alpha', 'desk');
    fix('a-1', 'acme', ++now);
    await slot.journal.flush();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await at('alpha')).toEqual(expected);
  });

  test('1: nothing of relayed devices', async () => {
    await recipient('alpha', { purpose: 'insurer' });
    await recipient('acme', { account: 'acme' });
    await consent('acme', ['all']);
    const relay: Marks = { keep: null, relay: true };
    fix('r-1', 'acme', T + 1, T + 1, relay);
    happened('r-1', 'acme', T + 2, { type: 'command', reply: 'Lat:54.687,Lon:25.279' }, relay);
    fix('a-1', 'acme', T + 3);
    await slot.journal.flush();
    const { shipper } = await shipping();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect([await at('alpha'), await at('acme')]).toEqual([['a-1 3'], ['a-1 3']]);
    expect([await redis.xlen('fixgate:positions'), await redis.xlen('fixgate:events')]).toEqual([2, 1]);
  });
});

describe('the stream of an account', () => {
  test('2: has what was received in its time, and measured in it', async () => {
    await recipient('acme', { account: 'acme' });
    await recipient('beta', { account: 'beta' });
    const periods = [
      { account: 'acme', from: T, to: T + 100 },
      { account: 'beta', from: T + 100 },
    ];
    await store.write([OWNERS.put(periods, 'a-1')]);
    fix('a-1', 'acme', T + 10);
    happened('a-1', 'acme', T + 20, { type: 'connected' });
    // From its memory, of the time of the other.
    fix('a-1', 'beta', T + 110, T + 30);
    fix('a-1', 'beta', T + 120);
    // A command that acme had sent.
    happened('a-1', 'beta', T + 130, { type: 'command', id: 'c', state: 'answered' });
    happened('a-1', 'beta', T + 140, { type: 'disconnected' });
    // The worker had not heard of it yet.
    fix('a-1', 'acme', T + 150);
    await slot.journal.flush();
    const { shipper } = await shipping();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect([await at('acme'), await at('beta')]).toEqual([
      ['a-1 10', 'a-1 20'],
      ['a-1 120', 'a-1 140'],
    ]);
    // Passed back: it is known with the next record.
    await store.write([
      OWNERS.put([...periods.slice(0, 1), { account: 'beta', from: T + 100, to: T + 200 }, { account: 'acme', from: T + 200 }], 'a-1'),
    ]);
    fix('a-1', 'acme', T + 205, T + 170);
    fix('a-1', 'acme', T + 206);
    await slot.journal.flush();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await at('acme')).toEqual(['a-1 10', 'a-1 20', 'a-1 206']);
  });

  test('2: has nothing of a device whose periods cannot be read, and the others of theirs', async () => {
    await recipient('acme', { account: 'acme' });
    await store.write([{ table: 'owners', key: 'a-1', put: '{"half' }]);
    fix('a-1', 'acme', T + 10);
    fix('a-2', 'acme', T + 20);
    await slot.journal.flush();
    const { shipper } = await shipping();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await at('acme')).toEqual(['a-2 20']);
  });
});

test('kills of Redis and of connections lose and double nothing, in any stream', async () => {
  await recipient('alpha', { purpose: 'insurer' });
  await recipient('acme', { account: 'acme' });
  await consent('acme', ['number']);
  const { shipper } = await shipping({ batchRows: 50 });
  const random = new Random(3);
  let time = T;
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 500; i++, time++) fix('a-1', i % 5 === 0 ? 'beta' : 'acme', time);
    await slot.journal.flush();
    await moment(random, 0, 60);
    await server.dropOthers();
    await moment(random, 0, 20);
    await server.kill();
    await server.up('--appendonly', 'yes');
  }
  expect(await shipper.drained(DEADLINE)).toBe(true);
  const all = (await streamed(redis)).map(({ data: record }) => record);
  expect(all).toHaveLength(2000);
  const own = all.filter(({ account }) => account === 'acme');
  expect((await streamed(redis, 'fixgate:to:acme')).map(({ data: record }) => record)).toEqual(own);
  expect((await streamed(redis, 'fixgate:to:alpha')).map(({ data: record }) => record['id'])).toEqual(own.map(({ id }) => id));
});

test('erasing a device takes it out of every stream of a recipient, also of one that was removed', async () => {
  await recipient('alpha', { purpose: 'insurer' });
  await recipient('acme', { account: 'acme' });
  await consent('acme', ['all']);
  for (let i = 0; i < 30; i++) fix(i % 3 === 0 ? 'gone' : 'a-1', 'acme', T + i);
  await slot.journal.flush();
  const { shipper } = await shipping();
  expect(await shipper.drained(DEADLINE)).toBe(true);
  await recipients.remove('alpha', 'desk');
  expect(await shipper.erase('redis', whole({ gone: T + 1000 }))).toMatchObject({ positions: 10, recipients: 20 });
  for (const id of ['alpha', 'acme']) expect([...new Set((await at(id)).map((one) => one.split(' ')[0]))]).toEqual(['a-1']);
});

test('the user of a recipient reads its stream and nothing else', async () => {
  await recipient('alpha', { purpose: 'insurer' });
  await consent('acme', ['all']);
  fix('a-1', 'acme', T + 1);
  await slot.journal.flush();
  const { shipper } = await shipping();
  expect(await shipper.drained(DEADLINE)).toBe(true);
  await redis.call('ACL', ...aclOf('alpha', 'secret'));
  const user = redis.duplicate({ username: 'alpha', password: 'secret', enableReadyCheck: false });
  onTestFinished(() => user.disconnect());
  await user.xgroup('CREATE', 'fixgate:to:alpha', 'billing', '0');
  expect(await user.xreadgroup('GROUP', 'billing', 'w', 'STREAMS', 'fixgate:to:alpha', '>')).toHaveLength(1);
  const id = (await user.xrange('fixgate:to:alpha', '-', '+'))[0]?.[0] ?? '';
  expect(await user.xack('fixgate:to:alpha', 'billing', id)).toBe(1);
  expect(await user.xread('STREAMS', 'fixgate:to:alpha', '0')).toHaveLength(1);
  expect(await user.xautoclaim('fixgate:to:alpha', 'billing', 'w', 0, '0')).toBeDefined();
  const refused = ([name, ...args]: readonly [string, ...string[]]): Promise<string> =>
    user.call(name, ...args).then(
      () => 'done',
      (error: Error) => error.message.slice(0, 6),
    );
  for (const command of [
    ['XREAD', 'STREAMS', 'fixgate:positions', '0'],
    ['XRANGE', 'fixgate:to:beta', '-', '+'],
    ['GET', 'fixgate:last:a-1'],
    ['KEYS', '*'],
    ['SCAN', '0'],
    ['XADD', 'fixgate:to:alpha', '*', 'a', 'b'],
    ['XDEL', 'fixgate:to:alpha', id],
    ['XTRIM', 'fixgate:to:alpha', 'MAXLEN', '0'],
    ['DEL', 'fixgate:to:alpha'],
    ['EVAL', 'return 1', '0'],
    ['ACL', 'LIST'],
    ['SUBSCRIBE', 'a'],
    ['CONFIG', 'GET', '*'],
  ] as const)
    expect([command, await refused(command)]).toEqual([command, 'NOPERM']);
});

/** As docs/formats/stream.md has it. */
function aclOf(name: string, password: string): string[] {
  return `SETUSER ${name} on >${password} resetkeys ~fixgate:to:${name} resetchannels -@all +xread +xrange +xreadgroup +xack +xautoclaim +xclaim +xpending +xlen +xinfo|stream +xgroup|create +ping +hello`.split(
    ' ',
  );
}
