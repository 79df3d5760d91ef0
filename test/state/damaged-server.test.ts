import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../src/log.ts';
import { putEntries } from '../../src/state/dump.ts';
import { openState } from '../../src/state/open.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';

const PAGE = 4096;
const DEVICES = 300;
const BIN = join(import.meta.dirname, '../../bin/fixgate.js');

const dataDir = mkdtempSync(join(tmpdir(), 'fixgate-damaged-'));
const file = join(dataDir, 'state/data.mdb');
let server: Server | undefined;
afterAll(async () => {
  await server?.stop();
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

const idOf = (n: number): string => `35630704244${String(n).padStart(4, '0')}`;

/** What the server answers to the login of a device, and to a record after it; '' when it closes the connection. */
async function told(server: Server, id: string): Promise<string> {
  const device = await TcpDevice.connect(await server.port('teltonika'));
  device.send(handshake(id));
  device.send(packet(Date.UTC(2026, 9, 1)));
  await device.until((d) => d.received.length >= 5 || d.ended);
  device.close();
  return device.received.toString('hex');
}

/** Puts zeros over the pages that hold records of devices. */
function zeroDevices(): void {
  const bytes = readFileSync(file);
  for (let at = 2 * PAGE; at < bytes.length; at += PAGE) {
    const page = bytes.subarray(at, at + PAGE);
    if ((page.readUInt16LE(18) & 2) !== 0 && page.includes('"plan":"of-the-test"')) page.fill(0);
  }
  writeFileSync(file, bytes, { flag: 'r+' });
}

function fixgate(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const env = { PATH: process.env['PATH'], FIXGATE_DATA_DIR: dataDir };
    execFile(process.execPath, [BIN, ...args], { env }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

describe('a server on a damaged state store', () => {
  it('names the file, confirms no data of devices that it cannot look up, and stays up; a rebuild keeps the rest', async () => {
    const store = await openState({ url: undefined, prefix: '', directory: join(dataDir, 'state'), log: silentLog });
    const records = Array.from({ length: DEVICES }, (_, n) => ({
      table: 'devices' as const,
      key: idOf(n),
      value: JSON.stringify({ id: idOf(n), account: 'x'.repeat(60), plan: 'of-the-test', protocol: 'teltonika', transport: 'tcp' }),
    }));
    await putEntries(store, [...records, { table: 'plans', key: 'of-the-test', value: JSON.stringify({ name: 'of-the-test' }) }]);
    await store.close();

    zeroDevices();

    server = await Server.start({ FIXGATE_WORKERS: '1' }, dataDir);
    const started = server;
    await vi.waitFor(
      async () => {
        const readiness = await started.http('/readyz');
        expect([readiness.status, await readiness.json()]).toMatchObject([
          503,
          { parts: { 'worker-0': { state: 'up' }, state_store: { state: 'down', reason: expect.stringContaining(file) } } },
        ]);
      },
      { timeout: 10_000 },
    );
    expect(await told(server, idOf(0))).not.toContain('00000001');
    expect(await told(server, '356307042449999')).not.toContain('00000001');
    expect(await server.stop()).toBe(0);

    const found = await fixgate('state', 'verify');
    expect([found.code, found.err]).toEqual([1, expect.stringContaining(`${file} is damaged`)]);
    const rebuilt = await fixgate('state', 'rebuild', '--json');
    expect(rebuilt.code).toBe(1);
    const { tables } = JSON.parse(rebuilt.out);
    expect(tables.find(({ table }: { table: string }) => table === 'plans')).toEqual({ table: 'plans', kept: 1, lost: 0 });
    expect(tables.find(({ table }: { table: string }) => table === 'devices').lost).toBeGreaterThan(0);
    expect((await fixgate('state', 'verify')).code).toBe(0);
  }, 120_000);
});
