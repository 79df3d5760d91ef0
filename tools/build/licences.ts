import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The name, version and licence of the package in `directory`; undefined when there is none. What is built contains packages, and their licences ask for it. */
export function licenceOf(directory: string): string | undefined {
  if (!existsSync(join(directory, 'package.json'))) return undefined;
  const { name, version, license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  const file = readdirSync(directory).find((one) => /^licen[cs]e/i.test(one));
  const text = file === undefined ? `Licence: ${license}` : readFileSync(join(directory, file), 'utf8');
  return `${name} ${version}\n${'-'.repeat(60)}\n${text.trim()}\n`;
}
