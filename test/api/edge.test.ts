import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Log } from '../../src/base/log.ts';
import { silentLog } from '../../src/base/log.ts';
import { Api } from './rig.ts';

/** Numbers quote the invariants at the top of src/api/edge.ts. */

let api: Api;
let open: Api;
/** It waits for a head or a body so briefly that the test need not wait for minutes: for what never comes whole, and for nothing else. */
let hasty: Api;
const lines: object[] = [];
const log: Log = { ...silentLog, warn: (fields) => void lines.push(fields) };

beforeAll(async () => {
  const env = { FIXGATE_HTTP_PUBLIC_URL: 'https://fixgate.example.org/', FIXGATE_HTTP_TRUSTED_PROXIES: '127.0.0.1, ::1' };
  api = await Api.start(['admin'], env, { edge: { log } });
  hasty = await Api.start(['admin'], env, { edge: { headMs: 300, bodyMs: 300, log } });
  open = await Api.start(['admin'], {}, { edge: { host: '0.0.0.0' } });
});
afterAll(async () => {
  await api.stop();
  await open.stop();
  await hasty.stop();
});

/** What the server sends until it closes the connection. */
function raw(text: string, to = api): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(new URL(to.url).port), '127.0.0.1');
    let answer = '';
    socket.on('data', (bytes) => {
      answer += String(bytes);
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
    socket.write(text);
  });
}

function documentOf(answer: string): { status: number; head: string; body: Record<string, unknown> } {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]), head: head.toLowerCase(), body: Object(JSON.parse(body)) };
}

function expectProblem(answer: string, status: number): void {
  const found = documentOf(answer);
  expect([found.status, found.body['status']]).toEqual([status, status]);
  expect(found.head).toContain('content-type: application/problem+json');
  expect(typeof found.body['title']).toBe('string');
}

const get = (path: string, host: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}Connection: close\r\n\r\n`;

describe('the edge of HTTP', () => {
  it.each(['localhost:8080', '127.0.0.1:1', '10.1.2.3', '[::1]:8080', '[fe80::1]', 'fixgate.example.org', 'FIXGATE.example.org:443'])(
    '1: takes the host %s',
    async (host) => {
      expect(await raw(get('/healthz', host))).toContain('HTTP/1.1 200');
    },
  );

  it('1: refuses any other name, also before health, and where a proxy says it', async () => {
    for (const path of ['/healthz', '/metrics', '/v1/devices', '/docs', '/nothing']) expectProblem(await raw(get(path, 'evil.test')), 421);
    expectProblem(await raw(get('/healthz', '127.0.0.1', 'X-Forwarded-Host: evil.test\r\n')), 421);
    expect(await raw(get('/healthz', '127.0.0.1', 'X-Forwarded-Host: fixgate.example.org\r\n'))).toContain('HTTP/1.1 200');
  });

  it.each([
    ['with a public URL', (): Api => api],
    ['without one', (): Api => open],
  ])('1: refuses a request without a name, but of HTTP/1.0: %s', async (_, to) => {
    expectProblem(await raw('GET /docs HTTP/1.1\r\nConnection: close\r\n\r\n', to()), 400);
    expect(await raw('GET /docs HTTP/1.0\r\n\r\n', to())).toContain('HTTP/1.1 200');
  });

  it('1: machines that look after it call it what they like when it listens for others', async () => {
    for (const path of ['/healthz', '/readyz', '/metrics?x=1'])
      expect(await raw(get(path, 'fixgate:8080'), open)).toContain('HTTP/1.1 200');
    for (const path of ['/v1/devices', '/docs', '/openapi.json']) expectProblem(await raw(get(path, 'fixgate:8080'), open), 421);
    expect(await raw(get('/docs', '192.168.1.5:8080'), open)).toContain('HTTP/1.1 200');
    // No proxy is configured.
    expect(await raw(get('/healthz', '127.0.0.1', 'X-Forwarded-Host: evil.test\r\n'), open)).toContain('HTTP/1.1 200');
  });

  it('says its public URL in its description', async () => {
    expect((await api.call('GET', '/openapi.json')).body['servers']).toEqual([{ url: 'https://fixgate.example.org/' }]);
    expect((await open.call('GET', '/openapi.json')).body['servers']).toBeUndefined();
  });

  it.each([
    ['what is no HTTP', 'HELO there\r\n\r\n', 400],
    ['a head that is too large', `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['a path that is no text', get('/v1/devices/%zz', 'localhost'), 400],
    ['nothing there', get('/v1/nothing', 'localhost'), 404],
  ])('2: %s is refused with a problem document', async (_, text, status) => {
    expectProblem(await raw(text), status);
  });

  it('2: a head that never ends is refused with a problem document', async () => {
    expectProblem(await raw('GET /healthz HTTP/1.1\r\nHost: localhost\r\n', hasty), 408);
  });

  it('2: another method is 405 and says which there are', async () => {
    const wrong = await api.call('POST', '/v1/devices/d-01', {});
    expect(wrong).toMatchObject({ status: 405, body: { title: '/v1/devices/d-01 allows GET and PUT and PATCH and DELETE, not POST' } });
    expect((await api.call('DELETE', '/metrics')).status).toBe(405);
    expect((await api.call('POST', '/v1/nothing', {})).status).toBe(404);
  });

  it('2: bodies that are too large, no JSON or of another kind are refused with a problem document', async () => {
    for (const [body, type, status] of [
      ['x'.repeat(70_000), 'application/json', 413],
      ['{"id":', 'application/json', 400],
      ['<id/>', 'text/xml', 415],
    ] as const)
      expect(await api.call('POST', '/v1/devices', body, { 'content-type': type })).toMatchObject({
        status,
        type: expect.stringContaining('application/problem+json'),
      });
  });

  const unending = (method: string, path: string, more = ''): string =>
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${more}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`;

  it.each([
    ['POST', '/v1/devices', 401],
    ['POST', '/v1/devices/bulk', 401],
    ['POST', '/v1/nothing', 404],
    ['POST', '/healthz', 405],
    ['GET', '/healthz', 200],
    ['GET', '/v1/devices', 401],
  ])('3: a body without a token is not waited for: %s %s', async (method, path, status) => {
    const answer = await raw(unending(method, path));
    expect(answer).toContain(`HTTP/1.1 ${status} `);
    expect(answer.toLowerCase()).toContain('connection: close');
  });

  it('3: nor is one that has a token waited for without bound', async () => {
    const token = await hasty.token(['devices']);
    expectProblem(await raw(unending('POST', '/v1/devices', `Authorization: Bearer ${token}\r\n`), hasty), 408);
    expect((await hasty.call('GET', '/v1/devices')).status).toBe(200);
  });

  it('wrong tokens are counted by the address that the proxy says, and logged once', async () => {
    const wrong = (from: string) => api.call('GET', '/v1/devices', undefined, { authorization: 'Bearer x', 'x-forwarded-for': from });
    for (let n = 0; n < 100; n++) expect((await wrong('192.0.2.7')).status).toBe(401);
    const refused = await wrong('192.0.2.7');
    expect(refused.status).toBe(429);
    expect((await wrong('192.0.2.8')).status).toBe(401);
    expect((await api.call('GET', '/v1/devices')).status).toBe(200);
    expect(lines).toEqual([{ address: '192.0.2.7' }, { address: '192.0.2.8' }]);
  });
});
