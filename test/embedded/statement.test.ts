import { describe, expect, it } from 'vitest';
import { quoteName, quoteText, readStatement } from '../../src/embedded/statement.ts';

describe('an INSERT that brings rows', () => {
  it.each([
    ['INSERT INTO t FORMAT Native', 'INSERT INTO t', 'Native', '', ['', 't']],
    ['insert into db.t (a, b) format JSONEachRow', 'insert into db.t (a, b)', 'JSONEachRow', '', ['db', 't']],
    ['INSERT INTO TABLE `my db`."t""1" FORMAT CSV', 'INSERT INTO TABLE `my db`."t""1"', 'CSV', '', ['my db', 't"1']],
    ['INSERT INTO t (format, `values`) FORMAT TSV', 'INSERT INTO t (format, `values`)', 'TSV', '', ['', 't']],
    ['INSERT INTO format FORMAT TSV', 'INSERT INTO format', 'TSV', '', ['', 'format']],
    ['INSERT INTO db.values VALUES', 'INSERT INTO db.values', 'Values', '', ['db', 'values']],
    ["INSERT INTO t SETTINGS a = 'FORMAT x', b = 1 FORMAT CSV", 'INSERT INTO t', 'CSV', "SETTINGS a = 'FORMAT x', b = 1", ['', 't']],
    [
      '/* FORMAT no */ INSERT -- FORMAT no\nINTO t # FORMAT no\n FORMAT CSV',
      '/* FORMAT no */ INSERT -- FORMAT no\nINTO t',
      'CSV',
      '',
      ['', 't'],
    ],
  ])('%s', (text, target, format, settings, [database, table]) => {
    const { insert } = readStatement(text);
    expect(insert).toMatchObject({ format, settings, database, table, dataAt: text.length });
    // Comments may trail the target; what counts is that FROM INFILE lands outside of them.
    expect(insert?.target.startsWith(target)).toBe(true);
    expect(insert?.target.slice(target.length).replaceAll(/#.*$/gm, '').trim()).toBe('');
  });

  it.each([
    ['INSERT INTO t FORMAT CSV\n1,2', '1,2'],
    ['INSERT INTO t FORMAT CSV \r\n\n1', '\n1'],
    ['INSERT INTO t FORMAT JSONEachRow {"a":1}', '{"a":1}'],
    ["INSERT INTO t VALUES (1, 'FORMAT');", "(1, 'FORMAT');"],
  ])('%j begins its rows at %j', (text, rows) => {
    expect(text.slice(readStatement(text).insert?.dataAt)).toBe(rows);
  });

  it.each([
    'INSERT INTO t SELECT 1 FORMAT CSV',
    'INSERT INTO t (a) WITH 1 AS x SELECT x',
    "INSERT INTO FUNCTION file('x') FORMAT CSV",
    'INSERT INTO',
    'SELECT 1 FORMAT CSV',
    '',
  ])('is not %j', (text) => expect(readStatement(text).insert).toBeNull());
});

describe('any other statement', () => {
  it('tells its format', () => {
    expect(readStatement('SELECT 1 FORMAT JSON').format).toBe('JSON');
    expect(readStatement('SELECT 1 FORMAT Pretty SETTINGS max_threads = 1').format).toBe('Pretty');
    expect(readStatement("SELECT 'FORMAT CSV', (SELECT 1 FORMAT x)").format).toBe('');
  });

  it('is one statement', () => {
    expect(readStatement('SELECT 1; SELECT 2').several).toBe(true);
    expect(readStatement("SELECT ';'; -- the end").several).toBe(false);
    expect(readStatement('SELECT `a;b` /* ; */ ;\n').several).toBe(false);
    expect(readStatement("SELECT 'it\\'s;' || 'it''s;' || 1").several).toBe(false);
  });

  it('names no file', () => {
    expect(readStatement("SELECT 1 INTO OUTFILE 'x'").namesFile).toBe(true);
    expect(readStatement("INSERT INTO t FROM INFILE 'x' FORMAT CSV")).toMatchObject({ insert: null, namesFile: true });
    expect(readStatement("SELECT 1 into /* */ outfile 'x'").namesFile).toBe(true);
    expect(readStatement("SELECT 'INTO OUTFILE', outfile FROM t").namesFile).toBe(false);
  });
});

it('quotes text and names', () => {
  expect(quoteText("a'b\\c")).toBe("'a\\'b\\\\c'");
  expect(quoteName('a`b\\c')).toBe('`a\\`b\\\\c`');
});
