import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { ClickHouseError, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ask, chdbInstalled, cleanUp, clientOf, freshDirectory, keyOf, type Running, start } from './child.ts';

/** `length-prefixed text` of the Native and RowBinary formats, for texts under 128 bytes. */
function shortText(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => void bytes.writeUInt32LE(value, 4 * i));
  return bytes;
}

/** A block of two columns: counts of columns and rows, then name, type and values of each column. */
function nativeBlock(ids: readonly number[], names: readonly string[]): Buffer {
  return Buffer.concat([
    Buffer.of(2, ids.length),
    // Not in the table's order: columns go by name.
    ...[shortText('name'), shortText('String'), ...names.map(shortText)],
    ...[shortText('id'), shortText('UInt32'), uint32(...ids)],
  ]);
}

describe.skipIf(!chdbInstalled)('the HTTP interface', () => {
  let running: Running;
  let directory = '';
  let client: ReturnType<typeof createClient>;

  beforeAll(async () => {
    directory = await freshDirectory();
    running = await start(directory);
    client = createClient({ ...clientOf(running.url), log: { level: ClickHouseLogLevel.OFF } });
    await client.command({
      query: `CREATE TABLE t (id UInt32, name String DEFAULT 'none') ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100`,
    });
  });

  afterAll(async () => {
    await client?.close();
    await cleanUp();
  });

  beforeEach(async () => {
    await client.command({ query: 'TRUNCATE TABLE t' });
  });

  function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${running.url}${path}`, { headers: { ...keyOf(running.url), ...headers } });
  }

  async function rows(): Promise<string> {
    return (await ask(running.url, 'SELECT id, name FROM t ORDER BY id, name')).text;
  }

  it('answers pings', async () => {
    expect(await (await get('/ping')).text()).toBe('Ok.\n');
    expect(await (await get('/')).text()).toBe('Ok.\n');
    expect(await client.ping()).toMatchObject({ success: true });
    expect(await client.ping({ select: true })).toMatchObject({ success: true });
  });

  it('answers queries in the format asked for, in the URL or the body', async () => {
    const answer = await get('/?query=SELECT+1&query_id=abc');
    expect(await answer.text()).toBe('1\n');
    expect(answer.headers.get('x-clickhouse-query-id')).toBe('abc');
    expect(answer.headers.get('x-clickhouse-format')).toBe('TabSeparated');
    expect(JSON.parse(answer.headers.get('x-clickhouse-summary') ?? '')).toMatchObject({ read_rows: '1' });
    expect((await ask(running.url, 'SELECT 1 AS a FORMAT JSONEachRow')).text).toBe('{"a":1}\n');
    expect((await ask(running.url, 'SELECT 1 AS a', { default_format: 'CSVWithNames' })).text).toBe('"a"\n1\n');
    const each = await client.query({
      query: 'SELECT number AS n, toString(number) AS s FROM system.numbers LIMIT 2',
      format: 'JSONEachRow',
      clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
    });
    expect(await each.json()).toEqual([
      { n: '0', s: '0' },
      { n: '1', s: '1' },
    ]);
    const tabs = await client.query({ query: 'SELECT 1, 2', format: 'TabSeparated' });
    expect(await tabs.text()).toBe('1\t2\n');
    const whole = await client.query({ query: 'SELECT 1 AS a', format: 'JSON' });
    expect((await whole.json()).data).toEqual([{ a: 1 }]);
  });

  it('keeps parameters, settings and the database to their request', async () => {
    const hard = "tab\t quote ' backslash \\ newline \n ü";
    const query = 'SELECT {text:String} AS text, {list:Array(UInt8)} AS list, {none:Nullable(String)} AS none';
    const query_params = { text: hard, list: [1, 2], none: null };
    const asked = Array.from({ length: 20 }, async (_, i) => {
      const result = await client.query({ query: `${query}, {i:UInt8} AS i`, query_params: { ...query_params, i }, format: 'JSONEachRow' });
      expect(await result.json()).toEqual([{ text: hard, list: [1, 2], none: null, i }]);
    });
    await Promise.all(asked);
    const form = await client.query({ query, query_params, format: 'JSONEachRow', use_multipart_params: true });
    expect(await form.json()).toEqual([{ text: hard, list: [1, 2], none: null }]);
    const setting = "SELECT getSetting('max_block_size'), currentDatabase()";
    expect((await ask(running.url, setting, { max_block_size: '77', database: 'system' })).text).toBe('77\tsystem\n');
    expect((await ask(running.url, setting)).text).not.toContain('77');
    expect((await ask(running.url, 'SELECT {text:String}')).text).toMatch(/^Code: 456\. DB::Exception: /);
  });

  it('inserts Native, columns by name, the absent ones by default', async () => {
    const values = Readable.from([nativeBlock([7, 8], ['a', 'b'])], { objectMode: false });
    await client.exec({ query: 'INSERT INTO t FORMAT Native', values });
    const listed = await fetch(`${running.url}/?query=INSERT+INTO+t+(id,name)+FORMAT+Native`, {
      method: 'POST',
      headers: keyOf(running.url),
      body: new Uint8Array(nativeBlock([9], ['c'])),
    });
    expect(listed.status).toBe(200);
    expect(JSON.parse(listed.headers.get('x-clickhouse-summary') ?? '')).toMatchObject({ written_rows: '1' });
    const one = Buffer.concat([Buffer.of(1, 1), shortText('id'), shortText('UInt32'), uint32(10)]);
    await client.exec({ query: 'INSERT INTO t FORMAT Native', values: Readable.from([one], { objectMode: false }) });
    expect(await rows()).toBe('7\ta\n8\tb\n9\tc\n10\tnone\n');
  });

  it('inserts RowBinary, JSONEachRow, CSV and VALUES, with the statement in the URL or ahead of the rows', async () => {
    const binary = Buffer.concat([uint32(1), shortText('row'), uint32(2), shortText('binary')]);
    await client.exec({
      query: 'INSERT INTO default.t (id, name) FORMAT RowBinary',
      values: Readable.from([binary], { objectMode: false }),
    });
    await client.insert({ table: 't', values: [{ id: 3, name: 'json' }, { id: 4 }], format: 'JSONEachRow' });
    await client.insert({ table: 't', values: [{ id: 5, name: 'columns' }], format: 'JSONEachRow', columns: ['id', 'name'] });
    await client.insert({ table: 't', values: Readable.from(['6,"csv"\n'], { objectMode: false }), format: 'CSV' });
    await client.command({ query: "INSERT INTO t (id, name) VALUES (7, 'FORMAT;'), (8, upper('values'))" });
    await client.command({ query: "INSERT INTO t (id, name) SELECT 9, 'select'" });
    const inBody = Buffer.concat([Buffer.from('INSERT INTO t FORMAT Native\n'), nativeBlock([10], ['body'])]);
    expect((await fetch(running.url, { method: 'POST', headers: keyOf(running.url), body: new Uint8Array(inBody) })).status).toBe(200);
    expect((await ask(running.url, '', { query: 'INSERT INTO t FORMAT Native' })).status).toBe(200);
    expect(await rows()).toBe('1\trow\n2\tbinary\n3\tjson\n4\tnone\n5\tcolumns\n6\tcsv\n7\tFORMAT;\n8\tVALUES\n9\tselect\n10\tbody\n');
    // Invariant 4: bodies go with their requests.
    await expect.poll(() => readdir(join(directory, 'incoming'))).toEqual([]);
  });

  it('invariant 3: one token stores its rows once, two tokens store equal rows twice', async () => {
    const insert = (token: string) =>
      client.exec({
        query: 'INSERT INTO t FORMAT Native',
        values: Readable.from([nativeBlock([1, 2], ['a', 'b'])], { objectMode: false }),
        clickhouse_settings: { insert_deduplication_token: token },
      });
    await insert('one');
    await insert('one');
    expect((await ask(running.url, 'SELECT count() FROM t')).text).toBe('2\n');
    await insert('two');
    expect((await ask(running.url, 'SELECT count() FROM t')).text).toBe('4\n');
  });

  it('packs and unpacks', async () => {
    for (const codec of ['gzip', 'zstd', 'br'] as const) {
      const packing = createClient({ ...clientOf(running.url), compression: { request: { codec }, response: { codec } } });
      await packing.insert({ table: 't', values: [{ id: 1, name: codec }], format: 'JSONEachRow' });
      const result = await packing.query({ query: 'SELECT name FROM t', format: 'JSONEachRow' });
      expect(result.response_headers['content-encoding']).toBe(codec);
      expect(await result.json()).toEqual([{ name: codec }]);
      await packing.command({ query: 'TRUNCATE TABLE t' });
      await packing.close();
    }
    const plain = await ask(running.url, 'SELECT 1', {}, { headers: { 'accept-encoding': 'gzip' } });
    expect(plain.headers.get('content-encoding')).toBeNull();
    const broken = { body: new Uint8Array(gzipSync('SELECT 1').subarray(0, 20)), headers: { 'content-encoding': 'gzip' } };
    expect((await ask(running.url, '', {}, broken)).status).toBe(500);
  });

  it.each([
    ['SELEC 1', 62, 400, 'SYNTAX_ERROR'],
    ['SELECT * FROM nowhere', 60, 404, 'UNKNOWN_TABLE'],
    ['SELECT nothing', 47, 404, 'UNKNOWN_IDENTIFIER'],
    ['SELECT 1; SELECT 2', 62, 400, 'SYNTAX_ERROR'],
    ['INSERT INTO t FORMAT JSONEachRow {"id": "x"}', 27, 400, 'CANNOT_PARSE_INPUT_ASSERTION_FAILED'],
    ['INSERT INTO nowhere FORMAT CSV\n1', 60, 404, 'UNKNOWN_TABLE'],
    ["SELECT 1 INTO OUTFILE 'x'", 48, 501, 'NOT_IMPLEMENTED'],
    ["SELECT * FROM file('/etc/hostname', 'LineAsString')", 497, 403, 'ACCESS_DENIED'],
    ["CREATE TABLE f (a String) ENGINE = File(LineAsString, '/etc/hostname')", 497, 403, 'ACCESS_DENIED'],
    [
      "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(HTTP(url 'http://127.0.0.1:9/' format 'TSV')) LAYOUT(FLAT()) LIFETIME(0)",
      497,
      403,
      'ACCESS_DENIED',
    ],
    ["SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')", 497, 403, 'ACCESS_DENIED'],
    ["SELECT 1 /* /* */ ' */ INTO OUTFILE '/tmp/fixgate-x' APPEND FORMAT CSV -- '", 48, 501, 'NOT_IMPLEMENTED'],
    ["SELECT $a$'$a$ INTO OUTFILE $b$/tmp/fixgate-x$b$", 48, 501, 'NOT_IMPLEMENTED'],
    ["INSERT INTO t FROM INFILE '/etc/hostname' FORMAT CSV", 48, 501, 'NOT_IMPLEMENTED'],
    ["INSERT INTO t /* /* */ ' */ FROM INFILE '/etc/hostname' FORMAT CSV -- '", 48, 501, 'NOT_IMPLEMENTED'],
    ['SELECT 1 /* /* */ */; DROP TABLE t', 62, 400, 'SYNTAX_ERROR'],
    ['INSERT INTO t FORMAT /* no */ CSV\n1', 62, 400, 'SYNTAX_ERROR'],
    ['SELECT number FROM system.numbers LIMIT 100000000', 396, 500, 'TOO_MANY_ROWS_OR_BYTES'],
  ])('%s fails as %i', async (statement, code, status, name) => {
    const answer = await ask(running.url, statement);
    expect(answer.text).toMatch(new RegExp(`^Code: ${code}\\. DB::Exception: [^]*\\(${name}\\)`));
    expect(answer.status).toBe(status);
    expect(answer.headers.get('x-clickhouse-exception-code')).toBe(String(code));
  });

  it('invariant 4: no statement raises a limit', async () => {
    // Of threads, 0 is what the engine finds right: one a processor.
    const limits = { max_memory_usage: ['0'], max_result_bytes: ['0'], max_execution_time: ['0'], max_threads: [], max_insert_threads: [] };
    for (const [name, none] of Object.entries(limits)) {
      for (const value of [...none, '99999999999']) {
        const inStatement = await ask(running.url, `SELECT 1 SETTINGS ${name} = ${value}`);
        expect([name, value, inStatement.headers.get('x-clickhouse-exception-code')]).toEqual([name, value, '452']);
        const inUrl = await ask(running.url, 'SELECT 1', { [name]: value });
        expect([name, value, inUrl.headers.get('x-clickhouse-exception-code')]).toEqual([name, value, '452']);
      }
      expect((await ask(running.url, 'SELECT 1', { [name]: '1' })).headers.get('x-clickhouse-exception-code')).not.toBe('452');
    }
  });

  it('inserts into a table that a parameter names', async () => {
    const query = 'INSERT INTO {d:Identifier}.{t:Identifier} FORMAT CSV';
    expect((await ask(running.url, '1,a', { query, param_d: 'default', param_t: 't' })).status).toBe(200);
    expect(await rows()).toBe('1\ta\n');
  });

  it('gives errors that the client understands', async () => {
    const failed = client.query({ query: 'SELECT * FROM nowhere' }).catch((error: unknown) => error);
    const error = await failed;
    expect(error).toBeInstanceOf(ClickHouseError);
    expect(error).toMatchObject({ code: '60', type: 'UNKNOWN_TABLE' });
    const unknown = await ask(running.url, 'SELECT 1', { no_such_setting: '1' });
    expect([unknown.status, unknown.headers.get('x-clickhouse-exception-code')]).toEqual([404, '115']);
  });

  describe('invariant 1', () => {
    const QUERIES = ['/?query=SELECT+1', '/ping', '/', '/nowhere', "/?query=SELECT+file('/etc/hostname')"];
    const status = async (headers: Record<string, string>, path = '/?query=SELECT+1') => {
      // Not fetch, which adds headers of its own.
      const [answer] = await once(request(`${running.url}${path}`, { headers }).end(), 'response');
      answer.resume();
      return answer.statusCode;
    };

    it.each(QUERIES)('%s without the secret: 401, and no browser is asked to keep one', async (path) => {
      for (const headers of [{}, { 'x-clickhouse-key': 'x' }, { authorization: `Basic ${btoa('default:')}` }]) {
        for (const init of [{}, { method: 'POST', body: 'SELECT 1' }, { method: 'OPTIONS' }]) {
          const answer = await fetch(`${running.url}${path}`, { ...init, headers });
          expect(answer.status).toBe(401);
          expect(answer.headers.get('www-authenticate')).toBeNull();
          expect(await answer.text()).toMatch(/^Code: 516\. DB::Exception: .*fixgate sql/);
        }
      }
    });

    it('takes the secret in headers only', async () => {
      const key = keyOf(running.url)['x-clickhouse-key'];
      expect(await status({ 'x-clickhouse-key': key })).toBe(200);
      expect(await status({ 'x-clickhouse-user': 'default', 'x-clickhouse-key': key })).toBe(200);
      expect(await status({ authorization: `Basic ${btoa(`default:${key}`)}` })).toBe(200);
      expect(await status({ 'x-clickhouse-user': 'root', 'x-clickhouse-key': key })).toBe(401);
      expect(await status({ authorization: `Basic ${btoa(`root:${key}`)}` })).toBe(401);
      expect(await status({ authorization: `Bearer ${key}` })).toBe(401);
      // The header that is looked at first counts, right or wrong.
      expect(await status({ authorization: `Basic ${btoa('default:x')}`, 'x-clickhouse-key': key })).toBe(401);
      for (const query of [`password=${key}`, `user=default&password=${key}`])
        for (const headers of [{}, { 'x-clickhouse-key': key }]) expect(await status(headers, `/?query=SELECT+1&${query}`)).toBe(401);
    });

    it('refuses what a page or another name may have sent, also with the secret', async () => {
      const key = keyOf(running.url);
      expect(await status({ ...key, origin: 'https://example.org' })).toBe(403);
      expect(await status({ ...key, origin: 'http://127.0.0.1:3000' })).toBe(403);
      expect(await status({ ...key, origin: 'null' })).toBe(403);
      for (const site of ['none', 'same-origin', 'cross-site']) expect(await status({ ...key, 'sec-fetch-site': site })).toBe(403);
      // A name that someone else's DNS points at 127.0.0.1.
      for (const host of ['example.org:8123', '127.0.0.1.example.org', 'localhost.example.org'])
        expect(await status({ ...key, host })).toBe(403);
      for (const host of ['localhost', '127.0.0.1:8123', '[::1]:1']) expect(await status({ ...key, host })).toBe(200);
      // Requests that URL cannot read end nothing.
      const odd = request({ port: new URL(running.url).port, path: '//[', headers: key }).end();
      await once(odd, 'response').catch(() => null);
      expect(await status(key)).toBe(200);
    });

    it('a GET changes nothing, whatever it says about that', async () => {
      for (const readonly of ['', '&readonly=0', '&readonly=0&readonly=0']) {
        const link = await get(`/?query=${encodeURIComponent('TRUNCATE TABLE t')}${readonly}`);
        expect(link.headers.get('x-clickhouse-exception-code')).toBe('164');
      }
    });
  });

  it('invariant 4: refuses a query text that is too long', async () => {
    const answer = await ask(running.url, `SELECT '${'x'.repeat(1024 * 1024)}'`);
    expect([answer.status, answer.headers.get('x-clickhouse-exception-code')]).toEqual([413, '307']);
  });

  it('invariants 4 and 5: slow reads hold up neither pings nor inserts, the queue ends at 503, and abandoned reads free their turn', async () => {
    const abandon = new AbortController();
    const endless = 'SELECT sleepEachRow(1) FROM system.numbers LIMIT 100 SETTINGS max_block_size = 1';
    let answered = 0;
    const reads = Array.from({ length: 64 }, () =>
      ask(running.url, endless, {}, { signal: abandon.signal }).then(
        () => void answered++,
        () => {},
      ),
    );
    // All 64 are inside once one more is refused.
    let refused = await ask(running.url, 'SELECT 1');
    while (refused.status !== 503)
      refused = await ask(running.url, 'SELECT 1', {}, { signal: AbortSignal.timeout(500) }).catch(() => refused);
    expect(refused.headers.get('x-clickhouse-exception-code')).toBe('202');
    expect(await (await get('/ping')).text()).toBe('Ok.\n');
    abandon.abort();
    await Promise.all(reads);
    expect(answered).toBe(0);
    // Both turns were taken for 100 s: an answer means that the queries were stopped.
    let next = await ask(running.url, 'SELECT 1');
    while (next.status === 503) next = await ask(running.url, 'SELECT 1');
    expect(next.text).toBe('1\n');

    const again = new AbortController();
    const two = [1, 2].map(() => ask(running.url, endless, {}, { signal: again.signal }).catch(() => null));
    await client.insert({ table: 't', values: [{ id: 1 }], format: 'JSONEachRow' });
    again.abort();
    expect(await Promise.all(two)).toEqual([null, null]);
    expect(await rows()).toBe('1\tnone\n');
  });
});
