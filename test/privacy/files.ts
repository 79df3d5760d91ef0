import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../../src/base/errors.ts';

/** Files anywhere in the data directory that hold any of these bytes. What vanishes meanwhile, the engine has merged and removed. */
export function filesWith(dataDir: string, needles: readonly Buffer[]): string[] {
  return entriesOf(dataDir).flatMap((entry) => {
    const path = join(dataDir, entry.name);
    if (entry.isDirectory()) return filesWith(path, needles);
    const bytes = entry.isFile() ? unlessGone(() => readFileSync(path)) : undefined;
    return bytes !== undefined && needles.some((needle) => bytes.includes(needle)) ? [path] : [];
  });
}

function entriesOf(directory: string): Dirent[] {
  return unlessGone(() => readdirSync(directory, { withFileTypes: true })) ?? [];
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** A place as a device sends it, as ClickHouse stores it, and as text. */
export function traces(lat: number, lon: number): Buffer[] {
  return [lat, lon].flatMap((degrees) => {
    const [sent, stored] = [Buffer.alloc(4), Buffer.alloc(8)];
    sent.writeInt32BE(Math.round(degrees * 1e7));
    stored.writeDoubleLE(degrees);
    return [sent, stored, Buffer.from(String(degrees))];
  });
}
