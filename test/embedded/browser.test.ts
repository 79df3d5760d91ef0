import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, chdbInstalled, cleanUp, freshDirectory, keyOf, type Running, start } from './child.ts';

/** The program itself: the command of the package is a script that leaves it running when it is killed. */
const BROWSER = '/usr/lib/chromium/chromium-headless-shell';
/** A real browser, a page of another origin, and an engine that could write files: invariant 1. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

describe.skipIf(!chdbInstalled)('a web page', () => {
  let running: Running;
  let directory = '';
  let server: Server;
  let pageUrl = '';
  let page = '';
  let browser: ChildProcess | undefined;
  let loaded: () => void = () => {};

  beforeAll(async () => {
    directory = await freshDirectory();
    running = await start(join(directory, 'clickhouse'));
    await ask(running.url, 'CREATE TABLE t (a String) ENGINE = MergeTree ORDER BY a');
    server = createServer((request, response) => {
      if (request.url === '/done') loaded();
      response.setHeader('Content-Type', 'text/html');
      response.end(request.url === '/' ? page : '');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    pageUrl = `http://localhost:${typeof address === 'object' && address !== null ? address.port : 0}/`;
  });

  afterAll(async () => {
    await close();
    server.closeAllConnections();
    server.close();
    await cleanUp();
  });

  async function close(): Promise<void> {
    if (browser === undefined || browser.exitCode !== null || browser.signalCode !== null) return;
    const ended = once(browser, 'exit');
    browser.kill('SIGKILL');
    await ended;
  }

  async function open(...args: string[]): Promise<string> {
    const profile = `--user-data-dir=${join(directory, `profile-${args.length}`)}`;
    browser = spawn(BROWSER, [...FLAGS, profile, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    browser.stdout?.on('data', (chunk) => {
      text += String(chunk);
    });
    await Promise.race([once(browser, 'close'), new Promise<void>((resolve) => (loaded = resolve))]);
    await close();
    return text;
  }

  const harm = (name: string): string[] => {
    const file = join(directory, name);
    return [
      `INSERT INTO t SELECT '${name}'`,
      `SELECT 1 INTO OUTFILE '${file}'`,
      `SELECT 1 /* /* */ ' */ INTO OUTFILE '${file}' APPEND -- '`,
    ];
  };

  async function nothingHappened(): Promise<void> {
    expect((await ask(running.url, 'SELECT groupArray(a) FROM t')).text).toBe('[]\n');
    for (const name of ['img', 'post', 'form', 'visit', 'login']) expect(existsSync(join(directory, name))).toBe(false);
  }

  it('of another origin changes nothing with images, requests, frames and forms', async () => {
    const links = harm('img').map((query) => `${running.url}/?readonly=0&query=${encodeURIComponent(query)}`);
    const posts = harm('post');
    const key = keyOf(running.url)['x-clickhouse-key'];
    page = `<!doctype html><body>
      ${links.map((link) => `<img src="${link.replaceAll('&', '&amp;')}"><iframe src="${link.replaceAll('&', '&amp;')}"></iframe>`).join('')}
      <iframe name="sink"></iframe>
      <form target="sink" method="post" enctype="text/plain" action="${running.url}/?readonly=0&amp;query=${encodeURIComponent(harm('form')[0] ?? '')}"></form>
      <script>
        const posts = ${JSON.stringify(posts)};
        const headers = { 'x-clickhouse-key': '${key}' };
        addEventListener('load', async () => {
          document.forms[0].submit();
          await Promise.allSettled([
            ...posts.map((body) => fetch('${running.url}/', { method: 'POST', mode: 'no-cors', body })),
            ...posts.map((body) => fetch('${running.url}/', { method: 'POST', headers, body })),
            new Promise((resolve) => { document.querySelector('[name=sink]').onload = resolve; }),
          ]);
          fetch('/done');
        });
      </script>`;
    await open(pageUrl);
    await nothingHappened();
  });

  it('that somebody is led to changes nothing, and asks for no password', async () => {
    const [insert = ''] = harm('visit');
    const shown = await open('--dump-dom', `${running.url}/?readonly=0&query=${encodeURIComponent(insert)}`);
    expect(shown).toContain('ACCESS_DENIED');
    // The secret in the link: browsers keep such a password and send it again and again when they are asked for one.
    const login = `http://default:${keyOf(running.url)['x-clickhouse-key']}@${new URL(running.url).host}`;
    const [other = ''] = harm('login');
    expect(await open('--dump-dom', '--incognito', `${login}/?readonly=0&query=${encodeURIComponent(other)}`)).toContain('ACCESS_DENIED');
    await nothingHappened();
  });
});
