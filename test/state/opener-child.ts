import { writeSync } from 'node:fs';
import { silentLog } from '../../src/base/log.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';

/** A process of its own that opens the store in the directory in argv as many times as the second argument says, and closes it each time. */
const [, , directory = '', times = ''] = process.argv;

for (let n = 0; n < Number(times); n++) {
  const store = new LmdbStore({ directory, log: silentLog });
  if (n === 0) writeSync(1, 'begun\n');
  await store.close();
}
