import { dirname, join } from 'node:path';
import { orderClock, systemClock } from '../base/clock.ts';
import { Vitals } from '../base/descriptors.ts';
import { nodeStorage } from '../base/files.ts';
import { lockDirectory } from '../base/lock/lock.ts';
import type { Log } from '../base/log.ts';
import { processLog } from '../base/log-pino.ts';
import { createMetrics, type Metrics } from '../base/metrics/catalog.ts';
import type { SecretUrl } from '../base/secret.ts';
import { type ChildRole, tell, tellDone, unknownToChild } from '../cluster/child-process.ts';
import type { Health, ToShipper } from '../cluster/messages.ts';
import { ownedStorage } from '../cluster/owned-storage.ts';
import { codecOptions, loadCodecs } from '../codec/registry.ts';
import type { Config } from '../config/schema.ts';
import { DevicePlans } from '../fleet/plan/device-plans.ts';
import { DEVICES, type Device } from '../fleet/registry/device.ts';
import { RecipientRoutes } from '../fleet/registry/recipient-routes.ts';
import type { EventJson } from '../out/record/event.ts';
import { watchCanary } from '../out/ship/canary.ts';
import { Erasures, erasuresPath } from '../out/ship/erasures.ts';
import { RawKeeper } from '../out/ship/raw-keeper.ts';
import { type Shipper, startShipper } from '../out/ship/shipper.ts';
import { Evidence } from '../out/sink/clickhouse/evidence.ts';
import { type ClickHouseAccess, createClickHouseSink } from '../out/sink/clickhouse/sink.ts';
import type { StreamGroup } from '../out/sink/redis-stream/groups.ts';
import type { Sink } from '../out/sink/sink.ts';
import { createStateSink } from '../out/sink/state/sink.ts';
import { follow } from '../state/follow.ts';
import { openState, type State } from '../state/open.ts';
import { clickHouseCursor, hashed } from './clickhouse-cursor.ts';
import { LoopLag, NO_DESCRIPTORS, PREDECESSOR_WAIT_MS, stateOptions, suspectState, tenureOf } from './lifecycle.ts';

/** Events are told to the supervisor together. */
const GATHER_MS = 100;
const MOST_EVENTS = 500;

/** What the shipper is told. */
export interface ShippingStart {
  readonly config: Config;
  readonly instance: string;
  /** Names the supervisor's taking of the data directory. */
  readonly owner: string;
  readonly orderOffset: number;
  /** The configured or the embedded one. */
  readonly clickhouse: ClickHouseAccess;
  readonly stateDamage: string;
}

/** The shipper: the journals of all slots, into every configured sink. */
export async function startShipping({ config, instance, owner, orderOffset, clickhouse, stateDamage }: ShippingStart): Promise<ChildRole> {
  const log = processLog(config.logLevel, 'shipper');
  const metrics = createMetrics();
  const codecs = await loadCodecs(config.codecs.packages);
  const optionsOf = codecOptions(codecs, config.codecs.options, config.devices);
  const journalDirectory = join(config.dataDir, 'journal');
  const tenure = await tenureOf(config, owner, log);
  const storage = ownedStorage(nodeStorage, tenure);
  // A predecessor that is just ending must not deliver beside this one.
  await lockDirectory(journalDirectory, PREDECESSOR_WAIT_MS, { parent: process.ppid });

  const state = await openState(stateOptions(config, log, stateDamage, suspectState));
  const sinks = await sinksOf({ config, instance, clickhouse, state, metrics, log });
  const erasures = await Erasures.load(erasuresPath(config.dataDir), storage);
  const { keepMs, maxBytes } = config.journal;
  const parkedDirectory = join(config.dataDir, 'parked');
  const shipper = startShipper({
    journalDirectory,
    parkedDirectory,
    instance,
    sinks,
    codecs,
    optionsOf,
    order: orderClock(orderOffset),
    metrics,
    log,
    storage,
    confirm: () => tenure.confirm(),
    keepMs,
    maxBytes,
    erasures,
    onEvent: toSupervisor(),
    claim: (slot) => claimSlot(join(journalDirectory, slot)),
  });

  const evidence = new RawKeeper({
    journal: journalDirectory,
    storage,
    instance,
    evidence: new Evidence(clickhouse),
    erased: () => erasures.of('clickhouse'),
    now: () => systemClock.now(),
    log,
    ready: () => shipper.health()['clickhouse']?.state === 'up',
  });
  evidence.start();
  const told = (sink: string, seconds: number): void => metrics.canaryAge.set({ sink }, seconds);
  const unwatch = config.canary ? watchCanary(sinks, instance, () => systemClock.now(), told) : () => {};
  const stop = async (): Promise<void> => {
    unwatch();
    await evidence.stop();
  };
  return roleOf(shipper, state, metrics, log, stop);
}

function roleOf(shipper: Shipper, state: State, metrics: Metrics, log: Log, stop: () => Promise<void>): ChildRole {
  const lag = new LoopLag();
  const vitals = new Vitals();
  const unknown = unknownToChild();
  return {
    metrics,
    health(): Readonly<Record<string, Health>> {
      metrics.loopLag.set({ process: 'shipper' }, lag.take());
      metrics.memory.set(vitals.take().memoryBytes);
      metrics.descriptorsExhausted.set(vitals.exhausted ? 1 : 0);
      const parts: Record<string, Health> = {};
      if (vitals.exhausted) parts['shipper'] = { state: 'degraded', reason: NO_DESCRIPTORS };
      for (const [sink, health] of Object.entries(shipper.health()))
        parts[sink] = { state: health.state, reason: health.state === 'degraded' ? health.reason : '' };
      return parts;
    },
    take(message: ToShipper): void {
      switch (message.type) {
        case 'state_damaged':
          state.abandon(message.damage);
          break;
        case 'erase':
          tellDone(message.ticket, shipper.erase(message.part, new Map(message.devices)));
          break;
        default:
          unknown.ignore(message);
      }
    },
    async drain(deadlineMs: number): Promise<void> {
      await stop();
      const all = await shipper.drained(deadlineMs);
      if (!all) log.warn({}, 'delivery not complete at the deadline; the rest is delivered after the next start');
      await shipper.close();
      await state.close();
    },
  };
}

interface SinkParts {
  readonly config: Config;
  readonly instance: string;
  readonly clickhouse: ClickHouseAccess;
  readonly state: State;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** ClickHouse, the stream if one is configured, and the sums of usage. */
async function sinksOf({ config, instance, clickhouse, state, metrics, log }: SinkParts): Promise<Sink[]> {
  const cursorPath = clickHouseCursor(config);
  await nodeStorage.makeDirectory(dirname(cursorPath));
  const sinks: Sink[] = [createClickHouseSink({ ...clickhouse, cursorPath })];
  const { url, prefix, maxLength, maxAgeMs } = config.redis;
  if (url !== undefined) {
    // Loaded where it is used: the client costs a process megabytes and a start tens of milliseconds.
    const { createRedisStreamSink } = await import('../out/sink/redis-stream/sink.ts');
    const { host, pathname } = new URL(url.reveal());
    const witnessPath = join(config.dataDir, 'cursor', `redis-${hashed(`${host}${pathname} ${prefix}`)}.json`);
    const reports = { onGroups: groupWatch(metrics, log), onCursorLost: cursorLoss(metrics, log) };
    const recipients = new RecipientRoutes(state, log);
    const onPassed = (entries: number): void => metrics.recipientEntries.inc(entries);
    sinks.push(
      createRedisStreamSink({ url, instance, prefix: `${prefix}:`, maxLength, maxAgeMs, witnessPath, recipients, onPassed, ...reports }),
    );
  }
  if (config.dlt.url !== undefined) sinks.push(await dltSink(config, config.dlt.url, state, metrics, log));
  sinks.push(createStateSink({ store: state, plans: new DevicePlans(state, log), instance }));
  return sinks;
}

async function dltSink({ dlt, dataDir }: Config, url: SecretUrl, state: State, metrics: Metrics, log: Log): Promise<Sink> {
  const { Dlt } = await import('../out/sink/forward/dlt.ts');
  const { createForwardSink, Subjects } = await import('../out/sink/forward/sink.ts');
  const { vendor, userFile, passwordFile, callsPerMinute } = dlt;
  const adapter = new Dlt({ url, vendor, userFile, passwordFile });
  const subjects = new Subjects(adapter);
  follow<Device, [id: string]>(state, DEVICES, subjects, log);
  const count = (outcome: string, kind: string): void => metrics.forwards.inc({ kind, outcome });
  return createForwardSink({ adapter, directory: join(dataDir, 'forwarded'), callsPerMinute, subjects, log, count });
}

/** Gathers events for those who look. Of very many at once the rest is not told. */
function toSupervisor(): (event: EventJson) => void {
  let events: EventJson[] = [];
  return (event) => {
    if (events.length === 0)
      setTimeout(() => {
        tell({ type: 'events', events });
        events = [];
      }, GATHER_MS);
    if (events.length < MOST_EVENTS) events.push(event);
  };
}

/** Keeps a slot's worker from starting until the result is called; null when one runs. */
async function claimSlot(directory: string): Promise<(() => void) | null> {
  try {
    const lock = await lockDirectory(directory, 0, { parent: process.ppid });
    // Where there are no locks, a worker may be writing all the same.
    if (lock.works) return () => void lock.close();
    await lock.close();
    return null;
  } catch {
    return null;
  }
}

/** Exports how consumer groups keep up, and says when trimming has overtaken one. */
function groupWatch(metrics: Metrics, log: Log): (groups: readonly StreamGroup[]) => void {
  const missing = new Map<string, number>();
  return (groups) => {
    metrics.groupLag.reset();
    metrics.groupMissed.reset();
    for (const { stream, group, lag, missed } of groups) {
      metrics.groupLag.set({ stream, group }, lag);
      metrics.groupMissed.set({ stream, group }, missed);
      const key = `${stream} ${group}`;
      if (missed > (missing.get(key) ?? 0))
        log.error(
          { stream, group, missed },
          'consumer group too slow: entries were trimmed before it read them; raise redis.maxLength or redis.maxAgeMs, and read them from ClickHouse',
        );
      missing.set(key, missed);
    }
  };
}

function cursorLoss(metrics: Metrics, log: Log): (slots: readonly string[], resumed: boolean) => void {
  return (slots, resumed) => {
    metrics.cursorLost.inc({ outcome: resumed ? 'resumed' : 'repeated' }, slots.length);
    if (resumed) log.warn({ slots }, 'Redis lost the stream cursor; delivery resumes behind the last entry of the streams');
    else
      log.error(
        { slots },
        'Redis lost the stream cursor and entries; everything in the journal is delivered again and consumers see it twice; check maxmemory-policy and persistence of Redis',
      );
  };
}
