import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../src/embedded/engine.ts';
import { quoteName, quoteText, readStatement, splitInsert } from '../../src/embedded/statement.ts';
import { chdbInstalled, cleanUp, freshDirectory } from './child.ts';

describe.skipIf(!chdbInstalled)('with the parser of the engine', () => {
  let engine: Engine;
  const normalise = (text: string): Promise<string> => engine.normalise(text);
  const read = async (text: string) => readStatement(await normalise(text));

  beforeAll(async () => {
    engine = await Engine.open({ directory: await freshDirectory(), resultBytes: 1_000_000 });
  });
  afterAll(async () => {
    await engine.close();
    await cleanUp();
  });

  describe('an INSERT that brings rows', () => {
    it.each([
      ['INSERT INTO t FORMAT Native', 'INSERT INTO t', 'Native', '', ['', 't']],
      ['insert into db.t (a, b) format JSONEachRow', 'INSERT INTO db.t (a, b)', 'JSONEachRow', '', ['db', 't']],
      ['INSERT INTO TABLE `my db`."t""1" FORMAT CSV', 'INSERT INTO `my db`.`t"1`', 'CSV', '', ['my db', 't"1']],
      ['INSERT INTO t (format, `values`) FORMAT TSV', 'INSERT INTO t (format, `values`)', 'TSV', '', ['', 't']],
      ['INSERT INTO t (* EXCEPT(a)) FORMAT TSV', 'INSERT INTO t (* EXCEPT a)', 'TSV', '', ['', 't']],
      ['INSERT INTO t (`a)b`) FORMAT TSV', 'INSERT INTO t (`a)b`)', 'TSV', '', ['', 't']],
      ['INSERT INTO format FORMAT TSV', 'INSERT INTO format', 'TSV', '', ['', 'format']],
      [
        'INSERT INTO {d:Identifier}.{t:Identifier} FORMAT TSV',
        'INSERT INTO {d:Identifier}.{t:Identifier}',
        'TSV',
        '',
        ['{d:Identifier}', '{t:Identifier}'],
      ],
      ['INSERT INTO db.values VALUES', 'INSERT INTO db.`values`', 'Values', '', ['db', 'values']],
      ["INSERT INTO t SETTINGS a = 'FORMAT x', b = 1 FORMAT CSV", 'INSERT INTO t', 'CSV', "SETTINGS a = 'FORMAT x', b = 1", ['', 't']],
      ['/* FORMAT no */ INSERT -- FORMAT no\nINTO t # FORMAT no\n FORMAT CSV', 'INSERT INTO t', 'CSV', '', ['', 't']],
      ["/* /* */ ' INSERT INTO u FORMAT TSV */ INSERT INTO t FORMAT CSV", 'INSERT INTO t', 'CSV', '', ['', 't']],
    ])('%s', async (text, target, format, settings, [database, table]) => {
      expect(await splitInsert(text, normalise)).toEqual({ insert: { target, format, settings, database, table }, dataAt: text.length });
    });

    it.each([
      ['INSERT INTO t FORMAT CSV\n1,2', '1,2'],
      ['INSERT INTO t FORMAT CSV \r\n\n1', '\n1'],
      ['INSERT INTO t FORMAT JSONEachRow {"a":1}', '{"a":1}'],
      ["INSERT INTO t VALUES (1, 'FORMAT;');", "(1, 'FORMAT;');"],
      ['INSERT INTO t FORMAT CSV\n1; SELECT 2', '1; SELECT 2'],
    ])('%j begins its rows at %j', async (text, rows) => {
      expect(text.slice((await splitInsert(text, normalise))?.dataAt)).toBe(rows);
    });

    it.each([
      'INSERT INTO t SELECT 1 FORMAT CSV',
      'INSERT INTO t (a) WITH 1 AS x SELECT x',
      "INSERT INTO FUNCTION file('x') FORMAT CSV",
      "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
      'INSERT INTO',
      'SELECT 1 FORMAT CSV',
      "SELECT 'INSERT INTO t FORMAT CSV'",
      '',
    ])('is not %j', async (text) => expect(await splitInsert(text, normalise)).toBeNull());
  });

  describe('any other statement', () => {
    it('tells its format', async () => {
      expect((await read('SELECT 1 FORMAT JSON')).format).toBe('JSON');
      expect((await read('SELECT 1 FORMAT Null')).format).toBe('Null');
      expect((await read("SELECT 1 FORMAT Pretty SETTINGS max_threads = 1, http_response_headers = 'x(y)'")).format).toBe('Pretty');
      expect((await read("SELECT 'FORMAT CSV', (SELECT 1 AS ` FORMAT x`)")).format).toBe('');
    });

    it.each(['SELECT 1; SELECT 2', 'SELECT 1 /* /* */ */; DROP TABLE t', 'SELECT $a$ $a$; SELECT 2'])(
      '%s is more than one',
      async (text) => {
        await expect(normalise(text)).rejects.toThrow(/^Code: 62\. .*Multi-statements are not allowed.*\(SYNTAX_ERROR\)/s);
        await expect(normalise(text)).rejects.not.toThrow('formatQuery');
      },
    );

    it.each(["SELECT ';'; -- the end", 'SELECT `a;b` /* ; */ ;\n', "SELECT 'it\\'s;' || 'it''s;' || 1", 'SELECT $a$;$a$'])(
      '%s is one',
      async (text) => {
        await expect(normalise(text)).resolves.toMatch(/^SELECT /);
      },
    );

    it.each([
      "SELECT 1 INTO OUTFILE 'x'",
      "SELECT 1 into /* */ outfile 'x'",
      "SELECT 1 /* /* */ ' */ INTO OUTFILE '/tmp/x' APPEND FORMAT CSV -- '",
      "SELECT $a$'$a$ INTO OUTFILE $b$x$b$ TRUNCATE",
      "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
      "INSERT INTO t /* /* */ ' */ FROM INFILE 'x' FORMAT CSV -- '",
      "EXPLAIN SELECT 1 INTO OUTFILE 'x'",
    ])('%s names a file', async (text) => expect(await read(text)).toMatchObject({ insert: null, namesFile: true }));

    it.each(["SELECT 'INTO OUTFILE ''x''', outfile FROM t", `SELECT " INTO OUTFILE 'x'" FROM t`, "SELECT $a$ FROM INFILE 'x'$a$"])(
      '%s names none',
      async (text) => expect((await read(text)).namesFile).toBe(false),
    );
  });
});

it('quotes text and names', () => {
  expect(quoteText("a'b\\c")).toBe("'a\\'b\\\\c'");
  expect(quoteName('a`b\\c')).toBe('`a\\`b\\\\c`');
});
