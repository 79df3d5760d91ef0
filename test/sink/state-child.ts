/** Counts usage until it is killed: `state-child.ts <data> <URL of the state store>`. Says when it has begun. */
import { join } from 'node:path';
import { nodeStorage } from '../../src/base/files.ts';
import { silentLog } from '../../src/base/log.ts';
import { createMetrics } from '../../src/base/metrics/catalog.ts';
import { secretUrl } from '../../src/base/secret.ts';
import { DevicePlans } from '../../src/fleet/plan/device-plans.ts';
import { Erasures, erasuresPath } from '../../src/out/ship/erasures.ts';
import { startShipper } from '../../src/out/ship/shipper.ts';
import { createStateSink } from '../../src/out/sink/state/sink.ts';
import { openState } from '../../src/state/open.ts';

const [data = '', url = ''] = process.argv.slice(2);
const defaults = {};
const store = await openState({ url: secretUrl(url), prefix: 'test:', directory: join(data, 'state'), log: silentLog });
startShipper({
  erasures: new Erasures(erasuresPath(data), nodeStorage),
  journalDirectory: join(data, 'journal'),
  parkedDirectory: join(data, 'parked'),
  instance: 'rig',
  sinks: [createStateSink({ store, plans: new DevicePlans(store, silentLog), instance: 'rig', batchAgeMs: 20 })],
  codecs: new Map(),
  optionsOf: () => defaults,
  order: () => Number.MAX_SAFE_INTEGER,
  metrics: createMetrics(),
  log: silentLog,
});
process.send?.('begun');
// The parent that forgets it must not leave it running.
process.on('disconnect', () => process.exit());
