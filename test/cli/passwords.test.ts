import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { chdbInstalled } from '../embedded/child.ts';
import { Server } from '../helpers/server.ts';
import { sharedEngine } from '../support/engine.ts';
import { eventually } from '../support/wait.ts';
import { fixgate } from './command.ts';

/** Stores whose URLs carry passwords, there and not there: no output of a server or command has one in it. */

const PASSWORD = 'hush%40W0rd';
const SECRETS = [PASSWORD, 'hush@W0rd', Buffer.from('me:hush@W0rd').toString('base64')];
const directory = mkdtempSync(join(tmpdir(), 'fixgate-passwords-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function expectQuiet(text: string, more: readonly string[] = []): void {
  for (const secret of [...SECRETS, ...more]) expect(text).not.toContain(secret);
}

async function closedPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Everything that a server says, in its log, on standard error and over HTTP. */
async function said(server: Server): Promise<string> {
  const answers = await Promise.all(['/readyz', '/metrics', '/healthz'].map(async (path) => (await server.http(path)).text()));
  return [server.stderr, ...server.log.map((line) => JSON.stringify(line)), ...answers].join('\n');
}

/** What commands print, a few at a time. */
async function printed(env: Readonly<Record<string, string>>, lines: readonly (readonly string[])[]): Promise<string> {
  const outcomes = await Promise.all(lines.map((line) => fixgate(line, '', env)));
  return outcomes.map(({ out, error }) => out + error).join('\n');
}

describe.skipIf(!chdbInstalled)('passwords in URLs', { timeout: 240_000 }, () => {
  let redis: ChildProcess;
  let redisPort = 0;

  beforeAll(async () => {
    redisPort = await closedPort();
    redis = spawn('redis-server', ['--port', String(redisPort), '--bind', '127.0.0.1', '--save', '', '--requirepass', 'hush@W0rd'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await new Promise<void>((resolve) => redis.stdout?.on('data', (chunk) => String(chunk).includes('Ready to accept') && resolve()));
  });
  afterAll(() => void redis.kill('SIGKILL'));

  it('are in no output of a server or command, whether the stores are there, refuse them or do not answer', async () => {
    const port = await closedPort();
    const env = {
      FIXGATE_DATA_DIR: join(directory, 'data'),
      // Does not answer.
      FIXGATE_CLICKHOUSE_URL: `http://me:${PASSWORD}@127.0.0.1:${port}`,
      // Refuses.
      FIXGATE_REDIS_URL: `redis://me:${PASSWORD}@127.0.0.1:${redisPort}`,
      // Is there.
      FIXGATE_STATE_URL: `redis://default:${PASSWORD}@127.0.0.1:${redisPort}/1`,
      FIXGATE_LOG_LEVEL: 'debug',
      FIXGATE_WORKERS: '1',
      FIXGATE_DRAIN_MS: '500',
    };
    const server = await Server.start(env, env.FIXGATE_DATA_DIR);
    onTestFinished(async () => void (await server.stop()));
    const degraded = { parts: { clickhouse: { state: 'degraded' }, redis: { state: 'degraded' } } };
    const readiness = async () => (await server.http('/readyz')).json();
    await eventually(async () => expect(await readiness()).toMatchObject(degraded));
    const text = await said(server);
    expect(text).toContain(`127.0.0.1:${port}`);
    expectQuiet(text);
    const { http } = await server.logged('metrics and health');
    const here = { ...env, FIXGATE_URL: String(http).replace('//', `//me:${PASSWORD}@`) };
    expectQuiet(await printed(here, [['check-config'], ['check-config', '--json'], ['sql', 'SELECT 1']]));
    expectQuiet(
      await printed(here, [
        ['clickhouse', 'url'],
        ['token', 'ls'],
        ['devices', 'list'],
      ]),
    );
  });

  it('are in no output of commands on a ClickHouse that is there, and a state store that is not', async () => {
    const { url = '', password: key = '' } = sharedEngine() ?? {};
    const env = {
      FIXGATE_DATA_DIR: join(directory, 'none'),
      FIXGATE_CLICKHOUSE_URL: url.replace('//', `//default:${key}@`),
      FIXGATE_CLICKHOUSE_DATABASE: 'default',
      FIXGATE_STATE_URL: `redis://me:${PASSWORD}@127.0.0.1:${await closedPort()}`,
    };
    const text = await printed(env, [
      ['sql', 'SELECT 1234 + 1'],
      ['sql', 'SELEC'],
      ['usage', 'rebuild', '--all', '--dry-run'],
    ]);
    expect(text).toContain('1235');
    expectQuiet(text, [key]);
  });
});
