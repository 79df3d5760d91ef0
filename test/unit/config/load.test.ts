import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { explainConfig } from '../../../src/config/explain.ts';
import { loadConfig } from '../../../src/config/load.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-config-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function file(text: string): string {
  const path = join(directory, 'config.yaml');
  writeFileSync(path, text);
  return path;
}

describe('configuration', () => {
  it('works without any: the documented defaults', () => {
    const { config } = loadConfig({ env: {} });
    expect(config.dataDir).toBe('./data');
    expect(config.http).toEqual({ host: '127.0.0.1', port: 8080, console: true, publicUrl: '', trustedProxies: [] });
    expect(config.clickhouse).toMatchObject({ url: undefined, port: 8123, database: 'fixgate' });
    expect(config.listeners.map((l) => `${l.codec} ${l.transport} ${l.port}`)).toEqual([
      'teltonika tcp 5027',
      'teltonika udp 5027',
      'gt06 tcp 5023',
      'gt06 udp 5023',
      'h02 tcp 5013',
      'h02 udp 5013',
      'jt808 tcp 5015',
      'jt808 udp 5015',
      'queclink tcp 5004',
      'queclink udp 5004',
      'auto tcp 5000',
      'auto udp 5000',
    ]);
  });

  it('takes variables over the file over the defaults, and says where each came from', () => {
    const loaded = loadConfig({
      file: file('workers: 3\ndataDir: /srv/a\nredis: {url: "redis://:secret@r"}'),
      env: { FIXGATE_DATA_DIR: '/srv/b' },
    });
    expect(loaded.config).toMatchObject({ workers: 3, dataDir: '/srv/b' });
    const explained = new Map(explainConfig(loaded).map((option) => [option.key, option]));
    expect(explained.get('dataDir')?.origin).toBe('FIXGATE_DATA_DIR');
    expect(explained.get('workers')?.origin).toMatch(/^file .*config\.yaml$/);
    expect(explained.get('drainMs')?.origin).toBe('default');
    expect(JSON.stringify([...explained.values()])).not.toContain('secret');
  });

  it('refuses texts with control characters and lone surrogates, wherever they stand', () => {
    const yaml = 'dataDir: "a\\u0007"\ncodecs: {packages: ["x\\ud800"]}\n';
    expect(() => loadConfig({ file: file(yaml), env: {} })).toThrow(/dataDir: must be text without .*codecs\.packages\.0: must be text/);
  });

  it('reads listeners from one variable', () => {
    const { config } = loadConfig({
      env: { FIXGATE_LISTEN: 'teltonika/tcp:0, gt06/udp@::1:99,h02/tcp@[::]:98,h02/udp@[2001:db8::1]:97,auto@127.0.0.1:5000' },
    });
    expect(config.listeners.map((l) => [l.codec, l.transport, l.host, l.port])).toEqual([
      ['teltonika', 'tcp', '::', 0],
      ['gt06', 'udp', '::1', 99],
      ['h02', 'tcp', '::', 98],
      ['h02', 'udp', '2001:db8::1', 97],
      ['auto', 'tcp', '127.0.0.1', 5000],
      ['auto', 'udp', '127.0.0.1', 5000],
    ]);
  });

  it('reports all problems at once, each with its key and the nearest known one', () => {
    const load = () =>
      loadConfig({
        file: file('worker: 3\njournal: {kepMs: 4, keepMs: -1}\nlisteners:\n - {codec: gt06, transport: tcp, prt: 5}'),
        env: { FIXGATE_WORKERS: 'many', FIXGATE_REDIS_URI: 'x' },
      });
    expect(load).toThrow(/7 problems/);
    for (const part of [
      'FIXGATE_WORKERS: "many" is not a number',
      'FIXGATE_REDIS_URI: unknown variable; did you mean FIXGATE_REDIS_URL?',
      'worker: unknown key; did you mean workers?',
      'journal.kepMs: unknown key; did you mean keepMs?',
      'journal.keepMs:',
      'listeners.0.prt: unknown key; did you mean port?',
      'listeners.0.port:',
    ])
      expect(load).toThrow(part);
  });

  it('says plainly what is wrong with a file', () => {
    expect(() => loadConfig({ file: join(directory, 'absent.yaml'), env: {} })).toThrow(
      /cannot read the configuration file .*absent\.yaml/,
    );
    expect(() => loadConfig({ file: file('a: [1'), env: {} })).toThrow(/neither YAML nor JSON/);
    expect(() => loadConfig({ file: file('- 1'), env: {} })).toThrow(/must hold keys and values/);
  });
});
