/**
 * What makes each alert of deploy/prometheus/rules.yml fire, and what does not: series, a value each ten seconds in the notation of
 * `promtool test rules`, without the labels `job` and `instance`.
 */
interface AlertCase {
  readonly alert: string;
  readonly series: Readonly<Record<string, string>>;
  /** When, and with which labels beside `severity`, `job` and `instance`. */
  readonly fires: readonly { readonly at: string; readonly labels?: Readonly<Record<string, string>> }[];
  readonly quiet: readonly string[];
}

const SINK = { sink: 'redis' };

export const ALERT_CASES: readonly AlertCase[] = [
  { alert: 'FixgateDown', series: { up: '1+0x6 0+0x30' }, fires: [{ at: '2m' }], quiet: ['1m', '1m20s'] },
  {
    alert: 'FixgateJournalRefusing',
    series: { 'fixgate_journal_refusing{slot="0"}': '0+0x6 1+0x30', 'fixgate_journal_refusing{slot="1"}': '0+0x40' },
    fires: [{ at: '2m', labels: { slot: '0' } }],
    quiet: ['1m'],
  },
  {
    alert: 'FixgateDiskLow',
    series: { fixgate_data_free_bytes: '2000+0x6 900+0x30', fixgate_data_reserve_bytes: '256+0x40' },
    fires: [{ at: '2m' }],
    quiet: ['1m'],
  },
  {
    alert: 'FixgateJournalDamaged',
    series: { fixgate_journal_bad_entries_total: '0+0x6 1+0x200', fixgate_journal_failures_total: '0+0x220' },
    fires: [{ at: '2m' }],
    quiet: ['1m', '25m'],
  },
  {
    // A disk that failed before the first look.
    alert: 'FixgateJournalDamaged',
    series: { fixgate_journal_failures_total: '1+0x200' },
    fires: [{ at: '1m' }],
    quiet: ['25m'],
  },
  { alert: 'FixgateStateStoreAway', series: { fixgate_state_store_up: '1+0x6 0+0x30' }, fires: [{ at: '2m' }], quiet: ['1m'] },
  {
    alert: 'FixgateSinkAway',
    series: { 'fixgate_sink_up{sink="redis"}': '1+0x6 0+0x30', 'fixgate_sink_up{sink="clickhouse"}': '1+0x40' },
    fires: [{ at: '2m', labels: SINK }],
    quiet: ['1m20s'],
  },
  {
    alert: 'FixgateSinkBehind',
    series: { 'fixgate_sink_oldest_undelivered_seconds{sink="redis"}': '0+0x6 0+10x30' },
    fires: [{ at: '3m', labels: SINK }],
    quiet: ['2m'],
  },
  {
    alert: 'FixgateCanaryLate',
    series: { 'fixgate_canary_age_seconds{sink="redis"}': '3+0x6 3+10x30', 'fixgate_canary_age_seconds{sink="clickhouse"}': '12+0x40' },
    fires: [{ at: '2m30s', labels: SINK }],
    quiet: ['1m40s'],
  },
  {
    alert: 'FixgateRecordsParked',
    series: { 'fixgate_sink_parked_entries_total{sink="redis"}': '0+0x6 3+0x200' },
    fires: [{ at: '2m', labels: SINK }],
    quiet: ['1m', '25m'],
  },
  {
    alert: 'FixgateSinkConcern',
    series: { 'fixgate_sink_concern{sink="redis"}': '0+0x6 1+0x30' },
    fires: [{ at: '3m', labels: SINK }],
    quiet: ['1m50s'],
  },
  {
    alert: 'FixgateStreamTrimmedAhead',
    series: { 'fixgate_stream_group_missed_entries{stream="fixgate:positions",group="billing"}': '0+0x6 7+0x30' },
    fires: [{ at: '2m', labels: { stream: 'fixgate:positions', group: 'billing' } }],
    quiet: ['1m'],
  },
  {
    alert: 'FixgateStreamRepeated',
    series: {
      'fixgate_stream_cursor_lost_total{outcome="repeated"}': '0+0x6 1+0x200',
      'fixgate_stream_cursor_lost_total{outcome="resumed"}': '0+1x200',
    },
    fires: [{ at: '2m', labels: { outcome: 'repeated' } }],
    quiet: ['1m', '25m'],
  },
  {
    alert: 'FixgateAnswersSlow',
    series: {
      'fixgate_answer_seconds_bucket{le="0.5"}': '0+100x12 1200+0x30',
      'fixgate_answer_seconds_bucket{le="5"}': '0+100x42',
      'fixgate_answer_seconds_bucket{le="+Inf"}': '0+100x42',
    },
    fires: [{ at: '4m' }],
    quiet: ['2m'],
  },
  {
    alert: 'FixgateEventLoopLag',
    series: {
      'fixgate_event_loop_lag_seconds{process="worker-0"}': '0.02+0x6 2+0x30',
      'fixgate_event_loop_lag_seconds{process="shipper"}': '0+0x3 2 0+0x30',
    },
    fires: [{ at: '2m', labels: { process: 'worker-0' } }],
    quiet: ['1m20s'],
  },
  {
    alert: 'FixgateConnectionsLost',
    series: { 'fixgate_connections{codec="gt06"}': '100+0x12 10+0x30', 'fixgate_connections{codec="h02"}': '20+0x42' },
    fires: [{ at: '3m' }],
    quiet: ['2m'],
  },
  // Of a few, half comes and goes.
  { alert: 'FixgateConnectionsLost', series: { 'fixgate_connections{codec="gt06"}': '9+0x12 1+0x30' }, fires: [], quiet: ['3m'] },
  {
    alert: 'FixgateConnectionsFull',
    series: {
      'fixgate_connections{codec="gt06"}': '10+0x6 95+0x30',
      fixgate_connections_limit: '100+0x40',
      fixgate_connections_full: '0+0x40',
      fixgate_descriptors_exhausted: '0+0x40',
    },
    fires: [{ at: '2m' }],
    quiet: ['1m'],
  },
  { alert: 'FixgateConnectionsFull', series: { fixgate_descriptors_exhausted: '0+0x6 1+0x30' }, fires: [{ at: '2m' }], quiet: ['1m'] },
  { alert: 'FixgateConnectionsFull', series: { fixgate_connections_full: '0+0x6 2+0x30' }, fires: [{ at: '2m' }], quiet: ['1m'] },
  {
    alert: 'FixgateProcessRestarts',
    series: {
      'fixgate_process_restarts_total{process="worker"}': '0+0x6 0+1x30',
      'fixgate_process_restarts_total{process="shipper"}': '0+0x6 1+0x30',
    },
    fires: [{ at: '3m', labels: { process: 'worker' } }],
    quiet: ['1m'],
  },
];
