import { every } from '../base/beat.ts';
import type { Clock } from '../base/clock.ts';
import { Vitals } from '../base/descriptors.ts';
import { nodeStorage } from '../base/files.ts';
import type { MetricsJson } from '../base/metrics/aggregate.ts';
import { version } from '../base/version.ts';
import { p, type Totals, totalsOf } from './totals.ts';

/**
 * How the whole server is doing, from what its processes report anyway.
 *
 * 1. Asking touches no store and reads no file: everything is in memory, also of the hour before.
 * 2. A counter that goes back, as when a process has ended and its remainder is not added yet, makes no negative rate.
 */

/** How a part is doing. */
export interface PartHealth {
  readonly state: 'up' | 'degraded' | 'down';
  readonly reason: string;
}

interface ProcessFacts {
  readonly name: string;
  readonly state: 'up' | 'degraded' | 'down' | 'starting';
  /** 0: it does not run. */
  readonly pid: number;
  /** After an unexpected end. */
  readonly restarts: number;
}

/** What the supervisor knows. */
export interface ServerFacts {
  readiness(): { readonly status: 'ready' | 'degraded' | 'unready'; readonly parts: Readonly<Record<string, PartHealth>> };
  processes(): readonly ProcessFacts[];
  /** By process; that of the supervisor itself and what ended ones have left have names of their own. */
  metrics(): Promise<Iterable<readonly [process: string, metrics: MetricsJson]>>;
  /** Devices with a session. */
  connected(): number;
  /** With the ports that they have. */
  listeners(): readonly { readonly codec: string; readonly transport: 'tcp' | 'udp'; readonly host: string; readonly port: number }[];
}

/** Devices by what is known of them in memory. */
export interface DeviceCounts {
  readonly known: number;
  readonly silent: number;
  readonly over_cap: number;
  readonly alarms_1h: number;
}

export interface StatusOptions {
  readonly facts: ServerFacts;
  readonly counts: () => DeviceCounts;
  readonly instance: string;
  readonly dataDir: string;
  /** Bytes that the journals of all slots may have together. */
  readonly journalBudget: number;
  readonly clock: Clock;
}

const SAMPLE_MS = 1_000;
/** Kept for rates and percentiles. */
const SAMPLES = 61;
const RATE_S = 10;
const STEP_S = 10;
/** An hour. */
const POINTS = 360;
/** How often the free space is asked for, in samples. */
const SPACE_EVERY = 10;

interface Sample {
  /** Monotonic ms. */
  readonly at: number;
  readonly totals: Totals;
}

interface Series {
  readonly records: number[];
  readonly answer_p99: (number | null)[];
  readonly lag: Record<string, number[]>;
}

export class StatusBoard {
  readonly #o: StatusOptions;
  readonly #started: number;
  readonly #vitals = new Vitals();
  readonly #samples: Sample[] = [];
  readonly #series: Series = { records: [], answer_p99: [], lag: {} };
  readonly #since = new Map<string, { readonly state: string; readonly since: number }>();
  #seriesAt = 0;
  #taken = 0;
  #freeBytes = 0;
  #stop: (() => void) | undefined;
  #sampling: Promise<void> | undefined;

  constructor(options: StatusOptions) {
    this.#o = options;
    this.#started = options.clock.now();
    // From here on it is known without reading a file.
    version();
  }

  start(): void {
    this.#stop = every(SAMPLE_MS, () => {
      this.#sampling ??= this.sample().finally(() => {
        this.#sampling = undefined;
      });
    });
  }

  stop(): void {
    this.#stop?.();
  }

  /** Takes one look. Never rejects. */
  async sample(): Promise<void> {
    const { facts, clock, dataDir } = this.#o;
    try {
      const totals = totalsOf(await facts.metrics());
      if (this.#taken % SPACE_EVERY === 0) this.#freeBytes = await nodeStorage.freeBytes(dataDir).catch(() => this.#freeBytes);
      this.#samples.push({ at: clock.elapsed(), totals });
      if (this.#samples.length > SAMPLES) this.#samples.shift();
      if (++this.#taken % STEP_S === 0) this.#step(totals);
    } catch {
      // The next look is in a second.
    }
  }

  /** `series`: with the hour before. */
  read(series = true) {
    const { facts, counts, instance, journalBudget, clock } = this.#o;
    const now = clock.now();
    const { status, parts } = facts.readiness();
    const last = this.#samples.at(-1)?.totals ?? totalsOf([]);
    const devices = counts();
    const connected = facts.connected();
    const answers = this.#differenceOf(SAMPLES - 1, ({ answerBuckets }) => answerBuckets);
    const lags = [...last.sinkLag.values()];
    const lagOf = (process: string): number => Math.round(1000 * (last.loopLag.get(process) ?? 0));
    const refusing = Object.entries(parts).find(([name, { state }]) => name.startsWith('worker-') && state === 'down');
    return {
      version: version(),
      instance,
      started: this.#started,
      at: now,
      ready: { status, parts },
      devices: {
        ...devices,
        connected,
        offline: Math.max(0, devices.known - connected),
        quarantined: last.quarantine,
      },
      rates: {
        frames: this.#rate((totals) => totals.frames),
        records: this.#rate((totals) => totals.records),
        bytes_in: this.#rate((totals) => totals.bytesIn),
        bytes_out: this.#rate((totals) => totals.bytesOut),
        answers: this.#rate((totals) => totals.answers),
      },
      answer_ms: { p50: p(answers, 0.5), p95: p(answers, 0.95), p99: p(answers, 0.99) },
      journal: {
        bytes: last.journalBytes,
        budget: journalBudget,
        free_bytes: this.#freeBytes,
        state: last.refusing > 0 ? 'refusing' : 'open',
        reason: last.refusing > 0 ? (refusing?.[1].reason ?? '') : '',
        oldest_undelivered_s: Math.max(0, ...lags),
      },
      sinks: [...last.sinkLag].map(([name, lag_s]) => this.#sink(name, lag_s, parts[name], last, now)),
      groups: last.groups,
      processes: [
        {
          name: 'supervisor',
          state: 'up',
          pid: process.pid,
          restarts: 0,
          rss: this.#vitals.take().memoryBytes,
          loop_lag_ms: lagOf('supervisor'),
        },
        ...facts.processes().map((one) => ({
          ...one,
          rss: last.memory.get(one.name) ?? 0,
          loop_lag_ms: lagOf(one.name),
        })),
      ],
      listeners: facts.listeners().map(({ codec, transport, host, port }) => ({
        codec,
        transport,
        host,
        port,
        connections: transport === 'tcp' ? (last.connections.get(codec) ?? 0) : 0,
        malformed_per_min: this.#perMinute((totals) => totals.malformed.get(codec) ?? 0),
        rejects_per_min: this.#perMinute((totals) => totals.rejects),
      })),
      ...(series ? { series: { at: this.#seriesAt, step_s: STEP_S, ...this.#series } } : {}),
    };
  }

  #sink(name: string, lag_s: number, health: PartHealth | undefined, last: Totals, now: number) {
    const state = health?.state ?? 'down';
    const before = this.#since.get(name);
    const since = before?.state === state ? before.since : now;
    this.#since.set(name, { state, since });
    const reason = health?.reason ?? 'the shipper is starting';
    return {
      name,
      state,
      ...(reason === '' ? {} : { reason }),
      ...(state === 'up' ? {} : { since }),
      lag_s,
      entries: last.sinkEntries.get(name) ?? 0,
      rows_per_s: this.#rate((totals) => totals.sinkRows.get(name) ?? 0),
      parked: last.parked.get(name) ?? 0,
    };
  }

  #step(totals: Totals): void {
    const { records, answer_p99, lag } = this.#series;
    this.#seriesAt = this.#o.clock.now();
    push(
      records,
      this.#rate((of) => of.records),
    );
    push(
      answer_p99,
      p(
        this.#differenceOf(STEP_S, ({ answerBuckets }) => answerBuckets),
        0.99,
      ),
    );
    for (const [sink, lag_s] of totals.sinkLag) {
      // As long as the others, with nothing where the sink was not known.
      lag[sink] ??= Array.from({ length: records.length - 1 }, () => 0);
      push(lag[sink], lag_s);
    }
  }

  /** Per second over the last ten. */
  #rate(of: (totals: Totals) => number): number {
    return this.#per(RATE_S, of);
  }

  #perMinute(of: (totals: Totals) => number): number {
    return Math.round(60 * this.#per(SAMPLES - 1, of));
  }

  #per(seconds: number, of: (totals: Totals) => number): number {
    const last = this.#samples.at(-1);
    const first = this.#samples.at(-1 - Math.min(seconds, this.#samples.length - 1));
    if (last === undefined || first === undefined || last === first) return 0;
    // Invariant 2.
    return Math.max(0, Math.round((10_000 * (of(last.totals) - of(first.totals))) / (last.at - first.at)) / 10);
  }

  /** What has come to each bucket in so many seconds. */
  #differenceOf(seconds: number, of: (totals: Totals) => ReadonlyMap<number, number>): ReadonlyMap<number, number> {
    const last = this.#samples.at(-1);
    const first = this.#samples.at(-1 - Math.min(seconds, this.#samples.length - 1));
    const found = new Map<number, number>();
    if (last === undefined || first === undefined || last === first) return found;
    const before = of(first.totals);
    for (const [bound, count] of of(last.totals)) found.set(bound, Math.max(0, count - (before.get(bound) ?? 0)));
    return found;
  }
}

function push<T>(points: T[], point: T): void {
  points.push(point);
  if (points.length > POINTS) points.shift();
}
