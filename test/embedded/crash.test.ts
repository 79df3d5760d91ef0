import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/simulate/random.ts';
import { rounds } from '../support/thorough.ts';
import { moment } from '../support/wait.ts';
import { ask, chdbInstalled, cleanUp, freshDirectory, type Running, start } from './child.ts';

const TABLE = `CREATE TABLE t (id UInt64, month UInt8) ENGINE = MergeTree PARTITION BY month ORDER BY id
  SETTINGS non_replicated_deduplication_window = 1000`;

const KILLS = rounds(2, 20);

function insert(running: Running, token: string, rows: string) {
  return ask(running.url, rows, { query: 'INSERT INTO t FORMAT CSV', insert_deduplication_token: token });
}

async function count(running: Running): Promise<string> {
  return (await ask(running.url, 'SELECT count(), uniqExact(id) FROM t')).text.trim();
}

async function tablePath(running: Running): Promise<string> {
  return (await ask(running.url, `SELECT data_paths[1] FROM system.tables WHERE name = 't'`)).text.trim();
}

describe.skipIf(!chdbInstalled)('kill -9', () => {
  afterAll(cleanUp);

  it('invariants 2, 3 and 6: keeps what was answered and knows its tokens, at once on the same directory', async () => {
    const directory = await freshDirectory();
    let running = await start(directory);
    await ask(running.url, TABLE);
    expect((await insert(running, 'a', '1,1\n2,2')).status).toBe(200);
    await running.end('SIGKILL');
    await writeFile(join(directory, 'incoming', 'left-over'), 'x');
    running = await start(directory);
    expect(await readdir(join(directory, 'incoming'))).toEqual([]);
    expect(await count(running)).toBe('2\t2');
    expect((await insert(running, 'a', '1,1\n2,2')).status).toBe(200);
    expect(await count(running)).toBe('2\t2');
    expect((await insert(running, 'b', '1,1\n2,2')).status).toBe(200);
    expect(await count(running)).toBe('4\t2');
    expect(await running.end()).toBe(0);
  });

  it('invariant 3: a token whose rows never arrived does not swallow the retry', async () => {
    const directory = await freshDirectory();
    let running = await start(directory);
    await ask(running.url, TABLE);
    await insert(running, 'a', '1,1\n2,2');
    await insert(running, 'b', '3,1\n4,2');
    const path = await tablePath(running);
    await running.end('SIGKILL');
    // What a kill between the note of a token and the rename of its part leaves: the note and no part.
    await rm(join(path, '1_3_3_0'), { recursive: true, force: true });
    await rm(join(path, '1_3_3_1'), { recursive: true, force: true });
    const [log = ''] = await readdir(join(path, 'deduplication_logs'));
    const logPath = join(path, 'deduplication_logs', log);
    await writeFile(logPath, `${await readFile(logPath, 'utf8')}1\t1_9`);
    running = await start(directory);
    expect(await count(running)).toBe('3\t3');
    await insert(running, 'b', '3,1\n4,2');
    await insert(running, 'a', '1,1\n2,2');
    expect(await count(running)).toBe('4\t4');
    await running.end();
  });

  it('invariants 2 and 3: batches that are retried until answered arrive exactly once, killed at any moment', async () => {
    const directory = await freshDirectory();
    let running = await start(directory);
    const port = Number(new URL(running.url).port);
    await ask(running.url, TABLE);
    const random = new Random(7);
    let kills = 0;
    let finished = false;
    const killer = (async () => {
      while (!finished) {
        await moment(random, 40, 160);
        if (finished || kills === KILLS) return;
        await running.end('SIGKILL');
        kills++;
        running = await start(directory, port);
      }
    })();
    let batches = 0;
    for (; batches < 5 * KILLS || kills < KILLS; batches++) {
      const rows = Array.from({ length: 1000 }, (_, i) => `${batches * 1000 + i},${i % 3}`).join('\n');
      for (let status = 0; status !== 200; )
        status = await insert(running, `batch ${batches}`, rows).then(
          (answer) => answer.status,
          () => 0,
        );
    }
    finished = true;
    await killer;
    expect(await count(running)).toBe(`${batches * 1000}\t${batches * 1000}`);
    await running.end();
  });
});
