import { setTimeout as pass } from 'node:timers/promises';
import type { Looked } from './messages.ts';

/**
 * Who looks at devices: what the map of one console asks for (a snapshot, the feed of all topics, the status every ten seconds), and
 * programs that follow the positions alone. Arguments: the server, a token, how many programs. On any message it compares what each
 * has been told with what the server knows, reports, and ends.
 */
const [url = '', token = '', programs = '0'] = process.argv.slice(2);

interface Snapshot {
  readonly at: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
}

/** Feed and devices have a second each, and the event loop of a busy machine. */
const SETTLE_MS = 4000;
const STATUS_MS = 10_000;
const headers = { authorization: `Bearer ${token}` };

async function ask(path: string): Promise<string> {
  const answer = await fetch(`${url}${path}`, { headers });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.text();
}

async function snapshot(): Promise<Snapshot> {
  return JSON.parse(await ask('/v1/positions?limit=50000'));
}

class Looker {
  /** Time of the newest place, by device. */
  readonly #known = new Map<unknown, unknown>();
  readonly #opened: Promise<void>;
  #from = Number.POSITIVE_INFINITY;
  #columns: readonly string[] = [];
  rows = 0;
  resets = 0;

  constructor(topics: string, last: string) {
    this.#opened = new Promise((resolve) => void this.#read(topics, last, resolve));
  }

  get opened(): Promise<void> {
    return this.#opened;
  }

  learn({ columns, rows }: Pick<Snapshot, 'columns' | 'rows'>): void {
    const [device, time] = [columns.indexOf('device'), columns.indexOf('time')];
    for (const row of rows) this.#known.set(row[device], row[time]);
    this.rows += rows.length;
  }

  /** Of the devices that were heard while it looked. */
  lacking({ columns, rows }: Snapshot): number {
    const [device, time, received] = [columns.indexOf('device'), columns.indexOf('time'), columns.indexOf('received')];
    return rows.filter((row) => Number(row[received]) > this.#from && this.#known.get(row[device]) !== row[time]).length;
  }

  async #read(topics: string, last: string, opened: () => void): Promise<void> {
    const answer = await fetch(`${url}/v1/live?topics=${topics}`, {
      headers: { ...headers, ...(last === '' ? {} : { 'last-event-id': last }) },
    });
    if (!answer.ok || answer.body === null) throw new Error(`/v1/live: ${answer.status}`);
    let rest = '';
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      const events = `${rest}${piece}`.split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) await this.#take(event, opened);
    }
  }

  async #take(event: string, opened: () => void): Promise<void> {
    const name = /^event: ?(.*)$/m.exec(event)?.[1];
    const data = /^data: ?(.*)$/m.exec(event)?.[1] ?? '';
    if (name === 'hello') {
      this.#columns = JSON.parse(data).columns;
      this.#from = Date.now();
      opened();
    } else if (name === 'positions') this.learn({ columns: this.#columns, rows: JSON.parse(data).rows });
    else if (name === 'reset') {
      this.resets++;
      this.learn(await snapshot());
    } else if (name === 'superseded' || name === 'ended') throw new Error(`the feed: ${name}`);
  }
}

const first = await snapshot();
const map = new Looker('status,events,positions', first.at);
map.learn(first);
const lookers = [map, ...Array.from({ length: Number(programs) }, () => new Looker('positions', ''))];
await Promise.all(lookers.map(({ opened }) => opened));
const asking = setInterval(() => void ask('/v1/status'), STATUS_MS);

process.on('message', () => void finish());
process.on('disconnect', () => process.exit(1));
process.send?.('looking');

async function finish(): Promise<void> {
  clearInterval(asking);
  await pass(SETTLE_MS);
  const now = await snapshot();
  const sum = (of: (looker: Looker) => number): number => lookers.reduce((total, looker) => total + of(looker), 0);
  const looked: Looked = { rows: sum((one) => one.rows), resets: sum((one) => one.resets), lacking: sum((one) => one.lacking(now)) };
  process.send?.(looked, undefined, undefined, () => process.exit(0));
}
