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
  const take = (): void => {
    metrics.commits.inc(journal.commits - commits);
    metrics.commitBytes.inc(journal.bytesWritten - bytes);
    metrics.entries.inc(journal.entries - entries);
    if (journal.commits > commits) metrics.commitSeconds.observe(journal.commitMs / 1000);
    commits = journal.commits;
    bytes = journal.bytesWritten;
    entries = journal.entries;
    metrics.journalRefusing.set({ slot: String(slot) }, journal.state === JournalState.Open ? 0 : 1);
    metrics.journalSize.set(journal.directoryBytes);
    metrics.sessions.set(host.sessions.size);
    metrics.workerSessions.set({ process: `worker-${slot}` }, host.sessions.size);
    const treated = new Map<Treatment['mode'], number>(TREATMENTS.map((mode) => [mode, 0]));
    for (const { treatment } of host.sessions)
      if (treatment !== undefined) treated.set(treatment.mode, 1 + (treated.get(treatment.mode) ?? 0));
    for (const [treatment, count] of treated) metrics.treated.set({ treatment }, count);
    metrics.loopLag.set({ process: `worker-${slot}` }, lag.take());
    metrics.memory.set(vitals.take().memoryBytes);
    metrics.descriptorsExhausted.set(vitals.exhausted ? 1 : 0);
    metrics.connectionsFull.set(host.connections.full ? 1 : 0);
    metrics.connectionsLimit.set(host.connections.most);
  };
  take();
  const timer = setInterval(take, SAMPLE_MS);
  return () => {
    clearInterval(timer);
    take();
    lag.stop();
  };
}
