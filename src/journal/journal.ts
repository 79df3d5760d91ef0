import { every } from '../base/beat.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import { isExhausted } from '../base/descriptors.ts';
import { AppError, messageOf } from '../base/errors.ts';
import { isNoSpace, nodeStorage, type Storage } from '../base/files.ts';
import { type EntryKind, entrySize, keepBytes, MAX_ENTRY_BYTES, MAX_KEEP_BYTES, type Marks, type Origin, writeEntry } from './entry.ts';
import { Numbering } from './numbering.ts';
import type { JournalOptions } from './options.ts';
import { type Recovery, recover } from './recovery.ts';
import { Rotation } from './rotation.ts';
import type { Numbered, SegmentWriter } from './segment-writer.ts';
import { Settled } from './settled.ts';
import { Space } from './space.ts';
import { JournalState, JournalStats } from './stats.ts';
import { WatermarkFile } from './watermark.ts';

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
 *     `onFailed`. A range is reported before any watermark above it. Only what a journal that closes cannot mark is settled by the next start.
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
 * 12. The mark is written before `onDurable`: a device whose entry is answered may have its next one in another slot, and the shipper, which
 *     passes on what is below the marks, must not see that one first (promise 7). While the mark cannot be written, answers wait.
 * 13. A commit begins `paceMs` after the end of the last one at the earliest, unless `PACED_ENTRIES` or a `flush` wait: a commit costs the same for one
 *     entry as for many. After a pause the first entry is committed at once, and a busy journal is not held back.
 */

/** Invariant 13. */
const PACED_ENTRIES = 32;
/** An entry may have been received so long before one that was appended earlier. */
const GATHERED_MS = 1_000;
/** Room is looked for in one turn of so many while nothing is written. */
const REST_TURNS = 10;
const FIRST_GATHER_BYTES = 256 * 1024;
const MIB = 1024 * 1024;

export class Journal extends JournalStats {
  /** What was found on start. */
  readonly recovery: Recovery;
  /** Every entry up to here that was not reported failed is on disk, and the mark says so. */
  durable: number;

  readonly #options: JournalOptions;
  readonly #directory: string;
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #order: (() => number) | undefined;
  readonly #rotation: Rotation;
  readonly #space: Space;
  readonly #maxPendingBytes: number;
  readonly #stallMs: number;
  readonly #paceMs: number;
  readonly #stopChecks: () => void;
  /** Entries at the last look by itself, and its turns since. */
  #entriesSeen = -1;
  #turns = 0;

  /** Appends go here, up to `#at`; the commit in flight owns the other one. */
  #gather = Buffer.allocUnsafeSlow(FIRST_GATHER_BYTES);
  #spare = Buffer.allocUnsafeSlow(FIRST_GATHER_BYTES);
  #at = 0;
  /** When the earliest of what gathered was received, and of what is in flight. The wall clock may be set back between two. */
  #received = Number.POSITIVE_INFINITY;
  #flightReceived = 0;
  /** Some of what gathered is marked relay. */
  #relayed = false;
  readonly #numbering = new Numbering();
  /** Sequence of the first entry in the gather buffer, and of the next one to be appended. */
  #from: number;
  #next: number;
  #flightBytes = 0;
  #flightSince = -1;
  /** A commit is scheduled or in flight. */
  #busy = false;
  /** The next commit waits for its time (invariant 13). */
  #paced: NodeJS.Timeout | undefined;
  /** When the last commit ended, monotonic ms. */
  #ended = Number.NEGATIVE_INFINITY;
  readonly #startCommit = () => {
    this.#paced = undefined;
    void this.#commit();
  };

  /** A dead segment that still holds entries reported failed. */
  #uncut: SegmentWriter | null = null;
  #mark: WatermarkFile;
  /** Every entry up to here that was not reported failed is on disk: `durable`, unless the mark cannot be written. */
  #onDisk: number;
  /** Commits failed since the last that did not. */
  #strikes = 0;
  /** Counts what speaks against the disk, so that a check knows whether something happened while it looked. */
  #troubles = 0;
  #checking: Promise<void> | null = null;
  #closing: Promise<void> | null = null;
  /** What is on the disk or failed. */
  readonly #settled: Settled;

  private constructor(options: JournalOptions, recovery: Recovery, firstSequence: number, mark: WatermarkFile) {
    super();
    this.recovery = recovery;
    this.durable = recovery.durable;
    this.#onDisk = recovery.durable;
    this.#options = options;
    this.#directory = options.directory;
    this.#storage = options.storage ?? nodeStorage;
    this.#clock = options.clock ?? systemClock;
    this.#order = options.order;
    this.#rotation = new Rotation({
      directory: this.#directory,
      storage: this.#storage,
      clock: this.#clock,
      segmentBytes: options.segmentBytes ?? 64 * MIB,
      segmentAgeMs: options.segmentAgeMs ?? 600_000,
      relayAgeMs: options.relayAgeMs ?? 60_000,
    });
    this.#space = new Space({
      directory: this.#directory,
      storage: this.#storage,
      minFreeBytes: options.minFreeBytes ?? 256 * MIB,
      maxBytes: options.maxBytes ?? Number.POSITIVE_INFINITY,
      rotation: this.#rotation,
      stats: this,
    });
    this.#maxPendingBytes = Math.max(options.maxPendingBytes ?? 32 * MIB, MAX_ENTRY_BYTES);
    this.#stallMs = options.stallMs ?? 10_000;
    this.#paceMs = options.paceMs ?? 0;
    this.#next = firstSequence;
    this.#from = firstSequence;
    this.#settled = new Settled(firstSequence - 1);
    this.#mark = mark;
    this.#stopChecks = every(options.checkMs ?? 1000, () => this.#turn());
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
      const mark = await WatermarkFile.open(options.directory, storage);
      const first = Math.max(recovery.nextSequence, recovery.durable === 0 ? (options.firstSequence ?? 1) : 1);
      const journal = new Journal(options, recovery, first, mark);
      await journal.check();
      // No process writes to the last segment any more; what is marked relay in it leaves when there is another (invariant 9).
      if (recovery.relayed) {
        void journal.#rotation.next();
        journal.#schedule();
      }
      return journal;
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw new AppError('JOURNAL_FAILED', `cannot open the journal ${options.directory}: ${messageOf(error)}`, error);
    }
  }

  /** Bytes appended and not on the disk. */
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

  /** Everything received up to then is durable, or was reported failed; epoch ms, as `now`, which may be set while the disk hangs. */
  settledUntil(now: number): number {
    return this.pendingBytes === 0 ? now : Math.min(now, this.#flightBytes > 0 ? this.#flightReceived : now, this.#received) - GATHERED_MS;
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
    const number = this.#numbering.number(origin.definition);
    this.#received = Math.min(this.#received, received);
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
    else if (this.#paced !== undefined && this.#next - this.#from >= PACED_ENTRIES) this.#hurry();
    return sequence;
  }

  /** Resolves when everything appended so far is on the disk or failed. A hanging disk keeps it waiting. */
  flush(): Promise<void> {
    if (this.#paced !== undefined) this.#hurry();
    return this.#settled.wait(this.#next - 1);
  }

  /**
   * Resolves when everything appended so far is on the disk or failed, and no segment that holds any of it is written any more: a
   * newer one is there. A disk that is full or hangs keeps it waiting.
   */
  async rotate(): Promise<void> {
    await this.flush();
    if (this.state === JournalState.Closed) return;
    const rotated = this.#rotation.next();
    this.#schedule();
    await rotated;
  }

  /** Refuses from now on, flushes, and closes the files. A hanging disk keeps it waiting. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /**
   * Looks whether there is room, and whether what was wrong has passed. Runs by itself every `checkMs`, where nothing is written
   * every `REST_TURNS` of it; never rejects.
   */
  check(): Promise<void> {
    if (this.stalledMs > this.#stallMs)
      this.#refuse(JournalState.Sick, `the disk has not finished a write for ${Math.round(this.stalledMs)} ms`);
    this.#checking ??= this.#look().finally(() => {
      this.#checking = null;
    });
    this.#renew();
    return this.#checking;
  }

  #turn(): void {
    const rests = this.state === JournalState.Open && !this.#busy && this.entries === this.#entriesSeen;
    if (rests && ++this.#turns < REST_TURNS) this.#renew();
    else {
      this.#turns = 0;
      this.#entriesSeen = this.entries;
      void this.check();
    }
  }

  #renew(): void {
    if (!this.#rotation.due) return;
    this.#rotation.renew = true;
    this.#schedule();
  }

  #grow(size: number): void {
    const length = Math.min(Math.max(this.#gather.length * 2, this.#at + size), this.#maxPendingBytes);
    const larger = Buffer.allocUnsafeSlow(length);
    this.#gather.copy(larger, 0, 0, this.#at);
    this.#gather = larger;
  }

  /** Not at once: what arrives in the same turn of the event loop belongs to the same commit. */
  #schedule(): void {
    if (this.#busy || (this.#at === 0 && !this.#rotation.renew)) return;
    this.#busy = true;
    const wait = this.#paceMs - (this.#clock.elapsed() - this.#ended);
    const mayWait = !this.#settled.isAwaited && this.#next - this.#from < PACED_ENTRIES;
    if (wait > 0 && mayWait) this.#paced = setTimeout(this.#startCommit, wait);
    else setImmediate(this.#startCommit);
  }

  #hurry(): void {
    clearTimeout(this.#paced);
    this.#paced = undefined;
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
      [this.#flightReceived, this.#received] = [this.#received, Number.POSITIVE_INFINITY];
      this.#flightSince = this.#clock.elapsed();
      const relayed = this.#relayed;
      this.#relayed = false;
      const used = this.#numbering.take();
      const failure = await this.#write(batch, bytes, from, relayed, used);
      if (failure === null) await this.#release(to, bytes);
      else await this.#fail(from, failure);
      this.#flightSince = -1;
      this.#ended = this.#clock.elapsed();
    } else await this.#rotation.begin(from);
    this.#busy = false;
    this.#schedule();
  }

  /** Null when the bytes are on the disk. */
  async #write(batch: Buffer, bytes: number, from: number, relayed: boolean, used: ReadonlySet<Numbered>): Promise<AppError | null> {
    try {
      const segment = await this.#rotation.writable(from);
      if (relayed) await segment.markRelayed();
      await segment.append(batch, bytes, from, used);
      return null;
    } catch (error) {
      return error instanceof AppError ? error : new AppError('JOURNAL_FAILED', `${this.#directory}: ${messageOf(error)}`, error);
    }
  }

  async #release(to: number, bytes: number): Promise<void> {
    this.#onDisk = to;
    const isMarked = await this.#writeMark();
    this.commits++;
    this.bytesWritten += bytes;
    this.commitMs = this.#clock.elapsed() - this.#flightSince;
    this.#strikes = 0;
    this.#flightBytes = 0;
    if (isMarked) this.#announce();
    this.#settled.reach(to);
  }

  /** Invariant 12. */
  async #writeMark(): Promise<boolean> {
    try {
      await this.#mark.write(this.#onDisk);
      return true;
    } catch (error) {
      this.#troubles++;
      this.#refuse(JournalState.Sick, `the watermark cannot be written: ${messageOf(error)}`);
      return false;
    }
  }

  #announce(): void {
    this.durable = this.#onDisk;
    this.#options.onDurable(this.durable);
  }

  async #fail(from: number, error: AppError): Promise<void> {
    this.failedCommits++;
    this.#troubles++;
    this.#strikes++;
    const dead = this.#rotation.drop();
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
    this.#settled.reach(this.#from - 1);
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
    this.#numbering.take();
    this.#from = this.#next;
    if (from <= to) this.#options.onFailed(from, to, error);
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
      const lack = await this.#space.look();
      if (lack !== '') this.#refuse(JournalState.Full, lack);
      else if (this.state === JournalState.Full || this.state === JournalState.Sick) {
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

  /** Rejects unless the disk takes, synchronises and gives back a file, and what was left undone is done. */
  async #probe(): Promise<void> {
    if (this.#uncut !== null) {
      await this.#uncut.cut();
      await this.#uncut.seal();
      this.#uncut = null;
    }
    await this.#space.probe();
    // A commit in flight writes the mark itself.
    if (this.#busy) return;
    this.#busy = true;
    try {
      await this.#mark.close().catch(() => undefined);
      this.#mark = await WatermarkFile.open(this.#directory, this.#storage);
      await this.#mark.write(this.#onDisk);
      if (this.durable < this.#onDisk) this.#announce();
    } finally {
      this.#busy = false;
      this.#schedule();
    }
  }

  async #close(): Promise<void> {
    this.#refuse(JournalState.Closed, 'closed');
    this.#stopChecks();
    await this.flush();
    await this.#checking;
    this.#rotation.settle();
    await this.#rotation.segment?.seal();
    await this.#uncut?.cut().catch(() => undefined);
    await this.#uncut?.seal();
    if (this.durable < this.#onDisk && (await this.#writeMark())) this.#announce();
    await this.#mark.close();
  }
}
