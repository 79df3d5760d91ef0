/**
 * The engine's errors as the HTTP interface of ClickHouse shows them: a status, the header
 * `X-ClickHouse-Exception-Code` and a body `Code: N. DB::Exception: … (NAME)`.
 */

export interface Exception {
  readonly code: number;
  readonly status: number;
  readonly text: string;
}

/** Codes whose status is not 500. Names are ClickHouse's own (src/Common/ErrorCodes.cpp). */
const STATUS_BY_CODE = new Map<number, number>([
  ...codes(400, [
    6, // CANNOT_PARSE_TEXT
    25, // CANNOT_PARSE_ESCAPE_SEQUENCE
    26, // CANNOT_PARSE_QUOTED_STRING
    27, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
    33, // CANNOT_READ_ALL_DATA
    36, // BAD_ARGUMENTS
    38, // CANNOT_PARSE_DATE
    41, // CANNOT_PARSE_DATETIME
    42, // NUMBER_OF_ARGUMENTS_DOESNT_MATCH
    43, // ILLEGAL_TYPE_OF_ARGUMENT
    53, // TYPE_MISMATCH
    62, // SYNTAX_ERROR
    69, // ARGUMENT_OUT_OF_BOUND
    70, // CANNOT_CONVERT_TYPE
    72, // CANNOT_PARSE_NUMBER
    117, // INCORRECT_DATA
    130, // CANNOT_READ_ARRAY_FROM_TEXT
    349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
    456, // UNKNOWN_QUERY_PARAMETER
    457, // BAD_QUERY_PARAMETER
    467, // CANNOT_PARSE_BOOL
  ]),
  ...codes(403, [
    164, // READONLY
    192, // UNKNOWN_USER
    193, // WRONG_PASSWORD
    497, // ACCESS_DENIED
    516, // AUTHENTICATION_FAILED
  ]),
  ...codes(404, [
    16, // NO_SUCH_COLUMN_IN_TABLE
    46, // UNKNOWN_FUNCTION
    47, // UNKNOWN_IDENTIFIER
    50, // UNKNOWN_TYPE
    56, // UNKNOWN_STORAGE
    60, // UNKNOWN_TABLE
    73, // UNKNOWN_FORMAT
    81, // UNKNOWN_DATABASE
    115, // UNKNOWN_SETTING
  ]),
  ...codes(413, [307]), // TOO_MANY_BYTES
  ...codes(501, [48]), // NOT_IMPLEMENTED
  ...codes(503, [
    202, // TOO_MANY_SIMULTANEOUS_QUERIES
    210, // NETWORK_ERROR
    236, // ABORTED
    243, // NOT_ENOUGH_SPACE
  ]),
]);

function codes(status: number, list: readonly number[]): [number, number][] {
  return list.map((code) => [code, status]);
}

/** An error of our own, in the engine's form. */
export function exception(code: number, name: string, message: string): Exception {
  return { code, status: STATUS_BY_CODE.get(code) ?? 500, text: `Code: ${code}. DB::Exception: ${message} (${name})` };
}

/** What the engine said; text without a code (a fault of the binding) becomes 1001, ClickHouse's STD_EXCEPTION. */
export function engineException(message: string): Exception {
  const found = /Code: (\d+)\./.exec(message);
  if (found === null || found[1] === undefined) return exception(1001, 'STD_EXCEPTION', message);
  const code = Number(found[1]);
  return { code, status: STATUS_BY_CODE.get(code) ?? 500, text: message.slice(found.index).trim() };
}
