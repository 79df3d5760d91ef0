import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The built pages and the map, as `npm run build` makes them; quick when the cache has them. */
export function builtPages(): string {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-console-'));
  const out = join(directory, 'console');
  const { status, stderr } = spawnSync(process.execPath, ['web/build.ts', '--out', out], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`web/build.ts: ${stderr}`);
  return out;
}
