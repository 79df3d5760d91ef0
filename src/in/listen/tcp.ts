import net from 'node:net';
import { every } from '../../base/beat.ts';
import { Deadlines, type Due } from '../../base/deadlines.ts';
import { systemCode } from '../../base/errors.ts';
import { Seldom } from '../../base/seldom.ts';
import type { Bytes } from '../../base/wire/index.ts';
import { peerOf } from '../../base/wire/network.ts';
import type { Codec } from '../../codec/index.ts';
import type { Link } from '../intake/host.ts';
import { Intake } from '../intake/intake.ts';
import { type BytesCounters, bytesCounters } from '../session/counters.ts';
import { ahead, idBounds, type ListenAt, type ListenHost } from './listen-host.ts';
import { foreignProtocol, RECOGNISE_BYTES, recogniseCodec } from './recognise.ts';

/**
 * One TCP listener of one worker.
 *
 * 1. Every connection ends with one counted reason.
 * 2. Memory per connection is bounded: one frame, the answers owed, and bytes ahead of the disk up to a limit; above
 *    it the socket is paused. A device that does not read its answers is closed.
 * 3. Deadlines: to identify, to finish a frame, idle. Once a second those are looked at that are due: silent connections cost
 *    nothing.
 * 4. A device that closes its side first still gets the answers it earned.
 * 5. Closing the listener spreads the ends of the connections over time: all devices at once would be back at once.
 * 6. A throttled connection is read at its rate, so that the device's own buffer waits; a pause lasts 20 s at most, which devices wait
 *    for an answer.
 * 7. A listening socket can be handed to another worker, with the connections that wait to be accepted.
 */

/** Answer bytes that a device may leave unread. */
const UNREAD_LIMIT = 262_144;
/** Time for a peer to close its side after we closed ours. */
const LINGER_MS = 1000;
const SECOND_MS = 1000;
const KEEP_ALIVE_MS = 60_000;
const LONGEST_PAUSE_MS = 20_000;
/** When the listener closes: a connection ends each so many ms, faster when the time would not do. */
const PACE_MS = 2;
const PACED_SHARE = 0.6;

export interface TcpListener {
  readonly port: number;
  /** The listening socket, to be sent to another worker. */
  readonly socket: net.Server;
  /** Takes a connection that another process has accepted on this socket. */
  adopt(connection: net.Socket): void;
  /** Stops accepting, and ends the connections one after the other; resolves when each has got what it is owed and is closed, or at the deadline. */
  close(deadlineMs: number): Promise<void>;
}

/** `given`: a listening socket of another worker, already open. */
export async function listenTcp(at: ListenAt, host: ListenHost, given?: net.Server): Promise<TcpListener> {
  const connections = new Set<TcpConnection>();
  const deadlines = new Deadlines<TcpConnection>(host.clock.elapsed());
  const acceptErrors = new Seldom('connections cannot be accepted', host.clock);
  const bytes = bytesCounters(host.metrics, 'tcp');
  const accept = (socket: net.Socket): void => {
    if (!host.connections.enter()) {
      host.metrics.rejects.inc({ reason: 'connections' });
      socket.destroy();
      return;
    }
    const connection = new TcpConnection(socket, at, host, bytes, deadlines, () => {
      connections.delete(connection);
      deadlines.forget(connection);
      host.connections.leave();
    });
    connections.add(connection);
  };
  const adopt = (socket: net.Socket): void => {
    socket.allowHalfOpen = true;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    accept(socket);
  };
  const server = given ?? net.createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS });
  server.on('connection', given === undefined ? accept : adopt);
  // Without a listener for it, a connection that cannot be accepted would end the process.
  server.on('error', (error) => {
    host.metrics.rejects.inc({ reason: 'accept_failed' });
    acceptErrors.warn(host.log, { error: error.message, port: at.port });
  });
  const stopLooking = every(SECOND_MS, () => {
    const now = host.clock.elapsed();
    deadlines.take(now, (connection) => connection.look(now));
  });
  if (given === undefined) await listening(server, at);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : at.port,
    socket: server,
    adopt,
    async close(deadlineMs: number): Promise<void> {
      server.close();
      const begun = host.clock.elapsed();
      const until = begun + deadlineMs;
      const leaving = [...connections];
      const paceMs = Math.min(PACE_MS, (PACED_SHARE * deadlineMs) / Math.max(1, leaving.length));
      let asked = 0;
      while (connections.size > 0 && host.clock.elapsed() < until) {
        const due = paceMs === 0 ? leaving.length : Math.floor((host.clock.elapsed() - begun) / paceMs);
        for (; asked < Math.min(due + 1, leaving.length); asked++) leaving[asked]?.finish('drain');
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      for (const connection of connections) connection.close('drain');
      stopLooking();
    },
  };
}

/** Listens on a port shared by all workers, spread by the kernel where it can, else by the cluster. */
async function listening(server: net.Server, at: ListenAt): Promise<void> {
  const attempt = (reusePort: boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: at.host, port: at.port, reusePort, backlog: 4096 }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  try {
    await attempt(true);
  } catch (error) {
    if (!['ENOTSUP', 'EINVAL'].includes(systemCode(error))) throw error;
    await attempt(false);
  }
}

class TcpConnection implements Link, Due {
  due = 0;
  readonly #deadlines: Deadlines<TcpConnection>;
  readonly #socket: net.Socket;
  readonly #at: ListenAt;
  readonly #host: ListenHost;
  readonly #peer: string;
  readonly #bytes: BytesCounters;
  readonly #openedAt: number;
  #intake: Intake | undefined;
  /** First bytes of a connection whose codec is not known yet. */
  #head: Uint8Array | undefined;
  /** Bytes and chunks that came before the protocol was recognised. */
  #headBytes = 0;
  #headReads = 0;
  #looked = false;
  #lastSeen: number;
  /** Since when the frame in progress is in progress; 0 between frames. */
  #partialSince = 0;
  #framesSeen = 0;
  #reason = '';
  #finishing = false;
  #ended = false;
  #paused = false;
  #bytesPerS = 0;
  /** When the bytes read so far are due at the throttled rate, monotonic ms. */
  #paidUntil = 0;
  #throttled: NodeJS.Timeout | undefined;

  constructor(
    socket: net.Socket,
    at: ListenAt,
    host: ListenHost,
    bytes: BytesCounters,
    deadlines: Deadlines<TcpConnection>,
    gone: () => void,
  ) {
    this.#deadlines = deadlines;
    this.#bytes = bytes;
    this.#socket = socket;
    this.#at = at;
    this.#host = host;
    this.#peer = peerOf(socket.remoteAddress ?? '', socket.remotePort ?? 0);
    this.#openedAt = host.clock.elapsed();
    this.#lastSeen = this.#openedAt;
    this.#wait(this.#openedAt);
    host.metrics.connections.inc({ codec: this.#label });
    host.metrics.accepts.inc({ codec: this.#label, transport: 'tcp' });
    if (at.codec !== undefined) this.#intake = new Intake(host, at.codec, 'tcp', this.#peer, this, idBounds(at, host));
    socket.on('data', (chunk) => this.#data(chunk));
    socket.on('end', () => this.finish('device'));
    socket.on('error', (error) => this.#reasonIs(systemCode(error) === 'ECONNRESET' ? 'reset' : 'socket_error'));
    socket.on('close', () => {
      this.#reasonIs('device');
      this.#host.paused.delete(this);
      clearTimeout(this.#throttled);
      if (!this.#looked) host.metrics.unidentifiedBytes.inc({ transport: 'tcp' }, this.#headBytes);
      this.#intake?.closed(this.#reason);
      host.metrics.connections.dec({ codec: this.#label });
      host.metrics.closes.inc({ reason: this.#reason });
      gone();
    });
  }

  send(bytes: Uint8Array): void {
    this.#bytes.out.inc(bytes.length);
    this.#socket.write(bytes);
    if (this.#socket.writableLength > UNREAD_LIMIT) this.close('unread');
  }

  close(reason: string): void {
    this.#reasonIs(reason);
    this.#socket.destroy();
  }

  finish(reason: string): void {
    this.#reasonIs(reason);
    if (this.#intake?.turnedAway === true) {
      this.#socket.destroy();
      return;
    }
    this.#finishing = true;
    this.#socket.pause();
    if (this.#intake?.owes !== true) this.drained();
  }

  drained(): void {
    if (!this.#finishing || this.#ended) return;
    this.#ended = true;
    // Closing with unread bytes would send a reset, which may overtake the last answers: read on, into nothing, until
    // the peer closes too.
    this.#socket.end();
    this.#socket.resume();
    setTimeout(() => this.#socket.destroy(), LINGER_MS);
  }

  resume(): void {
    if (this.#intake === undefined || this.#finishing || ahead(this.#host, this.#intake, 0.5)) return;
    this.#paused = false;
    this.#host.paused.delete(this);
    if (this.#throttled === undefined) this.#socket.resume();
  }

  throttle(bytesPerS: number): void {
    if (bytesPerS === this.#bytesPerS) return;
    this.#bytesPerS = bytesPerS;
    if (bytesPerS === 0) this.#unthrottle();
  }

  /** Invariant 6. */
  #pay(bytes: number, now: number): void {
    this.#paidUntil = Math.max(now, this.#paidUntil) + (1000 * bytes) / this.#bytesPerS;
    const pauseMs = Math.min(LONGEST_PAUSE_MS, this.#paidUntil - now);
    this.#socket.pause();
    clearTimeout(this.#throttled);
    this.#throttled = setTimeout(() => this.#unthrottle(), pauseMs);
  }

  #unthrottle(): void {
    clearTimeout(this.#throttled);
    this.#throttled = undefined;
    this.#paidUntil = Math.min(this.#paidUntil, this.#host.clock.elapsed() + LONGEST_PAUSE_MS);
    if (!this.#paused && !this.#finishing) this.#socket.resume();
  }

  /** A deadline may have come. */
  look(now: number): void {
    this.#judge(now);
    if (!this.#socket.destroyed) this.#wait(now);
  }

  /** Invariant 3: until the earliest deadline, as far as it can be told now. */
  #wait(now: number): void {
    const { identifyMs, frameMs, quietMs } = this.#host.limits;
    let at = this.#lastSeen + this.#at.idleMs;
    if (this.#intake?.identified !== true) at = Math.min(at, this.#openedAt + identifyMs);
    if (this.#partialSince > 0) at = Math.min(at, this.#partialSince + frameMs, this.#lastSeen + quietMs);
    this.#deadlines.wait(this, Math.max(at, now));
  }

  #judge(now: number): void {
    const { limits } = this.#host;
    const intake = this.#intake;
    if (intake?.turnedAway === true) return;
    if (intake?.identified !== true && now - this.#openedAt > limits.identifyMs) this.close('identify_timeout');
    else if (this.#partialSince > 0 && !this.#paused && this.#throttled === undefined && now - this.#partialSince > limits.frameMs)
      this.close('frame_timeout');
    else if (now - this.#lastSeen > this.#at.idleMs) this.close('idle');
    else if (this.#partialSince > 0 && now - this.#lastSeen > limits.quietMs && intake !== undefined) {
      intake.quiet();
      this.#progress(intake, now);
    }
  }

  get #label(): string {
    return this.#at.codec?.name ?? 'auto';
  }

  #reasonIs(reason: string): void {
    if (this.#reason === '') this.#reason = reason;
  }

  #data(chunk: Bytes): void {
    this.#bytes.in.inc(chunk.length);
    const looked = this.#looked;
    if (!looked) {
      this.#headBytes += chunk.length;
      this.#headReads++;
    }
    if (this.#finishing) {
      if (looked) this.#intake?.passed(chunk.length, 1);
      return;
    }
    const now = this.#host.clock.elapsed();
    this.#lastSeen = now;
    const bytes = looked ? chunk : this.#look(chunk);
    const intake = this.#intake;
    if (bytes === undefined || intake === undefined) return;
    if (!looked) intake.passed(this.#headBytes - bytes.length, this.#headReads - 1);
    intake.push(bytes);
    this.#progress(intake, now);
    if (this.#bytesPerS > 0 && !this.#finishing) this.#pay(chunk.length, now);
    if (!this.#paused && !this.#finishing && ahead(this.#host, intake, 1)) {
      this.#paused = true;
      this.#host.metrics.pauses.inc();
      this.#host.paused.add(this);
      this.#socket.pause();
    }
  }

  #progress(intake: Intake, now: number): void {
    if (intake.pending === 0) this.#partialSince = 0;
    else if (this.#partialSince === 0 || intake.framesIn !== this.#framesSeen) {
      this.#partialSince = now;
      this.#wait(now);
    }
    this.#framesSeen = intake.framesIn;
  }

  /** Who is talking? Returns the bytes to push, or undefined while that is open or when the connection was closed. */
  #look(chunk: Bytes): Bytes | undefined {
    const foreign = foreignProtocol(chunk, chunk.length);
    if (foreign !== '') {
      this.#host.metrics.rejects.inc({ reason: foreign });
      this.close(foreign);
      return undefined;
    }
    const expected = this.#at.codec;
    if (expected !== undefined) {
      this.#looked = true;
      const found =
        recogniseCodec([expected], chunk, chunk.length) === null ? recogniseCodec(this.#host.codecs, chunk, chunk.length) : undefined;
      if (found) this.#host.lookalike(expected, found.name, this.#peer);
      return chunk;
    }
    const head = this.#head === undefined ? chunk : Buffer.concat([this.#head, chunk]);
    const codec: Codec | undefined | null = recogniseCodec(this.#host.codecs, head, head.length);
    if (codec === undefined) {
      this.#head = Uint8Array.from(head.subarray(0, RECOGNISE_BYTES));
      return undefined;
    }
    if (codec === null) {
      this.#host.metrics.rejects.inc({ reason: 'unrecognised' });
      this.close('unrecognised');
      return undefined;
    }
    this.#looked = true;
    this.#head = undefined;
    this.#intake = new Intake(this.#host, codec, 'tcp', this.#peer, this, idBounds(this.#at, this.#host));
    return head;
  }
}
