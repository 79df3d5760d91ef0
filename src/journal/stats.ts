export const JournalState = { Open: 'open', Full: 'full', Sick: 'sick', Closed: 'closed' } as const;
/**
 * - `open`: accepts.
 * - `full`: no room; probes every second.
 * - `sick`: the disk fails or hangs; probes every second.
 * - `closed`: for good.
 */
export type JournalState = (typeof JournalState)[keyof typeof JournalState];

/** What a journal says of itself, for metrics: totals since its start unless said otherwise. */
export class JournalStats {
  state: JournalState = JournalState.Open;
  /** Why the state is what it is; '' when open. */
  reason = '';
  entries = 0;
  commits = 0;
  failedCommits = 0;
  /** Appends that got -1. */
  refused = 0;
  bytesWritten = 0;
  /** Duration of the last commit, ms. */
  commitMs = 0;
  /** As of the last check. */
  freeBytes = 0;
  directoryBytes = 0;
}
