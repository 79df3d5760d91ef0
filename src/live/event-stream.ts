/** As much of an HTTP response as server-sent events need. */
export interface Out {
  write(text: string): boolean;
  readonly writableLength: number;
  once(event: 'drain', listener: () => void): unknown;
  end(): unknown;
  destroy(): unknown;
}

/** Bytes that wait in the response beyond which nothing more is written. */
const MOST_WAITING = 4 * 1024 * 1024;

/**
 * Server-sent events of one client. Nothing waits for it: while more than MOST_WAITING bytes are not read, events are dropped; when it
 * has read them, it gets `reset`.
 */
export class EventStream {
  readonly #out: Out;
  #behind = false;
  /** Second in which that was seen first; -1: it is not behind. */
  #behindSince = -1;

  constructor(out: Out) {
    this.#out = out;
    out.write('retry: 2000\n\n');
  }

  get behind(): boolean {
    return this.#behind;
  }

  /** For how many seconds it has been behind; to be asked once a second. */
  behindFor(second: number): number {
    if (!this.#behind) this.#behindSince = -1;
    else if (this.#behindSince < 0) this.#behindSince = second;
    return this.#behindSince < 0 ? 0 : second - this.#behindSince;
  }

  /** `data`: text without line feeds, such as JSON. */
  send(event: string, data: string, id = ''): void {
    this.#write(`${id === '' ? '' : `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`);
  }

  comment(): void {
    this.#write(': \n\n');
  }

  end(): void {
    this.#out.end();
  }

  destroy(): void {
    this.#out.destroy();
  }

  #write(text: string): void {
    if (this.#behind) return;
    if (this.#out.write(text) || this.#out.writableLength <= MOST_WAITING) return;
    this.#behind = true;
    this.#out.once('drain', () => {
      this.#behind = false;
      this.send('reset', '{"reason":"behind"}');
    });
  }
}
