import net from 'node:net';
import { Random } from '../../src/simulate/random.ts';

/**
 * A TCP proxy in front of a store, so that connections can be hurt without touching either end.
 *
 * - `through`: everything passes.
 * - `refuse`: nothing listens, and open connections are reset: the store is away.
 * - `stall`: connections are accepted and stay silent, in both directions.
 * - `cut`: most answers are cut in the middle: the store did what was asked, and the asker cannot know.
 */
export type ProxyMode = 'through' | 'refuse' | 'stall' | 'cut';

/** Of the answers, so many are cut; the others keep both ends busy with more than reconnecting. */
const CUT_SHARE = 0.6;

export class StoreProxy {
  port = 0;
  /** Answers that were cut. */
  cuts = 0;
  readonly #target: number;
  readonly #random: Random;
  readonly #pairs = new Set<Pair>();
  #mode: ProxyMode = 'through';
  #server: net.Server | undefined;

  private constructor(target: number, seed: number) {
    this.#target = target;
    this.#random = new Random(seed);
  }

  /** Listens on `port` of loopback and leads to `target`. */
  static async start(port: number, target: number, seed: number): Promise<StoreProxy> {
    const proxy = new StoreProxy(target, seed);
    proxy.port = port;
    await proxy.#listen();
    return proxy;
  }

  async set(mode: ProxyMode): Promise<void> {
    this.#mode = mode;
    if (mode === 'refuse') await this.#close();
    else if (this.#server === undefined) await this.#listen();
    for (const pair of this.#pairs) pair.flow(mode !== 'stall');
  }

  async close(): Promise<void> {
    await this.#close();
  }

  #listen(): Promise<void> {
    const server = net.createServer({ noDelay: true, pauseOnConnect: true }, (client) => this.#accept(client));
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port: this.port, host: '127.0.0.1' }, () => resolve());
    });
  }

  async #close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = server === undefined ? undefined : new Promise<void>((resolve) => server.close(() => resolve()));
    for (const pair of this.#pairs) pair.destroy();
    await closed;
  }

  #accept(client: net.Socket): void {
    const pair: Pair = new Pair(client, this.#target, {
      answer: (bytes) => this.#answer(bytes),
      closed: () => this.#pairs.delete(pair),
    });
    this.#pairs.add(pair);
    pair.flow(this.#mode !== 'stall');
  }

  /** How many bytes of this piece of an answer may pass before the connection is cut; -1: it is not. */
  #answer(bytes: Buffer): number {
    if (this.#mode !== 'cut' || this.#random.next() >= CUT_SHARE) return -1;
    this.cuts++;
    return this.#random.int(bytes.length);
  }
}

interface PairEvents {
  answer(bytes: Buffer): number;
  closed(): void;
}

/** A client's connection and the one to the store. */
class Pair {
  readonly #client: net.Socket;
  readonly #store: net.Socket;
  readonly #events: PairEvents;

  constructor(client: net.Socket, target: number, events: PairEvents) {
    this.#client = client;
    this.#events = events;
    this.#store = net.connect({ port: target, host: '127.0.0.1', noDelay: true });
    const store = this.#store;
    for (const socket of [client, store]) {
      socket.on('error', () => this.destroy());
      socket.on('close', () => this.destroy());
    }
    client.on('end', () => store.end());
    store.on('end', () => client.end());
    client.on('data', (bytes) => this.#pass(bytes, client, store));
    store.on('data', (bytes) => {
      const passing = events.answer(bytes);
      if (passing < 0) this.#pass(bytes, store, client);
      else client.write(bytes.subarray(0, passing), () => this.destroy());
    });
  }

  flow(on: boolean): void {
    for (const socket of [this.#client, this.#store]) on ? socket.resume() : socket.pause();
  }

  destroy(): void {
    this.#client.destroy();
    this.#store.destroy();
    this.#events.closed();
  }

  #pass(bytes: Buffer, from: net.Socket, to: net.Socket): void {
    if (to.write(bytes)) return;
    from.pause();
    to.once('drain', () => from.resume());
  }
}
