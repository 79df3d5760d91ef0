/**
 * The way of this server's own processes to the embedded ClickHouse: a socket in a directory that only its owner can enter. The
 * secret is sent over nothing else: while the engine is down, any local user can listen on its TCP port.
 */

import { mkdtemp, rm, rmdir } from 'node:fs/promises';
import { Agent, type ClientRequestArgs, type Server } from 'node:http';
import { connect } from 'node:net';
import { devNull, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type Secret, SecretUrl } from '../base/secret.ts';
import { readAddress } from './secret.ts';

const SOCKET_FILE = 'socket';
/** Bytes of a path that every system takes for a socket. */
const MOST_BYTES = 100;
/** Not a socket: connecting to it is refused. */
const NOWHERE = devNull;
const FOLDER = 'fixgate-clickhouse-';

/**
 * Listens on a socket in `directory`, or in a directory of its own where that has no room for one: its path is too long, or the file
 * system has no sockets. To be called with the lock of the directory. Returns the path.
 */
export async function listenPrivately(server: Server, directory: string): Promise<string> {
  const before = await readAddress(directory);
  if (before !== undefined) await removeSocket(before.socket);
  const path = join(directory, SOCKET_FILE);
  await rm(path, { force: true });
  if (Buffer.byteLength(path) <= MOST_BYTES && (await isListening(server, path))) return path;
  const other = join(await mkdtemp(join(tmpdir(), FOLDER)), SOCKET_FILE);
  if (await isListening(server, other)) return other;
  throw new Error(`no socket can be made in ${directory} or ${tmpdir()}`);
}

/** Removes what `listenPrivately` has made. */
export async function removeSocket(path: string): Promise<void> {
  await rm(path, { force: true });
  const folder = dirname(path);
  // A directory that holds anything else is not one of ours, whatever its name: rmdir leaves it.
  if (folder.startsWith(join(tmpdir(), FOLDER))) await rmdir(folder).catch(() => {});
}

function isListening(server: Server, path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const failed = (): void => resolve(false);
    server.once('error', failed);
    server.listen(path, () => {
      server.off('error', failed);
      resolve(true);
    });
  });
}

/** Who asks the engine of a directory, and over what. */
export interface EmbeddedAccess {
  /** Where other programs find it; the agent connects to the socket, whatever this is. */
  readonly url: SecretUrl;
  readonly username: string;
  readonly password: Secret;
  /** A new agent with at most so many connections. Its owner destroys it. */
  readonly agent: (connections: number) => Agent;
}

export function embeddedAccess(directory: string, url: string, secret: Secret): EmbeddedAccess {
  return {
    url: new SecretUrl(url),
    username: 'default',
    password: secret,
    agent: (connections) => new SocketAgent(directory, connections),
  };
}

class SocketAgent extends Agent {
  readonly #directory: string;

  constructor(directory: string, connections: number) {
    super({ keepAlive: true, maxSockets: connections });
    this.#directory = directory;
  }

  /** The address is read each time: the engine may have been started again. */
  override createConnection(_args: ClientRequestArgs, created?: (error: Error | null, stream: Duplex) => void): undefined {
    void readAddress(this.#directory).then((address) => created?.(null, connect(address?.socket ?? NOWHERE)));
  }
}
