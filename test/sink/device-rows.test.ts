import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Secret } from '../../src/base/secret.ts';
import { DeviceRows, type Row } from '../../src/out/sink/clickhouse/device-rows.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { ClickHouseDatabase } from '../ship/rig.ts';

/** What an export reads of a device. */

const T = Date.UTC(2026, 9, 1);
const PAGE = 2_000;

describe.skipIf(!chdbInstalled)('rows of a device in ClickHouse', () => {
  let server: ClickHouseDatabase;
  let rows: DeviceRows;

  beforeAll(async () => {
    server = await ClickHouseDatabase.make();
    rows = new DeviceRows(server.access);
  });
  afterEach(() => server.empty());
  afterAll(async () => {
    await rows.close();
    await server.drop();
  });

  const id = (n: number): string => String(n).padStart(16, '0');
  const insert = (table: string, values: readonly object[]): Promise<unknown> =>
    server.client.insert({ table, values, format: 'JSONEachRow' });
  const row = (device: string, time: number, n: number, more: object = {}): object => ({
    ...{ device, id: id(n), time: (time / 1000).toFixed(3), received: ((time + 1) / 1000).toFixed(3) },
    ...more,
  });
  const place = { lat: 1.5, lon: -2.5, valid: true };
  async function pages(table: string, devices: readonly string[], span?: { from: number; to: number }): Promise<Row[][]> {
    const found: Row[][] = [];
    for await (const page of rows.pages(table, devices, span)) found.push(page);
    return found;
  }
  const ids = (found: readonly Row[][]): unknown[] => found.flat().map((one) => Number(one['id']));

  it('have times in epoch ms and numbers as they are, without what is absent and what is computed', async () => {
    await insert('positions', [row("o'car\\", T + 7, 1, { ...place, account: 'acme', speed_kmh: 0, ignition: false, flags: ['future'] })]);
    await insert('usage', [{ device: "o'car\\", id: id(2), time: (T / 1000).toFixed(3), bytes_in: 2 ** 52, instance: 'one' }]);
    expect(await pages('positions', ["o'car\\", 'other'])).toEqual([
      [
        {
          ...{ device: "o'car\\", id: id(1), time: T + 7, received: T + 8, account: 'acme' },
          ...{ ...place, speed_kmh: 0, ignition: false, flags: ['future'] },
        },
      ],
    ]);
    const [used] = await pages('usage', ["o'car\\"]);
    expect(used).toEqual([expect.objectContaining({ bytes_in: 2 ** 52, bytes_out: 0, slot: 0, time: T, instance: 'one' })]);
    expect(used?.[0]).not.toHaveProperty('hour');
    expect(used?.[0]).not.toHaveProperty('account');
  });

  it('come device by device, in the order of time, those of a span alone', async () => {
    await insert(
      'positions',
      [5, 3, 1, 4, 2].flatMap((n) => [row('a', T + n, n, place), row('b', T + n, 10 + n, place)]),
    );
    expect(ids(await pages('positions', ['b', 'a']))).toEqual([11, 12, 13, 14, 15, 1, 2, 3, 4, 5]);
    expect(ids(await pages('positions', ['a'], { from: T + 2, to: T + 4 }))).toEqual([2, 3]);
    expect(ids(await pages('positions', ['none']))).toEqual([]);
  });

  it('come in pages, each row once, also where a page ends among rows of one time, and where nothing is behind a full one', async () => {
    const count = 2 * PAGE;
    // Three of them have one time: the last of the first page, and two of the next.
    const timeOf = (n: number): number => T + (n >= PAGE - 1 && n <= PAGE + 1 ? PAGE : n);
    await insert(
      'positions',
      Array.from({ length: count }, (_, n) => row('car', timeOf(n), n, place)),
    );
    const found = await pages('positions', ['car']);
    expect(found.map(({ length }) => length)).toEqual([PAGE, PAGE]);
    expect(ids(found)).toEqual(Array.from({ length: count }, (_, n) => n));
    expect(ids(await pages('positions', ['car'], { from: T + PAGE, to: T + PAGE + 2 }))).toEqual([PAGE - 1, PAGE, PAGE + 1]);
  });

  it('are those of the newest of two that are the same record', async () => {
    await insert('positions', [row('car', T, 1, { ...place, speed_kmh: 1 })]);
    await insert('positions', [row('car', T, 1, { ...place, speed_kmh: 2 })]);
    expect(await pages('positions', ['car'])).toMatchObject([[{ speed_kmh: 2 }]]);
  });

  it('are none where the table is not there, whose columns are looked up once', async () => {
    expect(await pages('absent', ['car'])).toEqual([]);
    expect(await rows.columns('absent')).toEqual([]);
    const looked = rows.columns('statuses');
    expect(rows.columns('statuses')).toBe(looked);
    expect(await looked).toContainEqual({ name: '`time`', isTime: true });
    expect(await looked).toContainEqual({ name: '`device`', isTime: false });
  });

  it('of events have the envelope, whatever a row has of it', async () => {
    await insert('events', [
      row('car', T, 1, { type: 'connected', data: '{"type":"connected","reason":"peer"}', received: 0 }),
      row('car', T + 1, 2, { type: 'alarm', data: '{"at":1}', account: 'acme', protocol: 'h02', version: 1 }),
      row('car', T + 2, 3, { type: 'alarm', data: 'torn {' }),
      row('car', T + 3, 4, { type: 'alarm', data: '' }),
      row('car', T + 4, 5, { type: 'alarm', data: 'null' }),
    ]);
    const found: object[] = [];
    for await (const page of rows.events(['car'])) found.push(...page);
    const event = (n: number, more: object): object => ({
      ...{ version: 1, id: id(n), kind: 'event', device: 'car', account: '', time: T + n - 1, received: T + n },
      ...{ protocol: '', type: 'alarm', data: {}, ...more },
    });
    expect(found).toEqual([
      event(1, { type: 'connected', data: { reason: 'peer' }, received: 0 }),
      event(2, { account: 'acme', protocol: 'h02', data: { at: 1 } }),
      event(3, {}),
      event(4, {}),
      event(5, {}),
    ]);
    const within: object[] = [];
    for await (const page of rows.events(['car'], { from: T + 1, to: T + 3 })) within.push(...page);
    expect(within).toEqual(found.slice(1, 3));
  });

  it('a store that refuses is said plainly, without the password', async () => {
    const refused = new DeviceRows({ ...server.access, password: new Secret('wrong-one') });
    const error = await refused.columns('positions').catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'CLICKHOUSE_REFUSED' });
    expect(String(error)).not.toContain('wrong-one');
    await refused.close();
  });
});
