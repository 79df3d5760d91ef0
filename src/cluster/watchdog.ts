import { type ChildProcess, spawn } from 'node:child_process';
import { processOf } from '../base/lock/process.ts';

/**
 * Kills the children of a supervisor that is gone, from outside: a child that is stopped, that native code holds, or that hangs
 * in its exit handlers cannot do it itself.
 *
 * A process of a few lines that hears which children there are. Its input ends when the supervisor does, however it does; the
 * children that are still there GRACE_MS later are killed. It is started again when it ends before the supervisor.
 */
const GRACE_MS = 12_000;
const AGAIN_MS = 1_000;

/** As text: a module from source would cost a compiler. */
const SCRIPT = `
const { closeSync, readdirSync, readFileSync, readlinkSync } = require('node:fs');
// As closeInherited of descriptors.ts: lmdb opens its file without O_CLOEXEC, and a watchdog that is started again inherits it.
let open = [];
try { open = readdirSync('/proc/self/fd').map(Number); } catch {}
for (const fd of open) {
  try {
    const flags = parseInt(/^flags:\\s*([0-7]+)/m.exec(readFileSync('/proc/self/fdinfo/' + fd, 'latin1'))[1], 8);
    if (fd > 2 && (flags & 0o2000000) === 0 && /^\\/(?!dev\\/)/.test(readlinkSync('/proc/self/fd/' + fd))) closeSync(fd);
  } catch {}
}
const graceMs = Number(process.argv[1]);
let children = [];
let text = '';
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
process.stdin.setEncoding('utf8');
process.stdin.on('data', (chunk) => {
  const lines = (text + chunk).split('\\n');
  text = lines.pop();
  if (lines.length > 0) try { children = JSON.parse(lines.at(-1)); } catch {}
});
const startOf = (pid) => {
  try {
    const line = readFileSync('/proc/' + pid + '/stat', 'latin1');
    return Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[19]);
  } catch {
    return 0;
  }
};
const kill = () => {
  for (const { pid, started } of children) {
    if (startOf(pid) !== started) continue;
    try { process.kill(pid, 'SIGKILL'); } catch {}
  }
};
process.stdin.on('error', () => {});
process.stdin.on('close', () => {
  if (children.length > 0) setTimeout(kill, graceMs);
});
`;

export class Watchdog {
  readonly #children = new Map<number, number>();
  readonly #graceMs: number;
  #process: ChildProcess | undefined;
  #closed = false;

  constructor(graceMs = GRACE_MS) {
    this.#graceMs = graceMs;
    this.#start();
  }

  watch(pid: number): void {
    this.#children.set(pid, processOf(pid).started);
    this.#tell();
  }

  /** The process has ended. */
  forget(pid: number): void {
    this.#children.delete(pid);
    this.#tell();
  }

  close(): void {
    this.#closed = true;
    this.#process?.stdin?.end();
  }

  #start(): void {
    if (this.#closed) return;
    const args = ['--max-old-space-size=8', '-e', SCRIPT, String(this.#graceMs)];
    const started = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'ignore'], env: {} });
    this.#process = started;
    // It must not keep the supervisor.
    started.unref();
    started.stdin.on('error', () => {});
    const again = (): void => {
      if (this.#process !== started) return;
      this.#process = undefined;
      setTimeout(() => this.#start(), AGAIN_MS).unref();
    };
    started.on('error', again);
    started.on('exit', again);
    this.#tell();
  }

  #tell(): void {
    const children = Array.from(this.#children, ([pid, started]) => ({ pid, started }));
    this.#process?.stdin?.write(`${JSON.stringify(children)}\n`);
  }
}
