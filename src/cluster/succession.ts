import dgram from 'node:dgram';
import net from 'node:net';
import type { FromChild, SendHandle, ToChild } from './messages.ts';

/**
 * Hands the listening sockets of a worker to its successor, through the supervisor.
 *
 * 1. A socket stays open all the time, and so does its queue: nobody who has begun to connect is refused. Closing one of
 *    several sockets on a port would reset who waits at it, and who is in the middle of the handshake.
 * 2. A connection accepted while the socket passes through here goes on to the successor. A datagram does not: the
 *    device sends it again.
 * 3. What cannot be handed over (the worker died, or the system does not share ports) the successor opens itself.
 */
const HAND_OVER_MS = 5_000;

export interface Heir {
  send(message: ToChild, socket?: SendHandle, sent?: () => void): void;
}

export class Succession {
  readonly #heir: Heir;
  readonly #missing: Set<number>;
  readonly #deaf: Set<number>;
  #changed: () => void = () => {};

  /** `listeners`: how many there are. */
  constructor(heir: Heir, listeners: number) {
    this.#heir = heir;
    this.#missing = new Set(Array.from({ length: listeners }, (_, index) => index));
    this.#deaf = new Set(this.#missing);
  }

  /** Resolves true when the successor listens on everything; false when that takes too long. `ask` reaches the old worker. */
  async complete(ask: (message: ToChild) => void): Promise<boolean> {
    ask({ type: 'hand_over' });
    if (!(await this.#until(() => this.#missing.size === 0))) for (const index of this.#missing) this.#heir.send({ type: 'listen', index });
    return this.#until(() => this.#deaf.size === 0);
  }

  /** What either worker says meanwhile. */
  heard(message: FromChild, socket: unknown): void {
    if (message.type === 'listening') this.#deaf.delete(message.index);
    else if (message.type === 'handed_over' && this.#missing.delete(message.index)) this.#pass(message.index, socket);
    this.#changed();
  }

  #pass(index: number, socket: unknown): void {
    if (socket instanceof net.Server) {
      // The successor accepts whom this process cannot.
      socket.on('error', () => {});
      socket.on('connection', (connection) => this.#heir.send({ type: 'connection', index }, connection));
      this.#heir.send({ type: 'listen', index }, socket, () => socket.close());
    } else if (socket instanceof dgram.Socket) {
      socket.on('error', () => {});
      this.#heir.send({ type: 'listen', index }, socket, () => socket.close());
    } else this.#heir.send({ type: 'listen', index });
  }

  async #until(done: () => boolean): Promise<boolean> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#changed();
    }, HAND_OVER_MS);
    while (!done() && !late)
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    clearTimeout(timer);
    return done();
  }
}
