import type { ErrorCode } from '../base/errors.ts';

/** What the process ends with. Scripts depend on these numbers: they may be added to, never changed. */
export const EXIT = { Ok: 0, Found: 1, Usage: 2, Unavailable: 69, Defect: 70, Directory: 73, Disk: 74, Configuration: 78 } as const;

/** Meaning of each, as `fixgate --help` prints it. */
export const EXIT_MEANING: readonly (readonly [number, string])[] = [
  [EXIT.Ok, 'done'],
  [EXIT.Found, 'done, and something was found wrong: a wrong answer, a record never acknowledged'],
  [EXIT.Usage, 'the command line was not understood'],
  [EXIT.Unavailable, 'something outside is not there: a port is taken or not permitted, a server does not answer'],
  [EXIT.Defect, 'an internal error'],
  [EXIT.Directory, 'the data directory cannot be used'],
  [EXIT.Disk, 'the journal or the state store cannot be read or written'],
  [EXIT.Configuration, 'the configuration has a problem'],
];

const BY_CODE: Readonly<Record<ErrorCode, number>> = {
  CODEC_INVALID: EXIT.Configuration,
  CODEC_UNKNOWN: EXIT.Configuration,
  CONFIG_INVALID: EXIT.Configuration,
  USAGE: EXIT.Usage,
  PORT_IN_USE: EXIT.Unavailable,
  PORT_DENIED: EXIT.Unavailable,
  DATA_DIR_UNUSABLE: EXIT.Directory,
  JOURNAL_FORMAT: EXIT.Disk,
  JOURNAL_FAILED: EXIT.Disk,
  CLICKHOUSE_MISSING: EXIT.Configuration,
  CLICKHOUSE_OLD: EXIT.Unavailable,
  CLICKHOUSE_REFUSED: EXIT.Unavailable,
  SINK_UNREACHABLE: EXIT.Unavailable,
  STATE_UNREACHABLE: EXIT.Unavailable,
  STATE_BUSY: EXIT.Unavailable,
  UNDER_HOLD: EXIT.Unavailable,
  STATE_ROW_DAMAGED: EXIT.Disk,
  DUMP_INVALID: EXIT.Usage,
  STATE_DAMAGED: EXIT.Disk,
  WORKER_FAILED: EXIT.Defect,
};

export function exitCodeOf(code: ErrorCode): number {
  return BY_CODE[code];
}
