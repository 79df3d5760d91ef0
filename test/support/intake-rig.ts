import { silentLog } from '../../src/base/log.ts';
import { createMetrics } from '../../src/base/metrics/catalog.ts';
import { hex } from '../../src/base/wire/index.ts';
import type { IntakeHost, Link } from '../../src/in/intake/host.ts';
import { Refusals } from '../../src/in/intake/refusals.ts';
import { Scratch } from '../../src/in/intake/scratch.ts';
import { Clocks } from '../../src/in/session/clocks.ts';
import { CodecCounters } from '../../src/in/session/counters.ts';
import type { EntrySink } from '../../src/in/session/entry-sink.ts';
import { Meters } from '../../src/in/session/meter.ts';
import type { Session } from '../../src/in/session/session.ts';
import { Sightings } from '../../src/in/session/sightings.ts';
import { SessionTable } from '../../src/in/session/table.ts';
import type { KeptOptions } from '../../src/journal/definition.ts';
import { EntryKind, type Marks, type Origin } from '../../src/journal/entry.ts';
import { Sights } from '../../src/live/sights.ts';
import { Traces } from '../../src/live/traces.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { MemoryProfiles } from '../helpers/memory-profiles.ts';
import { NO_DELIVERY } from '../helpers/no-delivery.ts';
import { OPEN_REGISTRY } from '../helpers/open-registry.ts';

/** What the journal was given. */
export interface Entry {
  readonly sequence: number;
  readonly device: string;
  readonly peer: string;
  readonly account: string;
  readonly options: KeptOptions | null;
  readonly kind: EntryKind;
  readonly memo: number;
  readonly accepted: number;
  /** Hex of the mask of records that are kept, or `all`. */
  readonly keep: string;
  readonly relay: boolean;
  readonly bytes: Uint8Array;
  /** Hex of a frame, text of anything else. */
  readonly payload: string;
}

/** A journal in memory, whose watermark the test moves. */
export class MemoryJournal implements EntrySink {
  durable: number;
  accepting = true;
  readonly entries: Entry[] = [];

  constructor(durable = 0) {
    this.durable = durable;
  }

  append(
    { definition, device, peer }: Origin,
    kind: EntryKind,
    _received: number,
    memo: number,
    accepted: number,
    lent: Uint8Array,
    start: number,
    end: number,
    marks?: Marks,
  ): number {
    if (!this.accepting) return -1;
    // A copy, also of a Buffer.
    const bytes = new Uint8Array(lent.subarray(start, end));
    return this.entries.push({
      sequence: this.entries.length + 1,
      device,
      peer,
      account: definition.account,
      options: definition.options,
      kind,
      memo,
      accepted,
      keep: marks?.keep == null ? 'all' : hex(marks.keep, 0, Math.ceil(accepted / 8)),
      relay: marks?.relay ?? false,
      bytes,
      payload: kind === EntryKind.Frame ? hex(bytes, 0, bytes.length) : new TextDecoder().decode(bytes),
    });
  }

  get frames(): Entry[] {
    return this.entries.filter(({ kind }) => kind === EntryKind.Frame);
  }

  /** What the events say, with the device that each is of. */
  get events(): Record<string, unknown>[] {
    return this.#said(EntryKind.Event);
  }

  get usage(): Record<string, unknown>[] {
    return this.#said(EntryKind.Usage);
  }

  #said(wanted: EntryKind): Record<string, unknown>[] {
    return this.entries.filter(({ kind }) => kind === wanted).map(({ device, payload }) => ({ device, ...JSON.parse(payload) }));
  }
}

/** A link that goes nowhere, and what was asked of it. */
export class RecordedLink implements Link {
  /** Hex of each write. */
  readonly sent: string[] = [];
  readonly closes: string[] = [];
  readonly finishes: string[] = [];
  readonly rates: number[] = [];
  drains = 0;

  send(bytes: Uint8Array): void {
    this.sent.push(hex(bytes, 0, bytes.length));
  }

  close(reason: string): void {
    this.closes.push(reason);
  }

  finish(reason: string): void {
    this.finishes.push(reason);
  }

  drained(): void {
    this.drains++;
  }

  throttle(bytesPerS: number): void {
    this.rates.push(bytesPerS);
  }

  /** Rate at which the socket is read now, bytes per second; 0: as they come. */
  get rate(): number {
    return this.rates.at(-1) ?? 0;
  }
}

const NO_OPTIONS = {};

/**
 * The parts that the intakes of one worker share, for tests without a worker: everything is there and asks nothing, but for what is
 * given. The journal is in memory and durable at once, time stands still.
 */
export function intakeHost(parts: Partial<IntakeHost> = {}): IntakeHost {
  const clock = parts.clock ?? new FakeClock();
  const journal = parts.journal ?? new MemoryJournal(Number.MAX_SAFE_INTEGER - 1);
  const metrics = parts.metrics ?? createMetrics();
  return {
    journal,
    sessions: new SessionTable<Session>(),
    profiles: new MemoryProfiles(),
    ...OPEN_REGISTRY,
    delivery: NO_DELIVERY,
    meters: new Meters(journal, clock),
    clocks: new Clocks(),
    sightings: new Sightings(
      () => {},
      () => {},
    ),
    metrics,
    clock,
    log: silentLog,
    owing: new Set(),
    scratch: new Scratch(),
    traces: new Traces(() => clock.now()),
    sights: new Sights(() => clock.elapsed()),
    refusals: new Refusals(silentLog, () => clock.elapsed()),
    counters: (codec) => new CodecCounters(metrics, codec),
    options: () => NO_OPTIONS,
    ...parts,
  };
}
