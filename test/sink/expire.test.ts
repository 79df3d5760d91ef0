import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { OldTables } from '../../src/out/sink/clickhouse/expire.ts';
import { ReplayTables } from '../../src/out/sink/clickhouse/replayed.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { ClickHouseDatabase } from '../ship/rig.ts';
import { eventually } from '../support/wait.ts';

const NOW = Date.UTC(2026, 9, 1);
const DAY = 86_400_000;
/** Long enough. */
const soon = (): number => systemClock.elapsed() + 600_000;

describe.skipIf(!chdbInstalled)('old rows in ClickHouse', () => {
  let server: ClickHouseDatabase;
  let tables: OldTables;

  beforeAll(async () => {
    server = await ClickHouseDatabase.make();
    tables = new OldTables(server.access);
  });
  afterAll(() => server.drop());

  const seconds = (days: number): string => ((NOW - days * DAY) / 1000).toFixed(3);
  let ids = 0;
  const add = (table: string, device: string, account: string, days: number, more: object = {}): Promise<unknown> =>
    server.client.insert({
      table: `${table}`,
      // The device's own clock is wrong.
      values: [
        {
          device,
          account,
          time: seconds(table === 'usage' ? days : 9_000),
          received: seconds(days),
          id: String(++ids).padStart(16, '0'),
          ...more,
        },
      ],
      format: 'JSONEachRow',
      clickhouse_settings: { input_format_skip_unknown_fields: 1 },
    });
  const left = async (table: string, what = 'device'): Promise<string[]> => {
    const result = await server.client.query({
      query: `SELECT toString(${what}) AS x FROM ${table} ORDER BY x`,
      format: 'JSONEachRow',
    });
    return (await result.json<{ x: string }>()).map(({ x }) => x);
  };

  it('are found and removed by the time of their receipt and their account', async () => {
    const place = { lat: 1, lon: 2, valid: false };
    await add('positions', 'car', 'acme', 40, place);
    await add('positions', 'car', 'bolt', 40, place);
    await add('positions', 'car', 'acme', 20, place);
    await add('positions', "o'van\\", 'acme', 40, place);
    expect(await tables.old(NOW - 30 * DAY, 0)).toEqual([
      { table: 'positions', device: 'car', account: 'acme', oldest: NOW - 40 * DAY },
      { table: 'positions', device: 'car', account: 'bolt', oldest: NOW - 40 * DAY },
      { table: 'positions', device: "o'van\\", account: 'acme', oldest: NOW - 40 * DAY },
    ]);
    const before = NOW - 30 * DAY;
    const cutoffs = ['car', "o'van\\"].map((device) => ({ device, account: 'acme', before, billed: before }));
    expect(await tables.remove('positions', cutoffs, soon())).toBe(2);
    expect(await left('positions', 'account')).toEqual(['acme', 'bolt']);
    expect(await tables.remove('positions', cutoffs, soon())).toBe(0);
  });

  it('are those of raw frames alone where nothing else is old', async () => {
    for (const days of [401, 399]) await add('raw', 'car', 'acme', days, { time: seconds(days) });
    await add('statuses', 'car', 'acme', 900);
    const before = NOW - 400 * DAY;
    expect(await tables.old(undefined, before)).toEqual([{ table: 'raw', device: 'car', account: 'acme', oldest: NOW - 401 * DAY }]);
    expect(await tables.remove('raw', [{ device: 'car', account: 'acme', before, billed: before }], soon())).toBe(1);
    expect(await left('raw', 'toDate(time)')).toEqual([new Date(NOW - 399 * DAY).toISOString().slice(0, 10)]);
    // ClickHouse was not reached yet: there are no tables.
    const other = new OldTables({ ...server.access, database: 'fixgate_other' });
    expect(await other.old(NOW, NOW)).toEqual([]);
  });

  it('stay when their time to go is over before ClickHouse comes to it', async () => {
    await add('positions', 'late', 'acme', 40, { lat: 1, lon: 2, valid: false });
    const before = NOW - 30 * DAY;
    const cutoffs = [{ device: 'late', account: 'acme', before, billed: before }];
    await expect(tables.remove('positions', cutoffs, systemClock.elapsed())).rejects.toMatchObject({ code: 'SINK_UNREACHABLE' });
    expect(await left('positions')).toContain('late');
    // Merges, and with them mutations, wait.
    await server.client.command({ query: 'SYSTEM STOP MERGES positions' });
    const until = systemClock.elapsed() + 2_000;
    const removing = expect(tables.remove('positions', cutoffs, until)).rejects.toMatchObject({ code: 'SINK_UNREACHABLE' });
    await eventually(() => expect(systemClock.elapsed()).toBeGreaterThan(until));
    await server.client.command({ query: 'SYSTEM START MERGES positions' });
    await removing;
    expect(await left('positions')).toContain('late');
    expect(await tables.remove('positions', cutoffs, soon())).toBe(1);
    expect(await left('positions')).not.toContain('late');
  });

  it('so do rows that a replay replaces', async () => {
    await add('positions', 'anew', 'acme', 1, { lat: 1, lon: 2, valid: false });
    const [{ id } = { id: '' }] = await (
      await server.client.query({ query: `SELECT toString(id) AS id FROM positions WHERE device = 'anew'`, format: 'JSONEachRow' })
    ).json<{ id: string }>();
    const key = { table: 'positions', device: 'anew', time: NOW - 9_000 * DAY, id } as const;
    const replayed = new ReplayTables(server.access);
    await expect(replayed.remove([key], systemClock.elapsed())).rejects.toMatchObject({ code: 'SINK_UNREACHABLE' });
    await server.client.command({ query: 'SYSTEM STOP MERGES positions' });
    const until = systemClock.elapsed() + 2_000;
    const removing = expect(replayed.remove([key], until)).rejects.toMatchObject({ code: 'SINK_UNREACHABLE' });
    await eventually(() => expect(systemClock.elapsed()).toBeGreaterThan(until));
    await server.client.command({ query: 'SYSTEM START MERGES positions' });
    await removing;
    expect(await left('positions')).toContain('anew');
    await replayed.remove([key], soon());
    expect(await left('positions')).not.toContain('anew');
  });

  it('stay where a statement is still to be made of them', async () => {
    for (const days of [50, 40]) {
      await add('usage', 'car', 'acme', days);
      for (const [type, data] of [
        ['plan_step', {}],
        ['command', { state: 'sent' }],
        ['command', { state: 'answered' }],
        ['overspeed', {}],
      ] as const)
        await add('events', 'car', 'acme', days, { type, data: JSON.stringify(data) });
    }
    const cutoffs = [{ device: 'car', account: 'acme', before: NOW - 30 * DAY, billed: NOW - 45 * DAY }];
    expect([await tables.remove('usage', cutoffs, soon()), await tables.remove('events', cutoffs, soon())]).toEqual([1, 6]);
    expect(await left('events', 'concat(type, data)')).toEqual(['command{"state":"sent"}', 'plan_step{}']);
    expect(await left('usage', 'toDate(time)')).toEqual([new Date(NOW - 40 * DAY).toISOString().slice(0, 10)]);
  });
});
