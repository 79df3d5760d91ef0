import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { pickAddress, STANDING, type Standing, Standings } from '../../src/fleet/registry/standing.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';
import { eventually } from '../support/wait.ts';

/** Numbers quote the invariants of src/fleet/registry/standing.ts. */

const DAY_MS = 86_400_000;
let store: LmdbStore;
let now: number;
let standings: Standings;

beforeEach(() => {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-standing-'));
  store = new LmdbStore({ directory, log: silentLog });
  now = 1_000 * DAY_MS;
  standings = new Standings(store, () => now, silentLog);
  onTestFinished(async () => {
    await store.close();
    rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
  });
});

const noted = async (device = 'd-1') => STANDING.read(await store.get('standing', device));
const found = (address: string, transport: 'tcp' | 'udp' = 'tcp'): Promise<Standing> =>
  new Promise((resolve) => standings.find('d-1', transport, address, resolve));

/** The device speaks from there: resolves when that is written. */
async function speaks(address: string, transport: 'tcp' | 'udp' = 'tcp'): Promise<void> {
  standings.note('d-1', transport, address);
  await eventually(async () => {
    const record = await noted();
    expect([record?.transport, Object.values(record?.networks ?? {}).includes(now)]).toEqual([transport, true]);
  });
}

describe('where a device has standing', () => {
  it('1: in a network, for thirty days and the transport it used last', async () => {
    await speaks('192.0.2.7');
    expect(await noted()).toEqual({ networks: { '192.0.2': now }, transport: 'tcp' });
    expect([await found('192.0.2.200'), await found('192.0.3.7'), await found('192.0.2.7', 'udp')].map(({ known }) => known)).toEqual([
      true,
      false,
      false,
    ]);
    now += 30 * DAY_MS - 1;
    expect(await found('192.0.2.7')).toEqual({ known: true, contested: false });
    now += 1;
    expect(await found('192.0.2.7')).toEqual({ known: false, contested: false });
  });

  it('1: of more networks than sixteen the latest are kept, and none older than thirty days', async () => {
    for (let n = 0; n < 18; n++) {
      await speaks(`10.0.${n}.1`);
      now += DAY_MS;
    }
    const networks = Object.keys((await noted())?.networks ?? {});
    expect(networks).toEqual(Array.from({ length: 16 }, (_, n) => `10.0.${17 - n}`));
    now += 20 * DAY_MS;
    await speaks('10.1.0.1');
    // 18 days after the first, and 20 more: of day 8 and before nothing counts any more.
    const left = Object.values((await noted())?.networks ?? {});
    expect(left.every((at) => now - at < 30 * DAY_MS)).toBe(true);
    expect(left).toHaveLength(10);
  });

  it('2: the first is believed', async () => {
    expect(await found('192.0.2.7')).toEqual({ known: true, contested: false });
    await eventually(async () => expect(await noted()).toBeDefined());
    expect((await found('198.51.100.1')).known).toBe(false);
  });

  it('3: nowhere while it is contested, until an address is picked', async () => {
    await speaks('192.0.2.7');
    await standings.contest('d-1', 'tcp', ['192.0.2.7', '198.51.100.1']);
    expect(await found('192.0.2.7')).toEqual({ known: false, contested: true });
    expect((await noted())?.contested).toEqual(['192.0.2.7', '198.51.100.1']);
    expect(await pickAddress(store, 'd-1', '198.51.100.1', now)).toBe(true);
    expect([await found('198.51.100.1'), await found('192.0.2.7')]).toEqual([
      { known: true, contested: false },
      { known: false, contested: false },
    ]);
    expect(await pickAddress(store, 'd-2', '198.51.100.1', now)).toBe(false);
    expect(await noted('d-2')).toBeUndefined();
  });
});
