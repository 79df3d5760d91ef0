import { createHash } from 'node:crypto';
import { type Clock, systemClock } from '../../../base/clock.ts';
import { AppError, messageOf } from '../../../base/errors.ts';
import { nodeStorage, type Storage } from '../../../base/files.ts';
import type { Log } from '../../../base/log.ts';
import type { Batch, BatchLimits, Park, Position, Sink } from '../sink.ts';
import { type Adapter, type Answer, type Registered, type Subject, TooMany } from './adapter.ts';
import { Ledger } from './ledger.ts';
import { Pace } from './pace.ts';

/**
 * Hands records of some devices over to an authority, by an adapter (docs/dlt.md).
 *
 * 1. Records go in the order of the journal, and one call follows the other: a device's arrive in the order in which they were stored,
 *    also after an outage.
 * 2. A call is made again, with the same records and numbers, until its outcome is known and written down (`ledger.ts`). A call whose answer was
 *    lost is one that the authority may have taken: it gets the same numbers twice, never a record under two numbers.
 * 3. Refused records are found by halving, and parked with the reason. Where every record is refused it is not the records: nothing is parked.
 * 4. Nothing that is marked relay.
 * 5. Master data never hold up records: few calls between two batches, and one that fails fails no batch.
 */
export interface ForwardOptions {
  readonly adapter: Adapter;
  /** Where it keeps how far it has come, and the evidence. */
  readonly directory: string;
  readonly callsPerMinute: number;
  readonly subjects: Subjects;
  readonly log: Log;
  readonly count: (outcome: 'taken' | 'refused' | 'unanswered', kind: 'locations' | 'master') => void;
  readonly clock?: Clock | undefined;
  readonly storage?: Storage | undefined;
  /** How long records gather, 45 s. */
  readonly batchAgeMs?: number | undefined;
}

/** The devices that are forwarded, as the registry has them. */
export class Subjects {
  /** Resolves when they have been read once. */
  readonly ready: Promise<void>;
  readonly byDevice = new Map<string, Subject & { readonly hash: string }>();
  readonly #adapter: Adapter;
  readonly #read: () => void;

  constructor(adapter: Adapter) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#read = resolve;
    this.#adapter = adapter;
  }

  all(devices: ReadonlyMap<string, Registered>): void {
    this.byDevice.clear();
    for (const [id, device] of devices) this.changed(id, device);
    this.#read();
  }

  changed(id: string, device: Registered | undefined): void {
    const subject = device === undefined ? undefined : this.#adapter.subject(device);
    if (subject === undefined) this.byDevice.delete(id);
    else this.byDevice.set(id, { ...subject, hash: hashOf(subject.master) });
  }
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
}

/** So many records refused one by one and not one taken: it is not the records. */
const MOST_REFUSED = 16;

/** Calls with master data between two batches. */
const MASTER_CALLS = 10;
/** So many in a row failed: an operator should know. */
const MOST_FAILED = 5;

/** A record on its way. */
interface Item {
  readonly record: object | string;
  readonly device: string;
  readonly number: number;
  readonly slot: string;
  readonly sequence: number;
}

export function createForwardSink(options: ForwardOptions): Sink {
  return new ForwardSink(options);
}

class ForwardSink implements Sink {
  readonly name: string;
  readonly takes = 'records';
  readonly relays = false;
  readonly isSlow = true;
  readonly limits: BatchLimits;
  concern = '';
  readonly #o: ForwardOptions;
  readonly #clock: Clock;
  readonly #pace: Pace;
  #ledger: Ledger | undefined;
  /** Master data that was refused, by unit: not told again until it is another. */
  readonly #refusedMaster = new Map<string, string>();
  /** Calls with master data that failed since one was answered. */
  #failed = 0;

  constructor(options: ForwardOptions) {
    this.#o = options;
    this.#clock = options.clock ?? systemClock;
    this.#pace = new Pace(options.callsPerMinute, this.#clock);
    this.name = options.adapter.name;
    this.limits = { rows: options.adapter.most, bytes: 64 * 1024 * 1024, ageMs: options.batchAgeMs ?? 45_000 };
  }

  wants(device: string): boolean {
    return this.#o.subjects.byDevice.has(device);
  }

  async open(): Promise<Position> {
    await this.#o.subjects.ready;
    await this.#o.adapter.open();
    this.#ledger ??= await Ledger.load(this.#o.directory, this.name, this.#o.storage ?? nodeStorage);
    const { positions, pending } = this.#ledger;
    return { delivered: (slot) => positions[slot] ?? 0, pending };
  }

  async deliver(batch: Batch, park: Park): Promise<void> {
    const ledger = this.#opened();
    if (ledger.pending === null) await ledger.begin(batch.ranges);
    const { items, numbers } = this.#items(batch, ledger);
    await this.#handOver(items, batch.token, ledger, park);
    await ledger.commit(numbers);
    // Invariant 5.
    await this.#tendMaster(ledger).catch(() => {});
  }

  async check(): Promise<void> {
    if (this.#ledger !== undefined) await this.#tendMaster(this.#ledger);
  }

  ending(): void {
    this.#pace.end();
  }

  async close(): Promise<void> {
    this.#pace.end();
  }

  #opened(): Ledger {
    if (this.#ledger === undefined) throw new AppError('SINK_UNREACHABLE', `${this.name} is not open`);
    return this.#ledger;
  }

  #items(batch: Batch, ledger: Ledger): { items: Item[]; numbers: Map<string, number> } {
    const { rows, resent } = batch;
    const items: Item[] = [];
    const numbers = new Map<string, number>();
    for (let row = 0; row < rows.count; row++) {
      const device = rows.device[row] ?? '';
      const subject = resent[row] === 1 || !rows.isFix(row) ? undefined : this.#o.subjects.byDevice.get(device);
      if (subject === undefined) continue;
      const number = (numbers.get(subject.unit) ?? ledger.number(subject.unit)) + 1;
      numbers.set(subject.unit, number);
      const record = this.#o.adapter.record(rows, row, subject, number);
      items.push({ record, device, number, slot: batch.slot[row] ?? '', sequence: batch.sequence[row] ?? 0 });
    }
    return { items, numbers };
  }

  /** From where it was interrupted, if it was. */
  async #handOver(items: readonly Item[], token: string, ledger: Ledger, park: Park): Promise<void> {
    const { most } = this.#o.adapter;
    let taken = 0;
    const refused: { item: Item; reason: string }[] = [];
    const setAside = async (): Promise<void> => {
      for (const { item, reason } of refused.splice(0)) await park(item.slot, item.sequence, reason);
    };
    const open: { from: number; to: number }[] = [];
    for (let to = items.length; to > ledger.done; to -= most) open.push({ from: Math.max(ledger.done, to - most), to });
    for (let part = open.pop(); part !== undefined; part = open.pop()) {
      const { from, to } = part;
      const some = items.slice(from, to);
      const records = some.map(({ record }) => record).filter((record) => typeof record !== 'string');
      const answer = records.length === 0 ? undefined : await this.#call('locations', () => this.#o.adapter.send(records));
      if (answer?.taken === false && records.length > 1) {
        const middle = (from + to) >> 1;
        open.push({ from: middle, to }, { from, to: middle });
        continue;
      }
      for (const item of some) {
        if (typeof item.record === 'string') refused.push({ item, reason: item.record });
        else if (answer?.taken === false) refused.push({ item, reason: `refused: ${answer.code} ${answer.message}` });
      }
      if (answer?.taken === true) taken++;
      else if (taken === 0 && refused.length >= MOST_REFUSED && typeof some[0]?.record !== 'string')
        throw new AppError('SINK_UNREACHABLE', `${this.name} refuses every record: ${answer?.code} ${answer?.message}`);
      if (answer !== undefined) await this.#note(ledger, token, some, answer);
      // While nothing was taken, what was refused is not known to be at fault.
      if (taken > 0 || open.length === 0) {
        await setAside();
        await ledger.advance(to);
      }
    }
  }

  async #note(ledger: Ledger, token: string, some: readonly Item[], { taken, code, message, received }: Answer): Promise<void> {
    const numbers: Record<string, [number, number]> = {};
    let records = 0;
    for (const { record, device, number } of some) {
      if (typeof record === 'string') continue;
      records++;
      numbers[device] = [numbers[device]?.[0] ?? number, number];
    }
    if (taken && received !== undefined && received !== records)
      this.#o.log.warn({ sink: this.name, records, received }, 'the authority says that it took another number of records than it got');
    await ledger.note(this.#clock.now(), { token, taken, code, message, records, received, numbers });
  }

  /** With what is left of the calls, and never the last: records come first. */
  async #tendMaster(ledger: Ledger): Promise<void> {
    const known = new Set<string>();
    let left = MASTER_CALLS;
    for (const [device, subject] of this.#o.subjects.byDevice) {
      const { unit, hash } = subject;
      known.add(unit);
      if (ledger.registered[unit] === hash || this.#refusedMaster.get(unit) === hash) continue;
      if (left-- === 0 || !this.#pace.takes(2)) return;
      const answer = await this.#told(() => this.#o.adapter.register(subject));
      await ledger.note(this.#clock.now(), { master: device, ...answer });
      if (answer.taken) await ledger.register(unit, hash);
      else {
        this.#refusedMaster.set(unit, hash);
        this.#o.log.warn({ sink: this.name, device, code: answer.code, message: answer.message }, 'master data were refused');
      }
    }
    for (const unit of Object.keys(ledger.registered)) {
      if (known.has(unit)) continue;
      if (left-- === 0 || !this.#pace.takes(2)) return;
      const answer = await this.#told(() => this.#o.adapter.unregister(unit));
      await ledger.note(this.#clock.now(), { removed: unit, ...answer });
      await ledger.register(unit, undefined);
    }
  }

  async #told(make: () => Promise<Answer>): Promise<Answer> {
    try {
      const answer = await this.#asked('master', make);
      this.#failed = 0;
      this.concern = '';
      return answer;
    } catch (error) {
      if (++this.#failed >= MOST_FAILED) this.concern = `master data cannot be handed over: ${messageOf(error)}`;
      throw error;
    }
  }

  async #call(kind: 'locations' | 'master', make: () => Promise<Answer>): Promise<Answer> {
    if (!(await this.#pace.wait())) throw new AppError('SINK_UNREACHABLE', 'the shipper is ending');
    return this.#asked(kind, make);
  }

  async #asked(kind: 'locations' | 'master', make: () => Promise<Answer>): Promise<Answer> {
    try {
      const answer = await make();
      this.#o.count(answer.taken ? 'taken' : 'refused', kind);
      return answer;
    } catch (error) {
      this.#o.count('unanswered', kind);
      if (error instanceof TooMany) this.#pace.close(error.afterMs);
      throw new AppError('SINK_UNREACHABLE', `${this.name}: ${messageOf(error)}`, error);
    }
  }
}
