import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createToken } from '../src/api/tokens.ts';
import { systemClock } from '../src/base/clock.ts';
import { silentLog } from '../src/base/log.ts';
import { Latency } from '../src/simulate/latency.ts';
import { LmdbStore } from '../src/state/lmdb.ts';
import { ObedientDevice } from '../test/command/device.ts';
import { freePort, startServer } from './load/server.ts';

/**
 * `npm run bench:commands`: time from the POST of a command to its bytes at the device, and to the device's reply in the ledger,
 * for devices that are connected. One command at a time, over 100 devices on two workers; everything on one machine.
 */
const DEVICES = 100;
const COMMANDS = 500;
/** Not counted: a process that has just started compiles its code first. */
const WARM_UP = 50;
const PAUSE_MS = 5;
const GOAL_MS = 20;

const dataDir = mkdtempSync(join(tmpdir(), 'fixgate-bench-'));
const [http, teltonika] = [await freePort(), await freePort()];
const server = startServer(
  {
    FIXGATE_DATA_DIR: dataDir,
    FIXGATE_HTTP_PORT: String(http),
    FIXGATE_LISTEN: `teltonika/tcp@127.0.0.1:${teltonika}`,
    FIXGATE_CLICKHOUSE_PORT: '0',
    FIXGATE_WORKERS: '2',
  },
  http,
);
const devices: ObedientDevice[] = [];
try {
  await server.ready();
  const store = new LmdbStore({ directory: join(dataDir, 'state'), log: silentLog });
  const token = await createToken(store, { name: 'bench', scopes: ['admin'], created: systemClock.now() });
  await store.close();
  for (let n = 0; n < DEVICES; n++)
    devices.push(new ObedientDevice(teltonika, String(356307042000000 + n), (text) => `Param ID:${text.split(' ')[1]} Value:1`));
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const [wire, answered] = [new Latency(), new Latency()];
  for (let k = -WARM_UP; k < COMMANDS; k++) {
    const device = devices[(k + WARM_UP) % DEVICES];
    if (device === undefined) continue;
    const before = device.got.length;
    const posted = performance.now();
    const response = await fetch(`http://127.0.0.1:${http}/v1/devices/${device.imei}/commands`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ type: 'get_parameter', parameters: { id: 1000 + WARM_UP + k }, protocol: 'teltonika' }),
    });
    const body: unknown = await response.json();
    while (device.got.length === before) await new Promise((resolve) => setTimeout(resolve, 1));
    if (k >= 0) wire.add((device.got.at(-1)?.arrived ?? Number.NaN) - posted);
    const id = typeof body === 'object' && body !== null && 'id' in body ? String(body.id) : '';
    await fetch(`http://127.0.0.1:${http}/v1/devices/${device.imei}/commands/${id}?wait=10`, {
      headers: { authorization: `Bearer ${token}` },
    });
    if (k >= 0) answered.add(performance.now() - posted);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  const row = (name: string, latency: Latency): string =>
    `${name.padEnd(34)} p50 ${latency.percentile(0.5).toFixed(1)} ms   p99 ${latency.percentile(0.99).toFixed(1)} ms\n`;
  process.stdout.write(`${COMMANDS} commands, ${DEVICES} connected devices, two workers\n`);
  process.stdout.write(row(`POST to the device (goal ${GOAL_MS} ms)`, wire));
  process.stdout.write(row('POST to the reply in the ledger', answered));
} finally {
  for (const device of devices) device.stop();
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
