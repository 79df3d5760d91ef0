import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { crc16X25, putU16be } from '../../src/base/wire/index.ts';
import { clickHouseSecret } from '../../src/embedded/secret.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { eventually } from '../support/wait.ts';

const IMEI = '356307042441013';

async function login(server: Server): Promise<TcpDevice> {
  const device = await TcpDevice.connect(await server.port('teltonika'));
  device.send(handshake(IMEI));
  await device.until((d) => d.received.length === 1 || d.ended);
  return device;
}

const servers: Server[] = [];
function track(server: Server): Server {
  servers.push(server);
  return server;
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

describe('a whole server', () => {
  it('answers, delivers, drains on SIGTERM with exit code 0, and leaves nothing running', async () => {
    const server = track(await Server.start());
    const device = await login(server);
    expect(device.received.toString('hex')).toBe('01');
    const time = Date.UTC(2026, 9, 1);
    device.send(packet(time));
    await device.until((d) => d.received.length === 5);
    expect(device.received.toString('hex')).toBe('0100000001');
    await eventually(async () =>
      expect(await server.query('SELECT device, toUnixTimestamp64Milli(time), lat, lon FROM fixgate.positions FINAL')).toBe(
        `${IMEI}\t${time}\t59.3293\t18.0686\n`,
      ),
    );
    await eventually(async () => {
      const readiness = await server.http('/readyz');
      expect([readiness.status, await readiness.json()]).toMatchObject([200, { status: 'ready' }]);
    });
    await eventually(async () =>
      expect(await (await server.http('/metrics')).text()).toContain('fixgate_records_total{codec="teltonika"} 1'),
    );
    const children = [...server.children('worker'), ...server.children('shipper'), ...server.children('clickhouse')];
    expect(children).toHaveLength(2 + (await workers(server)));
    expect(await server.stop()).toBe(0);
    for (const pid of children) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(server.stderr).toBe('');
  });

  it('restarts each process that is killed, and keeps the totals of the dead', async () => {
    const server = track(await Server.start({ FIXGATE_WORKERS: '1' }));
    const device = await login(server);
    device.send(packet(Date.UTC(2026, 9, 1)));
    await device.until((d) => d.received.length === 5);
    // The totals reach the supervisor once a second.
    await eventually(async () =>
      expect(await (await server.http('/metrics')).text()).toContain('fixgate_records_total{codec="teltonika"} 1'),
    );
    for (const role of ['worker', 'shipper', 'clickhouse'] as const) {
      const [pid = 0] = server.children(role);
      process.kill(pid, 'SIGKILL');
      await eventually(() => expect(server.children(role)).not.toContain(pid));
      await eventually(async () => expect(await (await server.http('/readyz')).json()).toMatchObject({ status: 'ready' }));
    }
    const again = await login(server);
    again.send(packet(Date.UTC(2026, 9, 2)));
    await again.until((d) => d.received.length === 5);
    await eventually(async () => expect(await server.query('SELECT count() FROM fixgate.positions FINAL')).toBe('2\n'));
    await eventually(async () => {
      const text = await (await server.http('/metrics')).text();
      expect(text).toContain('fixgate_records_total{codec="teltonika"} 2');
      expect(text).toContain('fixgate_process_restarts_total{process="worker"} 1');
    });
  });

  it('does not outlive its supervisor, and goes on with the same data', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'fixgate-server-'));
    const first = await Server.start({}, dataDir);
    const device = await login(first);
    device.send(packet(Date.UTC(2026, 9, 1)));
    await device.until((d) => d.received.length === 5);
    first.signal('SIGKILL');
    await first.exited;
    const second = track(await Server.start({}, dataDir));
    await eventually(async () => expect(await second.query('SELECT count() FROM fixgate.positions FINAL')).toBe('1\n'));
    await second.stop();
    rmSync(dataDir, { recursive: true });
  });
});

describe('what a device has taught', () => {
  /** GT06: 0x01 with the zone +08:00, 0x01 without any, 0x12 in local time (fixtures `login-east-8`, `location-12-manual`). */
  const frames = new Map(frameLines('gt06').map((line) => [line.id, bytesOf(line.hex)]));
  const bare = bytesOf('78780d010752533678900242000100000d0a').slice();
  putU16be(bare, 14, crc16X25(bare, 2, 14));

  async function report(server: Server, hello: Uint8Array): Promise<void> {
    const device = await TcpDevice.connect(await server.port('gt06'));
    device.send(hello);
    await device.until((d) => d.received.length === 10);
    device.send(frames.get('location-12-manual') ?? new Uint8Array(0));
    device.send(frames.get('heartbeat-manual') ?? new Uint8Array(0));
    await device.until((d) => d.received.length === 20);
  }

  it('is known after a restart: the zone of an earlier login', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'fixgate-server-'));
    const env = { FIXGATE_WORKERS: '1' };
    const first = await Server.start(env, dataDir);
    await report(first, frames.get('login-east-8') ?? new Uint8Array(0));
    expect(await first.stop()).toBe(0);
    const second = track(await Server.start(env, dataDir));
    await report(second, bare);
    // The same fix in the same zone is the same record.
    await eventually(async () => expect(await second.query("SELECT count() FROM fixgate.statuses WHERE protocol = 'gt06'")).toBe('2\n'));
    expect(await second.query("SELECT toString(time, 'UTC') FROM fixgate.positions FINAL")).toBe('2011-08-29 09:46:16.000\n');
    await second.stop();
    rmSync(dataDir, { recursive: true });
  });
});

describe('a server that cannot start says why in one line', () => {
  async function refusal(env: Record<string, string>): Promise<{ code: number | null; line: string }> {
    const server = track(Server.spawn(env));
    const code = await server.exited;
    expect(server.stderr.trim().split('\n')).toHaveLength(1);
    return { code, line: server.stderr };
  }

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

  it('an unwritable data directory', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'fixgate-unwritable-'));
    const file = join(parent, 'file');
    writeFileSync(file, '');
    chmodSync(file, 0o444);
    const { code, line } = await refusal({ FIXGATE_DATA_DIR: join(file, 'data') });
    expect(code).not.toBe(0);
    expect(line).toMatch(/^fixgate: dataDir: cannot write in .*FIXGATE_DATA_DIR/);
    rmSync(parent, { recursive: true });
  });

  it('a wrong configuration key, or a codec that is not there', async () => {
    expect(await refusal({ FIXGATE_LISTNE: 'gt06:0' })).toMatchObject({
      code: 78,
      line: expect.stringContaining('did you mean FIXGATE_LISTEN?'),
    });
    const unknown = await refusal({ FIXGATE_LISTEN: 'gt6:0' });
    expect(unknown.code).not.toBe(0);
    expect(unknown.line).toMatch(/listeners\.0\.codec: no codec gt6; did you mean gt06\?/);
  });

  it('another server on the same data directory', async () => {
    const server = track(await Server.start());
    const { code, line } = await refusal({ FIXGATE_DATA_DIR: server.dataDir });
    expect(code).not.toBe(0);
    expect(line).toMatch(/in use by another fixgate/);
  });
});

describe('a ClickHouse that does not answer', () => {
  it('degrades the server, which delivers when it is back', async () => {
    const gate = net.createServer();
    await new Promise<void>((resolve) => gate.listen(0, '127.0.0.1', resolve));
    const address = gate.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await new Promise((resolve) => gate.close(resolve));
    const directory = mkdtempSync(join(tmpdir(), 'fixgate-clickhouse-'));
    const secret = await clickHouseSecret(directory);
    const env = { FIXGATE_CLICKHOUSE_URL: `http://127.0.0.1:${port}`, FIXGATE_CLICKHOUSE_PASSWORD: secret.reveal() };
    const server = track(await Server.start(env));
    const device = await login(server);
    device.send(packet(Date.UTC(2026, 9, 1)));
    await device.until((d) => d.received.length === 5);
    await eventually(async () => {
      const readiness = await server.http('/readyz');
      expect([readiness.status, await readiness.json()]).toMatchObject([
        200,
        { status: 'degraded', parts: { clickhouse: { state: 'degraded' } } },
      ]);
    });
    const { startEmbeddedClickHouse } = await import('../../src/embedded/clickhouse.ts');
    const clickhouse = await startEmbeddedClickHouse({ directory, port });
    await eventually(async () => expect(await server.query('SELECT count() FROM fixgate.positions FINAL')).toBe('1\n'));
    await server.stop();
    await clickhouse.close();
    rmSync(directory, { recursive: true });
  });
});

async function workers(server: Server): Promise<number> {
  const { parts } = Object(await (await server.http('/readyz')).json());
  return Object.keys(parts).filter((name) => name.startsWith('worker-')).length;
}
