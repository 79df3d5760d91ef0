import type { Clock } from '../../base/clock.ts';
import { AppError, messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics/catalog.ts';
import { ROW_FLAG_NAMES, RowFlag } from '../../codec/index.ts';
import { Batch, type Position, type Ranges, type Sink, type SinkHealth } from '../sink/sink.ts';
import type { Batcher, Delivered } from './batcher.ts';
import type { Parking } from './parking.ts';
import { Backoff } from './retry.ts';
import type { Watermarks } from './watermarks.ts';

/** With nothing to deliver, the sink is looked at this often. */
const CHECK_MS = 5_000;
/** A backlog of so many entries does not wait for company. */
const BACKLOG_ENTRIES = 50_000;
/** The same trouble is logged once in this time. */
const REPEAT_MS = 60_000;

/** What a look at the slots has found. */
export interface Seen {
  /** Before it, epoch ms. */
  readonly at: number;
  /** Received time of the first entry that some sink has not got, 0 if there is none. */
  readonly earliest: number;
  /** Every slot could be looked at. */
  readonly isWhole: boolean;
}

export interface LoopOptions {
  readonly sink: Sink;
  readonly batcher: Batcher;
  readonly parking: Parking;
  readonly watermarks: Watermarks;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Log;
  /** One loop of several counts what all of them see: doubtful times, damage. */
  readonly first: boolean;
  /** Resolves when it may be delivered: see ShipperOptions. */
  readonly confirm?: (() => Promise<void>) | undefined;
  /** The position may have moved. */
  readonly onProgress: () => void;
}

/**
 * One sink's way through the journal.
 *
 *        ┌──────────────────────── failed: back off ◀──────────────┐
 *        ▼                                                         │
 *     open sink ─▶ where does it stand? ─▶ read a batch ─▶ deliver ┴─▶ read the next
 *                   same place: the same batch again
 *                   behind the batch: it had arrived
 *                   elsewhere: read from there
 *
 * One batch in memory, whatever the backlog (promise 4).
 */
export class Loop {
  readonly #o: LoopOptions;
  readonly #batch = new Batch();
  /** The batch holds rows that are not known to be delivered. */
  #held = false;
  /** Reading was interrupted: what the tapes passed may be in no batch. */
  #torn = false;
  #ready = false;
  #known = false;
  /** Where the sink said it stood, and how far it has come since. */
  #stood: Delivered = () => 0;
  readonly #came = new Map<string, number>();
  #health: SinkHealth;
  #concern = '';
  /** Degraded because it rejects batches. */
  #away = true;
  #stopping = false;
  #hurry = false;
  #wake: (() => void) | null = null;
  #awaitsMove = false;
  /** The last batch closed because it was full: more is waiting already. */
  #full = false;
  /** To be done between two batches. */
  #between: (() => Promise<void>)[] = [];
  #running: Promise<void> = Promise.resolve();
  #logged = new Map<string, number>();

  constructor(options: LoopOptions) {
    this.#o = options;
    this.#health = { state: 'degraded', reason: 'not reached yet', since: options.clock.now() };
    const { metrics, sink } = options;
    for (const gauge of [metrics.sinkUp, metrics.sinkConcern, metrics.undelivered, metrics.undeliveredAge])
      gauge.set({ sink: sink.name }, 0);
    options.watermarks.onMove(() => {
      if (this.#awaitsMove) this.#wake?.();
    });
  }

  start(): void {
    this.#running = this.#run();
  }

  get name(): string {
    return this.#o.sink.name;
  }

  /** Takes what is marked relay. */
  get relays(): boolean {
    return this.#o.sink.relays;
  }

  get isSlow(): boolean {
    return this.#o.sink.isSlow === true;
  }

  get health(): SinkHealth {
    return this.#health;
  }

  /** Everything up to here has been delivered; 0 while the sink has not said where it stands. */
  delivered(slot: string): number {
    return this.#came.get(slot) ?? this.#stood(slot);
  }

  /** Delivers without waiting for company or for the end of a back-off. */
  hurry(on: boolean): void {
    this.#hurry = on;
    if (on) this.#wake?.();
  }

  /**
   * Runs `work` between two batches: nothing is held or begun, and what was begun has arrived. Waits for a sink that is away; rejects
   * when the loop ends.
   */
  between<T>(work: () => Promise<T>): Promise<T> {
    const done = new Promise<T>((resolve, reject) => {
      this.#between.push(async () => {
        if (this.#stopping) reject(new AppError('SINK_UNREACHABLE', 'the shipper is ending'));
        else await work().then(resolve, reject);
      });
    });
    if (this.#awaitsMove) this.#wake?.();
    if (this.#stopping) void this.#catchUp();
    return done;
  }

  async #catchUp(): Promise<void> {
    for (const work of this.#between.splice(0)) await work();
  }

  /** Ends after the attempt under way. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake?.();
    await this.#running;
    await this.#catchUp();
    await this.#o.batcher.close();
  }

  /** Sets the gauges of what is not delivered. */
  measure(now: number, { at, earliest, isWhole }: Seen): void {
    const { metrics, sink, watermarks, batcher } = this.#o;
    const behind = batcher.behind(watermarks.durable);
    if (this.#known) metrics.undelivered.set({ sink: sink.name }, behind + (this.#held ? this.#batch.entries : 0));
    const oldest = this.#held && this.#batch.oldest > 0 ? this.#batch.oldest : behind > 0 ? batcher.oldest() || earliest : 0;
    metrics.undeliveredAge.set({ sink: sink.name }, oldest > 0 ? Math.max(0, now - oldest) / 1000 : 0);
    const until = this.#held || behind > 0 ? oldest : at;
    if (this.#known && isWhole && until > 0) metrics.deliveredUntil.set({ sink: sink.name }, until / 1000);
  }

  async #run(): Promise<void> {
    const backoff = new Backoff();
    while (!this.#stopping) {
      try {
        if (!this.#ready) await this.#open();
        if (!this.#held) await this.#catchUp();
        if (this.#held || (await this.#next())) await this.#deliver();
        backoff.reset();
      } catch (error) {
        this.#ready = false;
        this.#fail(error);
        if (!this.#stopping) await this.#sleep(this.#hurry ? 50 : backoff.next(), false);
      }
    }
  }

  async #open(): Promise<void> {
    const { sink, watermarks } = this.#o;
    const position = await sink.open();
    await watermarks.look();
    const place = this.#place(position);
    if (place === 'elsewhere') await this.#seek(position);
    else if (place === 'arrived') this.#settle();
    this.#known = true;
    this.#ready = true;
    // Another may have delivered what this loop was about to.
    this.#o.onProgress();
    if (!this.#held) this.#up();
  }

  /** Begins to read where the sink stands. */
  async #seek(position: Position): Promise<void> {
    const { sink, batcher, watermarks } = this.#o;
    this.#held = false;
    this.#torn = true;
    this.#stood = position.delivered;
    this.#came.clear();
    await batcher.seek(position.delivered);
    await batcher.warm(this.#batch);
    if (position.pending !== null && Object.keys(position.pending).length > 0) {
      this.#held = await batcher.fill(this.#batch, watermarks.cut(), sink.limits, position.pending);
      if (this.#held) this.#count();
    }
    this.#torn = false;
  }

  /** Where the sink stands, seen from the batch that is held, if one is. */
  #place(position: Position): 'same' | 'arrived' | 'elsewhere' {
    if (!this.#known || this.#torn) return 'elsewhere';
    const ranges = this.#held ? this.#batch.ranges : {};
    if (position.pending !== null) return same(position.pending, ranges) ? 'same' : 'elsewhere';
    const slots = new Set([...this.#o.watermarks.durable.keys(), ...this.#came.keys(), ...Object.keys(ranges)]);
    let before = true;
    let behind = true;
    for (const slot of slots) {
      const there = position.delivered(slot);
      const was = this.delivered(slot);
      if (there !== was) before = false;
      if (there !== (ranges[slot]?.to ?? was)) behind = false;
    }
    return before ? 'same' : behind ? 'arrived' : 'elsewhere';
  }

  /** Reads the next batch, waiting for one if need be. False: have another look at everything. */
  async #next(): Promise<boolean> {
    const { sink, batcher, watermarks } = this.#o;
    const behind = batcher.behind(watermarks.durable);
    // The wake-up may have come before this point; there would be no second one.
    if (this.#stopping || this.#between.length > 0) return false;
    if (behind === 0 && !watermarks.told) {
      if (!(await this.#sleep(CHECK_MS, true))) {
        await sink.check();
        this.#up();
      }
      return false;
    }
    if (sink.limits.ageMs > 0 && behind < BACKLOG_ENTRIES && !this.#hurry && !this.#full) await this.#age(sink.limits.ageMs);
    await watermarks.refresh();
    if (this.#stopping) return false;
    this.#torn = true;
    this.#held = await batcher.fill(this.#batch, watermarks.cut(), sink.limits);
    this.#torn = false;
    this.#full = this.#batch.rows.count >= sink.limits.rows || this.#batch.bytes >= sink.limits.bytes;
    if (this.#held) this.#count();
    // Watermarks that move over nothing readable must not make this a busy loop.
    else await this.#sleep(25, false);
    return this.#held;
  }

  async #deliver(): Promise<void> {
    const { sink, parking, metrics, clock, confirm } = this.#o;
    await parking.flush();
    await confirm?.();
    const begun = clock.elapsed();
    await sink.deliver(this.#batch, (slot, sequence, reason) => this.#park(slot, sequence, reason));
    metrics.sinkSeconds.observe({ sink: sink.name }, (clock.elapsed() - begun) / 1000);
    this.#settle();
    this.#up();
  }

  /** The batch is delivered. */
  #settle(): void {
    const { metrics, sink } = this.#o;
    const { rows, resent, events, usage, audit, ranges } = this.#batch;
    if (rows.erased > 0) metrics.erasedRecords.inc({ sink: sink.name }, rows.erased);
    let fixes = 0;
    let statuses = 0;
    let again = 0;
    for (let row = 0; row < rows.count; row++) {
      if (resent[row] === 1) again++;
      else if (rows.isFix(row)) fixes++;
      else statuses++;
    }
    const labels = { sink: sink.name };
    metrics.sinkBatches.inc({ ...labels, outcome: 'delivered' });
    if (fixes > 0) metrics.sinkRows.inc({ ...labels, kind: 'fix' }, fixes);
    if (statuses > 0) metrics.sinkRows.inc({ ...labels, kind: 'status' }, statuses);
    if (events.count > 0) metrics.sinkRows.inc({ ...labels, kind: 'event' }, events.count);
    if (usage.count > 0) metrics.sinkRows.inc({ ...labels, kind: 'usage' }, usage.count);
    if (audit.count > 0) metrics.sinkRows.inc({ ...labels, kind: 'audit' }, audit.count);
    if (again > 0) metrics.duplicates.inc(labels, again);
    for (const [slot, range] of Object.entries(ranges)) this.#came.set(slot, range.to);
    this.#held = false;
    this.#o.onProgress();
  }

  /** Counts what a batch shows about devices, when it is read and not each time it is tried. */
  #count(): void {
    const { metrics, first } = this.#o;
    if (!first) return;
    const { rows } = this.#batch;
    for (let row = 0; row < rows.count; row++) {
      const flags = rows.flags[row] ?? 0;
      if ((flags & DOUBTFUL) === 0) continue;
      ROW_FLAG_NAMES.forEach((flag, bit) => {
        if ((flags & DOUBTFUL & (1 << bit)) !== 0) metrics.timeAnomalies.inc({ flag });
      });
    }
  }

  async #park(slot: string, sequence: number, reason: string): Promise<void> {
    const { parking } = this.#o;
    await parking.addAgain(slot, sequence, reason);
    await parking.flush();
  }

  /** Waits until the oldest undelivered entry has waited `ms` for company. */
  async #age(ms: number): Promise<void> {
    const { clock, batcher, watermarks } = this.#o;
    const end = clock.elapsed() + ms;
    while (!this.#stopping && !this.#hurry) {
      const left = end - clock.elapsed();
      if (left <= 0 || batcher.behind(watermarks.durable) >= BACKLOG_ENTRIES) return;
      await this.#sleep(left, false);
    }
  }

  /** True if woken before the time was over: by `hurry`, or with `orMove` by a watermark. */
  #sleep(ms: number, orMove: boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#wake = null;
        resolve(false);
      }, ms);
      this.#awaitsMove = orMove;
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = null;
        resolve(true);
      };
    });
  }

  #up(): void {
    const { metrics, sink, clock, log } = this.#o;
    metrics.sinkUp.set({ sink: sink.name }, 1);
    if (this.#away) log.info({ sink: sink.name }, 'sink is up');
    this.#away = false;
    const reason = sink.concern ?? '';
    if (reason !== this.#concern) {
      this.#concern = reason;
      metrics.sinkConcern.set({ sink: sink.name }, reason === '' ? 0 : 1);
      if (reason !== '') log.error({ sink: sink.name, reason }, 'sink needs attention');
    }
    if (reason === '') this.#health = { state: 'up' };
    else if (this.#health.state === 'up' || this.#health.reason !== reason)
      this.#health = { state: 'degraded', reason, since: clock.now() };
  }

  #fail(error: unknown): void {
    const { metrics, sink, clock, log } = this.#o;
    const reason = messageOf(error);
    metrics.sinkUp.set({ sink: sink.name }, 0);
    metrics.sinkBatches.inc({ sink: sink.name, outcome: 'retry' });
    const now = clock.now();
    const since = this.#away && this.#health.state === 'degraded' ? this.#health.since : now;
    this.#health = { state: 'degraded', reason, since };
    this.#away = true;
    if (now - (this.#logged.get(reason) ?? 0) < REPEAT_MS) return;
    if (this.#logged.size > 100) this.#logged.clear();
    this.#logged.set(reason, now);
    log.warn({ sink: sink.name, reason }, 'sink rejected a batch; it stays in the journal and is retried');
  }
}

const DOUBTFUL = RowFlag.Future | RowFlag.Rollover | RowFlag.NoTime;

function same(a: Ranges, b: Ranges): boolean {
  const slots = Object.keys(a);
  if (slots.length !== Object.keys(b).length) return false;
  return slots.every((slot) => a[slot]?.from === b[slot]?.from && a[slot]?.to === b[slot]?.to);
}
