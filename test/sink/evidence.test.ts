import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeStorage } from '../../src/base/files.ts';
import { silentLog } from '../../src/base/log.ts';
import { hashOf, type Statement } from '../../src/fleet/plan/statement.ts';
import { RawKeeper } from '../../src/out/ship/raw-keeper.ts';
import { Evidence } from '../../src/out/sink/clickhouse/evidence.ts';
import { StatementTable } from '../../src/out/sink/clickhouse/statements.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { whole } from '../helpers/whole.ts';
import { ClickHouseDatabase, dataDirectory, INSTANCE, Slot } from '../ship/rig.ts';

/** Numbers quote the invariants of src/out/ship/raw-keeper.ts. */

const T = Date.UTC(2026, 9, 1) + 123;

describe.skipIf(!chdbInstalled)('evidence in ClickHouse', () => {
  let server: ClickHouseDatabase;
  let evidence: Evidence;

  beforeAll(async () => {
    server = await ClickHouseDatabase.make();
    evidence = new Evidence(server.access);
  });
  afterAll(() => server.drop());

  const events = (rows: readonly (readonly [device: string, ms: number, type: string, data: object])[]): Promise<unknown> =>
    server.client.insert({
      table: 'events',
      values: rows.map(([device, ms, type, data], n) => ({
        device,
        time: (ms / 1000).toFixed(3),
        id: String(n).padStart(16, '0'),
        account: 'acme',
        type,
        data: JSON.stringify({ type, ...data }),
      })),
      format: 'JSONEachRow',
    });

  it('1, 2: frames of its window are copied once, and go with the device', async () => {
    await events([
      ['d', T + 1500, 'tamper_rate', { seen: 31, since: T }],
      ['d', T + 1600, 'gnss_lost', { reason: 'no_fix', since: T }],
      ['d', T + 1700, 'gnss_lost', { reason: 'stuck', since: T + 1000 }],
      ['e', T + 1800, 'over_cap', { billed_bytes: 7 }],
      ['d', T + 1900, 'connected', {}],
    ]);
    const instances = await evidence.instances(['d'], T, T + 2000);
    expect(instances.map(({ type, time, figures }) => [type, time, figures])).toEqual([
      ['tamper_rate', T + 1500, { seen: 31, since: T }],
      ['gnss_lost', T + 1700, { reason: 'stuck', since: T + 1000 }],
    ]);
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    for (const [device, ms] of [
      ['d', T - 1],
      ['d', T],
      ['e', T + 10],
      ['d', T + 1700],
      ['d', T + 1701],
    ] as const)
      slot.fixes(device, ms, [{ time: T }]);
    await slot.journal.flush();
    let erasedBefore = 0;
    const now = T + 5000;
    const keeper = (): RawKeeper =>
      new RawKeeper({
        journal: join(data, 'journal'),
        storage: nodeStorage,
        instance: INSTANCE,
        evidence,
        erased: () => whole({ d: erasedBefore }),
        now: () => now,
        log: silentLog,
        ready: () => true,
      });
    await keeper().keep();
    // After a restart nothing is known of what was copied.
    await keeper().keep();
    const kept = await evidence.hashes(['d', 'e'], T - 5000, T + 5000);
    expect(kept.map(({ device, received }) => [device, received])).toEqual([
      ['d', T],
      ['d', T + 1700],
    ]);
    const [[frame, sha256] = []] = await rowsOf(`SELECT frame, sha256 FROM raw FINAL ORDER BY time LIMIT 1`);
    expect(
      createHash('sha256')
        .update(Buffer.from(String(frame), 'hex'))
        .digest('hex'),
    ).toBe(sha256);
    await evidence.erase(whole({ d: now }));
    expect(await evidence.hashes(['d'], T, T + 5000)).toEqual([]);
    erasedBefore = T + 1000;
    await keeper().keep();
    expect((await evidence.hashes(['d'], T, T + 5000)).map(({ received }) => received)).toEqual([T + 1700]);
    await evidence.erase(whole({ d: now }));
    expect(await evidence.hashes(['d'], T, T + 5000)).toEqual([]);
    await slot.journal.close();
  });

  it('a statement that was frozen at no whole second is in its table', async () => {
    const table = new StatementTable(server.access);
    const statement = { device: 'd', account: 'acme', plan: 'default', plan_version: 1, time_zone: 'UTC', start: T, end: T + 5 };
    const counters = { bytes_in: 1, bytes_out: 0, segments: 0, datagrams: 0, records: 0, overhead_bytes: 0, billed_bytes: 1 };
    const whole: Statement = { ...statement, ...counters, overhead: { segment_bytes: 0, datagram_bytes: 0, round_bytes: 1 } };
    await table.add([{ statement: whole, number: 1, previous: '', hash: hashOf(whole, ''), frozen: T + 7 }]);
    expect(await table.list()).toEqual([
      { account: 'acme', number: 1, device: 'd', statement: whole, previous: '', hash: hashOf(whole, ''), frozen: T + 7 },
    ]);
    expect(await rowsOf('SELECT toUnixTimestamp64Milli(frozen), toUnixTimestamp64Milli(start) FROM statements')).toEqual([[T + 7, T]]);
    await table.close();
  });

  const rowsOf = async (query: string): Promise<unknown[][]> => (await server.client.query({ query, format: 'JSONCompactEachRow' })).json();
});
