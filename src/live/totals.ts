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
    sinkEntries: new Map(),
    sinkRows: new Map(),
    parked: new Map(),
    groups: [],
    memory: new Map(),
    loopLag: new Map(),
  };
  for (const [process, metrics] of all)
    for (const { name, values } of metrics)
      for (const one of values) add(totals, process, name, 'metricName' in one ? String(one.metricName) : '', one.value, one.labels);
  return totals;
}

type Labels = Readonly<Partial<Record<string, string | number>>>;

function add(totals: Totals, process: string, name: string, part: string, value: number, labels: Labels): void {
  const label = (of: string): string => String(labels[of] ?? '');
  switch (name) {
    case 'fixgate_frames_total':
      totals.frames += value;
      break;
    case 'fixgate_records_total':
      totals.records += value;
      break;
    case 'fixgate_bytes_total':
      if (label('direction') === 'in') totals.bytesIn += value;
      else totals.bytesOut += value;
      break;
    case 'fixgate_answers_total':
      totals.answers += value;
      break;
    case 'fixgate_rejects_total':
      totals.rejects += value;
      break;
    case 'fixgate_quarantine_devices':
      totals.quarantine = Math.max(totals.quarantine, value);
      break;
    case 'fixgate_journal_size_bytes':
      totals.journalBytes += value;
      break;
    case 'fixgate_journal_refusing':
      totals.refusing += value;
      break;
    case 'fixgate_answer_seconds':
      if (part.endsWith('_bucket'))
        plus(totals.answerBuckets, label('le') === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels['le']), value);
      break;
    case 'fixgate_connections':
      plus(totals.connections, label('codec'), value);
      break;
    case 'fixgate_malformed_frames_total':
      plus(totals.malformed, label('codec'), value);
      break;
    case 'fixgate_sink_oldest_undelivered_seconds':
      plus(totals.sinkLag, label('sink'), value);
      break;
    case 'fixgate_sink_undelivered_entries':
      plus(totals.sinkEntries, label('sink'), value);
      break;
    case 'fixgate_sink_rows_total':
      plus(totals.sinkRows, label('sink'), value);
      break;
    case 'fixgate_sink_parked_entries_total':
      plus(totals.parked, label('sink'), value);
      break;
    case 'fixgate_stream_group_lag_entries':
      group(totals, label('stream'), label('group')).lag = value;
      break;
    case 'fixgate_stream_group_missed_entries':
      group(totals, label('stream'), label('group')).missed = value;
      break;
    case 'fixgate_resident_memory_bytes':
      plus(totals.memory, process, value);
      break;
    case 'fixgate_event_loop_lag_seconds':
      plus(totals.loopLag, process, value);
      break;
  }
}

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
