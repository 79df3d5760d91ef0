import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { newOwner, readOwner, writeOwner } from '../../src/base/lock/owner.ts';
import { isAlive } from '../../src/base/lock/process.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { eventually, pause, until } from '../support/wait.ts';
import { killedSupervisor, processesOf } from './killed-supervisor.ts';

const IMEI = '356307042441013';
const DAY_MS = 86_400_000;
const ONE_LISTENER = { FIXGATE_WORKERS: '1', FIXGATE_LISTEN: 'teltonika@127.0.0.1:0' };
/** Nothing listens there, and a stop does not wait for it: what these tests are about is not delivered. */
const NO_CLICKHOUSE = { FIXGATE_CLICKHOUSE_URL: 'http://127.0.0.1:9', FIXGATE_DRAIN_MS: '500' };

const servers: Server[] = [];
const directories: string[] = [];
function track(server: Server): Server {
  servers.push(server);
  return server;
}
function freshData(): string {
  const path = mkdtempSync(join(tmpdir(), 'fixgate-owner-'));
  directories.push(path);
  return path;
}

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.signal('SIGCONT');
    await server.stop();
  }
  for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

async function login(server: Server): Promise<TcpDevice> {
  const device = await TcpDevice.connect(await server.port('teltonika'));
  device.send(handshake(IMEI));
  await device.until((d) => d.received.length === 1 || d.ended);
  return device;
}

describe('one data directory', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fixgate-owner-'));
  let first: Server;
  afterAll(async () => {
    await first.stop();
    await first.removeData();
  });

  it('has no process and no lock of a supervisor that was killed, twice while it started', async () => {
    first = await killedSupervisor(dataDir, 2, (server) => server);
  });

  it('is refused to a second server in another network namespace, and what the first one acknowledged arrives, though it is killed', async () => {
    const device = await login(first);
    const second = Server.spawn({ ...ONE_LISTENER, ...OWN_ENGINE, FIXGATE_HTTP_HOST: '0.0.0.0' }, dataDir, [
      'unshare',
      '--map-root-user',
      '--net',
    ]);
    let over = false;
    const code = second.exited.then((ended) => {
      over = true;
      return ended;
    });
    let acknowledged = 0;
    while (!over || acknowledged === 0) {
      device.send(packet(Date.UTC(2026, 0, 1) + acknowledged * 1000));
      await device.until((d) => d.received.length === 1 + 4 * (acknowledged + 1));
      acknowledged++;
      await pause(20);
    }
    expect(await code).toBe(73);
    const owner = (await readOwner(dataDir))?.owner;
    expect(second.stderr).toBe(
      `fixgate: ${dataDir} is in use by another fixgate: process ${first.pid} on host ${owner?.host}, since ${owner?.since}; stop it or set FIXGATE_DATA_DIR to another directory\n`,
    );
    await eventually(async () => expect(Number(await first.query('SELECT count() FROM positions FINAL'))).toBeGreaterThan(0));
    const children = processesOf(first);
    // Killed, the first one has the directory no more at once.
    first.signal('SIGKILL');
    await first.exited;
    const third = track(await Server.start({ ...ONE_LISTENER, ...OWN_ENGINE }, dataDir));
    await eventually(async () => expect(await third.query('SELECT count() FROM positions FINAL')).toBe(`${acknowledged}\n`));
    await eventually(() => expect(children.filter(isAlive)).toEqual([]));
  });
});

it('a worker that is killed while the server starts is started again; one that finds the record of another server ends without answering, and so does the server', async () => {
  const dataDir = freshData();
  const server = track(Server.spawn({ ...ONE_LISTENER, ...NO_CLICKHOUSE }, dataDir));
  const [unlucky = 0] = await eventually(() => {
    const found = server.children('worker');
    expect(found).toHaveLength(1);
    return found;
  });
  process.kill(unlucky, 'SIGKILL');
  await server.logged('a process was killed during its start; restarting it');
  await server.logged('listening');
  const device = await login(server);
  expect(device.received.toString('hex')).toBe('01');

  const [worker = 0] = server.children('worker');
  // The supervisor stands still, so that the worker has to find out for itself; and the worker, until what it knew is old.
  server.signal('SIGSTOP');
  process.kill(worker, 'SIGSTOP');
  const foreign = { ...newOwner('foreign', null), host: 'other-host', boot: 'another boot', pid: 7 };
  await writeOwner(dataDir, foreign);
  const since = performance.now();
  device.send(packet(DAY_MS));
  await until(() => performance.now() - since > 1000);
  const before = watermark(dataDir);
  process.kill(worker, 'SIGCONT');
  await device.until((d) => d.ended);
  expect(device.received.length).toBe(1);
  expect(watermark(dataDir)).toBe(before);
  server.signal('SIGCONT');
  expect(await server.exited).toBe(73);
  expect(server.stderr).toContain(`${dataDir} is in use by another fixgate: process 7 on host other-host`);
  expect((await readOwner(dataDir))?.owner).toEqual(foreign);
});

it('npx fixgate serve ends in order when npx is told to end', async () => {
  // As npx calls it: through a shell that it does not tell.
  const server = Server.spawn({ ...ONE_LISTENER, ...NO_CLICKHOUSE }, freshData(), ['sh', '-c', 'exec npx -c "$*"', 'npx']);
  await server.logged('listening');
  server.signal('SIGTERM');
  await eventually(() => expect(server.log.map(({ msg }) => msg)).toContain('stopped'));
  expect(server.log.find(({ msg }) => msg === 'draining')).toMatchObject({ reason: 'npm, which started this server, has ended' });
});

/** The watermark of the worker: it moves with each commit. */
function watermark(dataDir: string): string {
  const path = join(dataDir, 'journal', '0', 'durable');
  return existsSync(path) ? readFileSync(path, 'hex') : '';
}
