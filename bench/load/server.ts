import { type ChildProcess, spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/base/clock.ts';

/** The sinks of a measured server, as its metrics name them. */
export const SINKS = ['clickhouse', 'redis'] as const;

/** `fixgate serve` as a child of a demo or a benchmark. */
export interface Server {
  readonly pid: number;
  /** The process has ended. */
  readonly over: boolean;
  readonly ended: Promise<void>;
  /** The last of what it said. */
  readonly said: string;
  /** Resolves when devices are served; rejects when it ended first. `sinks`: wait until these take data, too. */
  ready(sinks?: boolean): Promise<void>;
  /** Sum of a metric over the series whose text contains `label`; 0 when there is none. */
  metric(name: string, label?: `sink="${(typeof SINKS)[number]}"` | `reason="${string}"`): Promise<number>;
  /** Asks it to finish, and kills it when it does not. */
  stop(): Promise<void>;
}

const START_MS = 60_000;
const STOP_MS = 20_000;
/** The root of this checkout. */
export const HERE = fileURLToPath(new URL('../..', import.meta.url));

export const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * `settings`: FIXGATE_* variables; those of the caller's own environment do not reach the server. `checkout`: whose server.
 */
export function startServer(settings: Readonly<Record<string, string>>, httpPort: number, checkout = HERE): Server {
  // Building the pages would be measured, too. An older revision has none, and refuses a variable that it does not know.
  const pages: Record<string, string> = existsSync(join(checkout, 'web')) ? { FIXGATE_HTTP_CONSOLE: 'false' } : {};
  const canary: Record<string, string> = existsSync(join(checkout, 'src/out/ship/canary.ts')) ? { FIXGATE_CANARY: 'false' } : {};
  const env: Record<string, string> = { ...pages, ...canary, ...settings, FIXGATE_HTTP_PORT: String(httpPort) };
  for (const [name, value] of Object.entries(process.env)) if (!name.startsWith('FIXGATE_') && value !== undefined) env[name] ??= value;
  // A process group of its own: Ctrl-C is for the caller, which then ends the server in order.
  const child: ChildProcess = spawn(process.execPath, [join(checkout, 'bin/fixgate.js'), 'serve'], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let over = false;
  let said = '';
  const keep = (chunk: unknown): void => {
    said = (said + String(chunk)).slice(-4000);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  const ended = new Promise<void>((resolve) => {
    const end = (): void => {
      over = true;
      resolve();
    };
    child.on('exit', end);
    child.on('error', (error) => {
      keep(`${error.message}\n`);
      end();
    });
  });
  const last = (): void => void child.kill('SIGKILL');
  process.on('exit', last);
  void ended.then(() => process.off('exit', last));
  return {
    pid: child.pid ?? 0,
    get over() {
      return over;
    },
    ended,
    get said() {
      return said;
    },
    async ready(sinks = false) {
      const until = systemClock.elapsed() + START_MS;
      while (!over && systemClock.elapsed() < until) {
        const text = await fetch(`http://127.0.0.1:${httpPort}/readyz`).then(
          (response) => response.text(),
          () => '',
        );
        if (text.includes('worker-0') && !text.includes('unready') && (!sinks || text.includes('"ready"'))) return;
        await wait(100);
      }
      throw new Error(`the server did not start: ${said.trim().split('\n').at(-1)}`);
    },
    async metric(name, label) {
      const text = await fetch(`http://127.0.0.1:${httpPort}/metrics`).then((response) => response.text());
      let sum = 0;
      for (const line of text.split('\n'))
        if (new RegExp(`^${name}[ {]`).test(line) && (label === undefined || line.includes(label)))
          sum += Number(line.slice(line.lastIndexOf(' ')));
      return sum;
    },
    async stop() {
      if (over) return;
      child.kill('SIGTERM');
      const late = setTimeout(last, STOP_MS);
      await ended;
      clearTimeout(late);
    },
  };
}

/** The port itself when it is free on TCP and UDP, else any other that is. */
export async function freePort(wanted = 0): Promise<number> {
  const tcp = await new Promise<number>((resolve) => {
    const probe = net.createServer();
    probe.once('error', () => resolve(0));
    probe.listen({ port: wanted, host: '0.0.0.0', exclusive: true }, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
  if (tcp === 0) return freePort(0);
  const udp = await new Promise<boolean>((resolve) => {
    const probe = dgram.createSocket('udp4');
    probe.once('error', () => {
      probe.close();
      resolve(false);
    });
    probe.bind({ port: tcp, exclusive: true }, () => probe.close(() => resolve(true)));
  });
  return udp ? tcp : freePort(0);
}
