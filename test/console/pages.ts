import { spawnSync } from 'node:child_process';

/**
 * Builds the pages and the map, as `npm run build` does; quick when the cache has them. Into `out`, else only into the cache, so that a
 * server has them at once.
 */
export function buildPages(out?: string): void {
  const args = out === undefined ? [] : ['--out', out];
  const { status, stderr } = spawnSync(process.execPath, ['web/build.ts', ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`web/build.ts: ${stderr}`);
}
