import { type Metrics, REJECT_REASONS } from '../base/metrics/catalog.ts';
import { type Codec, FRAME_KIND_NAMES, ROW_FLAG_NAMES } from '../codec/index.ts';
import type { Config } from '../config/schema.ts';
import { COMMAND_STATES } from '../fleet/command/command.ts';
import { STEP_ACTIONS } from '../fleet/plan/plan.ts';
import { TREATED_WHY } from '../fleet/plan/treatment.ts';
import { ENTRY_TYPES } from '../fleet/privacy/trail.ts';
import { LOCATOR_OUTCOMES } from '../in/session/places.ts';
import { TEXT_OUTCOMES } from '../in/sms/inbox.ts';
import { ERASED_TABLES } from '../out/sink/clickhouse/erase.ts';

/**
 * The counters whose labels are known before anything has happened, at zero: a series that begins above zero has no increase, and an
 * alert on it would miss the first time. Only the supervisor does this, which lives as long as the server.
 */

const TRANSPORTS = ['tcp', 'udp'];
/** Reasons that no codec names. */
const FRAME_REASONS = ['unidentified', 'device_id', 'codec_error'];
/** Why connections end, beside refusals. */
const CLOSES = [
  ...['device', 'reset', 'socket_error', 'idle', 'identify_timeout', 'frame_timeout', 'unread', 'drain', 'superseded', 'asked'],
  ...['journal_failed', 'registry_slow', 'alias_changed', 'strikes', 'noise', 'frame_too_long', 'codec_error'],
];

interface Zeroed<L> {
  inc(labels: L, value: number): void;
}

function zero<L extends object>(counter: NoInfer<Zeroed<L>>, ...labels: readonly L[]): void {
  for (const one of labels) counter.inc(one, 0);
}

export function firstValues(metrics: Metrics, codecs: ReadonlyMap<string, Codec>, config: Config): void {
  for (const codec of codecs.values()) ofCodec(metrics, codec);
  for (const transport of TRANSPORTS) {
    for (const direction of ['in', 'out']) zero(metrics.bytes, { transport, direction });
    zero(metrics.unidentifiedBytes, { transport });
    zero(metrics.superseded, { transport });
  }
  zero(metrics.rejects, ...REJECT_REASONS.map((reason) => ({ reason })));
  zero(metrics.closes, ...[...new Set([...CLOSES, ...REJECT_REASONS, ...TREATED_WHY])].map((reason) => ({ reason })));
  zero(metrics.withheld, ...['erased', 'unit', ...TREATED_WHY].map((reason) => ({ reason })));
  zero(metrics.alarmsPassed, ...TREATED_WHY.map((reason) => ({ reason })));
  zero(metrics.locator, ...LOCATOR_OUTCOMES.map((outcome) => ({ outcome })));
  zero(metrics.texts, ...TEXT_OUTCOMES.map((outcome) => ({ outcome })));
  zero(metrics.commands, ...COMMAND_STATES.map((state) => ({ state })));
  for (const state of ['passed', 'failed', 'interrupted']) zero(metrics.installationTests, { state });
  for (const state of ['stopped', 'cancelled', 'done']) zero(metrics.campaigns, { state });
  zero(metrics.planActions, ...STEP_ACTIONS.map((action) => ({ action })));
  zero(metrics.timeAnomalies, ...ROW_FLAG_NAMES.filter((flag) => flag !== 'buffered').map((flag) => ({ flag })));
  zero(metrics.retentionRows, ...ERASED_TABLES.map((table) => ({ table })));
  zero(metrics.audit, ...ENTRY_TYPES.map((type) => ({ type })));
  for (const kind of ['locations', 'master'])
    zero(metrics.forwards, ...['taken', 'refused', 'unanswered'].map((outcome) => ({ kind, outcome })));
  zero(metrics.relayDropped, { reason: 'no_stream' }, { reason: 'unreadable' });
  zero(metrics.cursorLost, { outcome: 'resumed' }, { outcome: 'repeated' });
  const processes = ['worker', 'shipper', ...(config.clickhouse.url === undefined ? ['clickhouse'] : [])];
  zero(metrics.restarts, ...processes.map((process) => ({ process })));
  for (const sink of [
    'clickhouse',
    ...(config.redis.url === undefined ? [] : ['redis']),
    ...(config.dlt.url === undefined ? [] : ['dlt']),
    'state',
  ])
    ofSink(metrics, sink);
}

function ofCodec(metrics: Metrics, { name: codec, reasons }: Codec): void {
  for (const transport of TRANSPORTS) zero(metrics.accepts, { codec, transport });
  for (const result of FRAME_KIND_NAMES) zero(metrics.frames, { codec, result });
  for (const reason of [...reasons, ...FRAME_REASONS]) zero(metrics.malformed, { codec, reason });
  for (const reason of reasons) zero(metrics.damaged, { codec, reason });
  for (const counter of [metrics.noiseBytes, metrics.records, metrics.answers, metrics.connections]) zero(counter, { codec });
}

function ofSink(metrics: Metrics, sink: string): void {
  for (const outcome of ['delivered', 'retry']) zero(metrics.sinkBatches, { sink, outcome });
  for (const kind of ['fix', 'status', 'event', 'usage', 'audit']) zero(metrics.sinkRows, { sink, kind });
  for (const counter of [metrics.duplicates, metrics.parked, metrics.erasedRecords]) zero(counter, { sink });
  metrics.sinkSeconds.zero({ sink });
}
