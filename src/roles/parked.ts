import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../base/errors.ts';
import { nodeStorage } from '../base/files.ts';
import { lockParked } from '../base/lock/parked-lock.ts';
import { processLog } from '../base/log-pino.ts';
import { codecOptions, loadCodecs } from '../codec/registry.ts';
import type { Config } from '../config/schema.ts';
import { DevicePlans } from '../fleet/plan/device-plans.ts';
import { RecipientRoutes } from '../fleet/registry/recipient-routes.ts';
import { Decoder } from '../out/ship/decoder.ts';
import { Erasures, erasuresPath } from '../out/ship/erasures.ts';
import { listParked, retryParked } from '../out/ship/parked.ts';
import { type ClickHouseAccess, createClickHouseSink } from '../out/sink/clickhouse/sink.ts';
import { createRedisStreamSink } from '../out/sink/redis-stream/sink.ts';
import type { Sink } from '../out/sink/sink.ts';
import { createStateSink } from '../out/sink/state/sink.ts';
import type { State } from '../state/open.ts';

/** Giving entries that were set aside to their sink once more, in the server (`cli/journal.ts` does it beside one). */
interface RetryParts {
  readonly config: Config;
  readonly instance: string;
  readonly clickhouse: ClickHouseAccess;
  readonly state: () => Promise<State>;
}

/** `only`: the entry of this name (`listParked`). Rejects with AppError, also while another retry is under way. */
export async function retry(parts: RetryParts, sink: string, only?: string): Promise<{ delivered: number; refused: number }> {
  const directory = join(parts.config.dataDir, 'parked');
  if ((await nodeStorage.stat(directory)) === null) return { delivered: 0, refused: 0 };
  const lock = await lockParked(directory);
  try {
    if ((await listParked(directory, sink)).length === 0) return { delivered: 0, refused: 0 };
    return await retryOf(parts, directory, sink, only);
  } finally {
    await lock.close();
  }
}

async function retryOf(
  { config, instance, clickhouse, state }: RetryParts,
  directory: string,
  name: string,
  only: string | undefined,
): Promise<{ delivered: number; refused: number }> {
  const codecs = await loadCodecs(config.codecs.packages);
  const decoder = new Decoder(codecs, codecOptions(codecs, config.codecs.options, config.devices));
  const erased = (await Erasures.load(erasuresPath(config.dataDir), nodeStorage)).of(name);
  const cursorPath = join(config.dataDir, 'cursor', 'parked-clickhouse.json');
  const store = name === 'clickhouse' ? undefined : await state();
  const sink =
    store === undefined
      ? createClickHouseSink({ ...clickhouse, cursorPath })
      : name === 'state'
        ? createStateSink({ store, plans: new DevicePlans(store, processLog('error', 'supervisor')), instance: `${instance}.parked` })
        : redis(config, instance, new RecipientRoutes(store, processLog('error', 'supervisor')));
  try {
    return await retryParked(directory, sink, decoder, instance, { erased, only });
  } finally {
    await sink.close();
    await store?.close();
    if (name === 'clickhouse') await rm(cursorPath, { force: true });
  }
}

function redis(config: Config, instance: string, recipients: RecipientRoutes): Sink {
  const { url, prefix, maxLength } = config.redis;
  if (url === undefined)
    throw new AppError('CONFIG_INVALID', 'entries are parked for Redis and redis.url is not set; set FIXGATE_REDIS_URL');
  return createRedisStreamSink({ url, instance: `${instance}.parked`, prefix: `${prefix}:`, maxLength, recipients });
}
