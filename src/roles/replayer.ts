import { randomUUID } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { ReplayRequest } from '../api/office.ts';
import { AppError, type ErrorCode } from '../base/errors.ts';
import { modulePath } from '../cluster/child-process.ts';
import type { PackedAccess } from '../cluster/messages.ts';
import type { CheckRecordOptions } from '../codec/registry.ts';
import { STATEMENTS } from '../fleet/plan/statement.ts';
import { type Claimed, Claims } from '../fleet/privacy/claims.ts';
import { noCounts, type ReplayCounts } from '../out/ship/replay.ts';
import type { StateStore } from '../state/store.ts';
import type { Exclusion } from './exclusion.ts';

/**
 * Reads stored frames anew (docs/operations.md), in a thread for each request. Runs in the supervisor.
 *
 * 1. One at a time, a piece at a time, and only when the one who asked has taken what came of the piece before.
 * 2. What is under a hold, in a cycle with a statement, or erased is not touched: asked for each piece, before it is written. It is written
 *    under a claim of its devices (`fleet/privacy/claims.ts`): a hold, of whichever server on the store, waits for its end. That of a piece
 *    that failed runs out, as ClickHouse may still be at it.
 * 3. While rows of a device are removed from ClickHouse because it is erased, nothing is written; what is being written then is waited
 *    for. The eraser's list of devices is read after that, so that nothing comes back.
 */
export interface ReplayerOptions {
  readonly packed: Omit<ReplayThreadData, 'request'>;
  readonly store: StateStore;
  /** Invariant 3. */
  readonly exclusion: Exclusion;
  /** The id of the device of this id or alias. */
  readonly main: (id: string) => Promise<string>;
  /** Options of any codec, with what is wrong with them. */
  readonly check: CheckRecordOptions;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
}

export interface ReplayThreadData {
  readonly config: unknown;
  readonly clickhouse: PackedAccess;
  readonly request: ReplayRequest;
}

export type ToReplay =
  /** Read the next piece. */
  | { readonly step: 'next' }
  /** Compare it, and write it if that was asked for. Devices under a hold, ends of their last statements, and until when, monotonic ms. */
  | {
      readonly step: 'go';
      readonly held: readonly string[];
      readonly closed: readonly (readonly [string, number])[];
      readonly until: number;
    };

export type FromReplay =
  | { readonly step: 'piece'; readonly devices: readonly string[] }
  | { readonly step: 'done'; readonly counts: ReplayCounts; readonly lines: readonly string[]; readonly received: number }
  | { readonly step: 'failed'; readonly code: ErrorCode; readonly message: string };

/** Of the thread's heap. */
const MOST_MB = 512;

export class Replayer {
  readonly #o: ReplayerOptions;
  #thread: Worker | undefined;
  #isBusy = false;

  constructor(options: ReplayerOptions) {
    this.#o = options;
  }

  /** Options as they are read, and what is wrong with them. */
  check(options: ReplayRequest['options']): ReturnType<CheckRecordOptions> {
    return this.#o.check(undefined, options);
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Lines of JSON, several in a text: what changes, how far it is, and last the summary. Rejects with AppError. */
  async *run(request: ReplayRequest): AsyncGenerator<string> {
    if (this.#isBusy) throw new AppError('SINK_UNREACHABLE', 'another replay is under way; wait for its end');
    this.#isBusy = true;
    const data: ReplayThreadData = { ...this.#o.packed, request };
    const thread = new Worker(modulePath('./replay-thread', import.meta.url), {
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: MOST_MB },
    });
    this.#thread = thread;
    try {
      yield* this.#pieces(thread, request);
    } finally {
      await thread.terminate();
      this.#thread = undefined;
      this.#isBusy = false;
    }
  }

  async close(): Promise<void> {
    await this.#o.exclusion.settled();
    await this.#thread?.terminate();
  }

  async *#pieces(thread: Worker, request: ReplayRequest): AsyncGenerator<string> {
    const { store, now, main, exclusion } = this.#o;
    const claims = new Claims({ store, by: `replay ${randomUUID()}`, now, main });
    const summary: Record<string, number> = {};
    for (;;) {
      const read = await ask(thread, { step: 'next' });
      const devices = read.step === 'piece' ? read.devices : [];
      if (devices.length === 0) break;
      const done = await (request.apply
        ? exclusion.writing(() => this.#apply(thread, devices, claims))
        : this.#go(thread, devices, { held: await heldOf(devices, claims), until: 0 }));
      if (done.step !== 'done') break;
      for (const [name, count] of Object.entries(done.counts)) summary[name] = (summary[name] ?? 0) + count;
      yield `${[...done.lines, JSON.stringify({ progress: { received: done.received, frames: summary['frames'] } })].join('\n')}\n`;
    }
    yield `${JSON.stringify({ summary: { ...noCounts(), ...summary, applied: request.apply } })}\n`;
  }

  /** Invariant 2. */
  async #apply(thread: Worker, devices: readonly string[], claims: Claims): Promise<FromReplay> {
    const claimed = await claims.take(devices);
    const done = await this.#go(thread, devices, claimed);
    await claims.end(claimed.free);
    return done;
  }

  async #go(thread: Worker, devices: readonly string[], { held, until }: Pick<Claimed, 'held' | 'until'>): Promise<FromReplay> {
    const { store } = this.#o;
    const closed: [string, number][] = [];
    for (const device of devices) {
      let end = 0;
      const damaged = (key: string): void => {
        throw new AppError('STATE_ROW_DAMAGED', `the entry "${key}" of the table "statements" in the state store cannot be read`);
      };
      for await (const [, { statement }] of STATEMENTS.entries(store, { prefix: `${device} ` }, damaged))
        end = Math.max(end, statement.end);
      if (end > 0) closed.push([device, end]);
    }
    return ask(thread, { step: 'go', held, closed, until });
  }
}

async function heldOf(devices: readonly string[], claims: Claims): Promise<string[]> {
  const held: string[] = [];
  for (const device of devices) if (await claims.isHeld(device)) held.push(device);
  return held;
}

/** One question at a time. */
function ask(thread: Worker, message: ToReplay): Promise<FromReplay> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      thread.removeAllListeners('message').removeAllListeners('error').removeAllListeners('exit');
      // It ends by its own defect, which is told to the caller that asks next.
      thread.on('error', () => {});
      settle();
    };
    thread.once('message', (answer: FromReplay) =>
      end(() => (answer.step === 'failed' ? reject(new AppError(answer.code, answer.message)) : resolve(answer))),
    );
    thread.once('error', (error) => end(() => reject(new AppError('WORKER_FAILED', `the replay ended: ${error.message}`, error))));
    thread.once('exit', () => end(() => reject(new AppError('WORKER_FAILED', 'the replay ended before its time'))));
    thread.postMessage(message);
  });
}
