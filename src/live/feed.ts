import { randomBytes } from 'node:crypto';
import type { EventJson } from '../out/record/event.ts';
import { EventStream, type Out } from './event-stream.ts';
import { COLUMNS, hasLeft, type Row, type RowFilter, rowText, wants } from './positions.ts';
import { withoutPlace } from './recent-events.ts';

/**
 * What changes, to those who look: server-sent events. It is a feed to look at, not one to process: the streams of Redis are lossless.
 *
 * 1. At most one row of a device in a batch, and one batch a second. A client gets the batches, or the latest rows of several of them.
 * 2. Who comes back with an id of the ring gets everything since; with any other, `reset`: it is to fetch the snapshot again.
 * 3. Nothing waits for a client: one that does not read gets nothing more until it has read, and then `reset`.
 * 4. After an erasure nothing of the device is in the ring.
 * 5. At most MOST_STREAMS in all and MOST_OF_ONE of one caller, of which the newest stay. A browser has six connections to a server: traces
 *    of a session count among them.
 */
export const TOPICS = ['positions', 'events', 'status'] as const;
export type Topic = (typeof TOPICS)[number];

const RING = 60;
const MOST_STREAMS = 50;
const MOST_OF_ONE = 4;
/** Rows of a second beyond which the batches of a client come less often. */
const ROWS_PER_S = 10_000;
/** How long changes are gathered for those who may come back. */
const LINGER_S = 60;
const STATUS_EVERY = 2;
const COMMENT_EVERY = 15;
/** A client that has not read for so long is given up. */
const BEHIND_S = 60;

interface Item {
  readonly row: Row;
  readonly text: string;
}

interface Batch {
  readonly n: number;
  readonly items: readonly Item[];
}

export interface ClientOptions {
  /** Who it is: of the same one there are a few. */
  readonly caller: string;
  readonly topics: readonly Topic[];
  /** s */
  readonly every: number;
  readonly filter: RowFilter;
  /** Absent: all of them. */
  readonly sees?: ((event: EventJson) => boolean) | undefined;
  /** The caller may see where devices are. */
  readonly places: boolean;
  /** The id that the client had last, '' for none. */
  readonly lastId: string;
}

export interface Client {
  /** Ends the stream with this event. */
  end(event: string): void;
  /** The client has gone. */
  closed(): void;
}

export class Feed {
  readonly epoch = randomBytes(4).toString('hex');
  readonly #watch: () => void;
  readonly #status: () => object;
  readonly #clients = new Set<LiveClient>();
  /** What counts among those of a caller, the oldest first. */
  readonly #callers = new Set<{ readonly caller: string; end(event: string): void }>();
  #changed = new Set<Row>();
  #ring: Batch[] = [];
  #n = 0;
  /** Ids before this one are not resumed, and why. */
  #floor = 0;
  #floorReason: 'behind' | 'erased' = 'behind';
  #seconds = 0;
  /** Gathers changes until then. */
  #until = 0;

  /** `watch`: called every second while a client looks. `status`: the cards. */
  constructor(watch: () => void, status: () => object) {
    this.#watch = watch;
    this.#status = status;
  }

  /** Where the feed goes on behind a snapshot that is taken now. */
  look(): string {
    this.#wake();
    // What has changed and is in no batch yet is in the snapshot already, and comes once more.
    return `${this.epoch}-${this.#n}`;
  }

  changed(row: Row): void {
    if (this.#seconds < this.#until) this.#changed.add(row);
  }

  /** The device was erased, or must not be seen any more. `account`: whose it was. */
  gone(device: string, erased: boolean, account: string): void {
    for (const row of this.#changed) if (row.device === device) this.#changed.delete(row);
    this.#ring = [];
    this.#floor = ++this.#n;
    this.#floorReason = erased ? 'erased' : 'behind';
    const text = JSON.stringify({ devices: [device] });
    for (const client of this.#clients) client.gone(device, account, this.#id(this.#n), text);
  }

  event(event: EventJson): void {
    const texts = new Map<boolean, string>();
    for (const client of this.#clients) {
      if (!client.hasTopic('events') || !client.wantsEvent(event)) continue;
      const text = texts.get(client.seesPlaces) ?? JSON.stringify(client.seesPlaces ? event : withoutPlace(event));
      texts.set(client.seesPlaces, text);
      client.send('event', text);
    }
  }

  /** No other stream is taken. */
  get isFull(): boolean {
    return this.#clients.size >= MOST_STREAMS;
  }

  /** To be called while it is not full. */
  attach(options: ClientOptions, out: Out): Client {
    this.#wake();
    const left = this.admit(options.caller, (event) => client.end(event));
    const client: LiveClient = new LiveClient(options, new EventStream(out), () => {
      this.#clients.delete(client);
      left();
    });
    this.#clients.add(client);
    const { topics, every, lastId } = options;
    client.send('hello', JSON.stringify({ epoch: this.epoch, every, topics, columns: COLUMNS }));
    if (topics.includes('positions')) this.#resume(client, lastId);
    return client;
  }

  /** Another stream of the caller, which `end` ends with an event. What is returned is to be called when it has ended. Invariant 5. */
  admit(caller: string, end: (event: string) => void): () => void {
    const own = [...this.#callers].filter((one) => one.caller === caller);
    for (const one of own.slice(0, Math.max(0, own.length + 1 - MOST_OF_ONE))) {
      this.#callers.delete(one);
      one.end('superseded');
    }
    const stream = { caller, end };
    this.#callers.add(stream);
    return () => void this.#callers.delete(stream);
  }

  /** To be called once a second. */
  tick(): void {
    this.#seconds++;
    if (this.#clients.size > 0) this.#wake();
    if (this.#seconds >= this.#until) {
      this.#changed.clear();
      this.#ring = [];
      return;
    }
    this.#watch();
    const batch = this.#batch();
    const status = this.#seconds % STATUS_EVERY === 0 && [...this.#clients].some((client) => client.hasTopic('status'));
    const statusText = status ? JSON.stringify(this.#status()) : '';
    for (const client of this.#clients) {
      if (batch !== undefined) client.take(batch.items, Math.ceil(batch.items.length / ROWS_PER_S));
      client.flush(this.#id(this.#n), this.#seconds);
      if (statusText !== '' && client.hasTopic('status')) client.send('status', statusText);
      if (this.#seconds % COMMENT_EVERY === 0) client.comment();
      client.check(this.#seconds, BEHIND_S);
    }
  }

  /** Ends all streams. */
  close(): void {
    for (const client of this.#clients) client.end('ended');
  }

  #wake(): void {
    if (this.#seconds >= this.#until) {
      // What changed meanwhile is in no batch.
      this.#floor = ++this.#n;
      this.#floorReason = 'behind';
      this.#watch();
    }
    this.#until = this.#seconds + LINGER_S;
  }

  #batch(): Batch | undefined {
    if (this.#changed.size === 0) return undefined;
    const items: Item[] = [];
    for (const row of this.#changed) if (!Number.isNaN(row.lat)) items.push({ row, text: rowText(row) });
    this.#changed = new Set();
    if (items.length === 0) return undefined;
    const batch = { n: ++this.#n, items };
    this.#ring.push(batch);
    if (this.#ring.length > RING) this.#ring.shift();
    return batch;
  }

  /** Invariant 2. */
  #resume(client: LiveClient, lastId: string): void {
    if (lastId === '') return;
    const reason = this.#lost(lastId);
    if (reason !== '') {
      client.send('reset', JSON.stringify({ reason }));
      return;
    }
    const last = Number(lastId.split('-')[1]);
    for (const { n, items } of this.#ring) if (n > last) client.take(items, 1);
    client.flush(this.#id(this.#n), this.#seconds);
  }

  /** Why what came behind the id is not in the ring; '' where it is. */
  #lost(lastId: string): '' | 'restarted' | 'behind' | 'erased' {
    const [, epoch, text = ''] = /^([0-9a-f]+)-(\d+)$/.exec(lastId) ?? [];
    const last = Number(text);
    if (epoch !== this.epoch || last > this.#n) return 'restarted';
    if (last < this.#floor) return this.#floorReason;
    const oldest = this.#ring[0]?.n ?? this.#n + 1;
    return last < oldest - 1 ? 'behind' : '';
  }

  #id(n: number): string {
    return `${this.epoch}-${n}`;
  }
}

class LiveClient implements Client {
  readonly #o: ClientOptions;
  readonly #stream: EventStream;
  readonly #left: () => void;
  /** The latest row of each device that is not sent yet. */
  readonly #pending = new Map<string, Item>();
  #nextAt = 0;
  #every: number;

  constructor(options: ClientOptions, stream: EventStream, left: () => void) {
    this.#o = options;
    this.#stream = stream;
    this.#left = left;
    this.#every = options.every;
  }

  hasTopic(topic: Topic): boolean {
    return this.#o.topics.includes(topic);
  }

  wantsEvent(event: EventJson): boolean {
    const { sees, filter } = this.#o;
    return (filter.devices === undefined || filter.devices.has(event.device)) && (sees === undefined || sees(event));
  }

  get seesPlaces(): boolean {
    return this.#o.places;
  }

  /** `least`: seconds that are to pass between two batches of so many rows. */
  take(items: readonly Item[], least: number): void {
    if (!this.hasTopic('positions')) return;
    this.#every = Math.max(this.#o.every, least);
    // It will fetch the snapshot.
    if (this.#stream.behind) return;
    for (const item of items) {
      const { row } = item;
      // One that has left the box is told once more, so that it can be taken off the map.
      if (wants(this.#o.filter, row) || hasLeft(this.#o.filter, row)) this.#pending.set(row.device, item);
    }
  }

  flush(id: string, second: number): void {
    if (this.#stream.behind || this.#pending.size === 0 || second < this.#nextAt) return;
    this.#nextAt = second + this.#every;
    const rows = Array.from(this.#pending.values(), ({ text }) => text).join(',');
    this.#pending.clear();
    this.#stream.send('positions', `{"rows":[${rows}]}`, id);
  }

  gone(device: string, account: string, id: string, text: string): void {
    this.#pending.delete(device);
    const { limited } = this.#o.filter;
    if (this.hasTopic('positions') && (limited === undefined || limited.accounts.has(account))) this.#stream.send('gone', text, id);
  }

  send(event: string, data: string): void {
    this.#stream.send(event, data);
  }

  comment(): void {
    this.#stream.comment();
  }

  /** Gives up a client that does not read. */
  check(second: number, longest: number): void {
    if (this.#stream.behindFor(second) >= longest) this.closed();
  }

  end(event: string): void {
    this.#stream.send(event, '{}');
    this.#left();
    this.#stream.end();
  }

  closed(): void {
    this.#left();
    this.#stream.destroy();
  }
}
