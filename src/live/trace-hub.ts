import { EventStream, type Out } from './event-stream.ts';
import type { TracedFrame } from './traces.ts';

/**
 * Traces that clients look at: what workers have copied, explained and sent, in order.
 *
 * 1. At most MOST at a time, each for MOST_S.
 * 2. Nothing waits for a client or for the thread that explains: frames beyond MOST_WAITING are counted as lost.
 */
export interface TraceHubOptions {
  /** Asks the workers to copy the frames of the key for a while. */
  ask(key: string): void;
  /** What a frame means. Never rejects. */
  explain(frame: TracedFrame): Promise<object>;
  isConnected(device: string): boolean;
  /** The device must not be seen. */
  isRelay(device: string): boolean;
}

export interface Trace {
  /** Ends the stream with this event. */
  end(event: string): void;
  closed(): void;
}

const MOST = 10;
const MOST_S = 900;
const ASK_EVERY_S = 5;
const COMMENT_EVERY_S = 15;
const MOST_WAITING = 200;

/** A frame of a device, for what looks at it inside the server. */
export interface Heard {
  readonly at: number;
  readonly protocol: string;
  readonly transport: string;
  readonly records: readonly Readonly<Record<string, unknown>>[];
}

/** What is traced: `device` or `address` is ''. */
export interface Traced {
  readonly device: string;
  readonly address: string;
  readonly explains: boolean;
  /** The caller may still see the device. */
  readonly isSeen?: (() => boolean) | undefined;
}

interface Looking {
  readonly key: string;
  /** '': of an address. */
  readonly device: string;
  readonly isSeen: () => boolean;
  readonly stream: EventStream;
  readonly explains: boolean;
  /** Second in which it began. */
  readonly since: number;
  wasConnected: boolean | undefined;
  waiting: number;
  lost: number;
  sending: Promise<void>;
}

export class TraceHub {
  readonly #o: TraceHubOptions;
  readonly #open = new Set<Looking>();
  readonly #listeners = new Set<{ readonly key: string; heard(frame: Heard): void }>();
  #seconds = 0;

  constructor(options: TraceHubOptions) {
    this.#o = options;
  }

  get isFull(): boolean {
    return this.#open.size >= MOST;
  }

  /** To be called while it is not full. */
  open({ device, address, explains, isSeen = () => true }: Traced, out: Out): Trace {
    const one: Looking = {
      key: device === '' ? `peer ${address}` : `device ${device}`,
      device,
      isSeen,
      stream: new EventStream(out),
      explains,
      since: this.#seconds,
      wasConnected: undefined,
      waiting: 0,
      lost: 0,
      sending: Promise.resolve(),
    };
    this.#open.add(one);
    this.#o.ask(one.key);
    this.#look(one);
    return {
      end: (event) => this.#end(one, event),
      closed: () => {
        this.#open.delete(one);
        one.stream.destroy();
      },
    };
  }

  /** Calls `heard` with each frame that comes from the device, in order, until what is returned is called. Not one of MOST. */
  listen(device: string, heard: (frame: Heard) => void): () => void {
    const listener = { key: `device ${device}`, heard };
    this.#listeners.add(listener);
    this.#o.ask(listener.key);
    return () => this.#listeners.delete(listener);
  }

  /** What a worker has copied. */
  take(key: string, frames: readonly TracedFrame[], lost: number): void {
    if ([...this.#listeners].some((one) => one.key === key))
      for (const frame of frames) if (isWholeFrame(frame)) void this.#tell(key, frame);
    for (const one of this.#open) {
      if (one.key !== key) continue;
      one.lost += lost;
      for (const frame of frames) this.#send(one, frame);
    }
  }

  /** To be called once a second. */
  tick(): void {
    this.#seconds++;
    for (const one of this.#open) {
      if (this.#seconds - one.since >= MOST_S || !one.isSeen() || (one.device !== '' && this.#o.isRelay(one.device))) {
        this.#end(one, 'ended');
        continue;
      }
      if (this.#seconds % ASK_EVERY_S === 0) this.#o.ask(one.key);
      if (this.#seconds % COMMENT_EVERY_S === 0) one.stream.comment();
      this.#look(one);
      if (one.lost > 0) one.stream.send('lost', JSON.stringify({ frames: one.lost }));
      one.lost = 0;
    }
    if (this.#seconds % ASK_EVERY_S === 0) for (const { key } of this.#listeners) this.#o.ask(key);
  }

  /** The server stops: no trace is over, its client connects again. */
  close(): void {
    for (const one of this.#open) one.stream.end();
    this.#open.clear();
  }

  async #tell(key: string, frame: TracedFrame): Promise<void> {
    const { at, protocol, transport } = frame;
    const { records = [] }: { readonly records?: Heard['records'] } = await this.#o.explain(frame);
    for (const one of this.#listeners) if (one.key === key) one.heard({ at, protocol, transport, records });
  }

  #end(one: Looking, event: string): void {
    this.#open.delete(one);
    one.stream.send(event, '{}');
    one.stream.end();
  }

  #look(one: Looking): void {
    if (one.device === '') return;
    const connected = this.#o.isConnected(one.device);
    if (connected === one.wasConnected) return;
    one.wasConnected = connected;
    one.stream.send('state', JSON.stringify({ connected }));
  }

  #send(one: Looking, frame: TracedFrame): void {
    if (!one.isSeen()) return;
    if (one.waiting >= MOST_WAITING) {
      one.lost++;
      return;
    }
    one.waiting++;
    const { at, direction, transport, hex, bytes } = frame;
    const told: Promise<object> = isWholeFrame(frame) ? this.#o.explain(frame) : Promise.resolve({});
    one.sending = one.sending.then(async () => {
      const { explain, ...meaning }: { explain?: unknown } = await told;
      const more = one.explains && explain !== undefined ? { explain } : {};
      one.waiting--;
      if (this.#open.has(one)) one.stream.send('frame', JSON.stringify({ at, direction, transport, hex, bytes, ...meaning, ...more }));
    });
  }
}

/** One of the device; of a frame that was cut, nothing can be said. */
function isWholeFrame({ direction, hex, bytes }: TracedFrame): boolean {
  return direction === 'in' && hex.length === 2 * bytes;
}
