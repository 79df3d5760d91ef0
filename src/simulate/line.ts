import dgram from 'node:dgram';
import net from 'node:net';
import { systemCode } from '../base/errors.ts';
import type { Bytes } from '../base/wire/index.ts';
import type { Transport } from '../codec/index.ts';

/** A device's way to the server: one TCP connection, or one UDP port of its own. */
export interface Line {
  /** May more be sent? A server that does not read makes the device wait. */
  readonly room: boolean;
  send(bytes: Uint8Array): void;
  /** Ends it; `lost` is not called. */
  close(): void;
}

export interface LineEvents {
  opened(): void;
  data(bytes: Bytes): void;
  /** Bytes that have passed the socket, also behind its end. */
  passed(sent: number, received: number): void;
  /** It is gone; `established` tells a closed connection from one that never came about. `code`: of the system, or ''. */
  lost(established: boolean, code: string): void;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Bytes that may wait in the socket before the device holds back. */
const ROOM = 65_536;

export function openLine(transport: Transport, to: Address, events: LineEvents): Line {
  return transport === 'tcp' ? new TcpLine(to, events) : new UdpLine(to, events);
}

class TcpLine implements Line {
  readonly #socket: net.Socket;
  readonly #events: LineEvents;
  #established = false;
  #closed = false;
  #code = '';

  constructor(to: Address, events: LineEvents) {
    const socket = net.connect({ host: to.host, port: to.port, noDelay: true });
    this.#socket = socket;
    this.#events = events;
    socket.on('connect', () => {
      this.#established = true;
      if (!this.#closed) events.opened();
    });
    socket.on('data', (bytes) => {
      events.passed(0, bytes.length);
      if (!this.#closed) events.data(bytes);
    });
    socket.on('error', (error) => {
      this.#code = systemCode(error);
    });
    socket.on('close', () => {
      if (this.#closed) return;
      this.#closed = true;
      events.lost(this.#established, this.#code);
    });
  }

  get room(): boolean {
    return this.#socket.writableLength < ROOM;
  }

  send(bytes: Uint8Array): void {
    this.#events.passed(bytes.length, 0);
    this.#socket.write(bytes);
  }

  close(): void {
    this.#closed = true;
    this.#socket.on('error', () => {});
    // The server's answers have all been read: nothing is lost, and no port stays behind.
    if (this.#established) this.#socket.end();
    else this.#socket.destroy();
  }
}

class UdpLine implements Line {
  readonly room = true;
  readonly #socket: dgram.Socket;
  readonly #events: LineEvents;
  #closed = false;

  constructor(to: Address, events: LineEvents) {
    const socket = dgram.createSocket(net.isIPv6(to.host) ? 'udp6' : 'udp4');
    this.#socket = socket;
    this.#events = events;
    socket.on('message', (bytes) => {
      events.passed(0, bytes.length);
      if (!this.#closed) events.data(bytes);
    });
    // No listener is the same as no answer: the device's timeout decides.
    socket.on('error', () => {});
    socket.connect(to.port, to.host, () => {
      if (!this.#closed) events.opened();
    });
  }

  send(bytes: Uint8Array): void {
    this.#events.passed(bytes.length, 0);
    this.#socket.send(bytes, () => {});
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}
