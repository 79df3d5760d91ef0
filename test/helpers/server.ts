import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { databaseOf, dropDatabase, makeDatabase, sharedClickHouse } from '../support/engine.ts';
import { TESTED, tested } from '../support/program.ts';

const ROOT = join(import.meta.dirname, '../..');

export interface Logged {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/**
 * A whole server, `fixgate serve`, in its own process group, on free ports, with its data in a temporary directory. It writes
 * to the ClickHouse that the tests share, unless `FIXGATE_CLICKHOUSE_URL` says otherwise (`OWN_ENGINE`: to an embedded one).
 */
export class Server {
  readonly dataDir: string;
  readonly log: Logged[] = [];
  stderr = '';
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #ownsData: boolean;
  readonly #env: Readonly<Record<string, string>>;
  #changed: () => void = () => {};

  private constructor(env: Readonly<Record<string, string>>, dataDir: string, ownsData: boolean, under: readonly string[] = []) {
    this.dataDir = dataDir;
    this.#ownsData = ownsData;
    this.#env = { ...(env['FIXGATE_CLICKHOUSE_URL'] === undefined ? sharedClickHouse(dataDir) : {}), ...env };
    const [program = process.execPath, ...args] = [...under, process.execPath, env[TESTED] ?? tested(), 'serve'];
    this.#child = spawn(program, args, {
      cwd: ROOT,
      env: {
        PATH: process.env['PATH'],
        FIXGATE_DATA_DIR: this.dataDir,
        FIXGATE_HTTP_PORT: '0',
        // Most look at no page.
        FIXGATE_HTTP_CONSOLE: 'false',
        // Tests count rows and entries.
        FIXGATE_CANARY: 'false',
        FIXGATE_CLICKHOUSE_PORT: '0',
        FIXGATE_LISTEN: 'teltonika@127.0.0.1:0,gt06@127.0.0.1:0,h02@127.0.0.1:0,queclink@127.0.0.1:0,jt808@127.0.0.1:0,auto@127.0.0.1:0',
        ...this.#env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.exited = new Promise((resolve) => this.#child.once('exit', (code) => resolve(code)));
    void this.exited.then(() => this.#changed());
    if (this.#child.stdout !== null)
      createInterface({ input: this.#child.stdout }).on('line', (line) => {
        this.log.push(line.startsWith('{') ? JSON.parse(line) : { level: 30, msg: line });
        this.#changed();
      });
    this.#child.stderr?.on('data', (chunk) => {
      this.stderr += chunk;
    });
  }

  /** Starts and does not wait: for servers that must not come up. `under`: a command that executes the server. */
  static spawn(env: Readonly<Record<string, string>> = {}, dataDir?: string, under?: readonly string[]): Server {
    return new Server(env, dataDir ?? freshData(), dataDir === undefined, under);
  }

  /** Starts and waits until it listens. `dataDir` continues another server's data; `under`: a command that executes the server. */
  static async start(env: Readonly<Record<string, string>> = {}, dataDir?: string, under?: readonly string[]): Promise<Server> {
    const directory = dataDir ?? freshData();
    if (env['FIXGATE_CLICKHOUSE_URL'] === undefined) await makeDatabase(databaseOf(directory));
    const server = new Server(env, directory, dataDir === undefined, under);
    await server.logged('listening');
    return server;
  }

  /** What a command of the command line needs to find its stores. */
  get stores(): Readonly<Record<string, string>> {
    const clickHouse = Object.entries(this.#env).filter(([name]) => name.startsWith('FIXGATE_CLICKHOUSE_'));
    return { ...Object.fromEntries(clickHouse), FIXGATE_DATA_DIR: this.dataDir };
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The first line with this message. */
  async logged(message: string): Promise<Logged> {
    for (;;) {
      const found = this.log.find((line) => line.msg === message);
      if (found !== undefined) return found;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null)
        throw new Error(`the server ended before "${message}": ${this.stderr}\n${this.log.map((line) => JSON.stringify(line)).join('\n')}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  async port(codec: string, transport: 'tcp' | 'udp' = 'tcp'): Promise<number> {
    const { listeners } = await this.logged('listening');
    const line = (Array.isArray(listeners) ? listeners : []).find((text) => String(text).startsWith(`${codec} ${transport} `));
    return Number(String(line).split(':').at(-1));
  }

  async http(path: string): Promise<Response> {
    const { http } = await this.logged('metrics and health');
    return fetch(`${http}${path}`);
  }

  async clickhouseUrl(): Promise<string> {
    const { clickhouse } = await this.logged('listening');
    return String(clickhouse);
  }

  /** The password of its ClickHouse: the configured one, or the embedded one's secret ('' before its first start). */
  clickhousePassword(): string {
    const password = this.#env['FIXGATE_CLICKHOUSE_PASSWORD'];
    if (password !== undefined) return password;
    const path = join(this.dataDir, 'clickhouse', 'secret');
    return existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  }

  /** Where its tables are. */
  get database(): string {
    return this.#env['FIXGATE_CLICKHOUSE_DATABASE'] ?? 'fixgate';
  }

  /** Runs a statement in the server's database and returns the text. */
  async query(sql: string): Promise<string> {
    const headers = { 'x-clickhouse-key': this.clickhousePassword(), 'x-clickhouse-database': this.database };
    const response = await fetch(await this.clickhouseUrl(), { method: 'POST', headers, body: sql });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return text;
  }

  /** Process ids of the children by what they run: `worker`, `shipper`, `clickhouse`. */
  children(role: 'worker' | 'shipper' | 'clickhouse'): number[] {
    const script = { worker: 'roles/worker-process', shipper: 'roles/shipper-process', clickhouse: 'embedded/main' }[role];
    return processes()
      .filter((p) => p.parent === this.pid && p.command.includes(script))
      .map((p) => p.pid);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGTERM, and the exit code. The data goes unless its directory was given. */
  async stop(): Promise<number | null> {
    this.signal('SIGTERM');
    const code = await this.exited;
    if (this.#ownsData) await this.removeData();
    return code;
  }

  async removeData(): Promise<void> {
    await dropDatabase(databaseOf(this.dataDir));
    rmSync(this.dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

function freshData(): string {
  return mkdtempSync(join(tmpdir(), 'fixgate-server-'));
}

function processes(): { pid: number; parent: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        return [{ pid: Number(name), parent, command: readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ') }];
      } catch {
        return [];
      }
    });
}
