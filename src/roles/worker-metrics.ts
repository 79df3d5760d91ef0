import { every } from '../base/beat.ts';
import type { Vitals } from '../base/descriptors.ts';
import type { Metrics } from '../base/metrics/catalog.ts';
import type { Health } from '../cluster/messages.ts';
import { TREATMENTS, type Treatment } from '../fleet/plan/treatment.ts';
import type { ConnectionLimit } from '../in/listen/connection-limit.ts';
import type { ListenHost } from '../in/listen/listen-host.ts';
import type { Journal } from '../journal/journal.ts';
import { JournalState } from '../journal/stats.ts';
import { LoopLag, NO_DESCRIPTORS } from './lifecycle.ts';

/** What a worker says of itself. */

const SAMPLE_MS = 1000;
/** All sessions are looked at in one sample of so many. */
const SCAN_EVERY = 10;

export function workerHealth(journal: Journal, connections: ConnectionLimit, vitals: Vitals): Health {
  if (journal.state !== JournalState.Open) return { state: 'down', reason: `journal ${journal.state}: ${journal.reason}` };
  if (vitals.exhausted) return { state: 'degraded', reason: NO_DESCRIPTORS };
  if (connections.full) return { state: 'degraded', reason: `all ${connections.most} connections are in use; new ones are closed` };
  return { state: 'up', reason: '' };
}

/** Copies the journal's totals and the loop's lag into the catalogue once a second. */
export function sample(metrics: Metrics, journal: Journal, host: ListenHost, vitals: Vitals, slot: number): () => void {
  const lag = new LoopLag();
  let commits = 0;
  let bytes = 0;
  let entries = 0;
  let samples = 0;
  const take = (): void => {
    metrics.commits.inc(journal.commits - commits);
    metrics.commitBytes.inc(journal.bytesWritten - bytes);
    metrics.entries.inc(journal.entries - entries);
    if (journal.commits > commits) metrics.commitSeconds.observe(journal.commitMs / 1000);
    commits = journal.commits;
    bytes = journal.bytesWritten;
    entries = journal.entries;
    metrics.journalRefusing.set({ slot: String(slot) }, journal.state === JournalState.Open ? 0 : 1);
    // While it refuses, marks may be missing that the shipper reads up to.
    if (journal.accepting) metrics.journalSettledUntil.set({ slot: String(slot) }, journal.settledUntil(host.clock.now()) / 1000);
    metrics.journalSize.set(journal.directoryBytes);
    metrics.sessions.set(host.sessions.size);
    metrics.workerSessions.set({ process: `worker-${slot}` }, host.sessions.size);
    if (samples++ % SCAN_EVERY === 0) countTreated(metrics, host);
    metrics.loopLag.set({ process: `worker-${slot}` }, lag.take());
    metrics.memory.set(vitals.take().memoryBytes);
    metrics.descriptorsExhausted.set(vitals.exhausted ? 1 : 0);
    metrics.connectionsFull.set(host.connections.full ? 1 : 0);
    metrics.connectionsLimit.set(host.connections.most);
  };
  take();
  const stop = every(SAMPLE_MS, take);
  return () => {
    stop();
    take();
    lag.stop();
  };
}

function countTreated(metrics: Metrics, { sessions, clock }: ListenHost): void {
  const now = clock.now();
  const treated = new Map<Treatment['mode'], number>(TREATMENTS.map((mode) => [mode, 0]));
  for (const { terms } of sessions) {
    const { mode } = terms.at(now);
    treated.set(mode, 1 + (treated.get(mode) ?? 0));
  }
  for (const [treatment, count] of treated) metrics.treated.set({ treatment }, count);
}
