import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Console } from '../../src/api/console.ts';
import { Maps } from '../../src/api/maps.ts';
import { pmtiles } from '../../web/pmtiles-writer.ts';
import { Api } from './rig.ts';

const directory = mkdtempSync(join(tmpdir(), 'fixgate-pages-'));
const pages = new Console();
const maps = new Maps(directory);
let api: Api;

beforeAll(async () => {
  const built = join(directory, 'built');
  mkdirSync(join(built, 'assets'), { recursive: true });
  mkdirSync(join(directory, 'maps'));
  writeFileSync(join(built, 'index.html'), '<!doctype html>the console');
  writeFileSync(join(built, 'index.html.br'), brotliCompressSync('<!doctype html>the console'));
  writeFileSync(join(built, 'assets/main-abc.js'), 'the script');
  writeFileSync(join(built, 'notes.map'), 'of no type that is served');
  writeFileSync(join(directory, 'secret.pmtiles'), 'outside');
  writeFileSync(join(directory, 'maps/town.pmtiles'), '0123456789');
  api = await Api.start(['admin'], {}, { edge: { pages: { console: pages, maps } } });
});
afterAll(async () => {
  await api.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** A path as it is, without what fetch makes of it. */
function raw(
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: Record<string, unknown>; text: string }> {
  return new Promise((resolve, reject) => {
    request(api.url, { path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += String(chunk);
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    })
      .on('error', reject)
      .end();
  });
}

describe('the pages of the console', () => {
  it('are announced while they are built, and loaded again', async () => {
    const { status, text, headers } = await raw('/');
    expect({ status, text }).toMatchObject({ status: 503, text: expect.stringContaining('being built') });
    expect(headers).toMatchObject({ 'retry-after': '2', 'content-type': 'text/html; charset=utf-8' });
    expect(text).toContain('<script src="/wait.js">');
    expect(headers['content-security-policy']).toContain("default-src 'self'");
    expect((await raw('/wait.js')).text).toContain('reload');
  });

  it.each(['/assets/main-abc.js', '/icon.svg', '/maps/world.pmtiles'])(
    'are not said to be missing while they are built: %s',
    async (path) => {
      const { status, text, headers } = await raw(path);
      expect({ status, title: JSON.parse(text).title }).toEqual({ status: 503, title: expect.stringContaining('being built') });
      expect(headers).toMatchObject({ 'retry-after': '2', 'content-type': expect.stringContaining('application/problem+json') });
    },
  );

  it('are served when they are there, with the headers that keep them to this origin', async () => {
    await pages.load(join(directory, 'built'));
    const { text, headers } = await raw('/');
    expect(text).toBe('<!doctype html>the console');
    expect(headers).toMatchObject({
      'cache-control': 'no-cache',
      'content-type': 'text/html; charset=utf-8',
      'cross-origin-opener-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringMatching(/frame-ancestors 'none'.*require-trusted-types-for 'script'/),
    });
    expect(headers).not.toHaveProperty('access-control-allow-origin');
    expect((await raw('/assets/main-abc.js')).headers).toMatchObject({ 'cache-control': expect.stringContaining('immutable') });
  });

  it('come compressed to who takes that', async () => {
    expect((await raw('/', { 'accept-encoding': 'gzip, br' })).headers).toMatchObject({
      'content-encoding': 'br',
      vary: 'accept-encoding',
    });
    expect((await raw('/', { 'accept-encoding': 'gzip' })).headers).not.toHaveProperty('content-encoding');
  });

  it.each(['/assets/none.js', '/assets/..%2findex.html', '/assets/../../package.json', '/notes.map', '/index.html'])(
    'are none at %s',
    async (path) => {
      const { status, headers } = await raw(path);
      expect(status).toBe(404);
      expect(headers['content-type']).toContain('application/problem+json');
    },
  );

  it('say when they are not going to come', async () => {
    const other = new Console();
    other.abandon('The console is not built', 'Run npm run build.');
    const second = await Api.start(['admin'], {}, { edge: { pages: { console: other, maps } } });
    const text = await (await fetch(`${second.url}/`)).text();
    expect(text).toContain('not built');
    expect(text).not.toContain('<script');
    expect((await fetch(`${second.url}/assets/main-abc.js`)).status).toBe(404);
    await second.stop();
  });
});

describe('maps', () => {
  it('are read by ranges', async () => {
    const whole = await raw('/maps/town.pmtiles');
    expect(whole).toMatchObject({ status: 200, text: '0123456789', headers: { 'accept-ranges': 'bytes' } });
    expect(await raw('/maps/town.pmtiles', { range: 'bytes=2-4' })).toMatchObject({
      status: 206,
      text: '234',
      headers: { 'content-range': 'bytes 2-4/10', 'content-length': '3' },
    });
    expect((await raw('/maps/town.pmtiles', { range: 'bytes=7-99' })).text).toBe('789');
    expect((await raw('/maps/town.pmtiles', { range: 'bytes=-2' })).text).toBe('89');
    const etag = String(whole.headers['etag']);
    expect((await raw('/maps/town.pmtiles', { 'if-none-match': etag })).status).toBe(304);
  });

  it.each(['bytes=10-', 'bytes=4-2', 'bytes=-', 'bytes=0-1,3-4', 'lines=1-2'])('answer 416 to %s', async (range) => {
    expect(await raw('/maps/town.pmtiles', { range })).toMatchObject({ status: 416, headers: { 'content-range': 'bytes */10' } });
  });

  it.each(['none.pmtiles', '..%2fsecret.pmtiles', '../secret.pmtiles', 'town', '%00.pmtiles'])('are none at %s', async (name) => {
    expect((await raw(`/maps/${name}`)).status).toBe(404);
  });

  it('are listed with what is in them, when they are maps', async () => {
    const facts = {
      minZoom: 2,
      maxZoom: 9,
      metadata: { attribution: 'OSM', vector_layers: ['earth', 'water', 'roads'].map((id) => ({ id })) },
    };
    writeFileSync(
      join(directory, 'maps/streets.pmtiles'),
      pmtiles([{ z: 2, x: 1, y: 1, bytes: Buffer.from('x') }], { ...facts, bounds: [5, 45, 15, 55] }),
    );
    expect(JSON.parse((await raw('/v1/maps')).text)).toEqual([
      {
        name: 'streets',
        bytes: expect.any(Number),
        minzoom: 2,
        maxzoom: 9,
        bounds: [5, 45, 15, 55],
        attribution: 'OSM',
        kind: 'protomaps',
      },
    ]);
  });

  it('have the one of the world as soon as it is built', async () => {
    maps.abandonWorld();
    expect((await raw('/maps/world.pmtiles')).status).toBe(404);
    maps.addWorld(join(directory, 'maps/town.pmtiles'));
    expect((await raw('/maps/world.pmtiles', { range: 'bytes=0-0' })).text).toBe('0');
  });
});

describe('tokens', () => {
  it('are made, listed without their texts, and revoked', async () => {
    const made = await api.call('POST', '/v1/tokens', { name: 'dispatch', scopes: ['read', 'read'] });
    expect(made).toMatchObject({ status: 201, body: { name: 'dispatch', scopes: ['read'], token: expect.stringMatching(/^fg_/) } });
    const bearer = { authorization: `Bearer ${made.body['token']}` };
    expect((await api.call('GET', '/v1/devices', undefined, bearer)).status).toBe(200);
    expect((await api.call('GET', '/v1/tokens', undefined, bearer)).status).toBe(403);
    const all = await api.call('GET', '/v1/tokens');
    expect(all.body['tokens']).toEqual([
      { name: 'dispatch', scopes: ['read'], created: expect.any(Number) },
      { name: 'tester', scopes: ['admin'], created: expect.any(Number) },
    ]);
    expect(all.text).not.toContain('fg_');
    expect((await api.call('POST', '/v1/tokens', { name: 'dispatch', scopes: ['read'] })).status).toBe(409);
    expect((await api.call('DELETE', '/v1/tokens/dispatch')).status).toBe(204);
    expect((await api.call('DELETE', '/v1/tokens/dispatch')).status).toBe(404);
    expect((await api.call('GET', '/v1/devices', undefined, bearer)).status).toBe(401);
  });
});

describe('downloads', () => {
  const issued = async (path: string, headers: Record<string, string> = {}): Promise<string> => {
    const answer = await api.call('POST', '/v1/downloads', { path }, headers);
    expect(answer.status).toBe(201);
    return String(answer.body['url']);
  };

  it('are one request of the caller, once, without a token in the link', async () => {
    const url = await issued('/v1/devices?limit=7');
    expect(url).toMatch(/^\/v1\/downloads\/[\w-]{24}$/);
    expect(await raw(url)).toMatchObject({ status: 200, text: '{"devices":[]}' });
    expect((await raw(url)).status).toBe(404);
    expect((await raw('/v1/downloads/unknown')).status).toBe(404);
  });

  it('are checked again when they are used', async () => {
    const made = await api.call('POST', '/v1/tokens', { name: 'short', scopes: ['read'] });
    const bearer = { authorization: `Bearer ${made.body['token']}` };
    const url = await issued('/v1/devices', bearer);
    await api.call('DELETE', '/v1/tokens/short');
    expect((await raw(url)).status).toBe(401);
  });

  it('are no way around a scope, a method or the API', async () => {
    const reader = { authorization: `Bearer ${await api.token(['read'])}` };
    expect((await api.call('POST', '/v1/downloads', { path: '/v1/positions' }, reader)).status).toBe(403);
    for (const path of ['/v1/nothing', '/metrics', 'https://example.org/v1/devices', '/v1/devices /x'])
      expect([path, [400, 422].includes((await api.call('POST', '/v1/downloads', { path })).status)]).toEqual([path, true]);
    expect((await raw('/v1/devices')).status).toBe(401);
  });
});
