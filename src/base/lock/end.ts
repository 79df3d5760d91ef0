import { messageOf } from '../errors.ts';

/**
 * How a child process ends: by no way that can hang without its parent to see it.
 *
 * Exit handlers of native libraries wait for threads that may wait for them, and no JavaScript runs any more that could notice.
 * So a child whose parent is gone, and one with an error that nothing caught, kills itself: what it has written is safe after a
 * kill. With the parent there it exits; the parent kills it when that takes too long.
 */
const PARENT = process.ppid;

/** The parent that started this process is there. */
function hasParent(): boolean {
  return process.ppid === PARENT;
}

export function leave(code: number): void {
  if (hasParent()) process.exit(code);
  else endAtOnce();
}

export function endAtOnce(): void {
  process.kill(process.pid, 'SIGKILL');
}

/** `tell` gets the reason, to pass it on, and what must be called when that is done. */
export function endOnUncaught(tell: (reason: string, done: () => void) => void): void {
  process.on('uncaughtException', (error) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    tell(messageOf(error), endAtOnce);
  });
}
