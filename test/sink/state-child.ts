/** Counts usage until it is killed: `state-child.ts <data> <URL of the state store>`. Says when it has begun. */
import { join } from 'node:path';
import { nodeStorage } from '../../src/journal/storage.ts';
import { silentLog } from '../../src/log.ts';
import { createMetrics } from '../../src/metrics/catalog.ts';
import { DevicePlans } from '../../src/plan/device-plans.ts';
import { secretUrl } from '../../src/secret.ts';
import { Erasures, erasuresPath } from '../../src/ship/erasures.ts';
import { startShipper } from '../../src/ship/shipper.ts';
import { createStateSink } from '../../src/sink/state/sink.ts';
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
  metrics: createMetrics(),
  log: silentLog,
});
process.send?.('begun');
// The parent that forgets it must not leave it running.
process.on('disconnect', () => process.exit());
