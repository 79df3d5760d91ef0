/** One event of a stream of server-sent events. */
export interface ServerEvent {
  readonly id: string;
  readonly event: string;
  readonly data: Record<string, unknown>;
}

/** A client of server-sent events, on a socket of its own. */
export class EventReader {
  readonly status: number;
  readonly events: ServerEvent[] = [];
  /** The server has ended the stream. */
  ended = false;
  readonly #abort: AbortController;

  private constructor(response: Response, abort: AbortController) {
    this.status = response.status;
    this.#abort = abort;
    if (response.body !== null) void this.#read(response.body).catch(() => {});
  }

  static async open(url: string, token: string, lastId = ''): Promise<EventReader> {
    const abort = new AbortController();
    const headers = { authorization: `Bearer ${token}`, ...(lastId === '' ? {} : { 'last-event-id': lastId }) };
    return new EventReader(await fetch(url, { headers, signal: abort.signal }), abort);
  }

  of(event: string): ServerEvent[] {
    return this.events.filter((one) => one.event === event);
  }

  /** Rows of all positions that have come. */
  get rows(): unknown[][] {
    return this.of('positions').flatMap(({ data }) => (Array.isArray(data['rows']) ? data['rows'] : []));
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let text = '';
    for await (const chunk of body) {
      text += decoder.decode(chunk, { stream: true });
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        this.#take(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
    this.ended = true;
  }

  #take(block: string): void {
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
    if (field('event') === '') return;
    this.events.push({ id: field('id'), event: field('event'), data: Object(JSON.parse(field('data'))) });
  }
}
