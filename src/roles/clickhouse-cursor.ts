import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
/** The cursor of a ClickHouse: another server or database has had nothing yet, and gets what the journal still holds. */
export function clickHouseCursor({ clickhouse: { url, database }, dataDir }: Config): string {
  const server = url === undefined ? 'embedded' : hashed(url.reveal());
  return join(dataDir, 'cursor', `clickhouse-${server}-${database}.json`);
}

export function hashed(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
