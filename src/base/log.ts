/**
 * The logger port. Levels: error = data lost or an operator must act; warn = unexpected, recovered; info = lifecycle;
 * debug = never per frame. No coordinates, whole frames or passwords in any field (promise 10).
 */
export interface Log {
  error(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}

/** Discards everything: for tests and tools. */
export const silentLog: Log = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
