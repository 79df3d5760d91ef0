/** The rows that the table store keeps of devices. Methods reject with AppError when it does not answer. */
export interface StoredRows {
  /** None where the table is not there. */
  columns(table: string): Promise<readonly object[]>;
  /** Pages of rows in the order of time; none where the table is not there. */
  pages(table: string, devices: readonly string[]): AsyncGenerator<readonly object[]>;
  /** Pages of events in the envelope of docs/events.md. */
  events(devices: readonly string[]): AsyncGenerator<readonly object[]>;
  close(): Promise<void>;
}
