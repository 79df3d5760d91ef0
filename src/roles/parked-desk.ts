import { Worker } from 'node:worker_threads';
import type { ParkedList } from '../api/office.ts';
import { AppError, type ErrorCode } from '../base/errors.ts';
import { nodeStorage } from '../base/files.ts';
import { modulePath } from '../cluster/child-process.ts';
import type { PackedAccess } from '../cluster/messages.ts';
import type { Exclusion } from './exclusion.ts';

/**
 * What sinks have set aside, for the API. Runs in the supervisor; files are read and entries decoded in a thread for each request, one at
 * a time: there may be many, and some are there because they are hard to read. Where the sink has set nothing aside no thread
 * starts.
 */
export interface ParkedThreadData {
  /** Packed. */
  readonly config: unknown;
  readonly clickhouse: PackedAccess;
  readonly instance: string;
  readonly work: Work;
}

interface Work {
  readonly sink: string;
  readonly after: string;
  readonly limit: number;
  readonly retries: boolean;
  readonly id: string | undefined;
}

export type FromParked =
  | { readonly listed: ParkedList }
  | { readonly retried: { readonly delivered: number; readonly refused: number } }
  | { readonly code: ErrorCode; readonly message: string };

export class ParkedDesk {
  readonly #directory: string;
  readonly #data: Omit<ParkedThreadData, 'work'>;
  readonly #exclusion: Exclusion;
  #last: Promise<unknown> = Promise.resolve();

  /** `directory`: of what was set aside. */
  constructor(directory: string, data: Omit<ParkedThreadData, 'work'>, exclusion: Exclusion) {
    this.#directory = directory;
    this.#data = data;
    this.#exclusion = exclusion;
  }

  async list(sink: string, after: string, limit: number): Promise<ParkedList> {
    if (await this.#isEmpty(sink)) return { entries: [], total: 0 };
    const answer = await this.#ask({ sink, after, limit, retries: false, id: undefined });
    if (!('listed' in answer)) throw new RangeError('another answer was expected');
    return answer.listed;
  }

  /** Without `id`, all of the sink. */
  async retry(sink: string, id?: string): Promise<{ delivered: number; refused: number }> {
    if (await this.#isEmpty(sink)) return { delivered: 0, refused: 0 };
    const answer = await this.#exclusion.writing(() => this.#ask({ sink, after: '', limit: 0, retries: true, id }));
    if (!('retried' in answer)) throw new RangeError('another answer was expected');
    return answer.retried;
  }

  async #isEmpty(sink: string): Promise<boolean> {
    return !(await nodeStorage.list(this.#directory)).some((name) => name.startsWith(`${sink}.`));
  }

  #ask(work: Work): Promise<Exclude<FromParked, { code: ErrorCode }>> {
    const next = this.#last.catch(() => undefined).then(() => this.#run(work));
    this.#last = next;
    return next;
  }

  #run(work: Work): Promise<Exclude<FromParked, { code: ErrorCode }>> {
    const workerData: ParkedThreadData = { ...this.#data, work };
    const thread = new Worker(modulePath('./parked-thread', import.meta.url), { workerData });
    return new Promise((resolve, reject) => {
      thread.once('message', (answer: FromParked) => {
        if ('code' in answer) reject(new AppError(answer.code, answer.message));
        else resolve(answer);
        void thread.terminate();
      });
      thread.once('error', (error) => reject(new AppError('WORKER_FAILED', `parked entries cannot be read: ${error.message}`, error)));
      thread.once('exit', () => reject(new AppError('WORKER_FAILED', 'parked entries cannot be read: the thread ended')));
    });
  }
}
