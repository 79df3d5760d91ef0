/**
 * The child process around the embedded ClickHouse:
 * `node main.ts --directory <path> [--host 127.0.0.1] [--port 8123]`.
 *
 * Says `{type:'ready', url}` or `{type:'failed', code, message}` to its parent over IPC, and the same as one line where
 * there is no parent. Ends, with exit code 0, when the parent is gone or lets go of it, and without a parent on SIGTERM
 * or SIGINT. Under a parent signals are the parent's business: Ctrl-C and service managers send them to every process,
 * and the inserts of a shutdown come after them.
 */

import { closeSync, openSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import { devNull } from 'node:os';
import { parseArgs } from 'node:util';
import { closeInherited } from '../base/descriptors.ts';
import { AppError, messageOf } from '../base/errors.ts';
import { endAtOnce, endOnUncaught, leave } from '../base/lock/end.ts';
import { lockDirectory } from '../base/lock/lock.ts';
import type { EmbeddedClickHouse, EmbeddedMessage } from './clickhouse.ts';

// Four statements and one that is parsed take a thread each; bodies and compression need some beside them. Before the first use of the pool.
process.env['UV_THREADPOOL_SIZE'] ??= '8';

// The engine reads standard input for rows of an INSERT, wherever it leads. Opening takes the lowest number that is free: 0.
closeSync(0);
openSync(devNull, 'r');
closeInherited();
// As `main.ts`, for an engine that is started alone.
process.umask(0o077);

const CLOSE_MS = 10_000;

function tell(message: EmbeddedMessage): void {
  // Sending to a parent that is gone is not an error: `disconnect` ends this process.
  if (process.send !== undefined) process.send(message, undefined, undefined, () => {});
  else if (message.type === 'ready') console.log(`embedded ClickHouse on ${message.url}`);
  else console.error(`${message.code}: ${message.message}`);
}

function end(running: EmbeddedClickHouse): void {
  // A statement that cannot be stopped must not keep the directory from the next process; the engine survives a kill.
  setTimeout(endAtOnce, CLOSE_MS).unref();
  running.close().then(
    () => leave(0),
    (error: unknown) => {
      console.error(messageOf(error));
      leave(1);
    },
  );
}

endOnUncaught((message, done) => {
  tell({ type: 'failed', code: 'WORKER_FAILED', message });
  done();
});

/** Before the port and the engine: an orphan of an earlier server has both, and is ended here. */
async function lock(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new AppError('DATA_DIR_UNUSABLE', `the embedded ClickHouse cannot use ${directory}: ${messageOf(error)}`, error);
  }
  await lockDirectory(directory, 0, { parent: process.send === undefined ? undefined : process.ppid });
}

try {
  const { values } = parseArgs({
    options: { directory: { type: 'string' }, host: { type: 'string' }, port: { type: 'string' } },
  });
  if (values.directory === undefined) throw new AppError('USAGE', 'embedded ClickHouse: --directory is missing');
  const port = Number(values.port ?? '8123');
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new AppError('USAGE', `embedded ClickHouse: no such port: ${values.port}`);

  await lock(values.directory);
  const { startEmbeddedClickHouse } = await import('./clickhouse.ts');
  const running = await startEmbeddedClickHouse({ directory: values.directory, host: values.host ?? '127.0.0.1', port });
  let ending = false;
  const once = () => {
    if (!ending) end(running);
    ending = true;
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      if (process.send === undefined) once();
    });
  if (process.send !== undefined) process.on('disconnect', once);
  if (process.send !== undefined && !process.connected) once();
  tell({ type: 'ready', url: running.url });
  flushCompileCache();
} catch (error) {
  tell({ type: 'failed', code: error instanceof AppError ? error.code : 'WORKER_FAILED', message: messageOf(error) });
  process.exitCode = 1;
  if (process.connected) process.disconnect();
}
