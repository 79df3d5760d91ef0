import { existsSync, globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { MIGRATIONS } from '../src/out/sink/clickhouse/schema.ts';
import { generated } from '../tools/docs/generate.ts';
import { options } from '../tools/docs/options-page.ts';

describe('generated documents', () => {
  test.each([...generated()])('%s is what `npm run generate:docs` makes', (path, text) => {
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  test('every option has a description', () => {
    expect(options().length).toBeGreaterThan(40);
    expect(options().flatMap(({ path, node }) => (node.description === undefined ? [path] : []))).toEqual([]);
  });
});

describe('docs/events.md', () => {
  const document = readFileSync('docs/events.md', 'utf8');
  const rows = document.slice(document.indexOf('## Types')).match(/^\| `.*?\|/gm) ?? [];
  const listed = rows.flatMap((row) => [...row.matchAll(/`(\w+)`/g)].map(([, type = '']) => type)).sort();
  /** Events are objects whose first key is their type, made for `record`, `event` or the journal. */
  const EVENT =
    /(?:record\([^{]*|journalEvent\([^{]*|event\(|told\(|stringify\(|event(?:: object)? = |return )\{ type: '([a-z_]+)'|"type":"([a-z_]+)"/g;
  /** Rooms that journal events; elsewhere `type` tags other things. */
  const sources = globSync('src/{in/*,fleet/*,roles}/*.ts').map((path) => readFileSync(path, 'utf8'));
  const made = sources.flatMap((text) => [...text.matchAll(EVENT)].map(([, a, b]) => a ?? b ?? ''));

  test('lists every type of event that the code makes', () => {
    expect(made.length).toBeGreaterThan(15);
    expect(made.filter((type) => !listed.includes(type))).toEqual([]);
  });

  test('lists no type that the code does not name', () => {
    expect(listed.filter((type) => !sources.some((text) => text.includes(type)))).toEqual([]);
  });
});

describe('docs/formats/tables.md', () => {
  const named = new Set([...readFileSync('docs/formats/tables.md', 'utf8').matchAll(/`(\w+)`/g)].map(([, name]) => name));

  test('names every column of the tables', () => {
    const text = MIGRATIONS.flatMap(({ statements }) => statements('db')).join('\n');
    const columns = [
      ...text.matchAll(
        /(?:^ {2}|IF NOT EXISTS )(\w+) (?:String|Bool|U?Int\d+|Float\d+|DateTime|FixedString|Nullable|LowCardinality|Array|Map)/gm,
      ),
    ];
    expect(columns.length).toBeGreaterThan(40);
    expect([...new Set(columns.map(([, name]) => name))].filter((name) => !named.has(name))).toEqual([]);
  });

  test('names every field of a record as JSON', () => {
    const code = readFileSync('src/out/record/rows.ts', 'utf8');
    const written = [...code.matchAll(/[{,]"(\w+)":|number\('(\w+)'/g)].map(([, a, b]) => a ?? b ?? '');
    expect(written.length).toBeGreaterThan(15);
    expect(written.filter((name) => !named.has(name))).toEqual([]);
  });
});

describe('llms.txt', () => {
  const named = [...readFileSync('llms.txt', 'utf8').matchAll(/\]\(([^)]+)\)/g)].map(([, path = '']) => path);

  test('names documents that exist, and every one of docs', () => {
    expect(named.filter((path) => !existsSync(path))).toEqual([]);
    const documents = globSync('docs/{*,formats/*}.md');
    expect(documents.length).toBeGreaterThan(15);
    expect(documents.filter((path) => !named.includes(path))).toEqual([]);
  });
});
