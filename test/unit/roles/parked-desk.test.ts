import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Exclusion } from '../../../src/roles/exclusion.ts';
import { ParkedDesk } from '../../../src/roles/parked-desk.ts';

let dataDir: string;
beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'fixgate-parked-'));
});
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

describe('a sink that has set nothing aside', () => {
  it('is answered without a thread', async () => {
    // No thread could read this configuration.
    const data = { config: null, clickhouse: { url: '', username: '', password: '', database: '', embedded: '' }, instance: 'test' };
    const directory = join(dataDir, 'parked');
    const desk = new ParkedDesk(directory, data, new Exclusion(dataDir));
    const empty = async (): Promise<void> => {
      expect(await desk.list('clickhouse', '', 10)).toEqual({ entries: [], total: 0 });
      expect(await desk.retry('clickhouse')).toEqual({ delivered: 0, refused: 0 });
      expect(await desk.retry('clickhouse', '0.1')).toEqual({ delivered: 0, refused: 0 });
    };
    await empty();
    // Of another one.
    mkdirSync(directory);
    writeFileSync(join(directory, 'redis.jsonl'), '');
    await empty();
  });
});
