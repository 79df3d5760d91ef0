import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { crc16X25, putU16be } from '../../src/base/wire/index.ts';
import { startEmbeddedClickHouse } from '../../src/embedded/clickhouse.ts';
import { clickHouseSecret } from '../../src/embedded/secret.ts';
import { fixgate } from '../cli/command.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { eventually } from '../support/wait.ts';

const IMEI = '356307042441013';

async function login(server: Server): Promise<TcpDevice> {
  const device = await TcpDevice.connect(await server.port('teltonika'));
  device.send(handshake(IMEI));
  await device.until((d) => d.received.length === 1 || d.ended);
  return device;
}

/** GT06: 0x01 with the zone +08:00, 0x01 without any, 0x12 in local time (fixtures `login-east-8`, `location-12-manual`). */
const gt06 = new Map(frameLines('gt06').map((line) => [line.id, bytesOf(line.hex)]));
const bare = bytesOf('78780d010752533678900242000100000d0a').slice();
putU16be(bare, 14, crc16X25(bare, 2, 14));

async function reportOfGt06(server: Server, hello: Uint8Array | undefined): Promise<void> {
  const device = await TcpDevice.connect(await server.port('gt06'));
  device.send(hello ?? new Uint8Array(0));
  await device.until((d) => d.received.length === 10);
  device.send(gt06.get('location-12-manual') ?? new Uint8Array(0));
  device.send(gt06.get('heartbeat-manual') ?? new Uint8Array(0));
  await device.until((d) => d.received.length === 20);
}

const metrics = async (server: Server): Promise<string> => (await server.http('/metrics')).text();
const recordsOf = (server: Server): Promise<string> => server.query(`SELECT count() FROM positions FINAL WHERE device = '${IMEI}'`);

/** One data directory, and the servers that have it one after the other. */
describe('a whole server', () => {
  const ONE_WORKER = { ...OWN_ENGINE, FIXGATE_WORKERS: '1' };
  const dataDir = mkdtempSync(join(tmpdir(), 'fixgate-server-'));
  let server: Server;
  beforeAll(async () => {
    server = await Server.start(ONE_WORKER, dataDir);
  });
  afterAll(async () => {
    await server.stop();
    await server.removeData();
  });

  it('answers and delivers', async () => {
    const device = await login(server);
    expect(device.received.toString('hex')).toBe('01');
    const time = Date.UTC(2026, 9, 1);
    device.send(packet(time));
    await device.until((d) => d.received.length === 5);
    expect(device.received.toString('hex')).toBe('0100000001');
    await eventually(async () =>
      expect(await server.query('SELECT device, toUnixTimestamp64Milli(time), lat, lon FROM positions FINAL')).toBe(
        `${IMEI}\t${time}\t59.3293\t18.0686\n`,
      ),
    );
    await eventually(async () => {
      const readiness = await server.http('/readyz');
      expect([readiness.status, await readiness.json()]).toMatchObject([200, { status: 'ready' }]);
    });
    // The totals reach the supervisor once a second.
    await eventually(async () => expect(await metrics(server)).toContain('fixgate_records_total{codec="teltonika"} 1'));
  });

  it('is the only one on its data directory', async () => {
    const { code, line } = await refusal({ FIXGATE_DATA_DIR: server.dataDir });
    expect(code).not.toBe(0);
    expect(line).toMatch(/in use by another fixgate/);
  });

  it('drains on SIGTERM with exit code 0, leaves nothing running, and knows after a restart what a device has taught', async () => {
    // The zone of an earlier login.
    await reportOfGt06(server, gt06.get('login-east-8'));
    const children = [...server.children('worker'), ...server.children('shipper'), ...server.children('clickhouse')];
    expect(children).toHaveLength(3);
    server.signal('SIGTERM');
    expect(await server.exited).toBe(0);
    for (const pid of children) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(server.stderr).toBe('');
    server = await Server.start(ONE_WORKER, dataDir);
    await reportOfGt06(server, bare);
    // The same fix in the same zone is the same record.
    await eventually(async () => expect(await server.query("SELECT count() FROM statuses WHERE protocol = 'gt06'")).toBe('2\n'));
    expect(await server.query("SELECT toString(time, 'UTC') FROM positions FINAL WHERE protocol = 'gt06'")).toBe(
      '2011-08-29 09:46:16.000\n',
    );
  });

  it('restarts each process that is killed, and keeps the totals of the dead', async () => {
    const device = await login(server);
    device.send(packet(Date.UTC(2026, 9, 2)));
    await device.until((d) => d.received.length === 5);
    await eventually(async () => expect(await metrics(server)).toContain('fixgate_records_total{codec="teltonika"} 1'));
    for (const role of ['worker', 'shipper', 'clickhouse'] as const) {
      const [pid = 0] = server.children(role);
      process.kill(pid, 'SIGKILL');
      // Another one is there, so that what is said to be ready is not the dead one.
      await eventually(() => expect(server.children(role).filter((other) => other !== pid)).toHaveLength(1));
      await eventually(async () => expect(await (await server.http('/readyz')).json()).toMatchObject({ status: 'ready' }));
    }
    const again = await login(server);
    again.send(packet(Date.UTC(2026, 9, 3)));
    await again.until((d) => d.received.length === 5);
    await eventually(async () => expect(await recordsOf(server)).toBe('3\n'));
    await eventually(async () => {
      const text = await metrics(server);
      expect(text).toContain('fixgate_records_total{codec="teltonika"} 2');
      expect(text).toContain('fixgate_process_restarts_total{process="worker"} 1');
    });
  });

  it('does not outlive its supervisor, and goes on with the same data; degraded without a ClickHouse, which gets all of it when it is back', async () => {
    const device = await login(server);
    device.send(packet(Date.UTC(2026, 9, 4)));
    await device.until((d) => d.received.length === 5);
    server.signal('SIGKILL');
    await server.exited;
    const [directory, port] = [join(dataDir, 'clickhouse'), await unusedPort()];
    const FIXGATE_CLICKHOUSE_PASSWORD = (await clickHouseSecret(directory)).reveal();
    const away = { FIXGATE_CLICKHOUSE_URL: `http://127.0.0.1:${port}`, FIXGATE_CLICKHOUSE_PASSWORD };
    server = await Server.start({ ...ONE_WORKER, ...away }, dataDir);
    const again = await login(server);
    again.send(packet(Date.UTC(2026, 9, 5)));
    await again.until((d) => d.received.length === 5);
    await eventually(async () => {
      const readiness = await server.http('/readyz');
      expect([readiness.status, await readiness.json()]).toMatchObject([
        200,
        { status: 'degraded', parts: { clickhouse: { state: 'degraded' } } },
      ]);
    });
    const clickhouse = await startEmbeddedClickHouse({ directory, port });
    onTestFinished(() => clickhouse.close());
    await eventually(async () => expect(await recordsOf(server)).toBe('5\n'));
    await server.stop();
  });
});

/** A port that was free a moment ago. */
async function unusedPort(): Promise<number> {
  const gate = net.createServer();
  await new Promise<void>((resolve) => gate.listen(0, '127.0.0.1', resolve));
  const address = gate.address();
  await new Promise((resolve) => gate.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function refusal(env: Record<string, string>): Promise<{ code: number | null; line: string }> {
  const server = Server.spawn({ ...OWN_ENGINE, FIXGATE_WORKERS: '1', ...env });
  await server.exited;
  const code = await server.stop();
  expect(server.stderr.trim().split('\n')).toHaveLength(1);
  return { code, line: server.stderr };
}

describe('a server that cannot start says why in one line', () => {
  it('another program holds a port', async () => {
    const other = net.createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    for (const env of [
      { FIXGATE_LISTEN: `gt06/tcp@127.0.0.1:${port}` },
      { FIXGATE_HTTP_PORT: String(port) },
      { FIXGATE_CLICKHOUSE_PORT: String(port) },
    ]) {
      const { code, line } = await refusal(env);
      expect(code).not.toBe(0);
      expect(line).toMatch(new RegExp(`^fixgate: .*${port}.*${Object.keys(env)[0]}`));
    }
    other.close();
  });

  it('a wrong configuration key', async () => {
    expect(await refusal({ FIXGATE_LISTNE: 'gt06:0' })).toMatchObject({
      code: 78,
      line: expect.stringContaining('did you mean FIXGATE_LISTEN?'),
    });
  });

  it('what fixgate check-config finds, which reads the same: an unwritable data directory, a codec that is not there', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'fixgate-unwritable-'));
    const file = join(parent, 'file');
    writeFileSync(file, '');
    chmodSync(file, 0o444);
    for (const [env, line] of [
      [{ FIXGATE_DATA_DIR: join(file, 'data') }, /dataDir: cannot write in .*FIXGATE_DATA_DIR/],
      [{ FIXGATE_DATA_DIR: parent, FIXGATE_LISTEN: 'gt6:0' }, /listeners\.0\.codec: no codec gt6; did you mean gt06\?/],
    ] as const) {
      const { code, error } = await fixgate(['check-config'], '', env);
      expect(code).not.toBe(0);
      expect(error).toMatch(line);
    }
    rmSync(parent, { recursive: true });
  });
});
