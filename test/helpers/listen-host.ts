import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { nodeStorage, type Storage } from '../../src/base/files.ts';
import { silentLog } from '../../src/base/log.ts';
import { createMetrics } from '../../src/base/metrics/catalog.ts';
import type { Codec } from '../../src/codec/index.ts';
import { AddressRates } from '../../src/fleet/registry/address-rates.ts';
import { ConnectionLimit } from '../../src/in/listen/connection-limit.ts';
import type { ListenHost, ListenLimits } from '../../src/in/listen/listen-host.ts';
import { Peers } from '../../src/in/listen/peers.ts';
import { EntryKind } from '../../src/journal/entry.ts';
import { Journal } from '../../src/journal/journal.ts';
import { JournalReader } from '../../src/journal/reader.ts';
import { parseUsage, type Traffic } from '../../src/journal/usage.ts';
import { type JournalCalls, openDurable } from '../../src/roles/durability.ts';
import { intakeHost } from '../support/intake-rig.ts';

const LIMITS: ListenLimits = {
  connections: 1000,
  pendingBytes: 1 << 20,
  connectionPendingBytes: 1 << 16,
  identifyMs: 30_000,
  frameMs: 10_000,
  quietMs: 3_000,
  idsPerConnection: 1000,
  idsPerAddress: 1000,
};

/** A worker's shared parts around a real journal in a temporary directory. */
export async function openHost(codecs: readonly Codec[], limits: Partial<ListenLimits> = {}, storage?: Storage) {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-listen-'));
  const metrics = createMetrics();
  const lookalikes: string[] = [];
  let overloaded = false;
  const open = (calls: JournalCalls): Promise<Journal> => Journal.open({ directory, storage, minFreeBytes: 0, ...calls });
  const { journal, meters, durability } = await openDurable(open, { sure: true, confirm: async () => {} });
  const { owing, paused } = durability;
  const host: ListenHost = {
    ...intakeHost({ journal, meters, metrics, clock: systemClock, owing }),
    paused,
    codecs,
    addressRates: new AddressRates([], 1, () => systemClock.elapsed()),
    limits: { ...LIMITS, ...limits },
    connections: new ConnectionLimit(limits.connections ?? LIMITS.connections, silentLog),
    peers: new Peers(limits.connections ?? LIMITS.connections),
    pendingBytes: () => (overloaded ? Number.POSITIVE_INFINITY : journal.pendingBytes),
    lookalike: (expected, found) => lookalikes.push(`${expected.name}: ${found}`),
  };
  return {
    host,
    journal,
    metrics,
    lookalikes,
    /** Value of one counter or gauge for the labels given. */
    async count(name: keyof typeof metrics, labels: Record<string, string> = {}): Promise<number> {
      const metric = metrics[name];
      if (!('get' in metric)) return 0;
      const { values } = await metric.get();
      let sum = 0;
      for (const value of values)
        if (Object.entries(labels).every(([key, wanted]) => Reflect.get(value.labels, key) === wanted)) sum += value.value;
      return sum;
    },
    /** As if the disk could not keep up. */
    overload(on: boolean): void {
      overloaded = on;
    },
    /** What the journal says that a device has used. */
    async used(device: string): Promise<Traffic> {
      await journal.flush();
      const sum = { in: 0, out: 0, segments: 0, datagrams: 0, records: 0 };
      const reader = new JournalReader(directory, nodeStorage, 1);
      for (; await reader.fill(); reader.advance()) {
        const entry = reader.peek();
        if (entry?.kind !== EntryKind.Usage || entry.device !== device) continue;
        const traffic = parseUsage(entry.bytes.toString('utf8', entry.start, entry.end));
        for (const name of ['in', 'out', 'segments', 'datagrams', 'records'] as const) sum[name] += traffic?.[name] ?? Number.NaN;
      }
      await reader.close();
      return sum;
    },
    async close(): Promise<void> {
      await journal.close();
      rmSync(directory, { recursive: true });
    },
  };
}
