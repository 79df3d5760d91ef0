import type { Clock } from '../../base/clock.ts';
import { EntryKind, type Origin } from '../../journal/entry.ts';
import { encodeUsage, type Network, type Traffic } from '../../journal/usage.ts';
import type { EntrySink } from './entry-sink.ts';

/**
 * What passed the sockets of one worker, by device (promise 8), on its way into the journal as usage entries.
 *
 *     socket ─▶ meter ─16 KiB, 5 s, end of the session─▶ journal ─▶ durable: forgotten here
 *                 ▲                                         └─▶ failed ─┐
 *                 └──────────────────────────────────────────────────────┘
 *
 * 1. Each byte is in exactly one usage entry that is durable, or in its device's meter.
 * 2. While the journal refuses, nothing is forgotten: what waits is tried again.
 * 3. A killed worker loses what no commit had made durable: what came in the last 5 s, of each device at most 16 KiB, one
 *    read of its socket, and what was under way to the disk.
 * 4. A device has one meter, however many connections, so that one that comes and goes costs no more entries. Memory: the
 *    meters of devices that are connected, or have something that waits.
 */
const GATHER_BYTES = 16_384;
/** Age at which what has gathered is journaled; with a turn of the timer on top it is at most 5 s. */
const GATHER_MS = 4_000;
export const METER_TICK_MS = 1_000;

/** What has gathered and is in no entry yet. After adding to it, call `Meters.noted`. */
export class Meter implements Traffic {
  in = 0;
  out = 0;
  segments = 0;
  datagrams = 0;
  records = 0;
  /** Over which the device speaks, as far as it has said so. */
  network: Network | undefined;
  /** Undefined until the device is identified. */
  origin: Origin | undefined;
  /** Connections that hold it. */
  users = 0;
  /** Since when something waits, monotonic ms; -1: nothing does. */
  since = -1;

  constructor(origin: Origin | undefined) {
    this.origin = origin;
  }

  add(traffic: Traffic): void {
    this.in += traffic.in;
    this.out += traffic.out;
    this.segments += traffic.segments;
    this.datagrams += traffic.datagrams;
    this.records += traffic.records;
  }

  get isEmpty(): boolean {
    return this.in + this.out + this.segments + this.datagrams + this.records === 0;
  }

  clear(): void {
    this.in = 0;
    this.out = 0;
    this.segments = 0;
    this.datagrams = 0;
    this.records = 0;
    this.since = -1;
  }
}

interface UnderWay extends Traffic {
  readonly sequence: number;
  readonly origin: Origin;
}

export class Meters {
  readonly #journal: EntrySink;
  readonly #clock: Clock;
  readonly #meters = new Map<string, Meter>();
  /** Those that have something, the one that has had it longest first. */
  readonly #waiting = new Set<Meter>();
  /** Appended and not durable, in the order of their sequences. */
  readonly #underWay: UnderWay[] = [];

  constructor(journal: EntrySink, clock: Clock) {
    this.#journal = journal;
    this.#clock = clock;
  }

  /** The meter of the origin's device; each call needs a `close`. */
  open(origin: Origin): Meter {
    const meter = this.#of(origin);
    meter.users++;
    return meter;
  }

  close(meter: Meter): void {
    meter.users--;
    this.#forget(meter);
  }

  /** The device has another account: what has gathered under the old one is journaled, as far as the journal accepts it. */
  turn(meter: Meter, origin: Origin): void {
    this.journal(meter);
    meter.origin = origin;
  }

  /** The device is served by another network: what has gathered under the one before is journaled, as far as the journal accepts it. */
  roam(meter: Meter, network: Network): void {
    if (meter.network !== undefined) this.journal(meter);
    meter.network = network;
  }

  /** Something was added. */
  noted(meter: Meter): void {
    if (meter.since < 0) this.#wait(meter);
    if (meter.in + meter.out >= GATHER_BYTES) this.journal(meter);
  }

  /** Journals what has gathered; false when the journal refuses. */
  journal(meter: Meter): boolean {
    const { origin } = meter;
    if (meter.since < 0 || origin === undefined) return true;
    const bytes = encodeUsage(meter);
    const sequence = this.#journal.append(origin, EntryKind.Usage, this.#clock.now(), 0, 0, bytes, 0, bytes.length);
    if (sequence < 0) return false;
    const { in: bytesIn, out, segments, datagrams, records, network } = meter;
    this.#underWay.push({ sequence, origin, in: bytesIn, out, segments, datagrams, records, network });
    meter.clear();
    this.#waiting.delete(meter);
    this.#forget(meter);
    return true;
  }

  /** To be called every METER_TICK_MS. */
  tick(): void {
    const due = this.#clock.elapsed() - GATHER_MS;
    for (const meter of this.#waiting) if (meter.since > due || !this.journal(meter)) return;
  }

  /** Journals everything. */
  flush(): void {
    for (const meter of this.#waiting) if (!this.journal(meter)) return;
  }

  /** The journal is durable up to here. */
  durable(watermark: number): void {
    let settled = 0;
    while ((this.#underWay[settled]?.sequence ?? Number.POSITIVE_INFINITY) <= watermark) settled++;
    if (settled > 0) this.#underWay.splice(0, settled);
  }

  /** Entries of the journal are lost: what was in them is journaled again. */
  failed(from: number, to: number): void {
    for (let i = this.#underWay.length - 1; i >= 0; i--) {
      const lost = this.#underWay[i];
      if (lost === undefined || lost.sequence < from || lost.sequence > to) continue;
      this.#underWay.splice(i, 1);
      const meter = this.#of(lost.origin);
      if (meter.isEmpty) meter.network = lost.network;
      meter.add(lost);
      if (meter.since < 0) this.#wait(meter);
    }
  }

  #of(origin: Origin): Meter {
    let meter = this.#meters.get(origin.device);
    if (meter === undefined) {
      meter = new Meter(origin);
      this.#meters.set(origin.device, meter);
    }
    return meter;
  }

  #wait(meter: Meter): void {
    if (meter.origin === undefined || meter.isEmpty) return;
    meter.since = this.#clock.elapsed();
    this.#waiting.add(meter);
  }

  /** No session holds it and nothing waits. */
  #forget(meter: Meter): void {
    if (meter.users <= 0 && meter.since < 0 && meter.origin !== undefined) this.#meters.delete(meter.origin.device);
  }
}
