import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Options } from '../codec/index.ts';
import { codecOptions, loadCodecs } from '../codec/registry.ts';
import type { Config } from '../config/schema.ts';
import { processLog } from '../log-pino.ts';
import { createMetrics } from '../metrics/catalog.ts';
import { startShipper } from '../ship/shipper.ts';
import { createClickHouseSink } from '../sink/clickhouse/sink.ts';
import { createRedisStreamSink } from '../sink/redis-stream/sink.ts';
import type { Sink } from '../sink/sink.ts';
import { type ChildRole, runChild } from './child-process.ts';
import { lockDirectory } from './lock.ts';
import type { Health, ToChild } from './messages.ts';

/** How long a predecessor may take to end. */
const SHIPPER_WAIT_MS = 5000;

/** Entry of the shipper process: the journals of all slots, into every configured sink. */
runChild(async ({ config, instance, clickhouseUrl }: Extract<ToChild, { type: 'start' }>): Promise<ChildRole> => {
  const log = processLog(config.logLevel, 'shipper');
  const metrics = createMetrics();
  const codecs = await loadCodecs(config.codecs.packages);
  const options = new Map<string, Options>();
  for (const codec of codecs.values()) options.set(codec.name, codecOptions(codec, config.codecs.options));
  const journalDirectory = join(config.dataDir, 'journal');
  // A predecessor that is just ending must not deliver beside this one.
  await lockDirectory(journalDirectory, SHIPPER_WAIT_MS);

  const { user: username, password, database } = config.clickhouse;
  const cursorPath = join(config.dataDir, 'cursor', `clickhouse-${targetName(config)}.json`);
  await mkdir(dirname(cursorPath), { recursive: true });
  const sinks: Sink[] = [createClickHouseSink({ url: clickhouseUrl, username, password, database, cursorPath })];
  if (config.redis.url !== '') {
    const { url, prefix, maxLength } = config.redis;
    sinks.push(createRedisStreamSink({ url, instance, prefix: `${prefix}:`, maxLength }));
  }
  const { keepMs, maxBytes } = config.journal;
  const parkedDirectory = join(config.dataDir, 'parked');
  const shipper = startShipper({
    journalDirectory,
    parkedDirectory,
    instance,
    sinks,
    codecs,
    codecOptions: options,
    metrics,
    log,
    keepMs,
    maxBytes,
  });

  const lag = monitorEventLoopDelay({ resolution: 10 });
  lag.enable();
  return {
    metrics,
    health(): Readonly<Record<string, Health>> {
      metrics.loopLag.set({ process: 'shipper' }, lag.max / 1e9);
      metrics.memory.set(process.memoryUsage.rss());
      lag.reset();
      const parts: Record<string, Health> = {};
      for (const [sink, health] of Object.entries(shipper.health()))
        parts[sink] = { state: health.state, reason: health.state === 'degraded' ? health.reason : '' };
      return parts;
    },
    async drain(deadlineMs: number): Promise<void> {
      const all = await shipper.drained(deadlineMs);
      if (!all) log.warn({}, 'not everything was delivered in the time given; the rest is in the journal and follows at the next start');
      await shipper.close();
    },
  };
});

/** Names the ClickHouse that a cursor speaks of: another server or database has had nothing yet, and gets what the journal still holds. */
function targetName(config: Config): string {
  const { url, database } = config.clickhouse;
  const server = url === '' ? 'embedded' : createHash('sha256').update(url).digest('hex').slice(0, 8);
  return `${server}-${database}`;
}
