import { join } from 'node:path';
import { type Clock, systemClock } from '../clock.ts';
import { isExhausted } from '../descriptors.ts';
import { AppError, messageOf } from '../errors.ts';
import { type Definition, NO_DEFINITION } from './definition.ts';
import { type EntryKind, entrySize, keepBytes, MAX_ENTRY_BYTES, MAX_KEEP_BYTES, type Marks, type Origin, writeEntry } from './entry.ts';
import { type Recovery, recover } from './recovery.ts';
import { listSegments, Numbered, SegmentWriter, segmentName } from './segment.ts';
import { isNoSpace, nodeStorage, OpenMode, type Storage, type StorageFile, writeAll } from './storage.ts';
import { DURABLE_FILE, watermarkBuffer, writeWatermark } from './watermark.ts';

/**
 * One slot's journal: `append` gathers entries in memory, a commit writes and synchronises all that gathered, and one
 * number, the durable watermark, says how far it has come.
 *
 *     append ─▶ gather buffer ──swap──▶ write ─▶ fdatasync ─▶ watermark file ─▶ durable ─▶ onDurable
 *                    ▲                                                                        │
 *                    └──────────────── gathers the next commit meanwhile ◀────────────────────┘
 *
 * Invariants
 *  1. `onDurable(w)` is called only when every entry up to `w` that was not reported by `onFailed` is on disk
 *     (promise 1). `w` only rises.
 *  2. Every sequence that `append` returned is settled exactly once: at or below a watermark, or in the range of one
 *     `onFailed`. A range is reported before any watermark above it.
 *  3. Sequences rise by one per entry, and none is ever used for other data, across failures and restarts.
 *  4. An entry that was reported failed is not readable: its segment is cut before the watermark passes it. While the
 *     cut does not succeed, nothing is accepted. (A crash in between can bring it back, which is harmless: it was
 *     answered neither as stored nor as refused.)
 *  5. A failed write or sync is final for the segment: the next commit goes to a new one.
 *  6. No room (the disk, the quota, the reserve or the budget): `append` refuses, nothing is removed, and once there is
 *     room it accepts again by itself (promise 5).
 *  7. Memory is bounded: two gather buffers of at most `maxPendingBytes` each. Above that, `append` refuses.
 *  8. `append` makes no promise or closure, does no I/O, and never throws.
 *  9. Entries marked relay stand in segments of `relayAgeMs` at most, so that they can leave soon; a file beside the segment
 *     says so before they are readable.
 * 10. Entries are sealed when they are written: only then is it known which segment they go to. A definition that one refers to
 *     is in the segment before it is readable.
 * 11. What gathered while a commit failed fails with it: a connection may have entries in both, and the later one must
 *     not be stored in front of the earlier one, which its device sends again (promise 7).
 */

export const JournalState = { Open: 'open', Full: 'full', Sick: 'sick', Closed: 'closed' } as const;
/**
 * - `open`: accepts.
 * - `full`: no room; probes every second.
 * - `sick`: the disk fails or hangs; probes every second.
 * - `closed`: for good.
 */
export type JournalState = (typeof JournalState)[keyof typeof JournalState];

export interface JournalOptions {
  /** The slot's directory; created when missing. Only one process may have it open. */
  readonly directory: string;
  readonly storage?: Storage | undefined;
  readonly clock?: Clock | undefined;
  /** A segment is followed by a new one at this size, 64 MiB, give or take one commit. */
  readonly segmentBytes?: number | undefined;
  /** … or at this age, 10 min. */
  readonly segmentAgeMs?: number | undefined;
  /** … or, with entries marked relay in it, at this one, 1 min, whether anything is to be written then or not. */
  readonly relayAgeMs?: number | undefined;
  /** Room on the file system that is left alone, 256 MiB: the shipper needs some to make progress. */
  readonly minFreeBytes?: number | undefined;
  /** Budget of the directory, without one by default. */
  readonly maxBytes?: number | undefined;
  /** Bound of what is appended and not durable, 32 MiB. */
  readonly maxPendingBytes?: number | undefined;
  /**
   * Sequence of the first entry of a slot that never had one, 1. Take something that rises with time if cursors can
   * outlive the directory: a new journal that counts from 1 again looks delivered to them.
   */
  readonly firstSequence?: number | undefined;
  /**
   * Gives each entry its place among those of all slots of the machine: a whole number that rises, whatever the wall clock
   * does. Without it, the time of receipt in µs.
   */
  readonly order?: (() => number) | undefined;
  /** How often room and disk are looked at, 1 s. */
  readonly checkMs?: number | undefined;
  /** A commit that takes longer than this makes the journal sick until it ends, 10 s. */
  readonly stallMs?: number | undefined;
  /** Everything up to the watermark is on disk. Must not throw. */
  onDurable(watermark: number): void;
  /** The entries `from … to` are lost: answer nothing for them. Must not throw. */
  onFailed(from: number, to: number, error: AppError): void;
  /** The state changed, with the reason for people. Must not throw. */
  readonly onState?: ((state: JournalState, reason: string) => void) | undefined;
}

const FIRST_GATHER_BYTES = 256 * 1024;
const PROBE_FILE = 'probe';
const PROBE_BYTES = 64 * 1024;
const MIB = 1024 * 1024;
/** Definitions that are remembered: a few are in use at a time. One that was forgotten gets another number. */
const MOST_DEFINITIONS = 4096;

export class Journal {
  /** What was found on start. */
  readonly recovery: Recovery;
  /** Every entry up to here that was not reported failed is on disk. */
  durable: number;
  state: JournalState = JournalState.Open;
  /** Why the state is what it is; '' when open. */
  reason = '';

  // For metrics: totals since start unless said otherwise.
  entries = 0;
  commits = 0;
  failedCommits = 0;
  /** Appends that got -1. */
  refused = 0;
  bytesWritten = 0;
  /** Duration of the last commit, ms. */
  commitMs = 0;
  /** As of the last check. */
  freeBytes = 0;
  directoryBytes = 0;

  readonly #options: JournalOptions;
  readonly #directory: string;
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #order: (() => number) | undefined;
  readonly #segmentBytes: number;
  readonly #segmentAgeMs: number;
  readonly #relayAgeMs: number;
  readonly #minFreeBytes: number;
  readonly #maxBytes: number;
  readonly #maxPendingBytes: number;
  readonly #stallMs: number;
  readonly #timer: NodeJS.Timeout;

  /** Appends go here, up to `#at`; the commit in flight owns the other one. */
  #gather = Buffer.allocUnsafeSlow(FIRST_GATHER_BYTES);
  #spare = Buffer.allocUnsafeSlow(FIRST_GATHER_BYTES);
  #at = 0;
  /** Some of what gathered is marked relay. */
  #relayed = false;
  /** Definitions by their text, the one asked for last, and those that what gathered refers to. */
  readonly #definitions = new Map<string, Numbered>();
  #lastDefinition: Definition = NO_DEFINITION;
  #lastNumbered: Numbered = new Numbered(NO_DEFINITION, 0);
  #numbers = 0;
  #used = new Set<Numbered>();
  #lastUsed: Numbered | null = null;
  /** Sequence of the first entry in the gather buffer, and of the next one to be appended. */
  #from: number;
  #next: number;
  #flightBytes = 0;
  #flightSince = -1;
  /** A commit is scheduled or in flight. */
  #busy = false;
  readonly #startCommit = () => {
    void this.#commit();
  };

  #segment: SegmentWriter | null = null;
  #segmentSince = 0;
  /** The next commit goes to a new segment, and takes place also when there is nothing to write. */
  #renew = false;
  /** Told when there is a new segment. */
  #rotating: (() => void)[] = [];
  /** A dead segment that still holds entries reported failed. */
  #uncut: SegmentWriter | null = null;
  #mark: StorageFile;
  readonly #markBytes = watermarkBuffer();
  /** Commits failed since the last that did not. */
  #strikes = 0;
  /** Counts what speaks against the disk, so that a check knows whether something happened while it looked. */
  #troubles = 0;
  #checking: Promise<void> | null = null;
  #closing: Promise<void> | null = null;
  /** Every sequence up to here is durable or failed. */
  #settled: number;
  #waiting: { readonly upTo: number; readonly resolve: () => void }[] = [];
  /** Sizes of the segments that do not change any more. */
  #sizes = new Map<number, number>();

  private constructor(options: JournalOptions, recovery: Recovery, firstSequence: number, mark: StorageFile) {
    this.recovery = recovery;
    this.durable = recovery.durable;
    this.#options = options;
    this.#directory = options.directory;
    this.#storage = options.storage ?? nodeStorage;
    this.#clock = options.clock ?? systemClock;
    this.#order = options.order;
    this.#segmentBytes = options.segmentBytes ?? 64 * MIB;
    this.#segmentAgeMs = options.segmentAgeMs ?? 600_000;
    this.#relayAgeMs = Math.min(options.relayAgeMs ?? 60_000, this.#segmentAgeMs);
    this.#minFreeBytes = options.minFreeBytes ?? 256 * MIB;
    this.#maxBytes = options.maxBytes ?? Number.POSITIVE_INFINITY;
    this.#maxPendingBytes = Math.max(options.maxPendingBytes ?? 32 * MIB, MAX_ENTRY_BYTES);
    this.#stallMs = options.stallMs ?? 10_000;
    this.#next = firstSequence;
    this.#from = firstSequence;
    this.#settled = firstSequence - 1;
    this.#mark = mark;
    this.#timer = setInterval(() => void this.check(), options.checkMs ?? 1000);
    this.#timer.unref();
  }

  /**
   * Recovers the slot and opens it for appending, in a new segment. Rejects with AppError JOURNAL_FORMAT (a later
   * version wrote it) or JOURNAL_FAILED (the disk does not work). A disk without room opens as `full`.
   */
  static async open(options: JournalOptions): Promise<Journal> {
    const storage = options.storage ?? nodeStorage;
    try {
      await storage.makeDirectory(options.directory);
      const recovery = await recover(options.directory, storage);
      const mark = await storage.open(join(options.directory, DURABLE_FILE), OpenMode.Update);
      const first = Math.max(recovery.nextSequence, recovery.durable === 0 ? (options.firstSequence ?? 1) : 1);
      const journal = new Journal(options, recovery, first, mark);
      await journal.check();
      return journal;
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw new AppError('JOURNAL_FAILED', `cannot open the journal ${options.directory}: ${messageOf(error)}`, error);
    }
  }

  /** Bytes appended and not durable. */
  get pendingBytes(): number {
    return this.#flightBytes + this.#at;
  }

  /** False while `append` refuses everything: see `state`. */
  get accepting(): boolean {
    return this.state === JournalState.Open;
  }

  /** How long the commit in flight has been at it, ms; 0 when there is none. */
  get stalledMs(): number {
    return this.#flightSince < 0 ? 0 : this.#clock.elapsed() - this.#flightSince;
  }

  /**
   * Copies an entry into the gather buffer and returns its sequence (> 0), which is durable once the watermark reaches
   * it; or -1 when the journal refuses it: see `state`; when it is open, the bound of pending bytes or `MAX_ENTRY_BYTES`.
   * `received` is epoch ms; `memo` and `accepted` are below 2^32. The bytes and the marks are only lent.
   */
  append(
    origin: Origin,
    kind: EntryKind,
    received: number,
    memo: number,
    accepted: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    marks?: Marks,
  ): number {
    const maskBytes = marks === undefined || marks.keep === null ? 0 : keepBytes(accepted);
    const size = entrySize(origin, end - start, maskBytes);
    const fits = size <= MAX_ENTRY_BYTES && maskBytes <= MAX_KEEP_BYTES;
    if (this.state !== JournalState.Open || !fits || this.#flightBytes + this.#at + size > this.#maxPendingBytes) {
      this.refused++;
      return -1;
    }
    if (this.#at + size > this.#gather.length) this.#grow(size);
    const sequence = this.#next++;
    const order = this.#order === undefined ? 1000 * received : this.#order();
    const number = this.#number(origin.definition);
    this.#at += writeEntry(
      this.#gather,
      this.#at,
      sequence,
      origin,
      number,
      kind,
      received,
      order,
      memo,
      accepted,
      bytes,
      start,
      end,
      marks,
    );
    if (marks?.relay === true) this.#relayed = true;
    this.entries++;
    if (!this.#busy) this.#schedule();
    return sequence;
  }

  /** Resolves when everything appended so far is durable or failed. A hanging disk keeps it waiting. */
  flush(): Promise<void> {
    const upTo = this.#next - 1;
    if (this.#settled >= upTo) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ upTo, resolve }));
  }

  /**
   * Resolves when everything appended so far is durable or failed, and no segment that holds any of it is written any more: a
   * newer one is there. A disk that is full or hangs keeps it waiting.
   */
  async rotate(): Promise<void> {
    await this.flush();
    if (this.state === JournalState.Closed) return;
    await new Promise<void>((resolve) => {
      this.#rotating.push(resolve);
      this.#renew = true;
      this.#schedule();
    });
  }

  /** Refuses from now on, flushes, and closes the files. A hanging disk keeps it waiting. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /**
   * Looks whether there is room, and whether what was wrong has passed. Runs by itself every `checkMs`; never rejects.
   */
  check(): Promise<void> {
    if (this.stalledMs > this.#stallMs)
      this.#refuse(JournalState.Sick, `the disk has not finished a write for ${Math.round(this.stalledMs)} ms`);
    this.#checking ??= this.#look().finally(() => {
      this.#checking = null;
    });
    if (this.#rotating.length > 0 || (this.#segment?.relayed === true && this.#age >= this.#relayAgeMs)) {
      this.#renew = true;
      this.#schedule();
    }
    return this.#checking;
  }

  /** The number of a definition that the entry about to be written refers to. */
  #number(definition: Definition): number {
    if (definition !== this.#lastDefinition) {
      this.#lastDefinition = definition;
      this.#lastNumbered = this.#numbered(definition);
    }
    const numbered = this.#lastNumbered;
    if (numbered !== this.#lastUsed) {
      if (numbered.number > 0) this.#used.add(numbered);
      this.#lastUsed = numbered;
    }
    return numbered.number;
  }

  #numbered(definition: Definition): Numbered {
    if (definition.text === NO_DEFINITION.text) return new Numbered(NO_DEFINITION, 0);
    let numbered = this.#definitions.get(definition.text);
    if (numbered === undefined) {
      if (this.#definitions.size >= MOST_DEFINITIONS) this.#definitions.clear();
      numbered = new Numbered(definition, ++this.#numbers);
      this.#definitions.set(definition.text, numbered);
    }
    return numbered;
  }

  #grow(size: number): void {
    const length = Math.min(Math.max(this.#gather.length * 2, this.#at + size), this.#maxPendingBytes);
    const larger = Buffer.allocUnsafeSlow(length);
    this.#gather.copy(larger, 0, 0, this.#at);
    this.#gather = larger;
  }

  /** Not at once: what arrives in the same turn of the event loop belongs to the same commit. */
  #schedule(): void {
    if (this.#busy || (this.#at === 0 && !this.#renew)) return;
    this.#busy = true;
    setImmediate(this.#startCommit);
  }

  async #commit(): Promise<void> {
    const batch = this.#gather;
    const bytes = this.#at;
    const from = this.#from;
    const to = this.#next - 1;
    if (bytes > 0) {
      this.#gather = this.#spare;
      this.#spare = batch;
      this.#at = 0;
      this.#from = this.#next;
      this.#flightBytes = bytes;
      this.#flightSince = this.#clock.elapsed();
      const relayed = this.#relayed;
      this.#relayed = false;
      const used = this.#used;
      this.#used = new Set();
      this.#lastUsed = null;
      const failure = await this.#write(batch, bytes, from, relayed, used);
      if (failure === null) await this.#release(to, bytes);
      else await this.#fail(from, failure);
      this.#flightSince = -1;
    } else if (this.#renew) await this.#begin(from);
    this.#busy = false;
    this.#schedule();
  }

  /** Null when the bytes are on the disk. */
  async #write(batch: Buffer, bytes: number, from: number, relayed: boolean, used: ReadonlySet<Numbered>): Promise<AppError | null> {
    try {
      this.#segment = await this.#writable(from);
      if (relayed) await this.#segment.markRelayed();
      await this.#segment.append(batch, bytes, from, used);
      return null;
    } catch (error) {
      return error instanceof AppError ? error : new AppError('JOURNAL_FAILED', `${this.#directory}: ${messageOf(error)}`, error);
    }
  }

  async #writable(from: number): Promise<SegmentWriter> {
    const segment = this.#segment;
    const maxAge = segment?.relayed === true ? this.#relayAgeMs : this.#segmentAgeMs;
    if (segment !== null && !this.#renew && segment.filled < this.#segmentBytes && this.#age < maxAge) return segment;
    this.#renew = false;
    this.#segment = null;
    await segment?.seal();
    this.#segmentSince = this.#clock.elapsed();
    const next = await SegmentWriter.create(this.#storage, this.#directory, from);
    for (const resolve of this.#rotating.splice(0)) resolve();
    return next;
  }

  /** Age of the segment that is written. */
  get #age(): number {
    return this.#clock.elapsed() - this.#segmentSince;
  }

  /** A new segment without anything to write: the one before is not written any more from here on. */
  async #begin(from: number): Promise<void> {
    try {
      if (this.#segment?.first === from) {
        // It has nothing in it yet.
        this.#renew = false;
        for (const resolve of this.#rotating.splice(0)) resolve();
      } else this.#segment = await this.#writable(from);
    } catch {
      // The next commit has the same trouble and reports it; without one, `check` comes back to this.
      this.#renew = false;
    }
  }

  async #release(to: number, bytes: number): Promise<void> {
    // The shipper, another process, reads up to this mark: it must not fall behind what devices were told for long.
    await this.#writeMark(to);
    this.commits++;
    this.bytesWritten += bytes;
    this.commitMs = this.#clock.elapsed() - this.#flightSince;
    this.#strikes = 0;
    this.#flightBytes = 0;
    this.durable = to;
    this.#options.onDurable(to);
    this.#settle(to);
  }

  async #writeMark(watermark: number): Promise<void> {
    try {
      await writeWatermark(this.#mark, this.#markBytes, watermark);
    } catch (error) {
      // The entries are safe all the same, so their answers go out; recovery, or the next probe, catches up.
      this.#troubles++;
      this.#refuse(JournalState.Sick, `the watermark cannot be written: ${messageOf(error)}`);
    }
  }

  async #fail(from: number, error: AppError): Promise<void> {
    this.failedCommits++;
    this.#troubles++;
    this.#strikes++;
    const dead = this.#segment;
    this.#segment = null;
    this.#flightBytes = 0;
    if (isNoSpace(error.cause)) this.#giveUp(JournalState.Full, from, error);
    else if (this.#strikes > 1) this.#giveUp(JournalState.Sick, from, error);
    else this.#drop(from, error);
    if (dead !== null) {
      try {
        await dead.cut();
        await dead.seal();
      } catch (cause) {
        this.#uncut = dead;
        const reason = `what a failed write left in ${dead.path} cannot be cut: ${messageOf(cause)}`;
        this.#giveUp(JournalState.Sick, this.#from, new AppError('JOURNAL_FAILED', reason, cause));
      }
    }
    this.#settle(this.#from - 1);
  }

  /** Refuses from now on, and drops what is waiting. */
  #giveUp(state: JournalState, from: number, error: AppError): void {
    this.#refuse(state, error.message);
    this.#drop(from, error);
  }

  /** Reports failed what is waiting (invariant 11): `from` up to the last entry appended. */
  #drop(from: number, error: AppError): void {
    const to = this.#next - 1;
    this.#at = 0;
    this.#relayed = false;
    this.#used.clear();
    this.#lastUsed = null;
    this.#from = this.#next;
    if (from <= to) this.#options.onFailed(from, to, error);
  }

  #settle(upTo: number): void {
    this.#settled = upTo;
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((waiter) => waiter.upTo > upTo);
    for (const waiter of waiting) if (waiter.upTo <= upTo) waiter.resolve();
  }

  #refuse(state: JournalState, reason: string): void {
    if (this.state === JournalState.Closed) return;
    const changed = this.state !== state;
    this.state = state;
    this.reason = reason;
    if (changed) this.#options.onState?.(state, reason);
  }

  async #look(): Promise<void> {
    const troubles = this.#troubles;
    try {
      this.freeBytes = await this.#storage.freeBytes(this.#directory);
      this.directoryBytes = await this.#measure();
      if (this.freeBytes < this.#minFreeBytes) {
        this.#refuse(JournalState.Full, `${this.freeBytes} bytes free on the disk, ${this.#minFreeBytes} are kept in reserve`);
      } else if (this.directoryBytes > this.#maxBytes) {
        this.#refuse(JournalState.Full, `${this.directoryBytes} bytes of segments, the budget is ${this.#maxBytes}`);
      } else if (this.state === JournalState.Full || this.state === JournalState.Sick) {
        if (this.stalledMs > this.#stallMs) return;
        await this.#probe();
        if (troubles === this.#troubles && this.stalledMs <= this.#stallMs) this.#refuse(JournalState.Open, '');
      }
    } catch (error) {
      // It says nothing of the disk: what is open can be written.
      if (isExhausted(error) && this.state === JournalState.Open) return;
      this.#refuse(isNoSpace(error) ? JournalState.Full : JournalState.Sick, messageOf(error));
    }
  }

  /** Sum of the segments. Only the newest can still grow, so only its size, and those not known yet, are asked for. */
  async #measure(): Promise<number> {
    const current = this.#segment;
    const firsts = await listSegments(this.#storage, this.#directory);
    if (current !== null && current === this.#segment && !this.#renew && !firsts.includes(current.first)) {
      this.#renew = true;
      throw new AppError('JOURNAL_FAILED', `${current.path} was removed while it was being written`);
    }
    const sizes = new Map<number, number>();
    const newest = firsts.at(-1);
    let sum = 0;
    for (const first of firsts) {
      let size = this.#sizes.get(first);
      if (size === undefined) {
        const stat = await this.#storage.stat(join(this.#directory, segmentName(first)));
        if (stat === null) continue;
        size = stat.bytes;
      }
      if (first !== newest) sizes.set(first, size);
      sum += size;
    }
    this.#sizes = sizes;
    return sum;
  }

  /** Rejects unless the disk takes, synchronises and gives back a file, and what was left undone is done. */
  async #probe(): Promise<void> {
    if (this.#uncut !== null) {
      await this.#uncut.cut();
      await this.#uncut.seal();
      this.#uncut = null;
    }
    const path = join(this.#directory, PROBE_FILE);
    const file = await this.#storage.open(path, OpenMode.Replace);
    try {
      await writeAll(file, Buffer.alloc(PROBE_BYTES), 0, PROBE_BYTES, 0);
      await file.sync();
    } finally {
      await file.close();
      await this.#storage.remove(path);
    }
    // A commit in flight writes the mark itself.
    if (this.#busy) return;
    this.#busy = true;
    try {
      await this.#mark.close().catch(() => undefined);
      this.#mark = await this.#storage.open(join(this.#directory, DURABLE_FILE), OpenMode.Update);
      await writeWatermark(this.#mark, this.#markBytes, this.durable);
    } finally {
      this.#busy = false;
      this.#schedule();
    }
  }

  async #close(): Promise<void> {
    this.#refuse(JournalState.Closed, 'closed');
    clearInterval(this.#timer);
    await this.flush();
    await this.#checking;
    for (const resolve of this.#rotating.splice(0)) resolve();
    await this.#segment?.seal();
    await this.#uncut?.cut().catch(() => undefined);
    await this.#uncut?.seal();
    await this.#mark.close();
  }
}
