import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';

/** A store as a process of its own, on a port and with a directory that it keeps over its deaths. */
export interface Store {
  readonly port: number;
  readonly pid: number;
  /** Starts it; resolves when it answers. */
  start(): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
}

const EMBEDDED = fileURLToPath(new URL('../../src/embedded/main.ts', import.meta.url));

abstract class Process implements Store {
  readonly port: number;
  protected readonly directory: string;
  #child: ChildProcess | undefined;

  constructor(port: number, directory: string) {
    this.port = port;
    this.directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(): Promise<void> {
    const child = this.spawn();
    this.#child = child;
    // Whatever ends this program ends its stores.
    const last = (): void => void child.kill('SIGKILL');
    process.on('exit', last);
    child.once('exit', () => process.off('exit', last));
    await this.answers(child);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal);
  }

  protected abstract spawn(): ChildProcess;
  protected abstract answers(child: ChildProcess): Promise<void>;
}

/** redis-server with every answered write on its disk: what it said yes to is there after a kill. */
export class RedisStore extends Process {
  protected override spawn(): ChildProcess {
    const durable = ['--save', '', '--appendonly', 'yes', '--appendfsync', 'always'];
    const args = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.directory, ...durable];
    return spawn('redis-server', args, { stdio: ['ignore', 'ignore', 'ignore'] });
  }

  protected override async answers(child: ChildProcess): Promise<void> {
    const probe = new Redis(`redis://127.0.0.1:${this.port}`, { retryStrategy: () => 20, maxRetriesPerRequest: null });
    probe.on('error', () => {});
    try {
      await Promise.race([
        probe.ping(),
        once(child, 'exit').then(() => {
          throw new Error('redis-server ended while starting');
        }),
      ]);
    } finally {
      probe.disconnect();
    }
  }
}

/** The embedded ClickHouse, here as a server of its own. */
export class ClickHouseStore extends Process {
  protected override spawn(): ChildProcess {
    const args = ['--directory', this.directory, '--port', String(this.port)];
    const { NODE_OPTIONS: _, ...env } = process.env;
    return fork(EMBEDDED, args, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], execArgv: [], env });
  }

  protected override async answers(child: ChildProcess): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      child.once('message', (message: unknown) => {
        if (typeof message === 'object' && message !== null && 'type' in message && message.type === 'ready') resolve();
        else reject(new Error(`ClickHouse did not start: ${JSON.stringify(message)}`));
      });
      child.once('exit', () => reject(new Error('ClickHouse ended while starting')));
    });
  }

  /** Of the user `default`; made with the engine's first start. */
  get password(): string {
    return readFileSync(join(this.directory, 'secret'), 'utf8').trim();
  }

  async query(sql: string): Promise<string> {
    const init = { method: 'POST', headers: { 'x-clickhouse-key': this.password }, body: sql, signal: AbortSignal.timeout(60_000) };
    const response = await fetch(`http://127.0.0.1:${this.port}/`, init);
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return text;
  }
}
