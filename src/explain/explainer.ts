import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Options } from '../codec/index.ts';
import type { LoneFrame, Read, Reading, ReadingProblem } from './reading.ts';
import type { Message } from './transcript.ts';

/**
 * Reads bytes for people, in a thread of its own: it is begun at the first use and ended when it was idle for IDLE_MS.
 *
 * 1. At most MOST readings at a time.
 * 2. A reading that takes longer than LIMIT_MS ends with its thread; the next one gets another.
 */
export interface ThreadData {
  /** npm packages that export a codec. */
  readonly packages: readonly string[];
  /** Configured options by codec. */
  readonly options: Readonly<Record<string, Options>>;
}

export interface ToThread {
  readonly ticket: number;
  readonly work: { readonly reading: Reading } | { readonly frame: LoneFrame };
}

export interface FromThread {
  readonly ticket: number;
  /** To a reading. */
  readonly read?: Read | ReadingProblem;
  /** To a frame. */
  readonly meaning?: Partial<Message>;
}

interface Open {
  readonly thread: Worker;
  readonly timer: NodeJS.Timeout;
  readonly isReading: boolean;
  /** Undefined: the thread has ended. */
  resolve(answer: FromThread | undefined): void;
}

const MOST = 2;
const LIMIT_MS = 2_000;
/** Of the first reading of a thread, which loads the codecs before. */
const START_MS = 20_000;
const IDLE_MS = 300_000;

export class Explainer {
  readonly #data: ThreadData;
  readonly #limitMs: number;
  readonly #open = new Map<number, Open>();
  #thread: Worker | undefined;
  #isLoaded = false;
  #idle: NodeJS.Timeout | undefined;
  #tickets = 0;

  constructor(data: ThreadData, limitMs = LIMIT_MS) {
    this.#data = data;
    this.#limitMs = limitMs;
  }

  /** No other reading is taken now. */
  get isBusy(): boolean {
    let readings = 0;
    for (const { isReading } of this.#open.values()) if (isReading) readings++;
    return readings >= MOST;
  }

  /** What the bytes mean, or what is wrong with the request. */
  async read(reading: Reading): Promise<Read | ReadingProblem> {
    return (await this.#ask({ reading }))?.read ?? { field: 'hex', problem: 'takes too long to read, or cannot be read' };
  }

  /** What a frame means; nothing when that cannot be said. Frames wait for each other and do not count as readings (invariant 1). */
  async frame(frame: LoneFrame): Promise<Partial<Message>> {
    return (await this.#ask({ frame }))?.meaning ?? {};
  }

  #ask(work: ToThread['work']): Promise<FromThread | undefined> {
    clearTimeout(this.#idle);
    const thread = (this.#thread ??= this.#begin());
    const ticket = ++this.#tickets;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#end(), this.#isLoaded ? this.#limitMs : START_MS + this.#limitMs);
      this.#open.set(ticket, { thread, timer, isReading: 'reading' in work, resolve });
      const message: ToThread = { ticket, work };
      thread.postMessage(message);
    });
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle);
    await this.#thread?.terminate();
  }

  #begin(): Worker {
    this.#isLoaded = false;
    const path = fileURLToPath(new URL(`./thread${extname(fileURLToPath(import.meta.url))}`, import.meta.url));
    const thread = new Worker(path, { workerData: this.#data });
    thread.unref();
    thread.on('message', (answer: FromThread) => {
      this.#isLoaded = true;
      this.#settle(answer.ticket, answer);
    });
    // It ends by what it could not read: a defect, which ends nothing else.
    thread.on('error', () => {});
    thread.on('exit', () => {
      if (this.#thread === thread) this.#thread = undefined;
      for (const [ticket, open] of [...this.#open]) if (open.thread === thread) this.#settle(ticket, undefined);
    });
    return thread;
  }

  #settle(ticket: number, answer: FromThread | undefined): void {
    const open = this.#open.get(ticket);
    if (open === undefined) return;
    this.#open.delete(ticket);
    clearTimeout(open.timer);
    open.resolve(answer);
    if (this.#open.size === 0) this.#idle = setTimeout(() => this.#end(), IDLE_MS).unref();
  }

  #end(): void {
    void this.#thread?.terminate();
    this.#thread = undefined;
  }
}
