import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually, until } from '../support/wait.ts';
import { BIN, cleanEnvironment, fixgate } from './command.ts';

/** The link to the console: `fixgate console`, and what a server prints at its start. */

async function signIn(link: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const url = new URL(link);
  const body = JSON.stringify({ code: url.hash.replace('#code=', '') });
  const answer = await fetch(`${url.origin}/v1/session`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  return { status: answer.status, body: Object(await answer.json()) };
}

/** Without ClickHouse, whose start these tests do not need. */
const ENV = { FIXGATE_WORKERS: '1', FIXGATE_CLICKHOUSE_URL: 'http://127.0.0.1:9', FIXGATE_DRAIN_MS: '500' };

describe('fixgate console', () => {
  let server: ApiServer;
  beforeAll(async () => {
    server = await ApiServer.start(ENV);
  });
  afterAll(async () => {
    await server.running.stop();
    await server.running.removeData();
  });

  const run = (...args: string[]) =>
    fixgate(['console', ...args], '', { FIXGATE_DATA_DIR: server.running.dataDir, FIXGATE_URL: server.url });

  it('prints a link that signs in, once', async () => {
    const { code, out } = await run();
    expect([code, out]).toEqual([0, expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/#code=[\w-]{24}\n$/)]);
    expect(await signIn(out.trim())).toMatchObject({ status: 201, body: { name: 'console', scopes: ['admin'] } });
    expect((await signIn(out.trim())).status).toBe(401);
    expect(JSON.stringify(server.running.log)).not.toContain(out.trim().split('=')[1]);
  });

  it('takes scopes, the lifetime and the URL', async () => {
    const { out } = await run('--scope', 'read', '--scope', 'devices', '--ttl', '8h', '--json');
    const { url, scopes } = JSON.parse(out);
    expect(scopes).toEqual(['read', 'devices']);
    const before = Date.now();
    const { body } = await signIn(url);
    expect(body['scopes']).toEqual(['read', 'devices']);
    const leftMs = Number(body['expires']) - before;
    expect([leftMs >= 8 * 3_600_000, leftMs < 9 * 3_600_000]).toEqual([true, true]);
    expect((await run('--url', 'https://tracks.example.org/')).out).toMatch(/^https:\/\/tracks\.example\.org\/#code=/);
  });

  it('refuses what it cannot do', async () => {
    for (const args of [
      ['--ttl', '8'],
      ['--ttl', '8d'],
      ['--ttl', '0h'],
      ['--scope', 'root'],
    ])
      expect((await run(...args)).code).toBe(2);
    // The port was chosen by the system, so the configuration does not say where the server is.
    const { code, error } = await fixgate(['console'], '', { FIXGATE_DATA_DIR: server.running.dataDir, FIXGATE_HTTP_PORT: '0' });
    expect([code, error]).toEqual([2, expect.stringContaining('--url')]);
  });

  it('is not needed for a look from the terminal: fixgate top draws over what it drew', async () => {
    const device = await TcpDevice.connect(await server.running.port('teltonika'));
    device.send(handshake('356307042441013'));
    device.send(packet(Date.now()));
    await device.until(({ received }) => received.length >= 5);
    device.close();
    await eventually(async () =>
      expect(await server.call('GET', '/v1/devices/356307042441013/usage')).toMatchObject({ body: { cycles: [{ records: 1 }] } }),
    );
    const once = await fixgate(['top', '--once', '--by', 'records'], '', server.env);
    expect([once.code, once.out]).toEqual([
      0,
      expect.stringMatching(/\nloudest devices\n {2}356307042441013 +[1-9]\d* bytes {2}1 records {2}plan default\n/),
    ]);
    expect((await fixgate(['top', '--by', 'name'], '', server.env)).code).toBe(2);
    const look = `stty rows 12 cols 60; exec '${process.execPath}' '${BIN}' top`;
    const terminal = spawn('script', ['-qfec', look, '/dev/null'], { env: cleanEnvironment(server.env) });
    let sent = '';
    terminal.stdout.on('data', (chunk) => {
      sent += String(chunk);
    });
    const ended = new Promise((resolve) => terminal.once('close', resolve));
    await until(() => sent.split('\u001b[H').length > 3 || terminal.exitCode !== null);
    terminal.stdin.write('\u0003');
    await ended;
    const drawn = sent.split('\u001b[H').slice(1, 3);
    for (const one of drawn) {
      const lines = one.replaceAll('\u001b[K', '').replaceAll('\u001b[J', '').split('\r\n');
      // The last stays empty, so that the terminal does not move.
      expect([lines.length, lines.at(-1)]).toEqual([12, '']);
      expect(lines.filter((line) => line.length > 60)).toEqual([]);
      // Its stores may have come, or not yet.
      expect(lines[0]).toMatch(/^fixgate \S+ {2}(ready|degraded) {2}\d\d:/);
      expect(one.split('\u001b[K').length).toBe(12);
    }
    expect(sent.split('\u001b[2J')).toHaveLength(2);
  });

  it('refuses where no server runs any more', async () => {
    const { dataDir } = server.running;
    server.running.signal('SIGTERM');
    await server.running.exited;
    const { code, error } = await fixgate(['console'], '', { FIXGATE_DATA_DIR: dataDir });
    expect([code, error]).toEqual([73, expect.stringContaining(`no server runs on ${dataDir}`)]);
  });
});

it('a server that starts on a terminal prints the link there, and its log has no code', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fixgate-terminal-'));
  const env = { ...ENV, FIXGATE_DATA_DIR: dataDir, FIXGATE_HTTP_PORT: '0' };
  const listen = 'teltonika@127.0.0.1:0';
  const terminal = spawn('script', ['-qfec', `'${process.execPath}' '${BIN}' serve`, '/dev/null'], {
    env: cleanEnvironment({ ...env, FIXGATE_LISTEN: listen }),
  });
  let screen = '';
  terminal.stdout.on('data', (chunk) => {
    screen += String(chunk);
  });
  const ended = new Promise((resolve) => terminal.once('close', resolve));
  await until(() => screen.includes('npx fixgate console)') || terminal.exitCode !== null);
  const link = /Console: (\S+)/.exec(screen)?.[1] ?? '';
  expect(await signIn(link)).toMatchObject({ status: 201, body: { scopes: ['admin'] } });
  terminal.stdin.write('\u0003');
  await ended;
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  const [, code = ''] = link.split('#code=');
  expect(code).toMatch(/^[\w-]{24}$/);
  expect(screen.split(code)).toHaveLength(2);
  // On a terminal, the log is for a person.
  const log = screen.split('\n').filter((line) => /^\d\d:\d\d:\d\d\.\d{3} /.test(line));
  expect(log.find((line) => line.includes(' console='))).toContain(new URL(link).origin);
  expect(log.map((line) => line.split(/ +/)[2])).toEqual(expect.arrayContaining(['supervisor', 'worker-0', 'shipper']));
  expect(log.join('\n')).not.toContain('#code');
});
