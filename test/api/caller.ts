export interface Said {
  readonly status: number;
  readonly text: string;
  readonly bytes: Buffer;
  readonly headers: string;
}

/** Who has a token of a server. */
export class Caller {
  readonly #url: string;
  readonly #token: string;

  constructor(url: string, token: string) {
    this.#url = url;
    this.#token = token;
  }

  async call(method: string, path: string, body?: object): Promise<Said> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const headers = JSON.stringify([...response.headers]);
    if (response.headers.get('content-type')?.startsWith('text/event-stream') === true) {
      await response.body?.cancel();
      return { status: response.status, text: '', bytes: Buffer.alloc(0), headers };
    }
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, text: bytes.toString('utf8'), bytes, headers };
  }

  async get(path: string): Promise<Record<string, unknown>> {
    const { text } = await this.call('GET', path);
    return JSON.parse(text);
  }

  /** A stream of events, as far as it has come. */
  async follow(path: string): Promise<{ status: number; text(): string; ended(): boolean; close(): Promise<void> }> {
    const abort = new AbortController();
    const response = await fetch(`${this.#url}${path}`, { headers: { authorization: `Bearer ${this.#token}` }, signal: abort.signal });
    let text = '';
    let ended = false;
    const reading = (async (): Promise<void> => {
      try {
        for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString('utf8');
      } catch {
        // It was closed.
      }
      ended = true;
    })();
    return {
      status: response.status,
      text: () => text,
      ended: () => ended,
      async close() {
        abort.abort();
        await reading;
      },
    };
  }
}
