import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/**
 * Every metric that Fixgate exports (docs/metrics.md); nothing is registered elsewhere. Label values come from
 * bounded sets: codec names, the reasons that a codec declares, sink names, states. No device ids, addresses or places.
 * Each process of a server has one catalogue; the supervisor adds them up.
 */
export type Metrics = ReturnType<typeof createMetrics>;

/** Why something is refused: the labels of fixgate_rejects_total. */
export const REJECT_REASONS = [
  'connections',
  'accept_failed',
  'port_zero',
  'overload',
  'unrecognised',
  'http',
  'tls',
  'ssh',
  'proxy',
  'rdp',
  'redis',
  'sip',
  'journal_refused',
  'unknown_device',
  'registry_unreachable',
  'network_refused',
  'unit_replaced',
  'terminated',
  'refuse',
  'ids_per_connection',
  'ids_per_address',
  'new_id_rate',
] as const;
type RejectReason = (typeof REJECT_REASONS)[number];

/** A counter whose labels have no other values than these. */
interface CounterOf<L extends Readonly<Record<string, string>>> extends Pick<Counter<Extract<keyof L, string>>, 'get'> {
  inc(labels: L, value?: number): void;
}

/** From a tenth of a millisecond to ten seconds. */
const SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createMetrics() {
  const registry = new Registry();
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> =>
    new Counter({ name, help, labelNames, registers: [registry] });
  const gauge = <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    aggregator: 'sum' | 'max' | 'min' = 'sum',
  ): Gauge<L> => new Gauge({ name, help, labelNames, aggregator, registers: [registry] });
  const histogram = <L extends string>(name: string, help: string, buckets: number[], labelNames: readonly L[] = []): Histogram<L> =>
    new Histogram({ name, help, buckets, labelNames, registers: [registry] });

  const rejects: CounterOf<{ readonly reason: RejectReason }> = counter(
    'fixgate_rejects_total',
    'Connections, datagrams and devices refused.',
    ['reason'],
  );

  return {
    registry,
    // The way in.
    connections: gauge('fixgate_connections', 'TCP connections open now.', ['codec']),
    connectionsFull: gauge('fixgate_connections_full', 'Workers that have reached their connection limit and close new connections.'),
    connectionsLimit: gauge('fixgate_connections_limit', 'TCP connections that the workers take together.'),
    sessions: gauge('fixgate_sessions', 'Sessions of identified devices.'),
    workerSessions: gauge('fixgate_worker_sessions', 'The same by worker; the kernel spreads connections over them.', ['process'], 'max'),
    accepts: counter('fixgate_accepts_total', 'TCP connections accepted, and new UDP peers.', ['codec', 'transport']),
    rejects,
    closes: counter('fixgate_closes_total', 'TCP connections closed.', ['reason']),
    frames: counter('fixgate_frames_total', 'Frames by result.', ['codec', 'result']),
    malformed: counter('fixgate_malformed_frames_total', 'Frames that could not be decoded.', ['codec', 'reason']),
    damaged: counter('fixgate_damaged_frames_total', 'Frames accepted in spite of a failed integrity check.', ['codec', 'reason']),
    noiseBytes: counter('fixgate_noise_bytes_total', 'Bytes that belong to no frame.', ['codec']),
    records: counter('fixgate_records_total', 'Records accepted into the journal.', ['codec']),
    bytes: counter('fixgate_bytes_total', 'Payload bytes on device sockets.', ['transport', 'direction']),
    unidentifiedBytes: counter(
      'fixgate_unidentified_bytes_total',
      'Payload bytes, both ways, of connections and datagrams without an identified device.',
      ['transport'],
    ),
    withheld: counter(
      'fixgate_withheld_records_total',
      "Records that were not stored because of a device's state or plan, or because they had been erased.",
      ['reason'],
    ),
    alarmsPassed: counter(
      'fixgate_alarms_passed_total',
      "Alarms of persons that were stored although the device's state or plan withholds its records.",
      ['reason'],
    ),
    superseded: counter('fixgate_superseded_sessions_total', 'Half-open sessions closed because the device uses another one.', [
      'transport',
    ]),
    takeovers: counter('fixgate_takeovers_total', 'Times command delivery moved between two live sessions of one device.'),
    contested: counter('fixgate_identity_contested_total', 'Critical commands held because two sessions claimed to be their device.'),
    treated: gauge('fixgate_treated_sessions', 'Sessions of known devices by treatment; counted every ten seconds.', ['treatment']),
    answers: counter('fixgate_answers_total', 'Answers sent to devices.', ['codec']),
    answerSeconds: histogram('fixgate_answer_seconds', 'From the receipt of a frame to its answer on the socket.', SECONDS),
    pauses: counter('fixgate_pauses_total', 'Times a socket was paused because bytes not yet durable reached their bound.'),
    lookalikes: counter('fixgate_lookalikes_total', 'First packets of another protocol than that of their port.', ['codec', 'looks_like']),
    locator: counter('fixgate_locator_requests_total', 'Questions to the locator about cells and access points.', ['outcome']),
    audit: counter('fixgate_audit_entries_total', 'Entries of the audit: changes with their outcome, looks, refused calls.', ['type']),
    // The journal.
    commits: counter('fixgate_journal_commits_total', 'Group commits: one write and one fdatasync each.'),
    commitSeconds: histogram('fixgate_journal_commit_seconds', 'Time of one group commit.', SECONDS),
    commitBytes: counter('fixgate_journal_bytes_total', 'Bytes made durable.'),
    entries: counter('fixgate_journal_entries_total', 'Entries made durable.'),
    journalFailures: counter('fixgate_journal_failures_total', 'Commits that failed; nothing in them was answered as stored.'),
    journalRefusing: gauge('fixgate_journal_refusing', '1 while a journal refuses writes: full or failing disk.', ['slot'], 'max'),
    journalSettledUntil: gauge(
      'fixgate_journal_settled_until_seconds',
      'Time, in seconds since 1970, before which everything that the worker received is on the disk. Statements rest on it.',
      ['slot'],
      'min',
    ),
    texts: counter('fixgate_texts_total', 'Text messages from gateways, by what became of them.', ['outcome']),
    journalSize: gauge('fixgate_journal_size_bytes', 'Bytes of journal segments on disk.', [], 'max'),
    dataFree: gauge('fixgate_data_free_bytes', 'Free space of the file system that holds the data directory.', [], 'max'),
    dataReserve: gauge(
      'fixgate_data_reserve_bytes',
      'Free space below which the journals refuse writes (`journal.minFreeBytes`).',
      [],
      'max',
    ),
    // The way out.
    undeliveredAge: gauge(
      'fixgate_sink_oldest_undelivered_seconds',
      'Age of the oldest entry that is not delivered to the sink.',
      ['sink'],
      'max',
    ),
    deliveredUntil: gauge(
      'fixgate_sink_delivered_until_seconds',
      'Time, in seconds since 1970, before which everything received is delivered to the sink; absent until that is known. Statements rest on it.',
      ['sink'],
      'min',
    ),
    undelivered: gauge('fixgate_sink_undelivered_entries', 'Durable entries that are not delivered to the sink.', ['sink']),
    canaryAge: gauge(
      'fixgate_canary_age_seconds',
      'Age of the newest status of the synthetic device that was read back from the sink.',
      ['sink'],
      'max',
    ),
    sinkUp: gauge('fixgate_sink_up', '1 when the last attempt to deliver succeeded.', ['sink'], 'min'),
    sinkBatches: counter('fixgate_sink_batches_total', 'Batches by outcome.', ['sink', 'outcome']),
    sinkRows: counter('fixgate_sink_rows_total', 'Rows delivered.', ['sink', 'kind']),
    sinkConcern: gauge(
      'fixgate_sink_concern',
      '1 while the target of a sink needs attention although delivery works, for example an eviction policy of Redis.',
      ['sink'],
      'max',
    ),
    cursorLost: counter(
      'fixgate_stream_cursor_lost_total',
      'Cursors lost by Redis: delivery resumed behind the last entry, or was repeated from the journal.',
      ['outcome'],
    ),
    sinkSeconds: histogram('fixgate_sink_deliver_seconds', 'Time to deliver one batch.', SECONDS, ['sink']),
    duplicates: counter('fixgate_sink_duplicates_total', 'Records that a device sent again and that were not delivered twice.', ['sink']),
    parked: counter('fixgate_sink_parked_entries_total', 'Entries set aside because the sink refuses them.', ['sink']),
    erasedRecords: counter(
      'fixgate_sink_erased_records_total',
      'Records not delivered because they are from before their device was erased.',
      ['sink'],
    ),
    relayDropped: counter(
      'fixgate_relay_dropped_entries_total',
      'Entries of devices with privacy relay that were dropped: no stream, or unreadable.',
      ['reason'],
    ),
    timeAnomalies: counter('fixgate_time_anomalies_total', 'Records whose time was replaced, repaired or doubtful.', ['flag']),
    groupLag: gauge(
      'fixgate_stream_group_lag_entries',
      'Stream entries not yet delivered to a consumer group.',
      ['stream', 'group'],
      'max',
    ),
    groupMissed: gauge(
      'fixgate_stream_group_missed_entries',
      'Stream entries trimmed before they were delivered to a consumer group.',
      ['stream', 'group'],
      'max',
    ),
    recipientEntries: counter(
      'fixgate_recipient_entries_total',
      'Entries added to streams of recipients, beside those of the common streams.',
    ),
    forwards: counter(
      'fixgate_forward_calls_total',
      'Calls to an authority that records of devices are forwarded to, by what came of it.',
      ['kind', 'outcome'],
    ),
    badEntries: counter('fixgate_journal_bad_entries_total', 'Journal entries that could not be read back.'),
    // Devices and commands.
    devices: gauge('fixgate_devices', 'Devices in the registry, as of the last count (once a minute), by state.', ['state'], 'max'),
    stateUp: gauge('fixgate_state_store_up', '1 while the state store answers.', [], 'max'),
    quarantine: gauge('fixgate_quarantine_devices', 'Unknown devices in quarantine.', [], 'max'),
    planActions: counter('fixgate_plan_actions_total', 'Plan steps that began for a device.', ['action']),
    commands: counter('fixgate_commands_total', 'Command transitions, by new state.', ['state']),
    installationTests: counter('fixgate_installation_tests_total', 'Installation tests that have ended, by their result.', ['state']),
    campaigns: counter('fixgate_campaigns_total', 'Campaigns that have ended, by how.', ['state']),
    retentionRows: counter('fixgate_retention_rows_total', 'Rows that retention has removed, by table.', ['table']),
    retentionHeld: gauge('fixgate_retention_held_devices', 'Devices under a hold of which the last run of retention has left something.'),
    // The process.
    loopLag: gauge(
      'fixgate_event_loop_lag_seconds',
      'Worst delay of the event loop in the last interval; of one under 50 ms, or at rest under 500 ms, not all is seen.',
      ['process'],
      'max',
    ),
    descriptorsExhausted: gauge('fixgate_descriptors_exhausted', 'Processes that have no file descriptor left.'),
    buildInfo: gauge('fixgate_build_info', 'Always 1; the labels say what runs.', ['version', 'node'], 'max'),
    memory: gauge('fixgate_resident_memory_bytes', 'Resident memory of all processes of this server.'),
    restarts: counter('fixgate_process_restarts_total', 'Child processes restarted after an unexpected end.', ['process']),
  };
}
