import dgram from 'node:dgram';
import net from 'node:net';
import { messageOf } from '../base/errors.ts';
import type { Post } from './post.ts';

/**
 * Hands the listening sockets of a worker to its successor, through the supervisor.
 *
 * 1. A socket stays open all the time, and so does its queue: no connection that has begun is refused. Closing one of
 *    several sockets on a port would reset what waits at it, and what is in the middle of the handshake.
 * 2. A connection accepted, or a datagram read, while the socket passes through here goes on to the successor, and so does a
 *    datagram that the old worker reads while it ends.
 * 3. What cannot be handed over (the worker died, or the system does not share ports) the successor opens itself.
 */
const HAND_OVER_MS = 5_000;

/** Resolves '' when the successor listens on all of `listeners` sockets; else why it does not. Never rejects. */
export async function handOver(old: Post, heir: Post, listeners: number): Promise<string> {
  const all = Array.from({ length: listeners }, (_, index) => pass(old, heir, index));
  const failed = (await Promise.allSettled(all)).find((outcome) => outcome.status === 'rejected');
  return failed === undefined ? '' : messageOf(failed.reason);
}

async function pass(old: Post, heir: Post, index: number): Promise<void> {
  const given = await old
    .ask((ticket) => ({ type: 'hand_over', ticket, index }), HAND_OVER_MS)
    .then(
      (reply) => reply.socket,
      () => undefined,
    );
  const socket = given instanceof net.Server || given instanceof dgram.Socket ? given : undefined;
  socket?.on('error', () => {});
  // The successor accepts what this process cannot.
  if (socket instanceof net.Server) socket.on('connection', (connection) => heir.running?.send({ type: 'connection', index }, connection));
  else
    socket?.on('message', (bytes, { address, port }) =>
      heir.send({ type: 'datagram', index, bytes: bytes.toString('base64'), address, port }),
    );
  await heir.ask(
    (ticket) => ({ type: 'listen', ticket, index }),
    HAND_OVER_MS,
    socket,
    () => socket?.close(),
  );
}
