import type { MetricsJson } from '../base/metrics/aggregate.ts';

/** What the metrics of all processes come to, as far as the status of the server shows it. */
export interface Totals {
  frames: number;
  records: number;
  bytesIn: number;
  bytesOut: number;
  answers: number;
  rejects: number;
  quarantine: number;
  journalBytes: number;
  refusing: number;
  /** Answers that took up to so many seconds, by that bound; cumulative. */
  readonly answerBuckets: Map<number, number>;
  /** By codec. */
  readonly connections: Map<string, number>;
  readonly malformed: Map<string, number>;
  /** By sink. */
  readonly sinkLag: Map<string, number>;
  /** By sink: before what everything is delivered, s since 1970; the earliest, where several processes say one. */
  readonly deliveredUntil: Map<string, number>;
  /** By slot: before what everything is on the disk, s since 1970. */
  readonly settledUntil: Map<string, number>;
  readonly sinkEntries: Map<string, number>;
  readonly sinkRows: Map<string, number>;
  readonly parked: Map<string, number>;
  readonly groups: { stream: string; group: string; lag: number; missed: number }[];
  /** By process, bytes and seconds. */
  readonly memory: Map<string, number>;
  readonly loopLag: Map<string, number>;
}

export function totalsOf(all: Iterable<readonly [process: string, metrics: MetricsJson]>): Totals {
  const totals: Totals = {
    frames: 0,
    records: 0,
    bytesIn: 0,
    bytesOut: 0,
    answers: 0,
    rejects: 0,
    quarantine: 0,
    journalBytes: 0,
    refusing: 0,
    answerBuckets: new Map(),
    connections: new Map(),
    malformed: new Map(),
    sinkLag: new Map(),
    deliveredUntil: new Map(),
    settledUntil: new Map(),
    sinkEntries: new Map(),
    sinkRows: new Map(),
    parked: new Map(),
    groups: [],
    memory: new Map(),
    loopLag: new Map(),
  };
  for (const [process, metrics] of all)
    for (const { name, values } of metrics)
      for (const { value, labels } of values) ADDING[name]?.(totals, value, (of) => String(labels[of] ?? ''), process);
  return totals;
}

type Adding = (totals: Totals, value: number, label: (of: string) => string, process: string) => void;

const summed = (to: 'frames' | 'records' | 'answers' | 'rejects' | 'refusing'): Adding => {
  return (totals, value) => {
    totals[to] += value;
  };
};
const by = (to: 'connections' | 'malformed' | 'sinkLag' | 'sinkEntries' | 'sinkRows' | 'parked', of: string): Adding => {
  return (totals, value, label) => plus(totals[to], label(of), value);
};

/** What a sample of a metric adds; the others add nothing. */
const ADDING: Readonly<Record<string, Adding>> = {
  fixgate_frames_total: summed('frames'),
  fixgate_records_total: summed('records'),
  fixgate_answers_total: summed('answers'),
  fixgate_rejects_total: summed('rejects'),
  fixgate_journal_refusing: summed('refusing'),
  fixgate_connections: by('connections', 'codec'),
  fixgate_malformed_frames_total: by('malformed', 'codec'),
  fixgate_sink_oldest_undelivered_seconds: by('sinkLag', 'sink'),
  fixgate_sink_undelivered_entries: by('sinkEntries', 'sink'),
  fixgate_sink_rows_total: by('sinkRows', 'sink'),
  fixgate_sink_parked_entries_total: by('parked', 'sink'),
  fixgate_bytes_total(totals, value, label) {
    if (label('direction') === 'in') totals.bytesIn += value;
    else totals.bytesOut += value;
  },
  // The shipper tells of all slots together, each worker of its own.
  fixgate_journal_size_bytes(totals, value) {
    totals.journalBytes = Math.max(totals.journalBytes, value);
  },
  fixgate_quarantine_devices(totals, value) {
    totals.quarantine = Math.max(totals.quarantine, value);
  },
  fixgate_answer_seconds(totals, value, label) {
    // The sum and the count have no bound.
    const bound = label('le');
    if (bound !== '') plus(totals.answerBuckets, bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound), value);
  },
  fixgate_sink_delivered_until_seconds({ deliveredUntil }, value, label) {
    const sink = label('sink');
    deliveredUntil.set(sink, Math.min(value, deliveredUntil.get(sink) ?? value));
  },
  fixgate_journal_settled_until_seconds({ settledUntil }, value, label) {
    settledUntil.set(label('slot'), value);
  },
  fixgate_stream_group_lag_entries(totals, value, label) {
    group(totals, label('stream'), label('group')).lag = value;
  },
  fixgate_stream_group_missed_entries(totals, value, label) {
    group(totals, label('stream'), label('group')).missed = value;
  },
  fixgate_resident_memory_bytes: (totals, value, _label, process) => plus(totals.memory, process, value),
  fixgate_event_loop_lag_seconds: (totals, value, _label, process) => plus(totals.loopLag, process, value),
};

function plus<K>(sums: Map<K, number>, key: K, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value);
}

function group({ groups }: Totals, stream: string, name: string): Totals['groups'][number] {
  let found = groups.find((one) => one.stream === stream && one.group === name);
  if (found === undefined) {
    found = { stream, group: name, lag: 0, missed: 0 };
    groups.push(found);
  }
  return found;
}

/** This share of the answers took up to so many ms; null where there were none. `buckets`: seconds → answers up to there. */
export function p(buckets: ReadonlyMap<number, number>, share: number): number | null {
  const bounds = [...buckets].sort(([a], [b]) => a - b);
  const all = bounds.at(-1)?.[1] ?? 0;
  if (all === 0) return null;
  const wanted = share * all;
  let [from, before] = [0, 0];
  for (const [bound, count] of bounds) {
    if (count >= wanted) {
      if (!Number.isFinite(bound)) return 1000 * from;
      const within = count === before ? 1 : (wanted - before) / (count - before);
      return Math.round(1e6 * (from + within * (bound - from))) / 1000;
    }
    [from, before] = [bound, count];
  }
  return 1000 * from;
}
