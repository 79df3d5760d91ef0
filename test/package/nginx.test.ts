import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Log } from '../../src/base/log.ts';
import { silentLog } from '../../src/base/log.ts';
import { claimPorts } from '../../src/cluster/ports.ts';
import { Api } from '../api/rig.ts';

/** The recipe of docs/http.md in a real nginx, with a certificate of its own, in front of the server's HTTP. */
const NAME = 'fixgate.example.org';
const directory = mkdtempSync(join(tmpdir(), 'fixgate-nginx-'));
const lines: object[] = [];
const log: Log = { ...silentLog, warn: (fields) => void lines.push(fields) };
let api: Api;
let stop: () => Promise<void>;
let tlsPort: number;
let port: number;

beforeAll(async () => {
  const env = { FIXGATE_HTTP_PUBLIC_URL: `https://${NAME}`, FIXGATE_HTTP_TRUSTED_PROXIES: '127.0.0.1' };
  api = await Api.start(['admin'], env, { edge: { log } });
  const certificate = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
    '-subj',
    `/CN=${NAME}`,
  ];
  const made = spawnSync('openssl', [...certificate, '-keyout', join(directory, 'privkey.pem'), '-out', join(directory, 'fullchain.pem')]);
  expect(made.status).toBe(0);
  [port, tlsPort] = [await unusedPort(), await unusedPort()];
  const recipe = readFileSync(join(import.meta.dirname, '../../deploy/nginx/fixgate.conf'), 'utf8');
  const site = recipe
    .replaceAll(/^ *listen \[::\].*\n/gm, '')
    .replaceAll('listen 80;', `listen 127.0.0.1:${port};`)
    .replaceAll('listen 443', `listen 127.0.0.1:${tlsPort}`)
    .replaceAll('127.0.0.1:8080', new URL(api.url).host)
    .replaceAll(`/etc/letsencrypt/live/${NAME}`, directory);
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory}/${name};`).join('\n');
  writeFileSync(
    join(directory, 'nginx.conf'),
    `daemon off; master_process off; pid ${directory}/pid; error_log stderr notice;\nevents {}\nhttp { access_log off;\n${paths}\n${site}\n}\n`,
  );
  const nginx = spawn('/usr/sbin/nginx', ['-p', directory, '-c', join(directory, 'nginx.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  const listening = new Promise<void>((resolve) => {
    nginx.stderr.on('data', (bytes) => {
      said += String(bytes);
      // It is written when the sockets are open.
      if (said.includes('event method')) resolve();
    });
  });
  const ended = new Promise<void>((resolve) => nginx.once('exit', () => resolve()));
  stop = async () => {
    nginx.kill('SIGTERM');
    await ended;
  };
  await Promise.race([
    listening,
    ended.then(() => {
      throw new Error(`nginx ended: ${said}`);
    }),
  ]);
});
afterAll(async () => {
  await stop();
  await api.stop();
  rmSync(directory, { recursive: true });
});

/** Below those of outgoing connections: none of them is given it before nginx listens. */
async function unusedPort(): Promise<number> {
  const [claimed] = await claimPorts([{ codec: 'nginx', transport: 'tcp', host: '127.0.0.1', port: 0, idleMs: 0 }]);
  if (claimed === undefined) throw new Error('no port is free');
  return claimed.port;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

function ask(method: string, path: string, headers: Readonly<Record<string, string>> = {}, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: tlsPort, servername: NAME, method, path, rejectUnauthorized: false };
    const asked = request({ ...options, headers: { host: NAME, ...headers } }, (answer) => {
      let text = '';
      answer.on('data', (bytes) => {
        text += String(bytes);
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

describe('nginx with TLS in front', () => {
  it('leads to the API, under the public name', async () => {
    const authorization = `Bearer ${await api.token(['devices', 'read'])}`;
    const made = await ask('POST', '/v1/devices', { authorization, 'content-type': 'application/json' }, '{"id":"d-01"}');
    expect(made.status).toBe(201);
    expect(made.headers['strict-transport-security']).toBe('max-age=31536000');
    const bulk = await ask('POST', '/v1/devices/bulk', { authorization, 'content-type': 'application/x-ndjson' }, '{"id":"d-02"}\n');
    expect(JSON.parse(bulk.text)).toMatchObject({ created: 1 });
    expect(JSON.parse((await ask('GET', '/openapi.json')).text)).toMatchObject({ servers: [{ url: `https://${NAME}` }] });
    expect((await ask('GET', '/readyz')).status).toBe(200);
  });

  it('keeps the metrics inside, and sends plain HTTP to TLS', async () => {
    expect((await ask('GET', '/metrics')).status).toBe(404);
    const plain = await fetch(`http://127.0.0.1:${port}/docs`, { redirect: 'manual' });
    expect([plain.status, plain.headers.get('location')]).toEqual([308, 'https://127.0.0.1/docs']);
  });

  it('does not let a client claim another address or name', async () => {
    const claims = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-host': 'evil.test', authorization: 'Bearer wrong' };
    expect((await ask('GET', '/v1/devices', claims)).status).toBe(401);
    expect(lines).toEqual([{ address: '127.0.0.1' }]);
    expect((await ask('GET', '/docs', { host: 'evil.test' })).status).toBe(421);
  });

  it('passes events as they come, while the stream goes on', async () => {
    const authorization = `Bearer ${await api.token(['read', 'locations'])}`;
    const options = { host: '127.0.0.1', port: tlsPort, servername: NAME, rejectUnauthorized: false };
    const asked = request({ ...options, path: '/v1/live?topics=events', headers: { host: NAME, authorization } });
    asked.end();
    try {
      const [answer] = await once(asked, 'response');
      expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, expect.stringContaining('text/event-stream')]);
      // Nothing else follows that could fill nginx's buffer.
      const [bytes] = await once(answer, 'data');
      expect(String(bytes)).toContain('event: hello');
      expect(answer.complete).toBe(false);
    } finally {
      asked.destroy();
    }
  });
});
