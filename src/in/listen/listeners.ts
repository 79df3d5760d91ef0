import dgram from 'node:dgram';
import net from 'node:net';
import { AppError, messageOf } from '../../base/errors.ts';
import type { Bytes } from '../../base/wire/index.ts';
import { placeOf } from '../../base/wire/network.ts';
import type { Codec, Transport } from '../../codec/index.ts';
import type { ListenHost } from './listen-host.ts';
import { listenTcp, type TcpListener } from './tcp.ts';
import { listenUdp, type Sender, type UdpListener } from './udp.ts';

/** One listener as it is configured; times in ms. */
export interface ListenerPlan {
  /** Name of a codec, or `auto`. */
  readonly codec: string;
  readonly transport: Transport;
  readonly host: string;
  readonly port: number;
  readonly idleMs: number;
  readonly shared?: boolean | undefined;
}

/** All listeners of one worker, by their index in the configuration. */
export class Listeners {
  readonly #plans: readonly ListenerPlan[];
  readonly #codecs: ReadonlyMap<string, Codec>;
  readonly #host: ListenHost;
  readonly #tcp = new Map<number, TcpListener>();
  readonly #udp = new Map<number, UdpListener>();
  readonly #handedOver = new Set<number>();

  constructor(plans: readonly ListenerPlan[], codecs: ReadonlyMap<string, Codec>, host: ListenHost) {
    this.#plans = plans;
    this.#codecs = codecs;
    this.#host = host;
  }

  async openAll(): Promise<void> {
    for (let index = 0; index < this.#plans.length; index++) await this.open(index);
  }

  /** `given`: an open socket of another worker for this listener. Throws PORT_IN_USE. */
  async open(index: number, given?: unknown): Promise<void> {
    const listener = this.#plans[index];
    if (listener === undefined) return;
    const at = {
      codec: this.#codecs.get(listener.codec),
      host: listener.host,
      port: listener.port,
      idleMs: listener.idleMs,
      shared: listener.shared === true,
    };
    try {
      if (listener.transport === 'tcp')
        this.#tcp.set(index, await listenTcp(at, this.#host, given instanceof net.Server ? given : undefined));
      else this.#udp.set(index, await listenUdp(at, this.#host, given instanceof dgram.Socket ? given : undefined));
    } catch (error) {
      throw new AppError(
        'PORT_IN_USE',
        `cannot listen on ${listener.transport} ${placeOf(listener.host, listener.port)}: ${messageOf(error)}`,
        error,
      );
    }
  }

  /** The socket of a listener, for the worker that takes it over: what arrives once this one closes is the other's. */
  handOver(index: number): net.Server | dgram.Socket | undefined {
    this.#handedOver.add(index);
    return this.#tcp.get(index)?.socket ?? this.#udp.get(index)?.socket;
  }

  /** A connection that another process has accepted for this listener. */
  adopt(index: number, connection: unknown): void {
    if (!(connection instanceof net.Socket)) return;
    const listener = this.#tcp.get(index);
    if (listener === undefined) connection.destroy();
    else listener.adopt(connection);
  }

  /** A datagram that another process has read off the socket of this listener. */
  receive(index: number, datagram: Bytes, from: Sender): void {
    this.#udp.get(index)?.receive(datagram, from);
  }

  /** `passOn` gets the datagrams that arrive meanwhile on sockets that were handed over. */
  async close(deadlineMs: number, passOn: (index: number, datagram: Bytes, from: Sender) => void): Promise<void> {
    await Promise.all([
      ...[...this.#tcp.values()].map((listener) => listener.close(deadlineMs)),
      ...[...this.#udp].map(([index, listener]) =>
        listener.close(deadlineMs, this.#handedOver.has(index) ? (...received) => passOn(index, ...received) : undefined),
      ),
    ]);
  }
}
