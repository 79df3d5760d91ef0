import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

it('package-lock.json names the packages of every platform: npm 11 refuses to install without', () => {
  const lock: unknown = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  const packages = new Map<string, unknown>(Object.entries(Object(Object(lock).packages)));
  const missing = [...packages.values()]
    .flatMap((entry) => Object.keys(Object(Object(entry).optionalDependencies)))
    .filter((name) => ![...packages.keys()].some((path) => path.endsWith(`node_modules/${name}`)));
  expect(packages.size).toBeGreaterThan(100);
  expect(missing).toEqual([]);
});
