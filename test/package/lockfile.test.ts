import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { rounds } from '../support/thorough.ts';

it('package-lock.json names the packages of every platform: npm 11 refuses to install without', () => {
  const lock: unknown = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  const packages = new Map<string, unknown>(Object.entries(Object(Object(lock).packages)));
  const missing = [...packages.values()]
    .flatMap((entry) => Object.keys(Object(Object(entry).optionalDependencies)))
    .filter((name) => ![...packages.keys()].some((path) => path.endsWith(`node_modules/${name}`)));
  expect(packages.size).toBeGreaterThan(100);
  expect(missing).toEqual([]);
});

/** What README.md says suffices: the pinned Node comes with the packages. */
it.each(['20.19.0', '22.12.0'].slice(0, rounds(1, 2)))('npm ci prints no warning on Node %s', (version) => {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-npm-ci-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const file of ['package.json', 'package-lock.json']) cpSync(file, join(directory, file));
  const disguise = join(directory, 'disguise.cjs');
  writeFileSync(
    disguise,
    `Object.defineProperty(process, 'version', { value: 'v${version}' });
     Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });`,
  );
  const { status, stdout, stderr } = spawnSync('npm', ['ci', '--dry-run', '--offline', '--no-audit', '--no-fund', '--no-update-notifier'], {
    cwd: directory,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: directory, NODE_OPTIONS: `--require=${disguise}` },
  });
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^add fastify /m);
});

it('the Node that the command asks for is the pinned one', () => {
  const needed = /needed = (\d+)/.exec(readFileSync('bin/fixgate.js', 'utf8'))?.[1];
  const { devDependencies, engines } = JSON.parse(readFileSync('package.json', 'utf8'));
  // Of `npm ci`, `npm start` and `npx fixgate`; the server itself needs more, and bin/fixgate.js says so.
  expect([devDependencies.node.split('.')[0], engines.node]).toEqual([needed, '>=20']);
});
