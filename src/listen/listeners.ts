import dgram from 'node:dgram';
import net from 'node:net';
import type { Codec, Transport } from '../codec/index.ts';
import { AppError, messageOf } from '../errors.ts';
import { placeOf } from '../wire/network.ts';
import type { ListenHost } from './listen-host.ts';
import { listenTcp, type TcpListener } from './tcp.ts';
import { listenUdp, type UdpListener } from './udp.ts';

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

  socket(index: number): net.Server | dgram.Socket | undefined {
    return this.#tcp.get(index)?.socket ?? this.#udp.get(index)?.socket;
  }

  /** A connection that another process has accepted for this listener. */
  adopt(index: number, connection: unknown): void {
    if (!(connection instanceof net.Socket)) return;
    const listener = this.#tcp.get(index);
    if (listener === undefined) connection.destroy();
    else listener.adopt(connection);
  }

  async close(deadlineMs: number): Promise<void> {
    await Promise.all([...this.#tcp.values(), ...this.#udp.values()].map((listener) => listener.close(deadlineMs)));
  }
}
