import { type ChildProcess, fork } from 'node:child_process';
import cluster from 'node:cluster';
import { AppError } from '../base/errors.ts';
import type { Send } from './ipc.ts';

/** A child as the supervisor needs it, a cluster worker or a plain process alike. */
export interface Running {
  readonly send: Send;
  kill(signal: NodeJS.Signals): void;
  /** Lets go of it: a child ends when it has no parent. */
  release(): void;
  onMessage(listener: (message: unknown, socket: unknown) => void): void;
  onExit(listener: (code: number | null, signal: string | null) => void): void;
  readonly pid: number;
}

/** No child reads what the server is given on standard input. */
const CHILD_STDIO: ('ignore' | 'inherit' | 'ipc')[] = ['ignore', 'inherit', 'inherit', 'ipc'];

/**
 * The halves of a child's young generation, in MB. V8 lets each grow to 64 MB in a burst, of logins for one, and gives nothing
 * back: 100 MB a process. What a packet leaves lives no longer than its commit.
 */
const HALF_OF_THE_YOUNG_MB = 16;

function options(): string[] {
  return [...process.execArgv, `--max-semi-space-size=${HALF_OF_THE_YOUNG_MB}`];
}

/** Throws AppError WORKER_FAILED when the system starts no process. */
export function forkChild(path: string, args: readonly string[]): Running {
  return ofProcess(fork(path, args, { stdio: CHILD_STDIO, execArgv: options() }));
}

/** A worker, which runs the module at `path`. */
export function forkWorker(path: string): Running {
  cluster.setupPrimary({ exec: path, args: [], stdio: CHILD_STDIO, execArgv: options() });
  const worker = cluster.fork();
  worker.on('error', () => {});
  return ofProcess(worker.process);
}

function ofProcess(child: ChildProcess): Running {
  // Without a listener, a process that cannot be started or reached would end this one.
  child.on('error', () => {});
  if (child.pid === undefined) throw new AppError('WORKER_FAILED', 'no process can be started: no descriptor or no process is left');
  return {
    pid: child.pid,
    // A message to a process that is just dying is answered by its exit.
    send: (message, socket, sent) => void child.send(message, socket, undefined, () => sent?.()),
    kill: (signal) => void child.kill(signal),
    release: () => {
      if (child.connected) child.disconnect();
    },
    onMessage: (listener) => void child.on('message', listener),
    onExit: (listener) => void child.on('exit', listener),
  };
}
