/** Delivers until it is killed: `shipper-child.ts <data> <ClickHouse URL> <database> <Redis URL>`. */
import { join } from 'node:path';
import { nodeStorage } from '../../src/base/files.ts';
import { silentLog } from '../../src/base/log.ts';
import { createMetrics } from '../../src/base/metrics/catalog.ts';
import { Secret, SecretUrl } from '../../src/base/secret.ts';
import { Erasures, erasuresPath } from '../../src/out/ship/erasures.ts';
import { startShipper } from '../../src/out/ship/shipper.ts';
import { createClickHouseSink } from '../../src/out/sink/clickhouse/sink.ts';
import { createRedisStreamSink } from '../../src/out/sink/redis-stream/sink.ts';
import { tiny } from './tiny.ts';

const [data = '', clickHouseUrl = '', database = '', redisUrl = ''] = process.argv.slice(2);
const access = { url: new SecretUrl(clickHouseUrl), password: new Secret(process.env['CLICKHOUSE_SECRET'] ?? ''), database };
const defaults = {};
startShipper({
  erasures: await Erasures.load(erasuresPath(data), nodeStorage),
  journalDirectory: join(data, 'journal'),
  parkedDirectory: join(data, 'parked'),
  instance: 'rig',
  sinks: [
    createClickHouseSink({ ...access, cursorPath: join(data, 'clickhouse.cursor'), batchRows: 400, batchAgeMs: 50 }),
    createRedisStreamSink({ url: new SecretUrl(redisUrl), instance: 'rig', batchRows: 100 }),
  ],
  codecs: new Map([['tiny', tiny]]),
  optionsOf: () => defaults,
  order: () => Number.MAX_SAFE_INTEGER,
  metrics: createMetrics(),
  log: silentLog,
});
// The parent that forgets it must not leave it running.
process.on('disconnect', () => process.exit());
