import { Refusal, request } from './api.ts';

/** Server-sent events over fetch: EventSource cannot send a bearer token. */
interface StreamEvent {
  readonly name: string;
  readonly data: unknown;
}

export interface StreamHooks {
  /** An event, in order. */
  take(event: StreamEvent): void;
  /** `open`: it is there. `lost`: it is tried again. `refused`: it is not tried again. */
  changed?(state: 'open' | 'lost' | 'refused', why: string): void;
}

const SILENCE_MS = 40_000;
const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 15_000;

/** Text of a stream, piece by piece, as events. */
class EventReader {
  /** Of the last event that was taken whole. */
  id: string;
  readonly #take: (event: StreamEvent) => void;
  #rest = '';
  #name = '';
  #data = '';
  #next: string;

  constructor(id: string, take: (event: StreamEvent) => void) {
    this.id = id;
    this.#next = id;
    this.#take = take;
  }

  push(text: string): void {
    const lines = `${this.#rest}${text}`.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    if (line.startsWith('data:')) this.#data += line.slice(5);
    else if (line.startsWith('event:')) this.#name = line.slice(6).trim();
    else if (line.startsWith('id:')) this.#next = line.slice(3).trim();
    if (line !== '') return;
    if (this.#data !== '') this.#take({ name: this.#name, data: JSON.parse(this.#data) });
    this.id = this.#next;
    this.#name = '';
    this.#data = '';
  }
}

/** Opens it and keeps it open; returns what ends it. `last`: id of the last event that is known. */
export function openStream(path: string, hooks: StreamHooks, last = ''): () => void {
  const end = new AbortController();
  let id = last;
  let pauseMs = FIRST_PAUSE_MS;

  async function read(): Promise<void> {
    const once = new AbortController();
    const stop = (): void => once.abort();
    end.signal.addEventListener('abort', stop);
    let watch = setTimeout(stop, SILENCE_MS);
    const events = new EventReader(id, (event) => hooks.take(event));
    try {
      const response = await request('GET', path, { end: once.signal, headers: id === '' ? {} : { 'last-event-id': id } });
      hooks.changed?.('open', '');
      pauseMs = FIRST_PAUSE_MS;
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = (await reader?.read()) ?? { value: undefined, done: true };
        if (done) return;
        clearTimeout(watch);
        watch = setTimeout(stop, SILENCE_MS);
        events.push(value);
        id = events.id;
      }
    } finally {
      clearTimeout(watch);
      end.signal.removeEventListener('abort', stop);
    }
  }

  async function run(): Promise<void> {
    while (!end.signal.aborted) {
      let why = 'the stream has ended';
      try {
        await read();
      } catch (error) {
        if (end.signal.aborted) return;
        why = error instanceof Error ? error.message : String(error);
        if (error instanceof Refusal && error.status >= 400 && error.status < 500 && error.status !== 429) {
          hooks.changed?.('refused', why);
          return;
        }
      }
      if (end.signal.aborted) return;
      hooks.changed?.('lost', why);
      const spread = 0.75 + 0.5 * Math.random();
      await new Promise((resolve) => setTimeout(resolve, pauseMs * spread));
      pauseMs = Math.min(LAST_PAUSE_MS, 2 * pauseMs);
    }
  }

  void run();
  return () => end.abort();
}
