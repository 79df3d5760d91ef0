import { AsyncLocalStorage } from 'node:async_hooks';
import type { Readable, Writable } from 'node:stream';

/** What a command reads from and writes to. */
export interface Io {
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly out: Writable & { readonly isTTY?: boolean; readonly rows?: number; readonly columns?: number };
  readonly error: Writable & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Of the process. Getters: a standard input that is touched keeps the process alive. */
const PROCESS: Io = {
  get input() {
    return process.stdin;
  },
  get out() {
    return process.stdout;
  },
  get error() {
    return process.stderr;
  },
  get env() {
    return process.env;
  },
};

const given = new AsyncLocalStorage<Io>();

/** The streams and the environment of the command that runs: those of the process, unless `withIo` gave others. */
export function io(): Io {
  return given.getStore() ?? PROCESS;
}

/** Runs `command` on these streams and this environment, in the same process as others with theirs. */
export function withIo<T>(its: Io, command: () => Promise<T>): Promise<T> {
  return given.run(its, command);
}
