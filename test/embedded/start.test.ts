import { fork } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, open, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { until } from '../support/wait.ts';
import { ask, chdbInstalled, cleanUp, freshDirectory, keyOf, launch, MAIN, start } from './child.ts';

afterAll(cleanUp);

it('invariant 1: refuses to listen where other machines could reach it', async () => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.org', '127.0.0.1.example.org']) {
    expect(await launch(await freshDirectory(), { host })).toMatchObject({
      type: 'failed',
      code: 'PORT_DENIED',
      message: expect.stringContaining(host),
    });
  }
});

it('names a port that is taken, and the remedy', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const address = holder.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const outcome = await launch(await freshDirectory(), { port });
  holder.close();
  expect(outcome).toMatchObject({ type: 'failed', code: 'PORT_IN_USE', message: expect.stringContaining('FIXGATE_CLICKHOUSE_PORT') });
  expect(outcome).toMatchObject({ message: expect.stringContaining(String(port)) });
});

it('says what to do where chdb is not installed', async () => {
  // A copy outside the project finds no node_modules.
  const copy = await freshDirectory();
  await cp(dirname(dirname(MAIN)), join(copy, 'src'), { recursive: true });
  await writeFile(join(copy, 'package.json'), '{"type":"module"}');
  const outcome = await launch(join(copy, 'data'), { main: join(copy, 'src', 'embedded', 'main.ts') });
  expect(outcome).toMatchObject({ type: 'failed', code: 'CLICKHOUSE_MISSING', message: expect.stringContaining('FIXGATE_CLICKHOUSE_URL') });
  expect(outcome).toMatchObject({ message: expect.stringContaining('optional') });
});

it('refuses a directory that it cannot use', async () => {
  const directory = await freshDirectory();
  await writeFile(join(directory, 'file'), '');
  expect(await launch(join(directory, 'file', 'data'))).toMatchObject({ type: 'failed', code: 'DATA_DIR_UNUSABLE' });
  expect(await launch(join(directory, 'a{b}'))).toMatchObject({ type: 'failed', code: 'DATA_DIR_UNUSABLE' });
});

describe.skipIf(!chdbInstalled)('the child process', () => {
  it('invariant 6: leaves a directory to the process that has it, which ends when its parent is gone', async () => {
    const directory = await freshDirectory();
    const running = await start(directory);
    expect(await launch(directory)).toMatchObject({
      type: 'failed',
      code: 'DATA_DIR_UNUSABLE',
      message: expect.stringContaining(`${directory} is in use by another fixgate: process ${running.process.pid} on host `),
    });
    expect((await fetch(`${running.url}/ping`, { headers: keyOf(running.url) })).status).toBe(200);
    const exit = once(running.process, 'exit');
    running.process.disconnect();
    expect(await exit).toEqual([0, null]);
  });

  it('works in a directory whose name needs quoting, and takes nothing from standard input', async () => {
    const parent = await freshDirectory();
    const directory = join(parent, `it's <a> & "b" ü`);
    await mkdir(directory);
    const path = join(parent, 'stdin');
    await writeFile(path, 'rows of somebody else\n');
    const stdin = await open(path);
    const outcome = await launch(directory, { stdin: stdin.fd });
    await stdin.close();
    if (outcome.type === 'failed') throw new Error(outcome.message);
    const { running } = outcome;
    const run = async (body: string) => (await ask(running.url, body)).text;
    expect(await run('CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a')).toBe('');
    expect(await run('INSERT INTO t VALUES (1)')).toBe('');
    expect(await run('SELECT count() FROM t')).toBe('1\n');
    expect((await ask(running.url, '2', { query: 'INSERT INTO t FORMAT CSV' })).status).toBe(200);
    expect(await run('SELECT count() FROM t')).toBe('2\n');
    await running.end();
  });

  it('ends in order when its parent is gone before it is ready', async () => {
    const child = fork(MAIN, ['--directory', await freshDirectory(), '--port', '0'], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    child.disconnect();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('stops with a query running when its parent lets go, and leaves signals to its parent', async () => {
    const running = await start(await freshDirectory());
    const endless = 'SELECT sleepEachRow(1) FROM system.numbers LIMIT 100 SETTINGS max_block_size = 1';
    const query = ask(running.url, endless).catch(() => null);
    running.process.kill('SIGINT');
    running.process.kill('SIGTERM');
    const queries = `SELECT query FROM system.processes WHERE query NOT LIKE '%processes%'`;
    await until(async () => (await ask(running.url, queries)).text.includes('sleepEachRow(1)'));
    expect(await running.end()).toBe(0);
    await query;
  });
});
