import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { messageOf } from '../../../src/base/errors.ts';
import { checkedConfig } from '../../../src/cli/configuration.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { nearest, nearestVariable } from '../../../src/config/nearest.ts';
import { readYaml } from '../../../src/config/yaml.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-check-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function file(text: string): string {
  const path = join(directory, 'config.yaml');
  writeFileSync(path, text);
  return path;
}

/** What the server would say; '' when it would start. */
async function said(text: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const from = { file: file(text), env: { FIXGATE_DATA_DIR: join(directory, 'data'), ...env } };
  return checkedConfig(from).then(() => '', messageOf);
}

describe('what serve and check-config check', () => {
  it('is fine by default, and makes nothing', async () => {
    expect(await said('')).toBe('');
    expect(readdirSync(directory)).toEqual(['config.yaml']);
  });

  it('names problems of every kind in one round', async () => {
    writeFileSync(join(directory, 'afile'), '');
    const text = `
worker: 3
dataDir: ${join(directory, 'afile', 'data')}
clickhouse: { url: "localhost:8123" }
redis: { url: "nonsense" }
state: { url: "http://127.0.0.1" }
codecs:
  packages: [./nowhere.js]
  options: { gt06: { integrity: perhaps }, gt60: {} }
devices: { "356307042441013": { nonsense: 1 } }
listeners:
  - { codec: gt60, transport: tcp, port: 21001 }
  - { codec: gt06, transport: tcp, prt: 5 }
  - { codec: gt06, transport: tcp, port: 21002 }
  - { codec: h02, transport: tcp, port: 21002 }
  - { codec: h02, transport: udp, host: 192.0.2.1, port: 21003 }
http: { port: 21001 }
`;
    const from = { file: file(text), env: { FIXGATE_PORT: '1', FIXGATE_WORKERS: 'many' } };
    const message = await checkedConfig(from).then(() => '', messageOf);
    for (const part of [
      'FIXGATE_PORT: unknown variable; did you mean FIXGATE_HTTP_PORT?',
      'FIXGATE_WORKERS: "many" is not a number',
      'worker: unknown key; did you mean workers?',
      'clickhouse.url: not a URL that can be used here; expected http(s)://host:port',
      'redis.url: ',
      'state.url: ',
      'cannot load the codec package ./nowhere.js',
      'codecs.options.gt06.integrity: "perhaps" is not one of',
      'codecs.options.gt60: no codec gt60; did you mean gt06?',
      'devices.356307042441013.nonsense: no codec has this option',
      'listeners.0.codec: no codec gt60; did you mean gt06?',
      'listeners.1.prt: unknown key; did you mean port?',
      'listeners.1.port: ',
      'listeners.3.port: h02 and gt06 (listeners.2.port) both listen on tcp 21002',
      'listeners.4: cannot listen on UDP 192.0.2.1',
      'http.port: HTTP and gt60 (listeners.0.port) both listen on tcp 21001 (:: and 127.0.0.1 overlap)',
      'dataDir: ',
    ])
      expect(message).toContain(part);
    expect(message).toMatch(/^the configuration has 17 problems: /);
  });

  it.each([
    ['teltonika/tcp:21000,gt06/tcp:21000', 'listeners.1.port: gt06 and teltonika (listeners.0.port) both listen on tcp 21000'],
    ['gt06/udp@127.0.0.1:21000,gt06/udp:21000', 'gt06 and gt06 (listeners.0.port) both listen on udp 21000 (127.0.0.1 and :: overlap)'],
    ['gt06/tcp@:::21000,h02/tcp@127.0.0.1:21000', '(:: and 127.0.0.1 overlap)'],
    ['gt06/tcp@[::]:21000,h02/tcp@0.0.0.0:21000', '(:: and 0.0.0.0 overlap)'],
    ['gt06/tcp@localhost:21000,h02/tcp@127.0.0.1:21000', '(localhost and 127.0.0.1 overlap)'],
    ['gt06/tcp@::1:21000,h02/tcp@0:0:0:0:0:0:0:1:21000', '(::1 and 0:0:0:0:0:0:0:1 overlap)'],
    ['gt06/tcp:8080', 'http.port: HTTP and gt06 (listeners.0.port)'],
    ['gt06/tcp:8123', 'clickhouse.port: the embedded ClickHouse and gt06 (listeners.0.port) both listen on tcp 8123'],
    ['gt06/tcp@127.0.0.1:21000,h02/tcp@127.0.0.2:21000', ''],
    ['gt06/tcp:21000,h02/udp:21000', ''],
    ['gt06/tcp:0,h02/tcp:0', ''],
  ])('knows what shares a port: %s', async (listen, problem) => {
    const message = await said('', { FIXGATE_LISTEN: listen });
    if (problem === '') expect(message).toBe('');
    else expect(message).toContain(problem);
  });

  it('knows that HTTP and the embedded ClickHouse share a port, and that there is no embedded one', async () => {
    expect(await said('clickhouse: { port: 8080 }')).toContain('clickhouse.port: the embedded ClickHouse and HTTP (http.port) both listen');
    expect(await said('clickhouse: { port: 8080, url: "http://127.0.0.1:8080" }')).toBe('');
  });

  it('keeps the exit codes of what is wrong alone', async () => {
    const dataDir = join(directory, 'afile', 'data');
    await expect(checkedConfig({ env: { FIXGATE_DATA_DIR: dataDir } })).rejects.toMatchObject({ code: 'DATA_DIR_UNUSABLE' });
    const env = { FIXGATE_DATA_DIR: directory, FIXGATE_LISTEN: 'gt06/tcp@192.0.2.1:21000' };
    await expect(checkedConfig({ env })).rejects.toMatchObject({ code: 'PORT_DENIED' });
  });

  it('says what is wrong with an anchor that contains itself', async () => {
    expect(await said('journal: &a\n  keepMs: 1000\n  more: *a\n')).toContain('the anchor at "journal.more" contains itself');
    expect(() => readYaml('a: &a [1, *a]')).toThrow('the anchor at "a.1" contains itself');
    expect(() => readYaml(`${'['.repeat(150)}${']'.repeat(150)}`)).toThrow('nested deeper than 100');
    expect(() => readYaml('a: 1\nb: { c: 1, c: 2 }')).toThrow('duplicate key "c"');
    expect(readYaml('a: &a [1]\nb: [*a, *a]')).toEqual({ a: [1], b: [[1], [1]] });
  });
});

describe('the nearest name', () => {
  const variables = [
    'FIXGATE_HTTP_PORT',
    'FIXGATE_CLICKHOUSE_PORT',
    'FIXGATE_REDIS_URL',
    'FIXGATE_DATA_DIR',
    'FIXGATE_URL',
    'FIXGATE_TOKEN',
  ];

  it.each([
    ['FIXGATE_PORT', 'FIXGATE_HTTP_PORT'],
    ['FIXGATE_CLICKHOUSE_HTTP_PORT', 'FIXGATE_CLICKHOUSE_PORT'],
    ['FIXGATE_DIR', 'FIXGATE_DATA_DIR'],
    ['FIXGATE_REDIS_URI', 'FIXGATE_REDIS_URL'],
    ['FIXGATE_REDISURL', 'FIXGATE_REDIS_URL'],
    ['FIXGATE_XYZ', undefined],
    ['FIXGATE_FROBNICATE', undefined],
  ])('of %s is %s', (name, close) => {
    expect(nearestVariable(name, variables, 'FIXGATE_')).toBe(close);
  });

  it('is not looked for when a word is no slip of the hand', () => {
    expect(nearest('x'.repeat(100_000), ['workers'])).toBeUndefined();
  });

  it('is looked for a bounded number of times, and the message stays short', () => {
    const keys = Array.from({ length: 20_000 }, (_, n) => `workerz${n}: 1`).join('\n');
    const load = (): unknown => loadConfig({ file: file(keys), env: {} });
    expect(load).toThrow(/has 20000 problems: .*; and 19950 more$/);
    const message = ((): string => {
      try {
        load();
        return '';
      } catch (error) {
        return messageOf(error);
      }
    })();
    expect(message.match(/did you mean/g)?.length).toBeLessThanOrEqual(20);
    expect(message.length).toBeLessThan(5_000);
  });
});
