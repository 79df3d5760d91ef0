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
    try {
      const response = await request('GET', path, { end: once.signal, headers: id === '' ? {} : { 'last-event-id': id } });
      hooks.changed?.('open', '');
      pauseMs = FIRST_PAUSE_MS;
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      let rest = '';
      let name = '';
      let data = '';
      let next = id;
      for (;;) {
        const { value, done } = (await reader?.read()) ?? { value: undefined, done: true };
        if (done) return;
        clearTimeout(watch);
        watch = setTimeout(stop, SILENCE_MS);
        const lines = `${rest}${value}`.split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          if (line === '') {
            if (data !== '') hooks.take({ name, data: JSON.parse(data) });
            id = next;
            name = '';
            data = '';
          } else if (line.startsWith('data:')) data += line.slice(5);
          else if (line.startsWith('event:')) name = line.slice(6).trim();
          else if (line.startsWith('id:')) next = line.slice(3).trim();
        }
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
