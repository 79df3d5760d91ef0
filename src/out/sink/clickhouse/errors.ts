import { ClickHouseError } from '@clickhouse/client';
import { AppError, messageOf, systemCode } from '../../../base/errors.ts';
import type { Secret, SecretUrl } from '../../../base/secret.ts';

/**
 * What ClickHouse's error codes mean for a batch. Anything that is not about the rows themselves is tried again for ever:
 * a table that is missing or altered, a full disk, too many parts, are for an operator to mend, and the journal waits.
 */

/** The rows cannot be stored as they are. */
const ROWS = new Set([
  6, // CANNOT_PARSE_TEXT
  27, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
  33, // CANNOT_READ_ALL_DATA
  69, // ARGUMENT_OUT_OF_BOUND
  117, // INCORRECT_DATA
  128, // TOO_LARGE_ARRAY_SIZE
  131, // TOO_LARGE_STRING_SIZE
  190, // SIZES_OF_ARRAYS_DONT_MATCH
  321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
  349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
  407, // DECIMAL_OVERFLOW
  469, // VIOLATED_CONSTRAINT
]);

/** The server knows us and says no. */
const REFUSED = new Set([
  164, // READONLY
  192, // UNKNOWN_USER
  193, // WRONG_PASSWORD
  194, // REQUIRED_PASSWORD
  195, // IP_ADDRESS_NOT_ALLOWED
  497, // ACCESS_DENIED
  516, // AUTHENTICATION_FAILED
]);

const UNKNOWN_TABLE = 60;
const UNKNOWN_DATABASE = 81;

/** For people who read before the server has reached ClickHouse for the first time. */
export const NO_TABLES = 'the server makes its tables when it first reaches ClickHouse; /readyz says whether it does';

/** Whether the database, or a table that the server makes, is not there. */
export function isUnmade(error: unknown): boolean {
  const code = clickHouseCode(error);
  if (code === UNKNOWN_DATABASE) return true;
  return code === UNKNOWN_TABLE && /\b(positions|last_positions|statuses|events|usage|audit|migrations)\b/.test(messageOf(error));
}

/** ClickHouse's code, or 0 when the error is not one of the server's. */
export function clickHouseCode(error: unknown): number {
  return error instanceof ClickHouseError ? Number(error.code) : 0;
}

/** Whether sending fewer of the rows may help. */
export function blamesRows(error: unknown): boolean {
  return ROWS.has(clickHouseCode(error));
}

/** Of an error's text, which may quote rows, as much as is looked at. */
const MOST_SAID = 4_096;

/** Where the error came from; nothing secret of it gets into the text. */
interface Place {
  readonly url: SecretUrl;
  readonly password?: Secret | undefined;
}

/** The error as one line for people, under our codes. */
export function plainError(error: unknown, { url, password }: Place): AppError {
  if (error instanceof AppError) return error;
  const code = clickHouseCode(error);
  // A violated constraint quotes the row, which may be a place (promise 10).
  const text = url.scrub(messageOf(error));
  const said = (password?.scrub(text) ?? text)
    .slice(0, MOST_SAID)
    .replaceAll(/\s+/g, ' ')
    .replace(/ Column values:.*/, '')
    .slice(0, 300);
  if (isUnmade(error)) return new AppError('SINK_UNREACHABLE', `ClickHouse at ${url} has no tables yet: ${NO_TABLES} (${said})`, error);
  if (REFUSED.has(code))
    return new AppError('CLICKHOUSE_REFUSED', `ClickHouse at ${url} refuses access: check user, password and database (${said})`, error);
  if (code !== 0) return new AppError('SINK_UNREACHABLE', `ClickHouse at ${url} answered ${code}: ${said}`, error);
  const reason = systemCode(error);
  return new AppError('SINK_UNREACHABLE', `ClickHouse at ${url} does not answer (${reason === '' ? said : reason})`, error);
}
