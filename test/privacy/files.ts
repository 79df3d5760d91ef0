import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files anywhere in the data directory that hold any of these bytes. */
export function filesWith(dataDir: string, needles: readonly Buffer[]): string[] {
  return readdirSync(dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      try {
        const bytes = readFileSync(path);
        return needles.some((needle) => bytes.includes(needle));
      } catch {
        // The engine has merged and removed it.
        return false;
      }
    });
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
