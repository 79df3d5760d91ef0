import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { connectionsWithin } from '../../src/base/descriptors.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { eventually } from '../support/wait.ts';

const LIMIT = 256;
const FULL = 'connection limit reached; new connections are closed';

let server: Server | undefined;
const directory = mkdtempSync(join(tmpdir(), 'fixgate-descriptors-'));
afterEach(async () => {
  await server?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** The next descriptor that the process asks for is refused; it keeps those that it has. Undone by the returned function. */
function exhaust(pid: number): () => void {
  const taken = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let lowest = 0;
  while (taken.has(lowest)) lowest++;
  const set = (limit: number): Buffer => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${limit}:`]);
  set(lowest);
  return () => void set(LIMIT);
}

async function reports(device: TcpDevice, times: number): Promise<void> {
  for (let n = 0; n < times; n++) {
    const before = device.received.length;
    device.send(packet(Date.UTC(2026, 9, 1) + 1000 * before));
    await device.until((d) => d.received.length === before + 4 || d.ended);
    expect(device.ended).toBe(false);
  }
}

describe('a server that runs out of file descriptors', () => {
  it('closes newcomers, keeps who is connected, says so once, and loses no process', async () => {
    // The silent ones below must not be closed for their silence.
    writeFileSync(join(directory, 'config.yaml'), 'workers: 1\nlimits: { identifyMs: 600000 }\n');
    const env = { ...OWN_ENGINE, FIXGATE_CONFIG: join(directory, 'config.yaml') };
    server = await Server.start(env, undefined, ['prlimit', `--nofile=${LIMIT}:${LIMIT}`]);
    const here = server;
    const port = await here.port('teltonika');
    const lines = (message: string): number => here.log.filter(({ msg }) => msg === message).length;
    const readiness = async (): Promise<string> => (await here.http('/readyz')).text();
    const device = await TcpDevice.connect(port);
    device.send(handshake('356307042441013'));
    await device.until((d) => d.received.length === 1);
    const pids = [...here.children('worker'), ...here.children('shipper'), ...here.children('clickhouse')];

    // At the bound: it lies below the limit of descriptors.
    const most = connectionsWithin(50_000, LIMIT);
    const others: TcpDevice[] = [];
    while (others.length < most + 5) others.push(await TcpDevice.connect(await here.port(others.length % 2 === 0 ? 'gt06' : 'h02')));
    const closed = (): number => others.filter(({ ended }) => ended).length;
    await eventually(() => expect(closed()).toBe(6));
    await reports(device, 3);
    await eventually(async () => expect(await readiness()).toContain(`all ${most} connections are in use`));
    expect(JSON.parse(await readiness())).toMatchObject({ status: 'degraded' });
    expect([lines(FULL), closed()]).toEqual([1, 6]);
    await eventually(async () => expect(await (await here.http('/metrics')).text()).toContain('fixgate_connections_full 1'));
    for (const other of others) other.close();
    await eventually(async () => expect(JSON.parse(await readiness())).toMatchObject({ status: 'ready' }));

    // Beyond it: something else has taken them all, in each process but the one that answers here.
    const [worker = 0, ...rest] = pids;
    const restore = rest.map(exhaust);
    const none = 'no file descriptor is left';
    await eventually(async () => {
      // Once more where one that was taken for a moment has been given back.
      const { state, reason } = JSON.parse(await readiness()).parts['worker-0'];
      if (!reason.includes(none)) restore.push(exhaust(worker));
      expect([state, reason]).toEqual(['degraded', expect.stringContaining(none)]);
    });
    await reports(device, 3);
    restore.push(exhaust(worker));
    const refused = await TcpDevice.connect(port);
    await refused.until((d) => d.ended);
    await reports(device, 3);
    for (const undo of restore) undo();
    await eventually(async () => expect(JSON.parse(await readiness())).toMatchObject({ status: 'ready' }));
    expect([...here.children('worker'), ...here.children('shipper'), ...here.children('clickhouse')]).toEqual(pids);

    // And in the supervisor, when it has to start a process.
    const undone: (() => void)[] = [];
    await eventually(() => {
      // Once more where a descriptor that was in use for a moment has been given back, and the worker was started with it.
      undone.push(exhaust(here.pid));
      for (const pid of here.children('worker')) process.kill(pid, 'SIGKILL');
      expect(lines('a process cannot be restarted; retrying')).toBeGreaterThan(0);
    });
    for (const undo of undone) undo();
    await eventually(async () => expect(JSON.parse(await readiness())).toMatchObject({ status: 'ready' }));
    await eventually(async () => expect(await here.query('SELECT count() FROM positions FINAL')).toBe('9\n'));
  });
});

describe('the bound of connections', () => {
  it('leaves descriptors for everything else, and at least half of a small limit for connections', () => {
    expect(connectionsWithin(50_000, 1024)).toBe(896);
    expect(connectionsWithin(50_000, 256)).toBe(128);
    expect(connectionsWithin(50_000, 64)).toBe(32);
    expect(connectionsWithin(50_000, 1_048_576)).toBe(50_000);
    expect(connectionsWithin(50_000, Number.POSITIVE_INFINITY)).toBe(50_000);
    expect(connectionsWithin(10, 1024)).toBe(10);
  });
});
