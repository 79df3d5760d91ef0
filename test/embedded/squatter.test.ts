import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { Secret } from '../../src/base/secret.ts';
import { readAddress } from '../../src/embedded/secret.ts';
import { embeddedAccess } from '../../src/embedded/socket.ts';
import { connect } from '../../src/out/sink/clickhouse/sink.ts';
import { fixgate } from '../cli/command.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { eventually } from '../support/wait.ts';
import { chdbInstalled, cleanUp, freshDirectory, start } from './child.ts';

afterAll(cleanUp);

/** A program of another user, where the test runs as root, that takes a port as soon as it is free and notes what it is asked. */
class Squatter {
  readonly heard: unknown[] = [];
  readonly #child: ChildProcess;
  readonly #listening: Promise<unknown>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#listening = new Promise((resolve) => {
      child.on('message', (message) => (message === 'listening' ? resolve(undefined) : this.heard.push(message)));
    });
  }

  static async start(port: number): Promise<Squatter> {
    const directory = mkdtempSync(join(tmpdir(), 'fixgate-squatter-'));
    const path = join(directory, 'squatter.cjs');
    writeFileSync(
      path,
      `const http = require('node:http');
      if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534); }
      const server = http.createServer((request, response) => {
        process.send(request.headers);
        response.end('Ok.\\n');
      });
      const listen = () => server.listen(${port}, '127.0.0.1');
      server.on('error', () => setImmediate(listen));
      server.on('listening', () => process.send('listening'));
      process.on('disconnect', () => process.exit());
      process.send('trying', listen);`,
    );
    const child = fork(path, [], { execArgv: [] });
    await once(child, 'message');
    rmSync(directory, { recursive: true });
    return new Squatter(child);
  }

  listening(): Promise<unknown> {
    return this.#listening;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

describe.skipIf(!chdbInstalled)('a program of another user that takes the port of an engine that is down', () => {
  it('gets no request of the server or of fixgate sql, and rows arrive once it is gone', async () => {
    const server = await Server.start({ ...OWN_ENGINE, FIXGATE_WORKERS: '1' });
    onTestFinished(async () => void (await server.stop()));
    const port = Number((await server.clickhouseUrl()).split(':').at(-1));
    const squatter = await Squatter.start(port);
    onTestFinished(() => squatter.end());
    for (const pid of server.children('clickhouse')) process.kill(pid, 'SIGKILL');
    await squatter.listening();

    const device = await TcpDevice.connect(await server.port('teltonika'));
    device.send(handshake('356307042000001'));
    device.send(packet(Date.UTC(2026, 9, 1)));
    await device.until((d) => d.received.length >= 5);
    device.close();
    const env = { FIXGATE_DATA_DIR: server.dataDir, FIXGATE_CLICKHOUSE_PORT: String(port) };
    expect(await fixgate(['sql', 'SELECT 1'], '', env)).toMatchObject({ out: '', error: expect.stringContaining('does not answer') });
    const sink = async (): Promise<unknown> => JSON.parse(await (await server.http('/readyz')).text()).parts.clickhouse;
    const isAway = { state: 'degraded', reason: expect.stringContaining('does not answer') };
    await eventually(async () => expect(await sink()).toEqual(isAway));
    expect(squatter.heard).toEqual([]);

    await squatter.end();
    const rows = 'SELECT count() FROM positions FORMAT TSV';
    await eventually(async () => expect(await server.query(rows)).toBe('1\n'));
  });
});

describe.skipIf(!chdbInstalled)('the socket of the server’s own processes', () => {
  async function one(directory: string, url: string): Promise<string> {
    const secret = new Secret((await readFile(join(directory, 'secret'), 'utf8')).trim());
    const client = connect(embeddedAccess(directory, url, secret), 10_000);
    try {
      return await (await client.query({ query: 'SELECT 1', format: 'TabSeparated' })).text();
    } finally {
      await client.close();
    }
  }

  it('is found again after the engine was killed; nothing else is taken away, whatever the data directory is called', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'fixgate-clickhouse-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const first = await start(directory);
    expect(await one(directory, 'http://127.0.0.1:1')).toBe('1\n');
    await first.end('SIGKILL');
    await expect(one(directory, 'http://127.0.0.1:1')).rejects.toThrow('ECONNREFUSED');
    const second = await start(directory);
    expect(await one(directory, 'http://127.0.0.1:1')).toBe('1\n');
    await second.end();
    expect(['socket', 'secret'].map((name) => existsSync(join(directory, name)))).toEqual([false, true]);
    await expect(one(directory, second.url)).rejects.toThrow('ECONNREFUSED');
  });

  it('has a directory of its own where the path of the data directory is too long, and leaves none behind', async () => {
    const directory = join(await freshDirectory(), 'd'.repeat(120));
    await mkdir(directory);
    const first = await start(directory);
    const { socket = '' } = (await readAddress(directory)) ?? {};
    expect(socket.startsWith(directory)).toBe(false);
    expect(await one(directory, first.url)).toBe('1\n');
    await first.end('SIGKILL');
    const second = await start(directory);
    expect(existsSync(dirname(socket))).toBe(false);
    expect(await one(directory, second.url)).toBe('1\n');
    const again = (await readAddress(directory))?.socket ?? '';
    await second.end();
    expect(existsSync(dirname(again))).toBe(false);
  });
});
