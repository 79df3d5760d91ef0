/** Forwards until it is killed: `dlt-child.ts <data> <URL> <devices>`. */
import { join } from 'node:path';
import { nodeStorage } from '../../src/base/files.ts';
import { silentLog } from '../../src/base/log.ts';
import { createMetrics } from '../../src/base/metrics/catalog.ts';
import { Erasures, erasuresPath } from '../../src/out/ship/erasures.ts';
import { startShipper } from '../../src/out/ship/shipper.ts';
import { tiny } from '../ship/tiny.ts';
import { dltSink, imeiOf } from './dlt-rig.ts';

const [data = '', url = '', devices = ''] = process.argv.slice(2);
const defaults = {};
startShipper({
  erasures: await Erasures.load(erasuresPath(data), nodeStorage),
  journalDirectory: join(data, 'journal'),
  parkedDirectory: join(data, 'parked'),
  instance: 'rig',
  sinks: [
    dltSink(
      data,
      url,
      Array.from({ length: Number(devices) }, (_, i) => imeiOf(i)),
    ).sink,
  ],
  codecs: new Map([['tiny', tiny]]),
  optionsOf: () => defaults,
  order: () => Number.MAX_SAFE_INTEGER,
  metrics: createMetrics(),
  log: silentLog,
});
// The parent that forgets it must not leave it running.
process.on('disconnect', () => process.exit());
