import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ApiOffice } from './api/office.ts';
import { systemClock } from './clock.ts';
import { type ChildRole, tell, tellDone, tellSocket, unknownToChild } from './cluster/child-process.ts';
import type { Health, SendHandle, SessionMove, ToShipper, ToWorker } from './cluster/messages.ts';
import { ownedStorage } from './cluster/owned-storage.ts';
import { Release } from './cluster/release.ts';
import type { Codec } from './codec/index.ts';
import { codecOptions, loadCodecs } from './codec/registry.ts';
import { Delivery } from './command/delivery.ts';
import { CommandIntake } from './command/intake.ts';
import { Ledger } from './command/ledger.ts';
import { Shadow } from './command/shadow.ts';
import { CommandStream } from './command/stream.ts';
import { Waiting } from './command/waiting.ts';
import type { Config } from './config/schema.ts';
import { Vitals } from './descriptors.ts';
import { type AppError, messageOf } from './errors.ts';
import type { Owing } from './in/ack/settle.ts';
import { Refusals } from './in/intake/refusals.ts';
import { Scratch } from './in/intake/scratch.ts';
import type { Claim } from './in/session/claim.ts';
import { METER_TICK_MS, Meters } from './in/session/meter.ts';
import type { Session } from './in/session/session.ts';
import { SessionTable } from './in/session/table.ts';
import { Definition } from './journal/definition.ts';
import { EntryKind, Origin } from './journal/entry.ts';
import { Journal, JournalState } from './journal/journal.ts';
import { nodeStorage, type Storage } from './journal/storage.ts';
import { ConnectionLimit } from './listen/connection-limit.ts';
import type { ListenHost } from './listen/listen-host.ts';
import { Listeners } from './listen/listeners.ts';
import { Lookalikes } from './listen/lookalikes.ts';
import { Peers } from './listen/peers.ts';
import type { Sender } from './listen/udp.ts';
import { endAtOnce } from './lock/end.ts';
import { lockDirectory } from './lock/lock.ts';
import { Tenure } from './lock/tenure.ts';
import type { Log } from './log.ts';
import { processLog } from './log-pino.ts';
import { createMetrics, type Metrics } from './metrics/catalog.ts';
import { CodecCounters } from './metrics/hot-counters.ts';
import { DevicePlans } from './plan/device-plans.ts';
import { PlanCache } from './plan/plan-cache.ts';
import { PlanRecords } from './plan/plan-records.ts';
import { StepKeeper } from './plan/step-keeper.ts';
import { Eraser } from './privacy/eraser.ts';
import { exportDevice } from './privacy/export.ts';
import { forget } from './privacy/forget.ts';
import { isKept } from './privacy/kept.ts';
import { AddressRates } from './registry/address-rates.ts';
import { DeviceCache } from './registry/device-cache.ts';
import { DeviceRecords } from './registry/device-records.ts';
import { Forgetter } from './registry/forgetter.ts';
import { Newcomers } from './registry/newcomers.ts';
import { Quarantine } from './registry/quarantine.ts';
import { QuarantineList } from './registry/quarantine-list.ts';
import { pickAddress, Standings } from './registry/standing.ts';
import { Erasures, erasuresPath } from './ship/erasures.ts';
import { JOURNAL, startShipper } from './ship/shipper.ts';
import { type ClickHouseAccess, checkClickHouse, createClickHouseSink } from './sink/clickhouse/sink.ts';
import type { StreamGroup } from './sink/redis-stream/groups.ts';
import { createRedisStreamSink } from './sink/redis-stream/sink.ts';
import type { Sink } from './sink/sink.ts';
import { createStateSink } from './sink/state/sink.ts';
import { followKeys } from './state/follow.ts';
import { openState, type StateOptions } from './state/open.ts';
import type { Table } from './state/store.ts';

/** How long a predecessor's process may take to end before this one gives up. */
const PREDECESSOR_WAIT_MS = 5000;
const SAMPLE_MS = 1000;
/** Devices that came and went are told to the supervisor together. */
const MOVES_MS = 20;
/** Sessions looked at between two turns of the event loop. */
const RECONSIDERED_AT_ONCE = 200;

/** What a worker is told. */
export interface WorkerStart {
  readonly config: Config;
  readonly slot: number;
  /** Names the supervisor's taking of the data directory. */
  readonly owner: string;
  readonly successor: boolean;
  readonly orderOffset: number;
  readonly stateDamage: string;
}

/**
 * One edge worker: listeners → intakes → the slot's journal, and back. Built here from config, taken down in reverse. A
 * successor listens when it is told to.
 */
export async function startWorker(start: WorkerStart): Promise<ChildRole> {
  const { config, slot, successor, orderOffset, stateDamage } = start;
  const log = processLog(config.logLevel, `worker-${slot}`);
  const metrics = createMetrics();
  const codecs = await loadCodecs(config.codecs.packages);
  const optionsOf = codecOptions(codecs, config.codecs.options, config.devices);
  const counters = new Map<Codec, CodecCounters>();
  const owing = new Set<Owing>();
  const paused = new Set<{ resume(): void }>();
  const lookalikes = new Lookalikes(log, systemClock);

  const tenure = await tenureOf(config, start.owner, log);
  const release = new Release(tenure, (watermark) => {
    for (const intake of owing) intake.release(watermark);
    for (const connection of paused) connection.resume();
  });
  const directory = join(config.dataDir, 'journal', String(slot));
  const journal = await openJournal(config, directory, orderOffset, ownedStorage(nodeStorage, tenure), {
    onDurable(watermark: number): void {
      meters.durable(watermark);
      release.durable(watermark);
    },
    onFailed(from: number, to: number, error: AppError): void {
      metrics.journalFailures.inc();
      log.error({ slot, error: error.message }, 'a commit failed; its devices are not answered and will resend');
      meters.failed(from, to);
      for (const intake of owing) intake.failed(from, to);
    },
    onState(state: JournalState, reason: string): void {
      if (state === JournalState.Open || state === JournalState.Closed) log.info({ slot, state }, 'journal');
      else log.error({ slot, state, reason }, 'journal refuses writes; devices will resend');
    },
  });
  const meters = new Meters(journal, systemClock);
  const metering = setInterval(() => meters.tick(), METER_TICK_MS);
  const { cutBytes, entries } = journal.recovery;
  if (cutBytes > 0) log.warn({ slot, cutBytes, entries }, 'torn journal tail cut; nothing in it had been answered');

  const state = await openState(stateOptions(config, log, stateDamage, suspectState));
  const sessions = new SessionTable<Session>({
    moved: toSupervisor(),
    confirms: true,
    spoke: (device, peer) => tell({ type: 'spoke', device, peer }),
    takenOver: () => metrics.takeovers.inc(),
    now: () => systemClock.elapsed(),
  });
  const now = (): number => systemClock.now();
  const delivery = new Delivery({
    ledger: new Ledger(state, now, config.commands.attempts),
    shadow: new Shadow(state),
    now,
    log,
    count: (to) => metrics.commands.inc({ state: to }),
    ended: (device, id, reply) => tell({ type: 'command_ended', device, id, reply }),
  });
  const registry = new DeviceCache({ store: state, mode: config.registry.mode, now, log });
  registry.onChange((id) => {
    if (id === undefined) eachSession(sessions, (session) => session.reconsider(), log);
    else for (const session of sessions.of(id)) session.reconsider();
  });
  const service = new PlanCache(state, log, config.service.alarms === 'pass');
  service.onChange((device) => {
    if (device === undefined) eachSession(sessions, (session) => session.planChanged(), log);
    else for (const session of sessions.of(device)) session.planChanged();
  });
  const newcomers = new Newcomers(config.registry.newIds, config.workers, () => systemClock.elapsed());
  const quarantine = new Quarantine({
    store: state,
    now,
    log,
    added(id, { protocol, transport }) {
      const event = Buffer.from(JSON.stringify({ type: 'device_unknown', protocol, transport }));
      journal.append(new Origin(new Definition(protocol, transport), id, ''), EntryKind.Event, now(), 0, 0, event, 0, event.length);
    },
  });
  const noticed = (table: Table, key: string | undefined): void => {
    if (table === 'standing') {
      if (key === undefined) eachSession(sessions, (session) => session.reviewStanding(), log);
      else for (const session of sessions.of(key)) session.reviewStanding();
    } else if (key === undefined) delivery.pokeAll();
    else delivery.poke(key.slice(0, key.indexOf(' ')));
  };
  const unwatch = followKeys(state, ['standing', 'commands'], noticed, log);
  const host: ListenHost = {
    journal,
    sessions,
    profiles: state,
    registry,
    quarantine,
    newcomers,
    addressRates: new AddressRates(config.registry.newIds.exempt, config.workers, () => systemClock.elapsed()),
    standings: new Standings(state, now, log),
    delivery,
    meters,
    service,
    metrics,
    clock: systemClock,
    log,
    scratch: new Scratch(),
    refusals: new Refusals(log, () => systemClock.elapsed()),
    owing,
    paused,
    codecs: [...codecs.values()],
    limits: config.limits,
    connections: new ConnectionLimit(config.limits.connections, log),
    peers: new Peers(config.limits.connections),
    pendingBytes: () => journal.pendingBytes,
    options: optionsOf,
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
      lookalikes.seen(expected.name, found, peer);
    },
  };

  const listeners = new Listeners(config.listeners, codecs, host);
  if (!successor) await listeners.openAll();
  const vitals = new Vitals();
  const stopSampling = sample(metrics, journal, host, vitals, slot);
  const unknown = unknownToChild();

  return {
    metrics,
    health: () => ({ [`worker-${slot}`]: workerHealth(journal, host.connections, vitals) }),
    take(message: ToWorker, socket: SendHandle | undefined): void {
      switch (message.type) {
        case 'state_damaged':
          state.abandon(message.damage);
          break;
        case 'rivals':
          sessions.rivals(message.device, message.verdict);
          break;
        case 'spoke':
          sessions.heard(message.device, message.peer);
          break;
        case 'commands':
          delivery.poke(message.device);
          break;
        case 'rotate':
          tellDone(message.ticket, journal.rotate().then(nothing));
          break;
        case 'connection':
          listeners.adopt(message.index, socket);
          break;
        case 'datagram':
          listeners.receive(message.index, Buffer.from(message.bytes, 'base64'), message);
          break;
        case 'hand_over':
          tellSocket(message.ticket, listeners.handOver(message.index));
          break;
        case 'listen':
          tellDone(message.ticket, listeners.open(message.index, socket).then(nothing));
          break;
        default:
          unknown.ignore(message);
      }
    },
    async drain(deadlineMs: number): Promise<void> {
      // What is owed first becomes durable, then is answered, then the connections close, which the journal notes.
      const closing = listeners.close(deadlineMs, passOn);
      await journal.flush();
      await closing;
      clearInterval(metering);
      meters.flush();
      unwatch();
      registry.close();
      await service.close();
      await delivery.close();
      await quarantine.flush();
      await journal.close();
      await state.close();
      stopSampling();
    },
  };
}

/** What a request without counts has come to. */
const nothing = (): Readonly<Record<string, number>> => ({});

function passOn(index: number, datagram: Uint8Array, { address, port }: Sender): void {
  tell({ type: 'datagram', index, bytes: Buffer.from(datagram).toString('base64'), address, port });
}

/** A few at a time: devices go on talking meanwhile. */
function eachSession(sessions: SessionTable<Session>, look: (session: Session) => void, log: Log): void {
  const all = async (): Promise<void> => {
    let looked = 0;
    for (const session of sessions) {
      look(session);
      if (++looked % RECONSIDERED_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  all().catch((error: unknown) =>
    log.error({ error: messageOf(error) }, 'internal error: a change did not reach all sessions; please report it'),
  );
}

/** The state store that the configuration names, shared by all processes. */
function stateOptions(config: Config, log: Log, damage: string, onTrouble: () => void): StateOptions {
  return { url: config.state.url, prefix: `${config.redis.prefix}:`, directory: join(config.dataDir, 'state'), log, damage, onTrouble };
}

function suspectState(): void {
  tell({ type: 'state_suspect' });
}

/** Gathers what the session table has to say. */
function toSupervisor(): (device: string, claims: readonly Claim[]) => void {
  let moves: SessionMove[] = [];
  return (device, claims) => {
    if (moves.length === 0)
      setTimeout(() => {
        tell({ type: 'sessions', moves });
        moves = [];
      }, MOVES_MS);
    moves.push([device, claims]);
  };
}

async function openJournal(
  config: Config,
  directory: string,
  orderOffset: number,
  storage: Storage,
  calls: Pick<Parameters<typeof Journal.open>[0], 'onDurable' | 'onFailed' | 'onState'>,
): Promise<Journal> {
  await nodeStorage.makeDirectory(directory);
  await lockDirectory(directory, PREDECESSOR_WAIT_MS, { parent: process.ppid });
  const { segmentBytes, segmentAgeMs, minFreeBytes, maxBytes } = config.journal;
  // Twice the bound at which sockets pause: what a pause lets through still fits.
  const maxPendingBytes = 2 * config.limits.pendingBytes;
  // A journal that was wiped must not count from 1 again: cursors in the stores would take its entries for delivered.
  const firstSequence = Math.floor(systemClock.now() / 1000) * 2 ** 20;
  const order = (): number => Math.floor(orderOffset + 1000 * systemClock.elapsed());
  return Journal.open({
    directory,
    storage,
    firstSequence,
    order,
    segmentBytes,
    segmentAgeMs,
    minFreeBytes,
    maxBytes,
    maxPendingBytes,
    ...calls,
  });
}

const NO_DESCRIPTORS = 'no file descriptor is left; raise the limit (ulimit -n, LimitNOFILE)';

function workerHealth(journal: Journal, connections: ConnectionLimit, vitals: Vitals): Health {
  if (journal.state !== JournalState.Open) return { state: 'down', reason: `journal ${journal.state}: ${journal.reason}` };
  if (vitals.exhausted) return { state: 'degraded', reason: NO_DESCRIPTORS };
  if (connections.full) return { state: 'degraded', reason: `all ${connections.most} connections are in use; new ones are closed` };
  return { state: 'up', reason: '' };
}

/** Copies the journal's totals and the loop's lag into the catalogue once a second. */
function sample(metrics: Metrics, journal: Journal, host: ListenHost, vitals: Vitals, slot: number): () => void {
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
    metrics.sessions.set(host.sessions.size);
    const treated = new Map<string, number>();
    for (const { treatment } of host.sessions)
      if (treatment !== undefined) treated.set(treatment.mode, 1 + (treated.get(treatment.mode) ?? 0));
    metrics.treated.reset();
    for (const [treatment, count] of treated) metrics.treated.set({ treatment }, count);
    metrics.loopLag.set({ process: `worker-${slot}` }, lag.max / 1e9);
    metrics.memory.set(vitals.take().memoryBytes);
    metrics.connectionsFull.set(host.connections.full ? 1 : 0);
    lag.reset();
  };
  const timer = setInterval(take, SAMPLE_MS);
  return () => {
    clearInterval(timer);
    take();
    lag.disable();
  };
}

/** The shipper: the journals of all slots, into every configured sink. `clickhouse`: the configured or the embedded one. */
export async function startShipping(
  config: Config,
  instance: string,
  owner: string,
  clickhouse: ClickHouseAccess,
  stateDamage: string,
): Promise<ChildRole> {
  const log = processLog(config.logLevel, 'shipper');
  const metrics = createMetrics();
  const codecs = await loadCodecs(config.codecs.packages);
  const optionsOf = codecOptions(codecs, config.codecs.options, config.devices);
  const journalDirectory = join(config.dataDir, 'journal');
  const tenure = await tenureOf(config, owner, log);
  const storage = ownedStorage(nodeStorage, tenure);
  // A predecessor that is just ending must not deliver beside this one.
  await lockDirectory(journalDirectory, PREDECESSOR_WAIT_MS, { parent: process.ppid });

  const cursorPath = join(config.dataDir, 'cursor', `clickhouse-${targetName(config)}.json`);
  await nodeStorage.makeDirectory(dirname(cursorPath));
  const sinks: Sink[] = [createClickHouseSink({ ...clickhouse, cursorPath })];
  const { url, prefix, maxLength } = config.redis;
  if (url !== undefined) {
    const { host, pathname } = new URL(url.reveal());
    const witnessPath = join(config.dataDir, 'cursor', `redis-${hashed(`${host}${pathname} ${prefix}`)}.json`);
    const reports = { onGroups: groupWatch(metrics, log), onCursorLost: cursorLoss(metrics, log) };
    sinks.push(createRedisStreamSink({ url, instance, prefix: `${prefix}:`, maxLength, witnessPath, ...reports }));
  }
  const state = await openState(stateOptions(config, log, stateDamage, suspectState));
  sinks.push(createStateSink({ store: state, plans: new DevicePlans(state, log), instance }));
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
    metrics,
    log,
    storage,
    confirm: () => tenure.confirm(),
    keepMs,
    maxBytes,
    erasures,
    claim: (slot) => claimSlot(join(journalDirectory, slot)),
  });

  const lag = monitorEventLoopDelay({ resolution: 10 });
  lag.enable();
  const vitals = new Vitals();
  const unknown = unknownToChild();
  return {
    metrics,
    health(): Readonly<Record<string, Health>> {
      metrics.loopLag.set({ process: 'shipper' }, lag.max / 1e9);
      metrics.memory.set(vitals.take().memoryBytes);
      lag.reset();
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
      const all = await shipper.drained(deadlineMs);
      if (!all) log.warn({}, 'delivery not complete at the deadline; the rest is delivered after the next start');
      await shipper.close();
      await state.close();
    },
  };
}

/** Resolves when the data directory is surely this server's. Another server's taking it ends this process. */
async function tenureOf(config: Config, random: string, log: Log): Promise<Tenure> {
  const tenure = new Tenure({
    directory: config.dataDir,
    random,
    lost(owner) {
      const { host, pid, since } = owner;
      log.error({ host, pid, since }, 'another server has taken the data directory; this process ends');
      endAtOnce();
    },
  });
  await tenure.confirm();
  return tenure;
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

/** What the supervisor knows of devices and commands: the API's side of it. */
export interface Office extends ApiOffice {
  /** The state store is damaged: nothing touches it any more. */
  abandonState(damage: string): void;
  close(): Promise<void>;
}

/** What the supervisor and the other processes do for the office. */
export interface OfficeHands {
  /** Why the state store must not be opened; '' when it may. */
  readonly stateDamage: string;
  /** The state store could not be read or written. */
  suspectState(): void;
  isConnected(device: string): boolean;
  /** Resolves when everything journaled so far is in segments that are not written any more. */
  rotate(): Promise<unknown>;
  /** As the shipper's. */
  erase(part: string, devices: ReadonlyMap<string, number>): Promise<Readonly<Record<string, number>>>;
}

/** `clickhouse`: the configured or the embedded one. `poke` reaches the worker that has the device, `record` journals an event. */
export async function openOffice(
  config: Config,
  instance: string,
  log: Log,
  metrics: Metrics,
  poke: (device: string) => void,
  record: (device: string, event: object) => void,
  clickhouse: ClickHouseAccess,
  hands: OfficeHands,
): Promise<Office> {
  const codecs = await loadCodecs(config.codecs.packages);
  const state = await openState(stateOptions(config, log, hands.stateDamage, () => hands.suspectState()));
  const now = (): number => systemClock.now();
  const deviceRecords = new DeviceRecords({ store: state, now, record });
  const count = (devices: number): void => metrics.quarantine.set(devices);
  const quarantine = new QuarantineList({ store: state, most: config.registry.quarantine, log, count });
  const ledger = new Ledger(state, now, config.commands.attempts);
  const commandIntake = new CommandIntake({
    ledger,
    store: state,
    device: (id) => deviceRecords.get(id),
    codecs,
    optionsOf: codecOptions(codecs, config.codecs.options, config.devices),
    now,
    expiryMs: config.commands.expiryMs,
    log,
    poke,
    record,
    count: (to) => metrics.commands.inc({ state: to }),
  });
  const forgetter = new Forgetter({
    store: state,
    afterMs: config.registry.mode === 'open' ? config.registry.forgetAfter : 0,
    isConnected: hands.isConnected,
    record,
    now,
    log,
  });
  const shadow = new Shadow(state);
  const stepKeeper = new StepKeeper({
    store: state,
    instance,
    plans: new DevicePlans(state, log),
    submit: (draft) => commandIntake.submit(draft),
    async intervalOf(device) {
      const { reported, desired } = await shadow.get(device);
      const interval = reported['interval'] ?? desired['interval'];
      return typeof interval === 'number' ? interval : undefined;
    },
    record,
    count: (action) => metrics.planActions.inc({ action }),
    now,
    log,
  });
  const eraser = new Eraser({
    store: state,
    instance,
    now,
    log,
    device: (id) => deviceRecords.get(id),
    record,
    parts: {
      async [JOURNAL](_erasure, devices) {
        await hands.rotate();
        return hands.erase(JOURNAL, devices);
      },
      clickhouse: (_erasure, devices) => hands.erase('clickhouse', devices),
      ...(config.redis.url === undefined ? {} : { redis: (_erasure, devices) => hands.erase('redis', devices) }),
      async state(erasure, devices) {
        await hands.erase('state', devices);
        return forget(state, erasure);
      },
    },
  });
  const { url, prefix } = config.redis;
  const stream =
    url === undefined
      ? undefined
      : new CommandStream({
          url,
          prefix: `${prefix}:`,
          instance,
          commandIntake,
          store: state,
          allows: config.commands.streamAllows,
          record,
          log,
        });
  const stop = async (): Promise<void> => {
    await eraser.stop();
    await stream?.stop();
    await stepKeeper.stop();
    await forgetter.stop();
    await commandIntake.stop();
    await quarantine.stop();
  };
  // A store that does not answer is no reason not to start: what expires is looked after once it does. One that is damaged stays so.
  if (hands.stateDamage === '') for (const part of [quarantine, commandIntake, forgetter, stepKeeper, eraser, stream]) part?.start();
  return {
    state,
    commandIntake,
    ledger,
    waiting: new Waiting(ledger, state, log),
    shadow,
    deviceRecords,
    quarantine,
    plans: new PlanRecords({ store: state, record }),
    codecs,
    eraser,
    async pick(device, address, by): Promise<boolean> {
      const isKnown = await pickAddress(state, device, address, now());
      if (isKnown) record(device, { type: 'identity_picked', address, by });
      return isKnown;
    },
    isKept: (id, device) => isKept(state, clickhouse, id, device),
    export: (id, device) => exportDevice({ clickhouse, store: state, ledger, shadow, now }, id, device),
    abandonState(damage): void {
      state.abandon(damage);
      stop().catch((error: unknown) => log.warn({ error: messageOf(error) }, 'work on the state store did not end in order'));
    },
    async close(): Promise<void> {
      await stop();
      await state.close();
    },
  };
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
          'consumer group too slow: entries were trimmed before it read them; raise redis.maxLength, and read them from ClickHouse',
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

function hashed(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** Names the ClickHouse that a cursor speaks of: another server or database has had nothing yet, and gets what the journal still holds. */
function targetName(config: Config): string {
  const { url, database } = config.clickhouse;
  const server = url === undefined ? 'embedded' : hashed(url.reveal());
  return `${server}-${database}`;
}

/**
 * Throws when a configured store answers and cannot be used: too old, or the user is refused. One that does not answer
 * is no reason not to start: the journal holds what it misses.
 */
export async function checkStores(config: Config): Promise<void> {
  const { url, user: username, password, database } = config.clickhouse;
  const unusable = url === undefined ? null : await checkClickHouse({ url, username, password, database });
  if (unusable !== null) throw unusable;
}
