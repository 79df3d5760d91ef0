import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { lookMs, systemClock } from '../../base/clock.ts';
import { type Erased, isErased, type Stretch } from '../../base/erased.ts';
import { messageOf } from '../../base/errors.ts';
import type { Storage } from '../../base/files.ts';
import type { Log } from '../../base/log.ts';
import { Seldom } from '../../base/seldom.ts';
import { hex } from '../../base/wire/index.ts';
import { windowOf } from '../../fleet/plan/evidence.ts';
import { EntryKind, type EntryView } from '../../journal/entry.ts';
import { JournalReader } from '../../journal/reader.ts';
import { listSegments, segmentName } from '../../journal/segment.ts';
import type { Evidence, RawFrame } from '../sink/clickhouse/evidence.ts';
import { idOf } from './take.ts';
import { isSlot } from './watermarks.ts';

/**
 * Copies the raw frames that evidence rests on from the journal to the table `raw`, where they outlive it. Runs in the shipper.
 *
 * 1. The same frame is the same row: what was copied before a crash is copied again.
 * 2. What is marked relay is not copied, nor what was erased; an erasure that comes while frames are on their way is made again behind them.
 */
export interface RawKeeperOptions {
  /** Directory of the slots. */
  readonly journal: string;
  readonly storage: Storage;
  readonly instance: string;
  readonly evidence: Pick<Evidence, 'instances' | 'add' | 'erase'>;
  readonly erased: () => Erased;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  readonly log: Log;
  /** ClickHouse has been reached, and has the tables. */
  readonly ready: () => boolean;
  readonly everyMs?: number | undefined;
}

const EVERY_MS = 30_000;
/** Events may be delivered so late. */
const LOOK_BACK_MS = 7 * 86_400_000;
/** Instances that are remembered as done. */
const MOST_DONE = 100_000;
/** Of one instance. */
const MOST_FRAMES = 5_000;
const PAGE = 1_000;
/** After so many entries the event loop gets a turn. */
const BREATH_ENTRIES = 256;
/** Entries stand in the journal in the order of their receipt, nearly. */
const SLACK_MS = 60_000;

interface Span {
  readonly from: number;
  readonly to: number;
  left: number;
}

export class RawKeeper {
  readonly #o: RawKeeperOptions;
  readonly #done = new Set<string>();
  readonly #trouble = new Seldom('raw frames of evidence cannot be kept; retrying', systemClock);
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> | undefined;
  #stopped = false;

  constructor(options: RawKeeperOptions) {
    this.#o = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), this.#o.everyMs ?? lookMs(EVERY_MS));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#working;
  }

  #tick(): void {
    if (!this.#o.ready()) return;
    this.#working ??= this.keep()
      .catch((error: unknown) => this.#trouble.warn(this.#o.log, { error: messageOf(error) }))
      .finally(() => {
        this.#working = undefined;
      });
  }

  /** Copies what is to be copied. What is old goes by retention (`fleet/privacy/retention.ts`). */
  async keep(): Promise<void> {
    const { evidence, now } = this.#o;
    const instances = (await evidence.instances(undefined, now() - LOOK_BACK_MS, now() + LOOK_BACK_MS)).filter(
      ({ id }) => !this.#done.has(id),
    );
    const spans = new Map<string, Span[]>();
    for (const { device, type, figures, time } of instances) {
      const window = windowOf(type, figures, time);
      if (window !== undefined) spans.set(device, [...(spans.get(device) ?? []), { ...window, left: MOST_FRAMES }]);
    }
    if (spans.size > 0) await this.#copy(spans);
    if (this.#stopped) return;
    for (const { id } of instances) this.#done.add(id);
    for (const id of this.#done) {
      if (this.#done.size <= MOST_DONE) break;
      this.#done.delete(id);
    }
  }

  async #copy(spans: ReadonlyMap<string, readonly Span[]>): Promise<void> {
    const { journal, storage } = this.#o;
    const all = [...spans.values()].flat();
    const from = Math.min(...all.map((span) => span.from));
    const to = Math.max(...all.map((span) => span.to));
    for (const slot of (await storage.list(journal)).filter(isSlot)) await this.#copySlot(slot, spans, from, to);
  }

  async #copySlot(slot: string, spans: ReadonlyMap<string, readonly Span[]>, from: number, to: number): Promise<void> {
    const { journal, storage } = this.#o;
    const directory = join(journal, slot);
    const first = await firstSince(storage, directory, from);
    if (first === undefined) return;
    const reader = new JournalReader(directory, storage, first);
    const frames: RawFrame[] = [];
    let count = 0;
    try {
      while (!this.#stopped && (await reader.fill())) {
        for (let entry = reader.peek(); entry !== null; entry = reader.peek()) {
          if (entry.received > to + SLACK_MS) return await this.#add(frames);
          const frame = this.#wanted(slot, entry, spans);
          if (frame !== undefined) frames.push(frame);
          reader.advance();
          if (++count % BREATH_ENTRIES === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        if (frames.length >= PAGE) await this.#add(frames.splice(0));
      }
      await this.#add(frames);
    } finally {
      await reader.close();
    }
  }

  #wanted(slot: string, entry: EntryView, spans: ReadonlyMap<string, readonly Span[]>): RawFrame | undefined {
    if (entry.kind !== EntryKind.Frame || entry.relay) return undefined;
    const { device, received: time } = entry;
    const span = spans.get(device)?.find((one) => one.from <= time && time <= one.to && one.left > 0);
    if (span === undefined || isErased(this.#o.erased().get(device) ?? [], entry.account, time)) return undefined;
    span.left--;
    const { bytes, start, end, account, codec: protocol, peer } = entry;
    const id = idOf(slot, entry, this.#o.instance);
    const sha256 = createHash('sha256').update(bytes.subarray(start, end)).digest('hex');
    return { device, time, id, account, protocol, transport: entry.transport, peer, frame: hex(bytes, start, end), sha256 };
  }

  /** Invariant 2. */
  async #add(frames: readonly RawFrame[]): Promise<void> {
    const { evidence, erased } = this.#o;
    for (let at = 0; at < frames.length; at += PAGE) await evidence.add(frames.slice(at, at + PAGE));
    const gone = new Map<string, readonly Stretch[]>();
    for (const { device, account, time } of frames) {
      const stretches = erased().get(device) ?? [];
      if (isErased(stretches, account, time)) gone.set(device, stretches);
    }
    if (gone.size > 0) await evidence.erase(gone);
  }
}

/** Sequence of the first segment that was written to since, epoch ms. */
async function firstSince(storage: Storage, directory: string, since: number): Promise<number | undefined> {
  for (const first of await listSegments(storage, directory)) {
    const stat = await storage.stat(join(directory, segmentName(first)));
    if (stat !== null && stat.modified >= since) return first;
  }
  return undefined;
}
