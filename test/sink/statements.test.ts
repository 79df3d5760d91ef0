import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { secretUrl } from '../../src/base/secret.ts';
import { DevicePlans } from '../../src/fleet/plan/device-plans.ts';
import { planSchema } from '../../src/fleet/plan/plan.ts';
import { PlanRecords } from '../../src/fleet/plan/plan-records.ts';
import { canonical, HEADS, hashOf, STATEMENTS } from '../../src/fleet/plan/statement.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import { UNITS } from '../../src/fleet/registry/units.ts';
import { UsageHistory } from '../../src/out/sink/clickhouse/history.ts';
import { StatementTable } from '../../src/out/sink/clickhouse/statements.ts';
import { createStateSink } from '../../src/out/sink/state/sink.ts';
import { StatementKeeper, verifyStatements } from '../../src/out/sink/state/statements.ts';
import { openState } from '../../src/state/open.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { ClickHouseDatabase, clickHouseSink, DEADLINE, dataDirectory, INSTANCE, RedisServer, Slot, ship } from '../ship/rig.ts';

/** Numbers quote the invariants of src/out/sink/state/statements.ts. */

const OCTOBER = Date.UTC(2026, 9, 1);
const NOVEMBER = Date.UTC(2026, 10, 1);
const DECEMBER = Date.UTC(2026, 11, 1);
const DAY = 86_400_000;
const ONE = { in: 100, out: 10, segments: 2, datagrams: 1, records: 3 };
/** A statement as the first version made it, in canonical JSON, and its hash. */
const OLD = `{"account":"","billed_bytes":480,"bytes_cap":250,"bytes_in":400,"bytes_out":40,"datagrams":4,"device":"car-a","end":${NOVEMBER},"over_bytes":230,"overhead":{"datagram_bytes":0,"round_bytes":1,"segment_bytes":5},"overhead_bytes":40,"plan":"basic","plan_version":1,"records":12,"segments":8,"start":${OCTOBER},"time_zone":"UTC"}`;
const OLD_HASH = 'aecfdbbbef08c077e5cf48ba77eed706fb61c1d5b7cb3ef637282a1197c78ac4';

/** Counts its questions about usage. */
class CountedHistory extends UsageHistory {
  asked = 0;

  override used(...args: Parameters<UsageHistory['used']>): ReturnType<UsageHistory['used']> {
    this.asked++;
    return super.used(...args);
  }
}

describe.skipIf(!chdbInstalled).each(['lmdb', 'redis'])('statements, in %s', (kind) => {
  let server: ClickHouseDatabase;
  let redis: RedisServer;

  beforeAll(async () => {
    server = await ClickHouseDatabase.make();
    redis = await RedisServer.start();
  });
  afterAll(async () => {
    await server.drop();
    await redis.stop();
  });
  afterEach(async () => {
    await server.empty();
    await redis.client().flushall();
  });

  async function world() {
    const data = dataDirectory();
    const url = secretUrl(kind === 'redis' ? redis.url : '');
    const store = await openState({ url, prefix: 'test:', directory: join(data, 'state'), log: silentLog });
    const slot = await Slot.open(data, 0);
    const plans = new DevicePlans(store, silentLog);
    const { shipper } = ship(data, [
      clickHouseSink(data, server.access),
      createStateSink({ store, plans, instance: INSTANCE, batchAgeMs: 20 }),
    ]);
    const history = new CountedHistory(server.access);
    const table = new StatementTable(server.access);
    onTestFinished(async () => {
      await slot.journal.close();
      await shipper.close();
      await history.close();
      await table.close();
      await store.close();
    });
    const clock = { delivered: 0 };
    const keeper = (instance = INSTANCE) =>
      new StatementKeeper({
        store,
        history,
        table,
        instance,
        delivered: async () => clock.delivered,
        now: () => clock.delivered,
        log: silentLog,
      });
    const settle = async (): Promise<void> => {
      await slot.journal.flush();
      expect(await shipper.drained(DEADLINE)).toBe(true);
    };
    const device = (id: string, more: object = {}): Promise<boolean> =>
      store.write([
        { table: 'devices', key: id, put: JSON.stringify(deviceSchema.parse({ id, first_seen: OCTOBER, plan: 'basic', ...more })) },
      ]);
    const planned = new PlanRecords({ store, record: () => {}, now: () => OCTOBER + DAY });
    await planned.put(planSchema.parse({ name: 'basic', bytes_cap: 250, overhead: { segment_bytes: 5 } }), 'desk', 'now');
    const verify = async () => {
      const found: unknown[] = [];
      for await (const one of verifyStatements(store, history, table))
        found.push('what' in one ? `${one.number} ${one.what}` : `${one.number} right`);
      return found;
    };
    const command = (query: string) => server.client.command({ query, clickhouse_settings: { mutations_sync: '2' } });
    return { store, slot, clock, keeper, settle, device, planned, verify, command, table, history };
  }

  it('1, 2: are frozen once, when all usage of a cycle has arrived, in a chain for each account', async () => {
    const { store, slot, clock, keeper, settle, device, planned, verify, history } = await world();
    await device('car-a', { account: 'acme' });
    await device('car-b', { account: 'acme' });
    await device('car-c');
    for (const id of ['car-a', 'car-b', 'car-c']) for (let n = 1; n <= 3; n++) slot.usage(id, OCTOBER + n * DAY, ONE);
    slot.usage('car-a', NOVEMBER, ONE);
    await settle();
    clock.delivered = NOVEMBER - 1;
    await keeper().freeze();
    expect(await store.list('statements', { limit: 9 })).toEqual([]);
    // Another server on the store has not said yet that all has arrived.
    await store.write([{ table: 'cursors', key: 'state other 0', put: '{"delivered":1,"usage":1,"time":1}' }]);
    clock.delivered = NOVEMBER;
    await keeper().freeze();
    expect(await store.list('statements', { limit: 9 })).toEqual([]);
    await store.write([{ table: 'cursors', key: 'closed other', put: String(NOVEMBER + 1) }]);
    await Promise.all([keeper().freeze(), keeper().freeze()]);
    await keeper().freeze();
    const frozen = await store.list('statements', { limit: 9 });
    expect(frozen.map(({ key }) => key)).toEqual(['car-a', 'car-b', 'car-c'].map((id) => `${id} ${OCTOBER}`));
    expect(STATEMENTS.read(frozen[0]?.value)?.statement).toEqual({
      device: 'car-a',
      account: 'acme',
      plan: 'basic',
      plan_version: 1,
      time_zone: 'UTC',
      start: OCTOBER,
      end: NOVEMBER,
      bytes_in: 300,
      bytes_out: 30,
      segments: 6,
      datagrams: 3,
      records: 9,
      overhead: { segment_bytes: 5, datagram_bytes: 0, round_bytes: 1 },
      overhead_bytes: 30,
      billed_bytes: 360,
      bytes_cap: 250,
      over_bytes: 110,
      networks: [{ roaming: false, bytes_in: 300, bytes_out: 30, segments: 6, datagrams: 3, records: 9 }],
      steps: [],
      commands: {},
      days: { active: 31 },
      evidence: {},
    });
    const numbers = frozen.map(({ value }) => STATEMENTS.read(value)?.number).sort();
    expect(numbers).toEqual([1, 1, 2]);
    expect((await verify()).sort()).toEqual(['1 right', '1 right', '2 right']);
    // Neither a change of the plan nor usage that is counted later changes what is frozen.
    await planned.put(planSchema.parse({ name: 'basic', bytes_cap: 1 }), 'desk', 'now');
    clock.delivered = DECEMBER;
    await store.write([{ table: 'cursors', key: 'closed other', put: String(DECEMBER) }]);
    await keeper().freeze();
    const later = await store.list('statements', { limit: 9 });
    expect(later.filter(({ key }) => key.endsWith(String(OCTOBER)))).toEqual(frozen);
    expect(STATEMENTS.read(later.find(({ key }) => key === `car-a ${NOVEMBER}`)?.value)).toMatchObject({
      number: 3,
      statement: { plan_version: 2, bytes_cap: 1, billed_bytes: 110, over_bytes: 109 },
    });
    // Those of October together, whatever their account.
    history.asked = 0;
    expect(await verify()).toEqual(['1 right', '1 right', '2 right', '3 right']);
    expect(history.asked).toBe(2);
  });

  it('a changed usage row, a changed statement, and one that is gone are found; erased rows are said', async () => {
    const { store, slot, clock, keeper, settle, device, verify, command } = await world();
    for (const id of ['car-a', 'car-b', 'car-c']) {
      await device(id);
      slot.usage(id, OCTOBER + DAY, ONE);
    }
    await settle();
    clock.delivered = NOVEMBER;
    await keeper().freeze();
    expect(await verify()).toEqual(['1 right', '2 right', '3 right']);
    await command(`ALTER TABLE usage UPDATE bytes_in = 99 WHERE device = 'car-a'`);
    expect(await verify()).toEqual(['1 usage', '2 right', '3 right']);
    await command(`ALTER TABLE usage UPDATE bytes_in = 100 WHERE device = 'car-a'`);
    await command(`ALTER TABLE usage DELETE WHERE device = 'car-b'`);
    const erased = (more: object): Promise<boolean> =>
      store.write([{ table: 'erasures', key: 'car-b', put: JSON.stringify({ device: 'car-b', ids: ['car-b'], ...more }) }]);
    // Erasures of another time, or of another's time, do not say why.
    for (const stretch of [
      { from: 0, to: OCTOBER },
      { from: NOVEMBER, to: DECEMBER },
      { from: 0, to: DECEMBER, account: 'acme' },
    ]) {
      await erased({ stretches: [{ until: DECEMBER, ...stretch }] });
      expect(await verify()).toEqual(['1 right', '2 usage', '3 right']);
    }
    for (const stretch of [
      { from: NOVEMBER - 1, to: DECEMBER },
      { from: 0, to: OCTOBER + 1, account: '' },
    ]) {
      await erased({ stretches: [{ until: DECEMBER, ...stretch }] });
      expect(await verify()).toEqual(['1 right', '2 erased', '3 right']);
    }
    await erased({ before: NOVEMBER });
    expect(await verify()).toEqual(['1 right', '2 erased', '3 right']);
    await command(`ALTER TABLE statements UPDATE statement = replace(statement, '"records":3', '"records":2') WHERE number = 1`);
    expect(await verify()).toEqual(['1 missing', '1 right', '2 erased', '3 right']);
    await store.update('statements', `car-c ${OCTOBER}`, (text) => text?.replace('"records":3', '"records":2'));
    expect((await verify()).at(-1)).toBe('3 hash');
    await store.write([{ table: 'statements', key: `car-c ${OCTOBER}`, remove: true }]);
    expect((await verify()).at(-1)).toBe('3 chain');
    await command(`TRUNCATE TABLE usage`);
    expect((await verify()).slice(1, 3)).toEqual(['1 expired', '2 erased']);
    expect(HEADS.read(await store.get('statement_heads', HEADS.key('')))?.number).toBe(3);
  });

  it('tells of networks, steps, commands, states and evidence, and a statement from before there was that stays right', async () => {
    const { store, slot, clock, keeper, settle, device, verify, command } = await world();
    await device('car-a', { unit: 'u-2' });
    const swappedAt = OCTOBER + 8 * DAY;
    const swapped = [
      { unit: 'car-a', from: 0, to: swappedAt },
      { unit: 'u-2', from: swappedAt, by: 'desk' },
    ];
    await store.write([{ table: 'units', key: 'car-a', put: JSON.stringify({ periods: swapped }) }]);
    const period = (state: string, from: number) => ({ state, from, plan: 'basic', account: '', by: 'desk', reason: '' });
    const periods = [period('active', OCTOBER), period('suspended', OCTOBER + 20.5 * DAY)];
    await store.write([{ table: 'service', key: 'car-a', put: JSON.stringify({ mark: 'paused', periods, news: [] }) }]);
    slot.usage('car-a', OCTOBER + DAY, ONE);
    for (const n of [2, 3]) slot.usage('car-a', OCTOBER + n * DAY, { ...ONE, network: { mcc: 262, mnc: 1, roaming: false } });
    slot.usage('car-a', OCTOBER + 4 * DAY, { ...ONE, network: { mcc: 228, mnc: -1, roaming: true } });
    const step = { plan: 'basic', used_pct: 80 };
    slot.event('car-a', OCTOBER + DAY, { type: 'plan_step', action: 'notify', at_pct: 80, ...step });
    slot.event('car-a', OCTOBER + DAY + 1, { type: 'plan_step', action: 'notify', at_pct: 80, ...step });
    slot.event('car-a', OCTOBER + 2 * DAY, { type: 'plan_step', action: 'slow', at_pct: 90, interval_s: 600, ...step });
    slot.event('car-a', OCTOBER + 3 * DAY, { type: 'plan_step_ended', action: 'slow', at_pct: 90, interval_s: 600, ...step });
    for (const [id, state] of ['1 sent', '1 sent', '1 answered', '2 sent', '3 queued'].map((one) => one.split(' ')))
      slot.event('car-a', OCTOBER + 2 * DAY, { type: 'command', id, command: 'set_interval', state });
    const signals = [['clone'], ['over_cap'], ['clone'], ['gnss_lost', 'stuck'], ['gnss_lost', 'no_fix'], ['connected']];
    for (const [n, [type, reason]] of signals.entries()) slot.event('car-a', OCTOBER + 5 * DAY + n, { type, reason });
    slot.event('car-a', NOVEMBER, { type: 'clone' });
    await settle();
    clock.delivered = NOVEMBER;
    await keeper().freeze();
    const row = await store.get('statements', `car-a ${OCTOBER}`);
    const frozen = STATEMENTS.read(row);
    const once = { bytes_in: 100, bytes_out: 10, segments: 2, datagrams: 1, records: 3 };
    const { networks, steps, commands, days, evidence, units, ...old } = frozen?.statement ?? {};
    expect(units).toEqual([
      { unit: 'car-a', from: OCTOBER, to: swappedAt },
      { unit: 'u-2', from: swappedAt, to: NOVEMBER },
    ]);
    expect({ networks, steps, commands, days, evidence }).toEqual({
      networks: [
        { roaming: false, ...once },
        { mcc: 228, roaming: true, ...once },
        { mcc: 262, mnc: 1, roaming: false, bytes_in: 200, bytes_out: 20, segments: 4, datagrams: 2, records: 6 },
      ],
      steps: [
        { action: 'notify', at_pct: 80, from: OCTOBER + DAY },
        { action: 'slow', at_pct: 90, from: OCTOBER + 2 * DAY, to: OCTOBER + 3 * DAY },
      ],
      commands: { set_interval: 2 },
      days: { active: 20.5, suspended: 10.5 },
      evidence: { clone: 2, over_cap: 1, gnss_lost: 1 },
    });
    expect(await verify()).toEqual(['1 right']);
    await command(`ALTER TABLE usage UPDATE roaming = 0 WHERE device = 'car-a'`);
    expect(await verify()).toEqual(['1 usage']);
    // As the version before wrote it: only what it had is compared.
    expect(canonical(old)).toBe(OLD);
    const [account, number, hash] = ['', 1, OLD_HASH];
    await store.write([
      {
        table: 'statements',
        key: `car-a ${OCTOBER}`,
        put: JSON.stringify({ statement: JSON.parse(OLD), number, previous: '', hash, frozen: NOVEMBER }),
      },
      { table: 'statement_heads', key: HEADS.key(account), put: JSON.stringify({ number, hash }) },
      { table: 'statement_copies', key: `car-a ${OCTOBER}`, put: '1' },
    ]);
    await command('TRUNCATE TABLE statements');
    await keeper('another').freeze();
    expect(await verify()).toEqual(['1 right']);
  });

  it('names each unit that was in the device, and when; one that is said to be another is found, also in a chain that was made again', async () => {
    const { store, slot, clock, keeper, settle, device, verify } = await world();
    await device('car', { account: 'acme', unit: 'second' });
    const replaced = OCTOBER + 10 * DAY;
    const periods = [
      { unit: 'first', from: OCTOBER - DAY, to: replaced },
      { unit: 'second', from: replaced },
    ];
    await store.write([UNITS.put({ periods }, 'car')]);
    for (const day of [3, 20]) slot.usage('car', OCTOBER + day * DAY, ONE);
    await settle();
    clock.delivered = NOVEMBER;
    await keeper().freeze();
    const frozen = STATEMENTS.read(await store.get('statements', `car ${OCTOBER}`));
    if (frozen === undefined) throw new Error('no statement');
    const units = [
      { unit: 'first', from: OCTOBER, to: replaced },
      { unit: 'second', from: replaced, to: NOVEMBER },
    ];
    expect(frozen.statement).toMatchObject({ units, days: { active: 31 }, bytes_in: 200 });
    expect(units.map(({ from, to }) => (to - from) / DAY)).toEqual([10, 21]);
    expect(await verify()).toEqual(['1 right']);
    const statement = { ...frozen.statement, units: units.map((one) => ({ ...one, unit: one.unit === 'first' ? 'third' : one.unit })) };
    await store.write([STATEMENTS.put({ ...frozen, statement }, 'car', OCTOBER)]);
    expect(await verify()).toEqual(['1 hash']);
    const hash = hashOf(statement, '');
    await store.write([STATEMENTS.put({ ...frozen, statement, hash }, 'car', OCTOBER), HEADS.put({ number: 1, hash }, 'acme')]);
    expect(await verify()).toEqual(['1 missing', '1 usage']);
  });

  it('3: what a killed server has frozen and not copied is copied by the next', async () => {
    const { store, slot, clock, keeper, settle, device, verify, table } = await world();
    await device('car-a');
    slot.usage('car-a', OCTOBER + DAY, ONE);
    await settle();
    clock.delivered = NOVEMBER;
    await keeper().freeze();
    await store.write([{ table: 'statement_copies', key: `car-a ${OCTOBER}`, put: '1' }]);
    await keeper('another').freeze();
    expect([await verify(), await store.list('statement_copies', { limit: 1 }), (await table.list()).length]).toEqual([['1 right'], [], 1]);
  });

  it('a cycle in which a device was passed on has a statement for each account, of its own part', async () => {
    const { store, slot, clock, keeper, settle, device, planned, verify } = await world();
    await planned.put(planSchema.parse({ name: 'shared', bytes_cap: 1000, prorate: true, prorate_floor_pct: 20 }), 'desk', 'now');
    const period = (account: string, from: number) => ({ state: 'active', from, plan: 'shared', account, by: 'desk', reason: 'active' });
    const periods = [period('acme', OCTOBER - DAY), period('bolt', OCTOBER + 10 * DAY), period('acme', OCTOBER + 12 * DAY)];
    await store.write([{ table: 'service', key: 'car-a', put: JSON.stringify({ mark: 'running', periods, news: [] }) }]);
    await device('car-a', { plan: 'shared', account: 'acme', first_seen: OCTOBER - DAY });
    // What is counted for an account is what was received while the device was of it: the second after a change, too.
    for (const [account, day] of [
      ['acme', 1],
      ['acme', 10.00001],
      ['bolt', 11],
      ['bolt', 12.00001],
      ['acme', 20],
    ] as const)
      slot.usage('car-a', OCTOBER + day * DAY, ONE, account);
    await settle();
    clock.delivered = OCTOBER + 25 * DAY;
    await keeper().freeze();
    expect(await store.list('statements', { limit: 9 })).toEqual([]);
    clock.delivered = NOVEMBER;
    await Promise.all([keeper().freeze(), keeper().freeze()]);
    await keeper().freeze();
    const found = (await store.list('statements', { limit: 9 })).map(({ value }) => STATEMENTS.read(value)?.statement);
    found.sort((a, b) => ((a?.account ?? '') < (b?.account ?? '') ? -1 : 1));
    expect(found).toMatchObject([
      {
        account: 'acme',
        bytes_in: 300,
        start: OCTOBER,
        end: NOVEMBER,
        cycle_start: OCTOBER,
        owned: [
          { from: OCTOBER, to: OCTOBER + 10 * DAY },
          { from: OCTOBER + 12 * DAY, to: NOVEMBER },
        ],
        bytes_cap: Math.floor((1000 * 29) / 31),
        days: { active: 29 },
      },
      { account: 'bolt', bytes_in: 200, start: OCTOBER + 10 * DAY, end: OCTOBER + 12 * DAY, bytes_cap: 200, days: { active: 2 } },
    ]);
    expect(await verify()).toEqual(['1 right', '1 right']);
  });

  it('a device that changes to a plan with other cycles has a statement of each part', async () => {
    const { store, slot, clock, keeper, settle, device, planned, verify } = await world();
    await planned.put(planSchema.parse({ name: 'other', anchor_day: 15 }), 'desk', 'now');
    const change = OCTOBER + 20 * DAY;
    const period = (plan: string, from: number) => ({ state: 'active', from, plan, account: '', by: 'desk', reason: 'active' });
    const row = { mark: 'running', periods: [period('basic', OCTOBER), period('other', change)], news: [] };
    await store.write([{ table: 'service', key: 'car-a', put: JSON.stringify(row) }]);
    await device('car-a', { plan: 'basic' });
    slot.usage('car-a', OCTOBER + DAY, ONE);
    await settle();
    await device('car-a', { plan: 'other' });
    slot.usage('car-a', change + DAY, ONE);
    await store.write([{ table: 'usage', key: `car-a ${OCTOBER + 14 * DAY}`, add: { bytes_in: 1 } }]);
    await settle();
    clock.delivered = DECEMBER;
    await keeper().freeze();
    const found = (await store.list('statements', { limit: 9 })).map(({ value }) => STATEMENTS.read(value)?.statement);
    expect(found.map((one) => [one?.plan, one?.start, one?.end, one?.bytes_in])).toEqual([
      ['basic', OCTOBER, change, 100],
      ['other', change, NOVEMBER + 14 * DAY, 100],
    ]);
    expect(await verify()).toEqual(['1 right', '2 right']);
  });
});
