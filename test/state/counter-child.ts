import { writeSync } from 'node:fs';
import { silentLog } from '../../src/base/log.ts';
import { secretUrl } from '../../src/base/secret.ts';
import { openState } from '../../src/state/open.ts';

/**
 * A process of its own that counts in one write after the other, and says on standard output, one line each, how far it has
 * come, until it is killed. Arguments: URL and directory of the store.
 */
const [, , url = '', directory = ''] = process.argv;
const store = await openState({ url: secretUrl(url), prefix: 'test:', directory, log: silentLog });
for (let n = 1; ; n++) {
  await store.write([
    { table: 'cursors', key: 'c', expect: n === 1 ? undefined : String(n - 1) },
    { table: 'cursors', key: 'c', put: String(n) },
    { table: 'usage', key: 'u', add: { one: 1, two: 1 } },
  ]);
  writeSync(1, `${n}\n`);
}
