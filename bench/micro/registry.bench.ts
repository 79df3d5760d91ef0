import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/base/log.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceCache } from '../../src/fleet/registry/device-cache.ts';
import { openState } from '../../src/state/open.ts';

/**
 * What the look-up at login costs with 50 000 devices in the state store, on one thread: `node bench/micro/registry.bench.ts`.
 * First: the record is read from lmdb and checked. Again: it is at hand. Alias and unknown device: the first look-up of one.
 */
const DEVICES = 50_000;
const STRANGERS = 10_000;
const PUT_TOGETHER = 5_000;

const directory = mkdtempSync(join(tmpdir(), 'fixgate-bench-'));
const store = await openState({ url: undefined, prefix: '', directory, log: silentLog });
const idOf = (n: number): string => String(356_307_000_000_000 + n);
const aliasOf = (n: number): string => `${7_042_000_000 + n}`;
for (let from = 0; from < DEVICES; from += PUT_TOGETHER)
  await store.write(
    Array.from({ length: PUT_TOGETHER }, (_, i) => {
      const id = idOf(from + i);
      const alias = aliasOf(from + i);
      const device = deviceSchema.parse({ id, aliases: [alias], account: 'acme', networks: ['10.0.0.0/8'], home_networks: [262] });
      return [{ table: 'devices', key: id, put: JSON.stringify(device) } as const, { table: 'aliases', key: alias, put: id } as const];
    }).flat(),
  );

const registry = new DeviceCache({ store, mode: 'closed', now: () => 0, log: silentLog });

function measure(what: string, count: number, nameOf: (n: number) => string, isKnown: boolean): void {
  let found = 0;
  const from = performance.now();
  for (let n = 0; n < count; n++)
    registry.lookup(nameOf(n), (known) => {
      if ((known.refusal('10.1.2.3:4000') === '') === isKnown) found++;
    });
  const ms = performance.now() - from;
  if (found !== count) throw new Error(`${found} of ${count}`);
  console.log(`${what.padEnd(20)} ${((1000 * ms) / count).toFixed(2).padStart(8)} µs`);
}

measure('device, first', DEVICES, idOf, true);
measure('device, again', DEVICES, idOf, true);
measure('stranger', STRANGERS, (n) => `stranger-${n}`, false);
measure('alias, first', DEVICES, aliasOf, true);
registry.close();
await store.close();
rmSync(directory, { recursive: true });
