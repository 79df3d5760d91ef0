import dgram from 'node:dgram';
import { isIPv6 } from 'node:net';
import { every } from '../../base/beat.ts';
import { Deadlines, type Due } from '../../base/deadlines.ts';
import { systemCode } from '../../base/errors.ts';
import type { Bytes } from '../../base/wire/index.ts';
import { peerOf } from '../../base/wire/network.ts';
import type { Codec } from '../../codec/index.ts';
import type { Link } from '../intake/host.ts';
import { Intake } from '../intake/intake.ts';
import { type BytesCounters, bytesCounters } from '../session/counters.ts';
import { idBounds, type ListenAt, type ListenHost } from './listen-host.ts';
import type { HeldPeer } from './peers.ts';
import { recogniseCodec } from './recognise.ts';

/**
 * One UDP listener of one worker: a session per peer address, so that a device that says who it is only once is known
 * afterwards. The kernel keeps a peer on one worker (reusePort).
 *
 * 1. Peers are bounded in time, and in number over all listeners of the worker (peers.ts).
 * 2. Nothing can pause a datagram: ahead of the disk by more than the bound, datagrams are dropped and counted, and
 *    the device sends them again.
 */
const RECEIVE_BUFFER = 4 << 20;
const SECOND_MS = 1000;

/** Where a datagram has come from. */
export interface Sender {
  readonly address: string;
  readonly port: number;
}

export interface UdpListener {
  readonly port: number;
  /** To be sent to another worker. */
  readonly socket: dgram.Socket;
  /** A datagram that another process has read off the socket. */
  receive(datagram: Bytes, from: Sender): void;
  /** Stops receiving; answers owed are still sent until the deadline. `successor` gets what arrives meanwhile. */
  close(deadlineMs: number, successor?: (datagram: Bytes, from: Sender) => void): Promise<void>;
}

/** `given`: a socket of another worker, already bound. */
export async function listenUdp(at: ListenAt, host: ListenHost, given?: dgram.Socket): Promise<UdpListener> {
  const socket = given ?? (await bound(at));
  const peers = new Map<string, UdpPeer>();
  const deadlines = new Deadlines<UdpPeer>(host.clock.elapsed());
  const bytes = bytesCounters(host.metrics, 'udp');
  const receive = (datagram: Bytes, from: Sender): void => {
    bytes.in.inc(datagram.length);
    // A forged source: nothing can be sent to it, and the socket throws when that is tried.
    if (from.port === 0) {
      host.metrics.rejects.inc({ reason: 'port_zero' });
      host.metrics.unidentifiedBytes.inc({ transport: 'udp' }, datagram.length);
      return;
    }
    const key = peerOf(from.address, from.port);
    let peer = peers.get(key);
    if (host.pendingBytes() > host.limits.pendingBytes) {
      host.metrics.rejects.inc({ reason: 'overload' });
      if (peer === undefined) host.metrics.unidentifiedBytes.inc({ transport: 'udp' }, datagram.length);
      else peer.intake.passed(datagram.length, 1);
      return;
    }
    if (peer === undefined) {
      peer = openPeer(datagram, key, from);
      if (peer === undefined) return;
      peers.set(key, peer);
      deadlines.wait(peer, host.clock.elapsed() + host.limits.identifyMs);
    }
    peer.lastSeen = host.clock.elapsed();
    peer.intake.push(datagram);
    if (peers.get(key) === peer) host.peers.heard(peer);
  };
  socket.on('message', receive);
  socket.on('error', (error) => host.log.warn({ error: error.message, port: at.port }, 'UDP socket error'));

  function openPeer(datagram: Bytes, key: string, from: Sender): UdpPeer | undefined {
    const codec = at.codec ?? recogniseCodec(host.codecs, datagram, datagram.length);
    if (!codec || codec.udp === undefined) {
      host.metrics.rejects.inc({ reason: 'unrecognised' });
      host.metrics.unidentifiedBytes.inc({ transport: 'udp' }, datagram.length);
      return undefined;
    }
    host.peers.admit();
    host.metrics.accepts.inc({ codec: codec.name, transport: 'udp' });
    return new UdpPeer(socket, codec, key, from, at, host, bytes, (peer) => {
      host.peers.leave(peer);
      deadlines.forget(peer);
      if (peers.get(key) === peer) peers.delete(key);
    });
  }

  const stopLooking = every(SECOND_MS, () => look(deadlines, at, host));

  return {
    port: socket.address().port,
    socket,
    receive,
    async close(deadlineMs: number, successor?: (datagram: Bytes, from: Sender) => void): Promise<void> {
      stopLooking();
      socket.off('message', receive);
      if (successor !== undefined) socket.on('message', successor);
      const until = host.clock.elapsed() + deadlineMs;
      const owed = (): boolean => [...peers.values()].some((peer) => peer.intake.owes);
      while (owed() && host.clock.elapsed() < until) await new Promise((resolve) => setTimeout(resolve, 10));
      for (const peer of peers.values()) peer.close('drain');
      await new Promise<void>((resolve) => socket.close(() => resolve()));
    },
  };
}

/** Ends the peers that have been silent for too long; the unidentified are given less time. */
function look(deadlines: Deadlines<UdpPeer>, { idleMs }: ListenAt, { clock, limits: { identifyMs } }: ListenHost): void {
  const now = clock.elapsed();
  deadlines.take(now, (peer) => {
    const { identified } = peer.intake;
    const until = peer.lastSeen + (identified ? Math.max(idleMs, identifyMs) : identifyMs);
    if (now > until) peer.close(identified ? 'idle' : 'identify_timeout');
    else deadlines.wait(peer, until);
  });
}

async function bound(at: ListenAt): Promise<dgram.Socket> {
  const attempt = (reusePort: boolean): Promise<dgram.Socket> =>
    new Promise((resolve, reject) => {
      const socket = dgram.createSocket({ type: isIPv6(at.host) ? 'udp6' : 'udp4', reusePort, recvBufferSize: RECEIVE_BUFFER });
      socket.once('error', reject);
      socket.bind({ port: at.port, address: at.host }, () => {
        socket.off('error', reject);
        resolve(socket);
      });
    });
  try {
    return await attempt(true);
  } catch (error) {
    if (!['ENOTSUP', 'EINVAL'].includes(systemCode(error))) throw error;
    return await attempt(false);
  }
}

class UdpPeer implements Link, HeldPeer, Due {
  due = 0;
  readonly intake: Intake;
  lastSeen = 0;
  readonly #socket: dgram.Socket;
  readonly #address: string;
  readonly #port: number;
  readonly #bytes: BytesCounters;
  readonly #gone: (peer: UdpPeer) => void;
  #finishing = '';

  constructor(
    socket: dgram.Socket,
    codec: Codec,
    key: string,
    from: Sender,
    at: ListenAt,
    host: ListenHost,
    bytes: BytesCounters,
    gone: (peer: UdpPeer) => void,
  ) {
    this.#bytes = bytes;
    this.#socket = socket;
    this.#address = from.address;
    this.#port = from.port;
    this.#gone = gone;
    this.intake = new Intake(host, codec, 'udp', key, this, idBounds(at, host));
  }

  get identified(): boolean {
    return this.intake.identified;
  }

  send(bytes: Uint8Array): void {
    this.#bytes.out.inc(bytes.length);
    // A lost answer is sent again when the device repeats its request; there is no one to report to.
    this.#socket.send(bytes, this.#port, this.#address, () => {});
  }

  close(reason: string): void {
    this.#gone(this);
    this.intake.closed(reason);
  }

  finish(reason: string): void {
    this.#finishing = reason;
    if (!this.intake.owes) this.drained();
  }

  drained(): void {
    if (this.#finishing !== '') this.close(this.#finishing);
  }
}
