import { writeSync } from 'node:fs';
import { silentLog } from '../../src/base/log.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';

/**
 * A process of its own that remembers device after device in the directory in argv and says on standard output, one line
 * each, how many are committed, until it is killed. The second argument names its devices.
 */
const [, , directory = '', prefix = ''] = process.argv;
const store = new LmdbStore({ directory, log: silentLog });

for (let n = 0; ; ) {
  for (const until = n + 50; n < until; n++) store.remember(`${prefix}${n}`, { codec: 'toy', memo: n, updated: 1 });
  await store.flush();
  writeSync(1, `${n}\n`);
}
