import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/base/log.ts';
import { putEntries } from '../../src/state/dump.ts';
import { openState } from '../../src/state/open.ts';
import { fixgate, type Outcome } from '../cli/command.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';

const PAGE = 4096;
const DEVICES = 300;
const PLAN = 'of-the-test';

/** A data directory whose state store holds 300 devices on one plan, and a server on it. */
export class DamagedStore {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'fixgate-damaged-'));
  readonly file = join(this.dataDir, 'state/data.mdb');
  #server: Server | undefined;

  async fill(): Promise<void> {
    const store = await openState({ url: undefined, prefix: '', directory: join(this.dataDir, 'state'), log: silentLog });
    const records = Array.from({ length: DEVICES }, (_, n) => ({
      table: 'devices' as const,
      key: idOf(n),
      value: JSON.stringify({ id: idOf(n), account: 'x'.repeat(60), plan: PLAN, protocol: 'teltonika', transport: 'tcp' }),
    }));
    await putEntries(store, [...records, { table: 'plans', key: PLAN, value: JSON.stringify({ name: PLAN }) }]);
    await store.close();
  }

  async start(): Promise<Server> {
    this.#server = await Server.start({ FIXGATE_WORKERS: '1' }, this.dataDir);
    return this.#server;
  }

  /** Puts zeros over the pages that hold records of devices, also while a server has the file open. */
  zeroDevices(): void {
    const bytes = readFileSync(this.file);
    for (let at = 2 * PAGE; at < bytes.length; at += PAGE) {
      const page = bytes.subarray(at, at + PAGE);
      if ((page.readUInt16LE(18) & 2) !== 0 && page.includes(`"plan":"${PLAN}"`)) page.fill(0);
    }
    writeFileSync(this.file, bytes, { flag: 'r+' });
  }

  fixgate(...args: string[]): Promise<Outcome> {
    return fixgate(args, '', { FIXGATE_DATA_DIR: this.dataDir });
  }

  async close(): Promise<void> {
    await this.#server?.stop();
    rmSync(this.dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

export function idOf(n: number): string {
  return `35630704244${String(n).padStart(4, '0')}`;
}

/** The server's answer to the login of a device and a record after it, hex; '' when it closes the connection. */
export async function told(server: Server, id: string): Promise<string> {
  const device = await TcpDevice.connect(await server.port('teltonika'));
  device.send(handshake(id));
  device.send(packet(Date.UTC(2026, 9, 1)));
  await device.until((d) => d.received.length >= 5 || d.ended);
  device.close();
  return device.received.toString('hex');
}
