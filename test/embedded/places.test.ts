import { expect, test } from 'vitest';
import { Places } from '../../src/embedded/places.ts';

/** An engine that says where a table lies, and how often it was asked. */
class Tables {
  asked = 0;
  path = '/a';
  readonly find = async (): Promise<string[]> => {
    this.asked++;
    return this.path === '' ? [] : [this.path];
  };
}

const nothing = async (): Promise<void> => {};

test('invariant 1: what only reads or inserts costs no further question', async () => {
  const [places, tables] = [new Places(), new Tables()];
  for (const sql of ['INSERT INTO a.b FORMAT Native', ' select 1', 'WITH 1 AS x SELECT x', 'SHOW TABLES', 'EXPLAIN SELECT 1']) {
    await places.around(sql, nothing);
    expect(await places.of('t', tables.find)).toEqual(['/a']);
  }
  expect(tables.asked).toBe(1);
});

test.each([
  'DROP TABLE a.b',
  'EXCHANGE TABLES a.b AND a.c',
  'ALTER TABLE a.b DELETE WHERE 1',
  'SYSTEM RELOAD CONFIG',
  'SELECT 1; DROP TABLE a.b',
  '/* SELECT */ DROP TABLE a.b',
  'selection',
])('invariant 1: it is asked again behind %s, also when that fails', async (sql) => {
  const [places, tables] = [new Places(), new Tables()];
  await places.of('t', tables.find);
  tables.path = '/b';
  await places.around(sql, nothing);
  expect(await places.of('t', tables.find)).toEqual(['/b']);
  tables.path = '/c';
  await expect(places.around(sql, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await places.of('t', tables.find)).toEqual(['/c']);
});

test('invariant 2: while a statement runs that may move the table, nothing that is found is kept', async () => {
  const [places, tables] = [new Places(), new Tables()];
  await places.of('t', tables.find);
  await places.around('RENAME TABLE a.b TO a.c', async () => {
    await places.of('t', tables.find);
    await places.of('t', tables.find);
    tables.path = '/b';
  });
  expect(tables.asked).toBe(3);
  expect(await places.of('t', tables.find)).toEqual(['/b']);
});

test('invariant 2: nor what was asked before it ran and is answered behind its end', async () => {
  const [places, tables] = [new Places(), new Tables()];
  const early = await places.of('t', async () => {
    const found = await tables.find();
    await places.around('DROP TABLE a.b', async () => {
      tables.path = '/b';
    });
    return found;
  });
  expect(early).toEqual(['/a']);
  expect(await places.of('t', tables.find)).toEqual(['/b']);
});

test('a table that is not there is asked for each time', async () => {
  const [places, tables] = [new Places(), new Tables()];
  tables.path = '';
  expect(await places.of('t', tables.find)).toEqual([]);
  tables.path = '/a';
  expect(await places.of('t', tables.find)).toEqual(['/a']);
});
