/**
 * The one error type around the byte path. Match on `code`, never on the message: messages are for people and may
 * be reworded. Codecs do not throw: a bad frame is a counted reason, not an error.
 */

/** Every code, with the situation it stands for. */
const ERROR_CODES = {
  CODEC_INVALID: 'a codec does not have the shape that defineCodec requires',
  CODEC_UNKNOWN: 'no codec of that name is installed',
  CONFIG_INVALID: 'the configuration has one or more problems, all listed in the message',
  USAGE: 'the command line was not understood',
  PORT_IN_USE: 'another program holds a port',
  PORT_DENIED: 'the process may not listen on that port or address',
  DATA_DIR_UNUSABLE: 'the data directory cannot be created, written or locked',
  JOURNAL_FORMAT: 'a journal segment was written by a version that this one does not know',
  JOURNAL_FAILED: 'the journal could not be written or synchronised',
  CLICKHOUSE_MISSING: 'no ClickHouse URL is configured and the embedded engine is not installed',
  CLICKHOUSE_OLD: 'the ClickHouse server is older than the oldest supported version',
  CLICKHOUSE_REFUSED: 'the ClickHouse server refused the user, the database or the statement',
  SINK_UNREACHABLE: 'a sink does not answer',
  STATE_UNREACHABLE: 'the state store does not answer',
  UNDER_HOLD: 'the data of a device must be kept: it is under a hold',
  STATE_BUSY: 'others have changed the same record of the state store each time that a change was tried',
  STATE_ROW_DAMAGED: 'an entry of the state store cannot be read: the message names its table and key',
  DUMP_INVALID: 'a dump of the state store cannot be read',
  STATE_DAMAGED: 'the state store in the data directory is damaged',
  WORKER_FAILED: 'a child process ended when it should not have',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export class AppError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'AppError';
    this.code = code;
  }
}

/** The `code` of a Node system error (`ENOSPC`, `EADDRINUSE`, …), or '' for anything else. */
export function systemCode(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return '';
}

/** What to show a person for any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
