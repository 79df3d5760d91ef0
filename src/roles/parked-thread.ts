import { setPriority } from 'node:os';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { AppError, messageOf } from '../base/errors.ts';
import { processLog } from '../base/log-pino.ts';
import { unpackAccess } from '../cluster/clickhouse.ts';
import { unpackConfig } from '../config/pack.ts';
import { listParked } from '../out/ship/parked.ts';
import { openState } from '../state/open.ts';
import { stateOptions } from './lifecycle.ts';
import { retry } from './parked.ts';
import type { FromParked, ParkedThreadData } from './parked-desk.ts';

/** The thread that reads what was set aside, or gives it to its sink once more, and ends. Devices go before it where threads have priorities. */
const PRIORITY = 10;
const { config: raw, clickhouse, instance, work }: ParkedThreadData = workerData;
if (process.platform === 'linux') setPriority(PRIORITY);

async function answer(): Promise<FromParked> {
  const config = unpackConfig(raw);
  if (work.id !== undefined || work.retries) {
    const parts = {
      config,
      instance,
      clickhouse: unpackAccess(clickhouse),
      state: () => openState(stateOptions(config, processLog(config.logLevel, 'supervisor'), '', () => {})),
    };
    return { retried: await retry(parts, work.sink, work.id) };
  }
  const all = await listParked(join(config.dataDir, 'parked'), work.sink);
  const from = work.after === '' ? 0 : all.findIndex((one) => idOf(one) === work.after) + 1;
  const page = all.slice(from, from + work.limit);
  const isMore = from + page.length < all.length;
  const entries = page.map((one) => {
    const { kind, slot, sequence, device, codec, transport, received, reason, tries, hex } = one;
    return { id: idOf(one), kind, slot, sequence, device, codec, transport, received, reason, tries, hex };
  });
  return { listed: { entries, total: all.length, ...(isMore ? { next: entries.at(-1)?.id } : {}) } };
}

function idOf({ slot, sequence }: { readonly slot: string; readonly sequence: number }): string {
  return `${slot}.${sequence}`;
}

answer().then(
  (found) => parentPort?.postMessage(found),
  (error: unknown) =>
    parentPort?.postMessage({ code: error instanceof AppError ? error.code : 'WORKER_FAILED', message: messageOf(error) }),
);
