/** Rows with a time in `[from, to)`, epoch ms. */
export interface RowSpan {
  readonly from: number;
  readonly to: number;
}

/** The rows that the table store keeps of devices. Methods reject with AppError when it does not answer. */
export interface StoredRows {
  /** None where the table is not there. */
  columns(table: string): Promise<readonly object[]>;
  /** Pages of rows in the order of time; none where the table is not there. */
  pages(table: string, devices: readonly string[], span?: RowSpan): AsyncGenerator<readonly object[]>;
  /** Pages of events in the envelope of docs/events.md. */
  events(devices: readonly string[], span?: RowSpan): AsyncGenerator<readonly object[]>;
  close(): Promise<void>;
}
