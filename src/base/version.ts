import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { jsonOf } from './json.ts';

let known: string | undefined;

/** The version of the package that this file belongs to, in source and in dist alike. */
export function version(): string {
  if (known !== undefined) return known;
  const file = findPackageJSON('..', import.meta.url);
  const found = file === undefined ? undefined : jsonOf(readFileSync(file, 'utf8'));
  known = typeof found === 'object' && found !== null && 'version' in found ? String(found.version) : 'unknown';
  return known;
}
