import { AppError } from '../../../base/errors.ts';
import type { DevicePlans } from '../../../fleet/plan/device-plans.ts';
import { type Counters, NOTHING } from '../../../fleet/plan/overhead.ts';
import { PASSED, usageKey } from '../../../fleet/plan/usage.ts';
import { entries } from '../../../state/pages.ts';
import type { Op, StateStore } from '../../../state/store.ts';
import type { Batch, BatchLimits, Park, Position, Sink } from '../sink.ts';
import { cursorKey, cursorPrefix, parseCursor } from './cursor.ts';

/**
 * Sums of usage per device and billing cycle, in the table `usage` of the state store.
 *
 * 1. The sums and the cursor are moved by one write: each usage entry counts once, whatever is killed when (promise 8).
 * 2. That write expects the cursor to be where the batch begins: another shipper, or a write whose answer was lost, cannot
 *    make anything count twice.
 * 3. Usage belongs to the cycle in which its bytes passed the socket, whatever time the records in them have: of the plan
 *    that the device has when it is counted.
 */
export interface StateSinkOptions {
  readonly store: StateStore;
  readonly plans: DevicePlans;
  /** Identity of this installation. */
  readonly instance: string;
  /** How long usage gathers, 500 ms: each write is a sync of the disk. */
  readonly batchAgeMs?: number | undefined;
}

/** A write to Redis takes 2000 steps. */
const BATCH_ROWS = 500;

/** The store stays the caller's. */
export function createStateSink(options: StateSinkOptions): Sink {
  return new StateSink(options);
}

class StateSink implements Sink {
  readonly name = 'state';
  readonly takes = 'usage';
  readonly relays = false;
  concern = '';
  readonly limits: BatchLimits;
  readonly #o: StateSinkOptions;
  /** Cursors by slot, as the store has them. */
  #cursors = new Map<string, string>();

  constructor(options: StateSinkOptions) {
    this.#o = options;
    this.limits = { rows: BATCH_ROWS, bytes: 16 * 1024 * 1024, ageMs: options.batchAgeMs ?? 500 };
  }

  async open(): Promise<Position> {
    await this.#lookAtStore();
    const prefix = cursorPrefix(this.#o.instance);
    const cursors = new Map<string, string>();
    const delivered = new Map<string, number>();
    for await (const [key, value] of entries(this.#o.store, 'cursors', { prefix })) {
      const slot = key.slice(prefix.length);
      cursors.set(slot, value);
      delivered.set(slot, parseCursor(key, value).delivered);
    }
    this.#cursors = cursors;
    return { delivered: (slot) => delivered.get(slot) ?? 0, pending: null };
  }

  async deliver(batch: Batch, _park: Park): Promise<void> {
    const { store } = this.#o;
    const moved = this.#moved(batch);
    const ops: Op[] = [];
    for (const [slot, cursor] of moved) {
      const key = cursorKey(this.#o.instance, slot);
      ops.push({ table: 'cursors', key, expect: this.#cursors.get(slot) }, { table: 'cursors', key, put: cursor });
    }
    for (const [key, add] of await this.#sums(batch)) ops.push({ table: 'usage', key, add: { ...add } });
    if (!(await store.write(ops)))
      throw new AppError('SINK_UNREACHABLE', 'another process moved the usage cursor in the state store; reading it again');
    for (const [slot, cursor] of moved) this.#cursors.set(slot, cursor);
  }

  async check(): Promise<void> {
    await this.#o.store.get('cursors', cursorPrefix(this.#o.instance).trim());
    await this.#lookAtStore();
  }

  async close(): Promise<void> {
    this.#o.plans.close();
  }

  async #lookAtStore(): Promise<void> {
    this.concern = (await this.#o.store.concern?.().catch(() => '')) ?? '';
  }

  /** Cursors behind the batch, by slot. */
  #moved({ ranges, usage }: Batch): Map<string, string> {
    const last = new Map<string, { readonly usage: number; readonly time: number }>();
    for (let i = 0; i < usage.count; i++) last.set(usage.slot[i] ?? '', { usage: usage.sequence[i] ?? 0, time: usage.time[i] ?? 0 });
    const moved = new Map<string, string>();
    for (const [slot, { to }] of Object.entries(ranges)) {
      const before = this.#cursors.get(slot);
      const { usage: sequence, time } = last.get(slot) ?? (before === undefined ? { usage: 0, time: 0 } : parseCursor(slot, before));
      moved.set(slot, JSON.stringify({ delivered: to, usage: sequence, time }));
    }
    return moved;
  }

  async #sums({ usage }: Batch): Promise<Map<string, Readonly<Record<string, number>>>> {
    const sums = new Map<string, Record<string, number>>();
    for (let i = 0; i < usage.count; i++) {
      const device = usage.device[i] ?? '';
      const { cycle } = await this.#o.plans.of(device, usage.time[i] ?? 0);
      const key = usageKey(device, cycle);
      const sum = sums.get(key) ?? { ...NOTHING };
      sums.set(key, sum);
      const used: Counters = {
        bytes_in: usage.bytesIn[i] ?? 0,
        bytes_out: usage.bytesOut[i] ?? 0,
        segments: usage.segments[i] ?? 0,
        datagrams: usage.datagrams[i] ?? 0,
        records: usage.records[i] ?? 0,
      };
      // The device was passed on before this was noted: it is not of who has it now.
      const isPassed = (usage.account[i] ?? '') !== (await this.#o.plans.accountOf(device));
      for (const [name, value] of Object.entries(used)) {
        sum[name] = (sum[name] ?? 0) + value;
        if (isPassed) sum[PASSED + name] = (sum[PASSED + name] ?? 0) + value;
      }
    }
    return sums;
  }
}
