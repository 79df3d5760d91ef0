import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Secret } from '../../src/base/secret.ts';
import { converse, escapes } from '../../src/cli/sql.ts';
import { embeddedAccess } from '../../src/embedded/socket.ts';
import { UsageHistory } from '../../src/out/sink/clickhouse/history.ts';
import { chdbInstalled, cleanUp, type Running, start } from '../embedded/child.ts';
import { fixgate } from './command.ts';

const data = mkdtempSync(join(tmpdir(), 'fixgate-sql-'));
afterAll(() => rmSync(data, { recursive: true, force: true }));

describe.skipIf(!chdbInstalled)('fixgate sql, beside a running engine on a free port', () => {
  let running: Running;
  let secret = '';
  const env = { FIXGATE_DATA_DIR: data, FIXGATE_CLICKHOUSE_DATABASE: 'default', FIXGATE_CLICKHOUSE_PORT: '0' };

  beforeAll(async () => {
    running = await start(join(data, 'clickhouse'));
    secret = readFileSync(join(data, 'clickhouse/secret'), 'utf8').trim();
  });
  afterAll(cleanUp);

  it('prints a table, or the format that is asked for', async () => {
    const [pretty, vertical, json, piped] = await Promise.all([
      fixgate(['sql', "SELECT 1 AS a, 'x' AS b"], '', env),
      fixgate(['sql', '--format', 'Vertical', 'SELECT 1 AS a'], '', env),
      fixgate(['sql', 'SELECT 1 AS a FORMAT JSONEachRow'], '', env),
      fixgate(['sql', '--format', 'TSV'], 'SELECT 42\n', env),
    ]);
    expect(pretty.out).toMatch(/┌─a─┬─b─┐\n│ 1 │ x │\n└───┴───┘\n/);
    expect(vertical.out).toBe('Row 1:\n──────\na: 1\n');
    expect(json.out).toBe('{"a":1}\n');
    expect(piped.out).toBe('42\n');
    for (const { code, error } of [pretty, vertical, json, piped]) expect([code, error]).toEqual([0, '']);
  });

  it('changes nothing without --write, and says so', async () => {
    const create = 'CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a';
    const refused = await fixgate(['sql', create], '', env);
    expect([refused.code, refused.out]).toEqual([1, '']);
    expect(refused.error).toContain('--write');
    expect(await fixgate(['sql', `${create} SETTINGS readonly = 0`], '', env)).toMatchObject({ code: 1 });
    expect(await fixgate(['sql', '--write', create], '', env)).toMatchObject({ code: 0, error: '' });
    expect(await fixgate(['sql', '--write', 'INSERT INTO t VALUES (7)'], '', env)).toMatchObject({ code: 0, error: '' });
    expect(await fixgate(['sql', '--format', 'TSV', 'SELECT a FROM t'], '', env)).toMatchObject({ code: 0, out: '7\n' });
  });

  it('says what is wrong in one line, and where other programs find ClickHouse without the password', async () => {
    const [broken, two, none, url, json] = await Promise.all([
      fixgate(['sql', 'SELEC 1'], '', env),
      fixgate(['sql', 'SELECT', '1'], '', env),
      fixgate(['sql'], ' ', env),
      fixgate(['clickhouse', 'url'], '', env),
      fixgate(['clickhouse', 'url', '--json'], '', env),
    ]);
    expect([broken.code, broken.error]).toEqual([1, expect.stringMatching(/^fixgate: Syntax error.*\n$/)]);
    expect([two.code, two.error]).toEqual([2, expect.stringContaining('put it in quotes')]);
    expect([none.code, none.error]).toEqual([2, expect.stringContaining('missing statement')]);
    expect(url.out).toContain(running.url);
    expect(JSON.parse(json.out)).toEqual({
      url: running.url,
      user: 'default',
      database: 'default',
      password: `in the file ${join(data, 'clickhouse/secret')}`,
    });
    for (const { out, error } of [broken, two, none, url, json]) expect(out + error).not.toContain(secret);
  });

  it('before the server has made its tables says so', async () => {
    const { FIXGATE_CLICKHOUSE_DATABASE: _, ...configured } = env;
    const [database, table] = await Promise.all([
      fixgate(['sql', 'SELECT count() FROM positions'], '', configured),
      fixgate(['sql', 'SELECT count() FROM positions'], '', env),
    ]);
    for (const { code, error } of [database, table])
      expect([code, error]).toEqual([1, expect.stringContaining('the server makes its tables when it first reaches ClickHouse')]);
    const history = new UsageHistory(embeddedAccess(join(data, 'clickhouse'), running.url, new Secret(secret)));
    await expect(history.devices(0, 1)).rejects.toMatchObject({ message: expect.stringMatching(/has no tables yet: .*readyz/) });
    await history.close();
  });

  it('without a running engine names the data directory and the remedy', async () => {
    const outcome = await fixgate(['sql', 'SELECT 1'], '', { FIXGATE_DATA_DIR: join(data, 'none') });
    expect([outcome.code, outcome.error]).toEqual([73, expect.stringMatching(/none\/clickhouse: start the server.*FIXGATE_DATA_DIR/)]);
  });
});

describe('the conversation', () => {
  it('runs each statement when its semicolon has come, and goes on until it is ended', async () => {
    const asked: string[] = [];
    const input = new PassThrough();
    const typed = ['SELECT 1;', '', 'SELECT', '  2;', 'SELECT 3', 'quit', ';', 'exit', 'SELECT 4;'];
    let shown = '';
    // Somebody who types a line when the prompt has come.
    const output = new Writable({
      write(chunk, _encoding, done) {
        shown += String(chunk);
        input.write(`${typed.shift()}\n`);
        done();
      },
    });
    await converse(input, output, async (statement) => void asked.push(statement));
    expect(asked).toEqual(['SELECT 1;\n', 'SELECT\n  2;\n', 'SELECT 3\nquit\n;\n']);
    const [first, more] = ['fixgate> ', '      -> '];
    expect(shown).toBe(first + first + first + more + first + more + more + first);
  });
});

it('what steers a terminal is shown, not done', async () => {
  const stream = escapes();
  // A sign cut in two stays whole.
  const bytes = Buffer.from('a\x1b[31mü\x07\r\n\tb\u009b');
  stream.write(bytes.subarray(0, 7));
  stream.end(bytes.subarray(7));
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  expect(text).toBe('a\\x1b[31mü\\x07\\x0d\n\tb\\x9b');
});
