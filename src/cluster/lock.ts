import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError, systemCode } from '../errors.ts';

/**
 * One holder per directory, given back by the kernel when the holder dies, however it dies: a listening local socket.
 * On Linux its name is abstract and leaves no file; elsewhere it is a file in the temporary directory, taken over when
 * nobody answers on it.
 */
export async function lockDirectory(directory: string, waitMs: number): Promise<net.Server> {
  const name = `fixgate-${createHash('sha256').update(realpathSync(directory)).digest('hex').slice(0, 32)}`;
  const path = process.platform === 'linux' ? `\0${name}` : join(tmpdir(), `${name}.sock`);
  for (let waited = 0; ; waited += 50) {
    try {
      return await listen(path);
    } catch (error) {
      if (systemCode(error) !== 'EADDRINUSE') throw new AppError('DATA_DIR_UNUSABLE', `cannot lock ${directory}`, error);
      if (waited >= waitMs)
        throw new AppError(
          'DATA_DIR_UNUSABLE',
          `${directory} is in use by another fixgate; stop it or set FIXGATE_DATA_DIR to another directory`,
          error,
        );
      if (process.platform !== 'linux') await removeStale(path);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function listen(path: string): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.destroy());
    server.once('error', reject);
    // exclusive: in a cluster worker the socket must be this process's own, not the supervisor's.
    server.listen({ path, exclusive: true }, () => resolve(server.unref()));
  });
}

async function removeStale(path: string): Promise<void> {
  const { unlink } = await import('node:fs/promises');
  const alive = await new Promise<boolean>((resolve) => {
    const socket = net.connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
  if (!alive) await unlink(path).catch(() => {});
}
