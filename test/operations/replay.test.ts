import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { STATEMENTS, type Statement } from '../../src/fleet/plan/statement.ts';
import { Holds } from '../../src/fleet/privacy/hold.ts';
import { openState } from '../../src/state/open.ts';
import { fixgate } from '../cli/command.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';

/** Stored frames read anew, on a whole server whose tables were made to differ from what its frames say. */

const MENDED = '356307042441013';
const HELD = '356307042441021';
const CLOSED = '356307042441039';
const ZONED = '4106011661';
const T = Date.now() - 3_600_000;

let server: ApiServer;
const span = { from: T, to: Date.now() + 3_600_000 };

beforeAll(async () => {
  if (!chdbInstalled) return;
  server = await ApiServer.start({ FIXGATE_WORKERS: '1' });
  for (const imei of [MENDED, HELD, CLOSED]) {
    const device = await TcpDevice.connect(await server.running.port('teltonika'));
    device.send(handshake(imei));
    await device.until(({ received }) => received.length === 1);
    for (const [n, speed] of [10, 20, 30].entries()) {
      device.send(packet(T + 1_000 * n, speed));
      await device.until(({ received }) => received.length >= 5 + 4 * n);
    }
    device.close();
  }
  await eventually(async () => expect(await rows('positions', MENDED)).toHaveLength(3));
  await eventually(async () => expect(await rows('positions', HELD)).toHaveLength(3));
  await eventually(async () => expect(await rows('positions', CLOSED)).toHaveLength(3));
});
afterAll(() => server?.running.stop());

interface Row {
  readonly at: number;
  readonly speed: number;
}

async function rows(table: string, device: string): Promise<Row[]> {
  const columns = 'toUnixTimestamp64Milli(time) AS at, speed_kmh AS speed';
  const text = await server.running.query(
    `SELECT ${columns} FROM ${table} FINAL WHERE device = '${device}' ORDER BY at FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0`,
  );
  return text
    .split('\n')
    .filter(Boolean)
    .map((line): Row => JSON.parse(line));
}

/** The first row gets another speed, the second is lost, and of the third there is one that no frame has, with a later time. */
async function spoil(device: string): Promise<void> {
  const { running } = server;
  const of = (n: number): string => `device = '${device}' AND toUnixTimestamp64Milli(time) = ${T + 1_000 * n}`;
  await running.query(`INSERT INTO positions SELECT * REPLACE(99 AS speed_kmh) FROM positions FINAL WHERE ${of(0)}`);
  await running.query(`ALTER TABLE positions DELETE WHERE ${of(1)} SETTINGS mutations_sync = 2`);
  await running.query(
    `INSERT INTO positions SELECT * REPLACE('000000000000fade' AS id, time + INTERVAL 30 MINUTE AS time) FROM (SELECT * FROM positions FINAL WHERE ${of(2)})`,
  );
}

const TRUE: readonly Row[] = [10, 20, 30].map((speed, n) => ({ at: T + 1_000 * n, speed }));
const SPOILT: readonly Row[] = [
  { at: T, speed: 99 },
  { at: T + 2_000, speed: 30 },
  { at: T + 2_000 + 1_800_000, speed: 30 },
];

async function replay(how: 'diff' | 'apply', body: object): Promise<Record<string, unknown>[]> {
  const response = await fetch(`${server.url}/v1/replay/${how}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(200);
  return (await response.text())
    .split('\n')
    .filter(Boolean)
    .map((line): Record<string, unknown> => JSON.parse(line));
}

const summaryOf = (lines: readonly Record<string, unknown>[]): unknown => lines.at(-1)?.['summary'];

describe.skipIf(!chdbInstalled)('fixgate replay', () => {
  it('shows nothing while the tables say what the frames say', async () => {
    // It reads what is delivered, which is noted on disk a moment after the rows are there.
    await eventually(async () => {
      const { code, out, error } = await fixgate(
        ['replay', '--from', String(span.from), '--to', String(span.to), '--diff'],
        '',
        server.env,
      );
      expect(error).toBe('');
      expect(code).toBe(0);
      expect(out).toBe('frames 9, same 9, added 0, changed 0, removed 0\n');
    });
  });

  it('finds every field of every protocol as it was stored', async () => {
    const port = await server.running.port('auto');
    const how = ['--target', `127.0.0.1:${port}`, '--transport', 'tcp', '--devices', '15', '--interval', '200ms', '--duration', '1s'];
    const fleet = ['simulate', '--protocol', 'teltonika,gt06,h02,queclink,jt808', ...how, '--grace', '60s', '--json'];
    const simulated = await fixgate(fleet, '', server.env);
    expect(simulated.code).toBe(0);
    const told = 9 + Number(JSON.parse(simulated.out).acknowledged);
    // Each reading of the frames starts a thread.
    const stored = 'SELECT (SELECT count() FROM positions) + (SELECT count() FROM statuses)';
    await eventually(async () => expect(Number(await server.running.query(stored))).toBeGreaterThanOrEqual(told));
    const lines = await eventually(async () => {
      const found = await replay('diff', { from: span.from, to: Date.now() });
      expect(Number(Object(summaryOf(found))['same'])).toBeGreaterThanOrEqual(told);
      return found;
    });
    expect(lines.filter((line) => 'change' in line)).toEqual([]);
  });

  it('shows field by field what was added, changed and removed, and writes it', async () => {
    await spoil(MENDED);
    expect(await rows('positions', MENDED)).toEqual(SPOILT);
    expect(await rows('last_positions', MENDED)).toMatchObject([{ at: T + 2_000 + 1_800_000 }]);
    const args = ['replay', '--from', new Date(span.from).toISOString(), '--to', String(span.to), '--device', MENDED];
    const shown = await fixgate([...args, '--diff'], '', server.env);
    expect(shown.code).toBe(1);
    expect(shown.out).toContain(`changed  ${MENDED}  ${new Date(T).toISOString()}`);
    expect(shown.out).toContain('    speed_kmh: 99 → 10\n');
    expect(shown.out).toMatch(/\nadded .* speed_kmh=20 /);
    expect(shown.out).toMatch(/\nremoved .* 000000000000fade {2}/);
    expect(shown.out).toContain('frames 3, same 1, added 1, changed 1, removed 1\n');
    expect(await rows('positions', MENDED)).toEqual(SPOILT);

    const applied = await fixgate([...args, '--apply', '--json'], '', server.env);
    expect(applied.code).toBe(0);
    expect(JSON.parse(applied.out)).toMatchObject({ summary: { added: 1, changed: 1, removed: 1, applied: true } });
    expect(await rows('positions', MENDED)).toEqual(TRUE);
    expect(await rows('last_positions', MENDED)).toMatchObject([{ at: T + 2_000 }]);
    expect((await fixgate([...args, '--diff'], '', server.env)).code).toBe(0);
  });

  it('leaves an entry in the audit with what was done', async () => {
    const entry = await eventually(async () => {
      const { body } = await server.call('GET', '/v1/audit?type=change');
      const entries: Record<string, unknown>[] = Array.isArray(body['entries']) ? body['entries'] : [];
      const found = entries.find(({ new: now }) => Object.hasOwn(Object(now), 'summary'));
      expect(found).toBeDefined();
      return found;
    });
    expect(entry).toMatchObject({ status: 200, device: MENDED, by: 'tester', new: { summary: { changed: 1, applied: true } } });
  });

  it('touches neither what is under a hold nor what was received in a cycle with a statement', async () => {
    await spoil(HELD);
    await spoil(CLOSED);
    const hold = { reference: 'AZ 1', reason: 'court' };
    expect((await server.call('PUT', `/v1/devices/${HELD}/hold`, hold)).status).toBe(201);
    const store = await openState({ url: undefined, prefix: '', directory: join(server.running.dataDir, 'state'), log: silentLog });
    const zeroes = { bytes_in: 0, bytes_out: 0, segments: 0, datagrams: 0, records: 3, overhead_bytes: 0, billed_bytes: 0 };
    const overhead = { segment_bytes: 0, datagram_bytes: 0, round_bytes: 1 };
    const cycle = { start: 0, end: span.to, time_zone: 'UTC', plan: 'default', plan_version: 1 };
    const statement: Statement = { device: CLOSED, account: '', ...cycle, ...zeroes, overhead };
    await store.write([STATEMENTS.put({ statement, number: 1, previous: '', hash: 'x', frozen: 1 }, CLOSED, 0)]);
    await store.close();
    const lines = await replay('apply', span);
    expect(summaryOf(lines)).toMatchObject({ added: 0, changed: 0, removed: 0, held: 3, closed: 3 });
    expect(await rows('positions', HELD)).toEqual(SPOILT);
    expect(await rows('positions', CLOSED)).toEqual(SPOILT);
  });

  it('is waited for by a hold, on whichever server, and by that of no other device', async () => {
    await spoil(MENDED);
    await server.running.query('SYSTEM STOP MERGES positions');
    const replaying = replay('apply', { ...span, device: MENDED });
    await eventually(async () =>
      expect(
        await server.running.query(
          "SELECT count() FROM system.mutations WHERE NOT is_done AND database = currentDatabase() AND table = 'positions'",
        ),
      ).toBe('1\n'),
    );
    const hold = { reference: 'AZ 2', reason: 'court' };
    const here = (): Promise<{ status: number }> => server.call('PUT', `/v1/devices/${MENDED}/hold?wait=0`, hold);
    const store = await openState({ url: undefined, prefix: '', directory: join(server.running.dataDir, 'state'), log: silentLog });
    const there = new Holds({ store, now: Date.now, device: async () => undefined });
    expect(await there.set(MENDED, hold, 'them')).toBeUndefined();
    expect((await here()).status).toBe(409);
    expect(await there.set(CLOSED, hold, 'them')).toMatchObject({ hold });
    await server.running.query('SYSTEM START MERGES positions');
    expect(summaryOf(await replaying)).toMatchObject({ changed: 1, added: 1, removed: 1 });
    expect(await there.set(MENDED, hold, 'them')).toMatchObject({ hold });
    expect((await here()).status).toBe(200);
    expect(await rows('positions', MENDED)).toEqual(TRUE);
    for (const device of [MENDED, CLOSED]) await there.end(device);
    await store.close();
  });

  it('reads under another option, and moves what gets another time', async () => {
    const device = await TcpDevice.connect(await server.running.port('h02'));
    const said = new Date(Date.now() - 7_200_000).toISOString();
    const [year, month, day, hms] = [said.slice(2, 4), said.slice(5, 7), said.slice(8, 10), said.slice(11, 19).replaceAll(':', '')];
    device.send(Buffer.from(`*HQ,${ZONED},V1,${hms},A,2229.8284,N,11355.2480,E,000.00,000,${day}${month}${year},FFFFFFFF#`));
    const [stored] = await eventually(async () => {
      const found = await rows('positions', ZONED);
      expect(found).toHaveLength(1);
      return found;
    });
    device.close();
    const options = ['--codec-option', 'timeOffset=-120'];
    const args = ['replay', '--from', String(T), '--to', String(span.to), '--device', ZONED, ...options];
    const shown = await eventually(async () => {
      const said = await fixgate([...args, '--diff'], '', server.env);
      expect(said.out).toContain('frames 1,');
      return said;
    });
    expect(shown.out).toContain(`    time: ${stored?.at} → ${(stored?.at ?? 0) + 7_200_000}\n`);
    expect((await fixgate([...args, '--apply'], '', server.env)).code).toBe(0);
    expect(await rows('positions', ZONED)).toEqual([{ at: (stored?.at ?? 0) + 7_200_000, speed: 0 }]);
    const wrong = await fixgate([...args, '--codec-option', 'colour=red', '--diff'], '', server.env);
    expect(wrong.code).toBe(2);
    expect(wrong.error).toContain('options.colour unknown');
  });

  it('brings nothing back of a device that was erased', async () => {
    expect((await server.call('DELETE', `/v1/devices/${MENDED}/data`)).status).toBe(200);
    expect(summaryOf(await replay('apply', { ...span, device: MENDED }))).toMatchObject({ added: 0 });
    expect(await rows('positions', MENDED)).toEqual([]);
  });
});

describe.skipIf(!chdbInstalled)('parked entries by HTTP', () => {
  const PARKED = '356307042441054';
  const file = (): string => join(server.running.dataDir, 'parked/clickhouse.jsonl');
  const line = (sequence: number, codec: string): string => {
    const hex = Buffer.from(packet(T, 40)).toString('hex');
    const place = { kind: 'frame', format: 3, slot: '7', sequence, received: T, codec, transport: 'tcp', options: {} };
    return `${JSON.stringify({ ...place, device: PARKED, memo: 0, accepted: 1, reason: 'refused', hex })}\n`;
  };

  it('are listed, and given to the sink once more, one or all', async () => {
    expect((await server.call('GET', '/v1/sinks/clickhouse/parked')).body).toEqual({ entries: [], total: 0 });
    mkdirSync(join(server.running.dataDir, 'parked'), { recursive: true });
    writeFileSync(file(), line(1, 'gone') + line(2, 'teltonika'));
    const page = await server.call('GET', '/v1/sinks/clickhouse/parked?limit=1');
    expect(page.body).toMatchObject({
      entries: [{ id: '7.1', device: PARKED, codec: 'gone', reason: 'refused', tries: 0 }],
      total: 2,
      next: '7.1',
    });
    const rest = await server.call('GET', '/v1/sinks/clickhouse/parked?after=7.1');
    expect(rest.body).toMatchObject({ entries: [{ id: '7.2', codec: 'teltonika' }] });
    const reader = await server.as('read');
    expect((await reader.call('GET', '/v1/sinks/clickhouse/parked')).status).toBe(403);

    expect((await server.call('POST', '/v1/sinks/clickhouse/parked/7.2/retry')).body).toEqual({ delivered: 1, refused: 0 });
    expect(await rows('positions', PARKED)).toEqual([{ at: T, speed: 40 }]);
    expect((await server.call('POST', '/v1/sinks/clickhouse/parked/7.2/retry')).body).toEqual({ delivered: 0, refused: 0 });
    expect((await server.call('POST', '/v1/sinks/clickhouse/parked/retry')).body).toEqual({ delivered: 0, refused: 1 });
    const { body } = await server.call('GET', '/v1/sinks/clickhouse/parked');
    expect(body).toMatchObject({ entries: [{ id: '7.1', reason: 'codec "gone" is not installed' }], total: 1 });
    expect((await server.call('GET', '/v1/sinks/files/parked')).status).toBe(400);
  });
});
