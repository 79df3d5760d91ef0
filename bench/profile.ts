/**
 * Where the processor time of a scenario goes: `node bench/profile.ts <scenario> [functions]`. Runs one round of it (`run.ts`) with V8's
 * profiler in supervisor, workers and shipper, and prints for each of them the functions that took the most, in % of the time in which
 * it did something. The profiler costs time of its own: for figures, measure without it.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import type { Profiler } from 'node:inspector';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = join(import.meta.dirname, '..');
const [, , scenario, most = '15'] = process.argv;
const IDLE = new Set(['(idle)', '(root)']);

if (scenario === undefined || scenario.startsWith('-')) {
  console.error('usage: node bench/profile.ts <scenario> [functions]; npm run bench -- --help lists the scenarios');
  process.exit(2);
}

const directory = mkdtempSync(join(tmpdir(), 'fixgate-profile-'));
try {
  const preload = pathToFileURL(join(import.meta.dirname, 'profiled.ts')).href;
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, 'run.ts'), '--scenario', scenario, '--rounds', '1'], {
    env: { ...process.env, PROFILE_DIR: directory, NODE_OPTIONS: `--import ${preload}` },
    stdio: 'inherit',
  });
  if (status !== 0) process.exitCode = 1;
  const roles = Map.groupBy(readdirSync(directory).sort(), (name) => name.split('.')[0] ?? '');
  for (const [role, files] of roles)
    print(
      role,
      files.map((name): Profiler.Profile => JSON.parse(readFileSync(join(directory, name), 'utf8'))),
    );
} finally {
  rmSync(directory, { recursive: true, force: true });
}

function print(role: string, profiles: readonly Profiler.Profile[]): void {
  const spent = new Map<string, number>();
  for (const { nodes, samples = [], timeDeltas = [] } of profiles) {
    const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
    for (const [k, id] of samples.entries()) {
      const name = names.get(id) ?? '';
      if (!IDLE.has(name)) spent.set(name, (spent.get(name) ?? 0) + (timeDeltas[k] ?? 0));
    }
  }
  const all = [...spent.values()].reduce((sum, us) => sum + us, 0);
  console.log(`\n${role}, ${profiles.length === 1 ? '1 process' : `${profiles.length} processes`}: ${(all / 1_000_000).toFixed(1)} s`);
  for (const [name, us] of [...spent].sort((a, b) => b[1] - a[1]).slice(0, Number(most)))
    console.log(`${((100 * us) / all).toFixed(1).padStart(6)} %  ${name}`);
}

function nameOf({ functionName, url, lineNumber }: Profiler.Profile['nodes'][number]['callFrame']): string {
  const file = url.startsWith('file:') ? relative(ROOT, fileURLToPath(url)) : url;
  return `${functionName === '' ? '(module or arrow function)' : functionName}${file === '' ? '' : `  ${file}:${lineNumber + 1}`}`;
}
