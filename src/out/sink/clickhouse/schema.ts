import { AUDIT, commentStatements, commentsOf, RAW } from './comments.ts';

/**
 * The tables, as numbered migrations. A migration that has been released is never changed: a new one is added.
 * `README.md` beside this file says why each column is as it is.
 */
export interface Migration {
  readonly number: number;
  readonly about: string;
  /** Statements for a database (its name already quoted), each of which may be run again. */
  statements(database: string): readonly string[];
}

/** Names of the flags with their values, in the order of RowFlag's bits. The last two were never written, and stay as they are in the tables. */
export const FLAGS_TYPE = "Array(Enum8('buffered' = 1, 'future' = 2, 'rollover' = 3, 'no_time' = 4, 'jump' = 5, 'resent' = 6))";
export const CELLS_TYPE = 'Array(Tuple(mcc Int32, mnc Int32, lac Int32, cid Int64, rssi_dbm Int16))';
export const WIFI_TYPE = 'Array(Tuple(mac String, rssi_dbm Int16))';

/**
 * A device's row stays the same row however often it is delivered: `received` is not in the key, since a record that
 * was sent again was received twice. Tokens of the last inserts are remembered. An insert is answered when it
 * is on the disk, and merged parts are synced as the ones they replace were.
 */
const ENGINE = `ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
PRIMARY KEY (device, time)
ORDER BY (device, time, id)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
  min_bytes_for_wide_part = 268435456`;

const IDENTITY = `
  device String CODEC(ZSTD(1)),
  time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  id FixedString(16) CODEC(ZSTD(1))`;

const RECORD = `
  received DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  device_time Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
  protocol LowCardinality(String) CODEC(ZSTD(1)),
  flags ${FLAGS_TYPE} CODEC(ZSTD(1)),
  event LowCardinality(String) CODEC(ZSTD(1)),`;

const MOTION = `
  altitude_m Nullable(Float32) CODEC(ZSTD(1)),
  speed_kmh Nullable(Float32) CODEC(ZSTD(1)),
  course_deg Nullable(Float32) CODEC(ZSTD(1)),
  satellites Nullable(UInt8) CODEC(ZSTD(1)),
  hdop Nullable(Float32) CODEC(ZSTD(1)),`;

const ATTRIBUTES = `
  ignition Nullable(Bool) CODEC(ZSTD(1)),
  motion Nullable(Bool) CODEC(ZSTD(1)),
  external_v Nullable(Float32) CODEC(ZSTD(1)),
  battery_v Nullable(Float32) CODEC(ZSTD(1)),
  battery_pct Nullable(Float32) CODEC(ZSTD(1)),
  fuel_pct Nullable(Float32) CODEC(ZSTD(1)),
  odometer_m Nullable(Float64) CODEC(Delta, ZSTD(1)),
  gsm_level Nullable(Float32) CODEC(ZSTD(1)),
  driver_id String CODEC(ZSTD(1)),
  mcc Nullable(UInt16) CODEC(ZSTD(1)),
  mnc Nullable(UInt16) CODEC(ZSTD(1)),
  lac Nullable(UInt32) CODEC(ZSTD(1)),
  cid Nullable(UInt64) CODEC(ZSTD(1)),
  cells ${CELLS_TYPE} CODEC(ZSTD(1)),
  wifi ${WIFI_TYPE} CODEC(ZSTD(1)),
  attrs Map(LowCardinality(String), Float64) CODEC(ZSTD(1)),
  texts Map(LowCardinality(String), String) CODEC(ZSTD(1))`;

const LAST = 'device, time, received, lat, lon, speed_kmh, course_deg';
const IS_LAST = 'valid AND time <= received + INTERVAL 5 MINUTE';

export const MIGRATIONS: readonly Migration[] = [
  {
    number: 1,
    about: 'positions, statuses and events',
    statements: (database) => [
      `CREATE TABLE IF NOT EXISTS ${database}.positions (${IDENTITY},${RECORD}
  valid Bool CODEC(ZSTD(1)),
  lat Float64 CODEC(FPC(12), ZSTD(1)),
  lon Float64 CODEC(FPC(12), ZSTD(1)),${MOTION}${ATTRIBUTES}
) ${ENGINE}`,
      `CREATE TABLE IF NOT EXISTS ${database}.statuses (${IDENTITY},${RECORD}${MOTION}${ATTRIBUTES}
) ${ENGINE}`,
      `CREATE TABLE IF NOT EXISTS ${database}.events (${IDENTITY},
  type LowCardinality(String) CODEC(ZSTD(1)),
  data String CODEC(ZSTD(3))
) ${ENGINE}`,
    ],
  },
  {
    number: 2,
    about: 'usage',
    statements: (database) => [
      `CREATE TABLE IF NOT EXISTS ${database}.usage (${IDENTITY},
  bytes_in UInt64 CODEC(ZSTD(1)),
  bytes_out UInt64 CODEC(ZSTD(1)),
  segments UInt64 CODEC(ZSTD(1)),
  datagrams UInt64 CODEC(ZSTD(1)),
  records UInt64 CODEC(ZSTD(1)),
  instance LowCardinality(String) CODEC(ZSTD(1)),
  slot UInt32 CODEC(ZSTD(1)),
  sequence UInt64 CODEC(Delta, ZSTD(1)),
  hour DateTime('UTC') ALIAS toStartOfHour(time)
) ${ENGINE}`,
    ],
  },
  {
    number: 3,
    about: 'envelope of events',
    statements: (database) => [
      `ALTER TABLE ${database}.events
  ADD COLUMN IF NOT EXISTS received DateTime64(3, 'UTC') DEFAULT time CODEC(Delta, ZSTD(1)),
  ADD COLUMN IF NOT EXISTS account LowCardinality(String) CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS protocol LowCardinality(String) CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS version UInt8 CODEC(ZSTD(1))`,
    ],
  },
  {
    number: 4,
    about: 'account of records and usage',
    statements: (database) =>
      ['positions', 'statuses', 'usage'].map(
        (table) => `ALTER TABLE ${database}.${table} ADD COLUMN IF NOT EXISTS account LowCardinality(String) CODEC(ZSTD(1))`,
      ),
  },
  {
    number: 5,
    about: 'last position of each device',
    statements: (database) => [
      `CREATE TABLE IF NOT EXISTS ${database}.last_positions (
  device String CODEC(ZSTD(1)),
  time DateTime64(3, 'UTC') CODEC(ZSTD(1)),
  received DateTime64(3, 'UTC') CODEC(ZSTD(1)),
  lat Float64 CODEC(ZSTD(1)),
  lon Float64 CODEC(ZSTD(1)),
  speed_kmh Nullable(Float32) CODEC(ZSTD(1)),
  course_deg Nullable(Float32) CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree(time) ORDER BY device`,
      `CREATE MATERIALIZED VIEW IF NOT EXISTS ${database}.last_positions_view TO ${database}.last_positions AS
SELECT ${LAST} FROM ${database}.positions WHERE ${IS_LAST}`,
      `INSERT INTO ${database}.last_positions SELECT device, l.1, l.2, l.3, l.4, l.5, l.6 FROM (
SELECT device, argMax((time, received, lat, lon, speed_kmh, course_deg), time) AS l FROM ${database}.positions
WHERE ${IS_LAST} AND received > now() - INTERVAL 30 DAY GROUP BY device)`,
    ],
  },
  { number: 6, about: 'comments of columns', statements: commentStatements },
  {
    number: 7,
    about: 'statements of billing cycles',
    statements: (database) => [
      `CREATE TABLE IF NOT EXISTS ${database}.statements (
  account String COMMENT 'of the device at the end of the cycle' CODEC(ZSTD(1)),
  number UInt64 COMMENT 'in the chain of the account, from 1' CODEC(ZSTD(1)),
  device String COMMENT 'device id' CODEC(ZSTD(1)),
  start DateTime64(3, 'UTC') COMMENT 'of the cycle' CODEC(ZSTD(1)),
  end DateTime64(3, 'UTC') COMMENT 'of the cycle; does not belong to it' CODEC(ZSTD(1)),
  statement String COMMENT 'canonical JSON' CODEC(ZSTD(3)),
  previous String COMMENT 'hash of the statement before, of the account' CODEC(ZSTD(1)),
  hash String COMMENT 'SHA-256 of statement, a line break and previous' CODEC(ZSTD(1)),
  frozen DateTime64(3, 'UTC') COMMENT 'when it was made' CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree ORDER BY (account, number) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1`,
    ],
  },
  {
    number: 8,
    about: 'audit',
    // A change has two entries of one id: that it was asked for, with status 0, and its outcome, which stands.
    statements: (database) => [
      `CREATE TABLE IF NOT EXISTS ${database}.audit (${IDENTITY},
  received DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  account LowCardinality(String) CODEC(ZSTD(1)),
  protocol LowCardinality(String) CODEC(ZSTD(1)),
  type LowCardinality(String) CODEC(ZSTD(1)),
  data String CODEC(ZSTD(3)),
  version UInt8 CODEC(ZSTD(1)),
  status UInt16 DEFAULT JSONExtractUInt(data, 'status') CODEC(ZSTD(1)),
  by String DEFAULT JSONExtractString(data, 'by') CODEC(ZSTD(1)),
  address String DEFAULT JSONExtractString(data, 'address') CODEC(ZSTD(1)),
  operation LowCardinality(String) DEFAULT JSONExtractString(data, 'operation') CODEC(ZSTD(1)),
  object String DEFAULT JSONExtractString(data, 'object') CODEC(ZSTD(1)),
  count UInt64 DEFAULT JSONExtractUInt(data, 'count') CODEC(ZSTD(1)),
  INDEX of_device device TYPE bloom_filter GRANULARITY 1
) ENGINE = ReplacingMergeTree(status)
PARTITION BY toYYYYMM(time)
ORDER BY (time, id)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1`,
      commentsOf(database, 'audit', AUDIT),
    ],
  },
  {
    number: 9,
    about: 'usage by network',
    statements: (database) => [
      `ALTER TABLE ${database}.usage
  ADD COLUMN IF NOT EXISTS mcc Nullable(UInt16) COMMENT 'country code of the network that served the device; NULL: not known' CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS mnc Nullable(UInt16) COMMENT 'its code in that country' CODEC(ZSTD(1)),
  ADD COLUMN IF NOT EXISTS roaming Bool COMMENT 'that country is not one of the home networks' CODEC(ZSTD(1))`,
    ],
  },
  {
    number: 10,
    about: 'index of the time of receipt',
    // Of parts that are written from now on: older ones are read whole.
    statements: (database) =>
      ['positions', 'statuses'].map(
        (table) => `ALTER TABLE ${database}.${table} ADD INDEX IF NOT EXISTS of_received received TYPE minmax GRANULARITY 1`,
      ),
  },
  {
    number: 11,
    about: 'raw frames of evidence',
    statements: (database) => [
      `CREATE TABLE IF NOT EXISTS ${database}.raw (${IDENTITY},
  account LowCardinality(String) CODEC(ZSTD(1)),
  protocol LowCardinality(String) CODEC(ZSTD(1)),
  transport LowCardinality(String) CODEC(ZSTD(1)),
  peer String CODEC(ZSTD(1)),
  frame String CODEC(ZSTD(3)),
  sha256 String CODEC(ZSTD(1))
) ${ENGINE}`,
      commentsOf(database, 'raw', RAW),
    ],
  },
];
