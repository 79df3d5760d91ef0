import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { loadConfig, readConfig } from '../../../src/config/load.ts';

/** The JSON Schema that editors use, against the loader: what one refuses, the other does, too. */
const directory = mkdtempSync(join(tmpdir(), 'fixgate-schema-'));
afterAll(() => rmSync(directory, { recursive: true }));
const document = JSON.parse(readFileSync('fixgate.schema.json', 'utf8'));
const schema = z.fromJSONSchema(document);

function verdicts(text: string): { editor: boolean; server: boolean } {
  const file = join(directory, 'fixgate.yaml');
  writeFileSync(file, text);
  return { editor: schema.safeParse(parse(text)).success, server: readConfig({ file, env: {} }).problems.length === 0 };
}

describe('fixgate.schema.json', () => {
  it.each([
    'workers: 4',
    '$schema: https://example.org/fixgate.schema.json\nworkers: 4',
    'listeners: [{ codec: gt06, transport: tcp, port: 5023, idleMs: 60000, shared: true }]',
    "clickhouse: { url: 'http://127.0.0.1:8123', user: me, password: secret, database: other }",
    "redis: { url: 'redis://127.0.0.1:6379', prefix: x, maxLength: 1000 }",
    "codecs: { packages: [a], options: { gt06: { integrity: verify, depth: 3, on: true } } }\ndevices: { '356307042441013': { family: fmx6 } }",
    "registry: { mode: closed, newIds: { exempt: ['10.0.0.0/8', '2001:db8::/32'] } }",
    "http: { publicUrl: 'https://fixgate.example.org', trustedProxies: ['127.0.0.1', '::1', '10.0.0.0/8'], console: false }",
    "http: { publicUrl: '' }",
    'commands: { streamAllows: [engine_stop], confirm: true, attempts: 20 }',
  ])('and the loader accept %j', (text) => {
    expect(verdicts(text)).toEqual({ editor: true, server: true });
  });

  it.each([
    'worker: 4',
    'workers: 0',
    "workers: 'four'",
    'workers: 1.5',
    'drainMs: 600001',
    'logLevel: loud',
    'dataDir: ""',
    'listeners: []',
    'listeners: [{ codec: gt06, transport: sctp, port: 5023 }]',
    'listeners: [{ codec: gt06, transport: tcp }]',
    'listeners: [{ codec: gt06, transport: tcp, port: 65536 }]',
    'listeners: [{ codec: gt06, transport: tcp, port: 1, prot: 2 }]',
    'journal: { maxBytes: 1 }',
    'clickhouse: { database: "a-b" }',
    'registry: { mode: shut }',
    "registry: { newIds: { exempt: ['10.0.0.0'] } }",
    'commands: { streamAllows: [locate] }',
    "http: { trustedProxies: ['somewhere'] }",
    'codecs: { options: { gt06: { integrity: [1] } } }',
    'devices: { x: 1 }',
  ])('and the loader refuse %j', (text) => {
    expect(verdicts(text)).toEqual({ editor: false, server: false });
  });

  it.each(["http: { publicUrl: 'ftp://example.org' }", "redis: { url: 'http://127.0.0.1' }"])(
    'leaves %j, schemes of URLs, to the loader',
    (text) => {
      expect(verdicts(text)).toEqual({ editor: true, server: false });
    },
  );

  it('has every option with its description, and its default where it is not of the machine', () => {
    expect(document.properties).not.toHaveProperty('workers.default');
    expect(document.properties.drainMs).toMatchObject({ default: 10_000, description: 'time to finish after SIGTERM' });
  });

  it('is named by the example, which the server can use', () => {
    const [example = ''] = globSync('deploy/*.example.yaml');
    const text = readFileSync(example, 'utf8');
    expect(join(dirname(example), /^# yaml-language-server: \$schema=(.*)\n/.exec(text)?.[1] ?? '')).toBe('fixgate.schema.json');
    expect(verdicts(text)).toEqual({ editor: true, server: true });
    expect(loadConfig({ file: example, env: {} }).config.listeners).toHaveLength(3);
  });
});
