import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { systemClock } from './clock.ts';
import type { ChildRole } from './cluster/child-process.ts';
import { lockDirectory } from './cluster/lock.ts';
import type { Health } from './cluster/messages.ts';
import type { Codec, Options } from './codec/index.ts';
import { codecOptions, loadCodecs } from './codec/registry.ts';
import type { Config } from './config/schema.ts';
import { AppError, messageOf } from './errors.ts';
import type { Intake } from './intake/intake.ts';
import { Journal, JournalState } from './journal/journal.ts';
import type { ListenHost } from './listen/listen-host.ts';
import { listenTcp } from './listen/tcp.ts';
import { listenUdp } from './listen/udp.ts';
import { processLog } from './log-pino.ts';
import { createMetrics } from './metrics/catalog.ts';
import { CodecCounters } from './metrics/hot-counters.ts';
import { SessionTable } from './session/session-table.ts';

/** How long a predecessor's process may take to end before its slot is given up. */
const SLOT_WAIT_MS = 5000;
const SAMPLE_MS = 1000;
/** Addresses remembered so that each is named once in the log. */
const NAMED_ADDRESSES = 10_000;

/**
 * One edge worker: listeners → intakes → the slot's journal, and back. Built here from config, taken down in reverse.
 */
export async function startWorker(config: Config, slot: number): Promise<ChildRole> {
  const log = processLog(config.logLevel, `worker-${slot}`);
  const metrics = createMetrics();
  const codecs = await loadCodecs(config.codecs.packages);
  const options = new Map<Codec, Options>();
  for (const codec of codecs.values()) options.set(codec, codecOptions(codec, config.codecs.options));
  const counters = new Map<Codec, CodecCounters>();
  const owing = new Set<Intake>();
  const paused = new Set<{ resume(): void }>();
  const named = new Set<string>();

  const directory = join(config.dataDir, 'journal', String(slot));
  const journal = await openJournal(config, directory, {
    onDurable(watermark: number): void {
      for (const intake of owing) intake.release(watermark);
      for (const connection of paused) connection.resume();
    },
    onFailed(from: number, to: number, error: AppError): void {
      metrics.journalFailures.inc();
      log.error({ slot, error: error.message }, 'a commit failed; the devices in it are not answered and will send again');
      for (const intake of owing) intake.failed(from, to);
    },
    onState(state: JournalState, reason: string): void {
      if (state === JournalState.Open || state === JournalState.Closed) log.info({ slot, state }, 'journal');
      else log.error({ slot, state, reason }, 'the journal accepts nothing; devices keep their data until it does');
    },
  });
  const { cutBytes, entries } = journal.recovery;
  if (cutBytes > 0) log.warn({ slot, cutBytes, entries }, 'cut an unfinished tail off the journal; nothing in it had been answered');

  const host: ListenHost = {
    journal,
    sessions: new SessionTable<Intake>(),
    metrics,
    clock: systemClock,
    log,
    owing,
    paused,
    codecs: [...codecs.values()],
    limits: config.limits,
    pendingBytes: () => journal.pendingBytes,
    options: (codec) => options.get(codec) ?? {},
    counters(codec) {
      let found = counters.get(codec);
      if (found === undefined) {
        found = new CodecCounters(metrics, codec);
        counters.set(codec, found);
      }
      return found;
    },
    lookalike(expected, found, peer) {
      metrics.lookalikes.inc({ codec: expected.name, looks_like: found });
      const address = peer.slice(0, peer.lastIndexOf(':'));
      if (named.has(address) || named.size >= NAMED_ADDRESSES) return;
      named.add(address);
      log.warn({ address, port: expected.name }, `looks like ${found} on the port of ${expected.name}: check the device's server port`);
    },
  };

  const listeners: { close(deadlineMs: number): Promise<void> }[] = [];
  for (const listener of config.listeners) {
    const codec = codecs.get(listener.codec);
    const at = { codec, host: listener.host, port: listener.port, idleMs: listener.idleMs };
    try {
      listeners.push(await (listener.transport === 'tcp' ? listenTcp(at, host) : listenUdp(at, host)));
    } catch (error) {
      throw new AppError(
        'PORT_IN_USE',
        `cannot listen on ${listener.transport} ${listener.host}:${listener.port}: ${messageOf(error)}`,
        error,
      );
    }
  }
  const stopSampling = sample(metrics, journal, slot);

  return {
    metrics,
    health: () => ({ [`worker-${slot}`]: journalHealth(journal) }),
    async drain(deadlineMs: number): Promise<void> {
      // What is owed first becomes durable, then is answered, then the connections close, which the journal notes.
      const closing = listeners.map((listener) => listener.close(deadlineMs));
      await journal.flush();
      await Promise.all(closing);
      await journal.close();
      stopSampling();
    },
  };
}

async function openJournal(
  config: Config,
  directory: string,
  calls: Pick<Parameters<typeof Journal.open>[0], 'onDurable' | 'onFailed' | 'onState'>,
): Promise<Journal> {
  const { mkdir } = await import('node:fs/promises');
  await mkdir(directory, { recursive: true });
  await lockDirectory(directory, SLOT_WAIT_MS);
  const { segmentBytes, segmentAgeMs, minFreeBytes, maxBytes } = config.journal;
  // Twice the bound at which sockets pause: what a pause lets through still fits.
  const maxPendingBytes = 2 * config.limits.pendingBytes;
  return Journal.open({ directory, segmentBytes, segmentAgeMs, minFreeBytes, maxBytes, maxPendingBytes, ...calls });
}

function journalHealth(journal: Journal): Health {
  return journal.state === JournalState.Open
    ? { state: 'up', reason: '' }
    : { state: 'down', reason: `journal ${journal.state}: ${journal.reason}` };
}

/** Copies the journal's totals and the loop's lag into the catalogue once a second. */
function sample(metrics: ReturnType<typeof createMetrics>, journal: Journal, slot: number): () => void {
  const lag = monitorEventLoopDelay({ resolution: 10 });
  lag.enable();
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
    metrics.loopLag.set({ process: `worker-${slot}` }, lag.max / 1e9);
    metrics.memory.set(process.memoryUsage.rss());
    lag.reset();
  };
  const timer = setInterval(take, SAMPLE_MS);
  return () => {
    clearInterval(timer);
    take();
    lag.disable();
  };
}
