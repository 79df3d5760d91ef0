import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createToken } from '../src/api/tokens.ts';
import { systemClock } from '../src/base/clock.ts';
import { silentLog } from '../src/base/log.ts';
import { LmdbStore } from '../src/state/lmdb.ts';
import { handshake, packet } from '../test/helpers/teltonika.ts';
import { freePort, startServer, wait } from './load/server.ts';

/**
 * `npm run bench:plan`: the account of all connected devices is suspended and resumed, then their plan changes. How many are treated by it
 * two seconds later? Each device has used one record by then; the change caps records at one, with `discard`. Everything on one machine.
 * Exit code 1 when one of them is not.
 */
const DEVICES = Number(process.argv[2] ?? 10_000);
const AFTER_MS = 2_000;
const AT_ONCE = 200;

const dataDir = mkdtempSync(join(tmpdir(), 'fixgate-bench-'));
const [http, port] = [await freePort(), await freePort()];
const server = startServer(
  {
    FIXGATE_DATA_DIR: dataDir,
    FIXGATE_HTTP_PORT: String(http),
    FIXGATE_LISTEN: `teltonika/tcp@127.0.0.1:${port}`,
    FIXGATE_CLICKHOUSE_PORT: '0',
    FIXGATE_WORKERS: '2',
  },
  http,
);
const sockets: net.Socket[] = [];

function open(n: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: '127.0.0.1', port, noDelay: true }, () => socket.write(handshake(String(356307042000000 + n))));
    sockets.push(socket);
    socket.once('error', reject);
    // The login's answer, then the record's.
    socket.once('data', () => {
      socket.write(packet(systemClock.now()));
      socket.once('data', () => resolve());
    });
  });
}

async function call(token: string, method: string, path: string, body: string, type = 'application/json'): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': type };
  const answer = await fetch(`http://127.0.0.1:${http}${path}`, { method, headers, body });
  if (!answer.ok) throw new Error(await answer.text());
}

/** Sends a record of each device `AFTER_MS` after `changed`. Returns how many of them were withheld for that reason. */
async function withheld(reason: string, changed: number): Promise<number> {
  const count = (): Promise<number> => server.metric('fixgate_withheld_records_total', `reason="${reason}"`);
  await wait(Math.max(0, AFTER_MS - (performance.now() - changed)));
  const before = await count();
  const answered = sockets.map((socket) => new Promise<void>((resolve) => socket.once('data', () => resolve())));
  for (const socket of sockets) socket.write(packet(systemClock.now()));
  await Promise.all(answered);
  // The workers' counters reach the supervisor once a second.
  await wait(2500);
  return (await count()) - before;
}

try {
  await server.ready();
  const store = new LmdbStore({ directory: join(dataDir, 'state'), log: silentLog });
  const token = await createToken(store, { name: 'bench', scopes: ['admin'], created: systemClock.now() });
  await call(token, 'POST', '/v1/accounts', JSON.stringify({ id: 'bench' }));
  const registered = Array.from({ length: DEVICES }, (_, n) => JSON.stringify({ id: String(356307042000000 + n), account: 'bench' }));
  await call(token, 'POST', '/v1/devices/bulk', registered.join('\n'), 'application/x-ndjson');
  for (let n = 0; n < DEVICES; n += AT_ONCE)
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, DEVICES - n) }, (_, k) => open(n + k)));
  // Until every record has been counted.
  for (;;) {
    const usage = await store.list('usage', { limit: DEVICES + 1 });
    if (usage.filter(({ value }) => /"records":[1-9]/.test(value)).length >= DEVICES) break;
    await wait(500);
  }

  const suspended = performance.now();
  await call(token, 'POST', '/v1/accounts/bench/suspend', JSON.stringify({ reason: 'bench' }));
  const stopped = await withheld('suspended', suspended);
  const resumed = performance.now();
  await call(token, 'POST', '/v1/accounts/bench/resume', '{}');
  const still = await withheld('suspended', resumed);

  const changed = performance.now();
  await call(
    token,
    'PUT',
    '/v1/plans/default?effective=now',
    JSON.stringify({ records_cap: 1, steps: [{ action: 'discard', at_pct: 100 }] }),
  );
  let written = 0;
  while (written < DEVICES && performance.now() - changed < AFTER_MS) {
    await wait(20);
    written = (await store.list('policies', { limit: DEVICES + 1 })).length;
  }
  const decided = performance.now() - changed;
  const capped = await withheld('discard', changed);
  await store.close();
  process.stdout.write(`${DEVICES} connected devices on two workers; a record of each, ${AFTER_MS} ms after the change\n`);
  process.stdout.write(`their account is suspended: ${stopped} of ${DEVICES} withheld; it is resumed: ${still} still withheld\n`);
  process.stdout.write(
    `their plan changes: decided for ${written} after ${Math.round(decided)} ms; treated by the new one: ${capped} of ${DEVICES}\n`,
  );
  if (stopped < DEVICES || still > 0 || capped < DEVICES) process.exitCode = 1;
} finally {
  for (const socket of sockets) socket.destroy();
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
