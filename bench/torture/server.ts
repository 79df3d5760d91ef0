import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readdirSync, readFileSync, type WriteStream } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** How a second server on the same data directory ended. */
export interface Refusal {
  readonly code: number | null;
  readonly said: string;
}

/** What a child of the server does. */
export type Role = 'worker' | 'shipper';

/** The tests of it have one that was built. */
const BIN = process.env['TESTED_PROGRAM'] ?? fileURLToPath(new URL('../../bin/fixgate.js', import.meta.url));
/** A service manager's pause before it starts again what ended. */
const RESTART_MS = 1000;
const START_MS = 180_000;
/** A service manager's patience with SIGTERM: several times the drain time. */
const STOP_MS = 60_000;

/**
 * `fixgate serve` under something like a service manager: whenever it ends it is started again, with the same settings,
 * on the same ports, until `stop`.
 */
export class Server {
  readonly httpPort: number;
  /** Times that it ended without having been asked, or killed by a fault. */
  surprises = 0;
  readonly #env: NodeJS.ProcessEnv;
  readonly #log: WriteStream;
  #child: ChildProcess | undefined;
  #expected = false;
  /** It is not started again meanwhile. */
  #held = false;
  #stopping = false;

  /** `env`: all of its environment. Its log goes to the file. */
  constructor(env: NodeJS.ProcessEnv, httpPort: number, log: string) {
    this.httpPort = httpPort;
    this.#env = env;
    this.#log = createWriteStream(log, { flags: 'a' });
  }

  async start(): Promise<void> {
    this.#spawn();
    await this.ready();
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Resolves when devices are served. */
  async ready(): Promise<void> {
    const text = await this.#poll('/readyz', (body) => /worker-\d/.test(body) && !body.includes('"unready"'));
    if (text === undefined) throw new Error('the server is not ready after three minutes');
  }

  /** Sum of a metric over the series whose text contains `label`. NaN when it does not answer. */
  async metric(name: string, label = ''): Promise<number> {
    const text = await this.#get('/metrics');
    if (text === undefined) return Number.NaN;
    let sum = 0;
    for (const line of text.split('\n'))
      if (new RegExp(`^${name}[ {]`).test(line) && line.includes(label)) sum += Number(line.slice(line.lastIndexOf(' ')));
    return sum;
  }

  /** Process ids of its children. */
  children(role: Role): number[] {
    return this.#family()
      .filter(({ command }) => command.includes(`roles/${role}-process`))
      .map(({ pid }) => pid);
  }

  /** Resident bytes of the supervisor and all its children. */
  residentBytes(): number {
    return [this.pid, ...this.#family().map(({ pid }) => pid)].reduce((sum, pid) => sum + residentBytes(pid), 0);
  }

  /** Whether the supervisor does something about the signal, as the kernel knows it. */
  catches(signal: number): boolean {
    const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status(this.pid))?.[1] ?? '0';
    return ((BigInt(`0x${caught}`) >> BigInt(signal - 1)) & 1n) === 1n;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Kills the supervisor alone; its children notice, and the service manager starts it again. */
  async killSupervisor(): Promise<void> {
    this.#expected = true;
    const child = this.#child;
    if (child === undefined) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** SIGTERM, as a service manager restarts it; throws when it does not end as asked. */
  async restart(): Promise<void> {
    this.#expected = true;
    const child = this.#child;
    if (child === undefined) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const late = setTimeout(() => this.#killAll(), STOP_MS);
    const [code] = await ended;
    clearTimeout(late);
    if (code !== 0) throw new Error(`SIGTERM ended it with ${String(code)}`);
    await this.ready();
  }

  /** Starts another one on the same data directory, in a network namespace of its own, and waits for its end. */
  async second(): Promise<Refusal> {
    const args = ['--map-root-user', '--net', process.execPath, BIN, 'serve'];
    // Loopback is down there; the directory is refused before any other port is needed.
    const child = spawn('unshare', args, { env: { ...this.#env, FIXGATE_HTTP_HOST: '0.0.0.0' }, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk) => {
      said += chunk;
    });
    const late = setTimeout(() => child.kill('SIGKILL'), START_MS);
    const [code] = await once(child, 'close');
    clearTimeout(late);
    return { code: typeof code === 'number' ? code : null, said };
  }

  /** Kills every process of it at once and keeps it down while `work` is done to its files. */
  async down(work: () => Promise<void>): Promise<void> {
    this.#held = true;
    const pids = this.#family().map(({ pid }) => pid);
    await this.killSupervisor();
    for (const pid of pids) signalTo(pid, 'SIGKILL');
    while (pids.some((pid) => status(pid) !== '' && !/^State:\s*Z/m.test(status(pid)))) await wait(10);
    try {
      await work();
    } finally {
      this.#held = false;
      this.#spawn();
    }
    await this.ready();
  }

  /** Ends it for good, in order. */
  async stop(): Promise<number | null> {
    this.#stopping = true;
    const child = this.#child;
    if (child === undefined) return null;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const late = setTimeout(() => this.#killAll(), 30_000);
    const [code] = await ended;
    clearTimeout(late);
    this.#log.end();
    return typeof code === 'number' ? code : null;
  }

  #spawn(): void {
    const child = spawn(process.execPath, [BIN, 'serve'], { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    child.stdout.pipe(this.#log, { end: false });
    child.stderr.pipe(this.#log, { end: false });
    const last = (): void => this.#killAll();
    process.on('exit', last);
    child.once('exit', () => {
      process.off('exit', last);
      this.#child = undefined;
      if (!this.#expected && !this.#stopping) this.surprises++;
      this.#expected = false;
      setTimeout(() => {
        if (!this.#stopping && !this.#held && this.#child === undefined) this.#spawn();
      }, RESTART_MS);
    });
  }

  #killAll(): void {
    const pids = this.#family().map(({ pid }) => pid);
    this.#child?.kill('SIGKILL');
    for (const pid of pids) signalTo(pid, 'SIGKILL');
  }

  #family(): { readonly pid: number; readonly command: string }[] {
    const { pid } = this;
    if (pid === 0) return [];
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((name) => /^PPid:\s*(\d+)$/m.exec(status(Number(name)))?.[1] === String(pid))
      .map((name) => ({ pid: Number(name), command: read(`/proc/${name}/cmdline`).replaceAll('\0', ' ') }));
  }

  async #poll(path: string, enough: (body: string) => boolean): Promise<string | undefined> {
    for (let waited = 0; waited < START_MS; waited += 100) {
      const body = await this.#get(path);
      if (body !== undefined && enough(body)) return body;
      await wait(100);
    }
    return undefined;
  }

  async #get(path: string): Promise<string | undefined> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.httpPort}${path}`, { signal: AbortSignal.timeout(5000) });
      return await response.text();
    } catch {
      return undefined;
    }
  }
}

export const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Nothing happens when the process is gone. */
export function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself meanwhile.
  }
}

function residentBytes(pid: number): number {
  return 1024 * Number(/^VmRSS:\s*(\d+)/m.exec(status(pid))?.[1] ?? 0);
}

function status(pid: number): string {
  return read(`/proc/${pid}/status`);
}

/** Empty for a process that is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
