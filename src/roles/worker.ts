import { join } from 'node:path';
import { every } from '../base/beat.ts';
import { orderClock, systemClock } from '../base/clock.ts';
import { Vitals } from '../base/descriptors.ts';
import { nodeStorage, type Storage } from '../base/files.ts';
import { lockDirectory } from '../base/lock/lock.ts';
import type { Tenure } from '../base/lock/tenure.ts';
import type { Log } from '../base/log.ts';
import { processLog } from '../base/log-pino.ts';
import { createMetrics, type Metrics } from '../base/metrics/catalog.ts';
import { type ChildRole, tell, tellDone, tellSessions, tellSocket, unknownToChild } from '../cluster/child-process.ts';
import type { ConnectionQuery, Health, SendHandle, SessionMove, ToWorker } from '../cluster/messages.ts';
import { ownedStorage } from '../cluster/owned-storage.ts';
import type { Codec } from '../codec/index.ts';
import { codecOptions, loadCodecs } from '../codec/registry.ts';
import type { Config } from '../config/schema.ts';
import { Refusals } from '../in/intake/refusals.ts';
import { Scratch } from '../in/intake/scratch.ts';
import { ConnectionLimit } from '../in/listen/connection-limit.ts';
import type { ListenHost } from '../in/listen/listen-host.ts';
import { Listeners } from '../in/listen/listeners.ts';
import { Lookalikes } from '../in/listen/lookalikes.ts';
import { Peers } from '../in/listen/peers.ts';
import type { Sender } from '../in/listen/udp.ts';
import type { Claim } from '../in/session/claim.ts';
import { Clocks } from '../in/session/clocks.ts';
import { CodecCounters } from '../in/session/counters.ts';
import { httpLocator } from '../in/session/http-locator.ts';
import { METER_TICK_MS } from '../in/session/meter.ts';
import { Places } from '../in/session/places.ts';
import type { Session, SessionFacts } from '../in/session/session.ts';
import { Sightings } from '../in/session/sightings.ts';
import { SessionTable } from '../in/session/table.ts';
import { Journal } from '../journal/journal.ts';
import type { JournalOptions } from '../journal/options.ts';
import { JournalState } from '../journal/stats.ts';
import { type SightRow, Sights, type WhoRow } from '../live/sights.ts';
import { Traces } from '../live/traces.ts';
import { BEAT_MS, beat } from '../out/ship/canary.ts';
import { openState, type State } from '../state/open.ts';
import { type DurableJournal, type JournalCalls, openDurable } from './durability.ts';
import { PREDECESSOR_WAIT_MS, stateOptions, suspectState, tenureOf } from './lifecycle.ts';
import { Telling } from './telling.ts';
import { type Fleet, openFleet } from './worker-fleet.ts';
import { sample, workerHealth } from './worker-metrics.ts';

/** Devices that came and went are told to the supervisor together. */
const MOVES_MS = 20;
/** How often it is looked which devices have spoken at all. */
const REVIEW_MS = 30_000;

/** What a worker is told. */
export interface WorkerStart {
  readonly config: Config;
  readonly instance: string;
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
  const { config, slot, successor, stateDamage } = start;
  const log = processLog(config.logLevel, `worker-${slot}`);
  const metrics = createMetrics();
  const codecs = await loadCodecs(config.codecs.packages);
  const tenure = await tenureOf(config, start.owner, log);
  const sights = new Sights(() => systemClock.elapsed());
  const durable = await openSlot(start, tenure, sights, metrics, log);
  const { journal } = durable;
  const state = await openState(stateOptions(config, log, stateDamage, suspectState));
  const sessions = new SessionTable<Session>({
    moved: toSupervisor(),
    confirms: true,
    spoke: (device, peer) => tell({ type: 'spoke', device, peer }),
    takenOver: () => metrics.takeovers.inc(),
    now: () => systemClock.elapsed(),
  });
  const fleet = openFleet({ config, state, journal, sessions, metrics, log });
  const host = hostOf({ config, codecs, durable, state, sessions, sights, fleet, metrics, log });
  const listeners = new Listeners(config.listeners, codecs, host);
  await fleet.ready;
  if (!successor) await listeners.openAll();
  const sendCanary = (): void => beat(journal, start.instance, systemClock.now());
  if (config.canary) sendCanary();
  const canary = config.canary ? setInterval(sendCanary, BEAT_MS) : undefined;
  return new EdgeWorker({ slot, durable, state, fleet, host, listeners, canary });
}

/** The slot's journal, and what follows its commits. */
async function openSlot(start: WorkerStart, tenure: Tenure, sights: Sights, metrics: Metrics, log: Log): Promise<DurableJournal> {
  const { slot } = start;
  const onState = (state: JournalState, reason: string): void => {
    if (state === JournalState.Open || state === JournalState.Closed) log.info({ slot, state }, 'journal');
    else log.error({ slot, state, reason }, 'journal refuses writes; devices will resend');
  };
  const storage = ownedStorage(nodeStorage, tenure);
  const durable = await openDurable(
    (calls) => openJournal(start, storage, { ...calls, onState }),
    tenure,
    (error, from, to) => {
      metrics.journalFailures.inc();
      sights.failed(from, to);
      log.error({ slot, error: error.message }, 'a commit failed; its devices are not answered and will resend');
    },
  );
  const { cutBytes, entries } = durable.journal.recovery;
  if (cutBytes > 0) log.warn({ slot, cutBytes, entries }, 'torn journal tail cut; nothing in it had been answered');
  return durable;
}

async function openJournal(
  { config, slot, orderOffset }: WorkerStart,
  storage: Storage,
  calls: JournalCalls & Pick<JournalOptions, 'onState'>,
): Promise<Journal> {
  const directory = join(config.dataDir, 'journal', String(slot));
  await nodeStorage.makeDirectory(directory);
  await lockDirectory(directory, PREDECESSOR_WAIT_MS, { parent: process.ppid });
  const { segmentBytes, segmentAgeMs, minFreeBytes, maxBytes, paceMs } = config.journal;
  // Twice the bound at which sockets pause: what a pause lets through still fits.
  const maxPendingBytes = 2 * config.limits.pendingBytes;
  // A journal that was wiped must not count from 1 again: cursors in the stores would take its entries for delivered.
  const firstSequence = Math.floor(systemClock.now() / 1000) * 2 ** 20;
  return Journal.open({
    directory,
    storage,
    firstSequence,
    order: orderClock(orderOffset),
    segmentBytes,
    segmentAgeMs,
    minFreeBytes,
    maxBytes,
    maxPendingBytes,
    paceMs,
    ...calls,
  });
}

interface HostParts {
  readonly config: Config;
  readonly codecs: ReadonlyMap<string, Codec>;
  readonly durable: DurableJournal;
  readonly state: State;
  readonly sessions: SessionTable<Session>;
  readonly sights: Sights;
  readonly fleet: Fleet;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** What the listeners and intakes of the worker share. */
function hostOf({ config, codecs, durable, state, sessions, sights, fleet, metrics, log }: HostParts): ListenHost {
  const { journal, meters, durability } = durable;
  const { registry, quarantine, newcomers, addressRates, standings, delivery, service } = fleet;
  const counters = new Map<Codec, CodecCounters>();
  const lookalikes = new Lookalikes(log, systemClock);
  return {
    journal,
    sessions,
    profiles: state,
    registry,
    quarantine,
    newcomers,
    addressRates,
    standings,
    delivery,
    meters,
    clocks: new Clocks(),
    sightings: new Sightings((sightings) => tell({ type: 'sightings', sightings })),
    service,
    metrics,
    clock: systemClock,
    log,
    scratch: new Scratch(),
    sights,
    places: placesOf(config, metrics, log),
    traces: new Traces(() => systemClock.now()),
    refusals: new Refusals(log, () => systemClock.elapsed()),
    owing: durability.owing,
    paused: durability.paused,
    codecs: [...codecs.values()],
    limits: config.limits,
    connections: new ConnectionLimit(config.limits.connections, log),
    peers: new Peers(config.limits.connections),
    pendingBytes: () => journal.pendingBytes,
    options: codecOptions(codecs, config.codecs.options, config.devices),
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
}

function placesOf({ locator: { url } }: Config, metrics: Metrics, log: Log): Places | undefined {
  if (url === undefined) return undefined;
  return new Places(
    httpLocator(url),
    log,
    () => systemClock.elapsed(),
    (outcome) => metrics.locator.inc({ outcome }),
  );
}

interface WorkerParts {
  readonly slot: number;
  readonly durable: DurableJournal;
  readonly state: State;
  readonly fleet: Fleet;
  readonly host: ListenHost;
  readonly listeners: Listeners;
  readonly canary: NodeJS.Timeout | undefined;
}

class EdgeWorker implements ChildRole {
  readonly metrics: Metrics;
  readonly #slot: number;
  readonly #durable: DurableJournal;
  readonly #state: State;
  readonly #fleet: Fleet;
  readonly #host: ListenHost;
  readonly #listeners: Listeners;
  readonly #unknown = unknownToChild();
  readonly #vitals = new Vitals();
  readonly #stopMetering: () => void;
  readonly #telling: Telling;
  readonly #reviewing: NodeJS.Timeout;
  readonly #canary: NodeJS.Timeout | undefined;
  readonly #stopSampling: () => void;

  constructor({ slot, durable, state, fleet, host, listeners, canary }: WorkerParts) {
    this.#canary = canary;
    this.metrics = host.metrics;
    this.#slot = slot;
    this.#durable = durable;
    this.#state = state;
    this.#fleet = fleet;
    this.#host = host;
    this.#listeners = listeners;
    this.#stopMetering = every(METER_TICK_MS, () => durable.meters.tick());
    this.#telling = new Telling(
      () => {
        host.sights.tick(durable.journal.durable, tellSeen);
        host.traces.tick((key, frames, lost) => tell({ type: 'traced', key, frames, lost }));
      },
      () => host.sights.isHasty || host.traces.isOn,
    );
    this.#reviewing = setInterval(() => reviewContacts(host), REVIEW_MS);
    this.#stopSampling = sample(host.metrics, durable.journal, host, this.#vitals, slot);
  }

  health(): Readonly<Record<string, Health>> {
    return { [`worker-${this.#slot}`]: workerHealth(this.#durable.journal, this.#host.connections, this.#vitals) };
  }

  take(message: ToWorker, socket: SendHandle | undefined): void {
    switch (message.type) {
      case 'state_damaged':
        this.#state.abandon(message.damage);
        break;
      case 'rivals':
        this.#host.sessions.rivals(message.device, message.verdict);
        break;
      case 'watch':
        this.#host.sights.watch();
        this.#telling.look();
        break;
      case 'spoke':
        this.#host.sessions.heard(message.device, message.peer);
        break;
      case 'commands':
        this.#fleet.delivery.poke(message.device);
        break;
      case 'trace':
        if (this.#host.traces.start(message.key)) for (const session of this.#host.sessions) session.retrace();
        this.#telling.look();
        break;
      case 'connections':
        tellSessions(message.ticket, sessionsOf(this.#host, message.query));
        break;
      case 'disconnect':
        tellDone(message.ticket, disconnect(this.#host, message));
        break;
      case 'rotate':
        tellDone(message.ticket, this.#durable.journal.rotate().then(nothing));
        break;
      case 'connection':
        this.#listeners.adopt(message.index, socket);
        break;
      case 'datagram':
        this.#listeners.receive(message.index, Buffer.from(message.bytes, 'base64'), message);
        break;
      case 'hand_over':
        tellSocket(message.ticket, this.#listeners.handOver(message.index));
        break;
      case 'listen':
        tellDone(message.ticket, this.#listeners.open(message.index, socket).then(nothing));
        break;
      default:
        this.#unknown.ignore(message);
    }
  }

  async drain(deadlineMs: number): Promise<void> {
    const { journal, meters } = this.#durable;
    // What is owed first becomes durable, then is answered, then the connections close, which the journal notes.
    const closing = this.#listeners.close(deadlineMs, passOn);
    await journal.flush();
    await closing;
    this.#stopMetering();
    this.#telling.stop();
    clearInterval(this.#reviewing);
    clearInterval(this.#canary);
    meters.flush();
    await this.#fleet.close();
    await journal.close();
    await this.#state.close();
    this.#stopSampling();
  }
}

/** What a request without counts has come to. */
const nothing = (): Readonly<Record<string, number>> => ({});

function passOn(index: number, datagram: Uint8Array, { address, port }: Sender): void {
  tell({ type: 'datagram', index, bytes: Buffer.from(datagram).toString('base64'), address, port });
}

function sessionsOf({ sessions }: ListenHost, { after, limit, device, codec }: ConnectionQuery): SessionFacts[] {
  const found: SessionFacts[] = [];
  for (const session of device === '' ? sessions : sessions.of(device)) {
    if (session.number <= after) continue;
    const facts = session.facts();
    if (codec === '' || facts.protocol === codec) found.push(facts);
  }
  return found.sort((a, b) => a.number - b.number).slice(0, limit);
}

async function disconnect(
  { sessions }: ListenHost,
  { device, number, by }: { readonly device: string; readonly number: number; readonly by: string },
): Promise<Readonly<Record<string, number>>> {
  const asked = [...(device === '' ? sessions : sessions.of(device))].filter((session) => number === 0 || session.number === number);
  for (const session of asked) session.disconnect(by);
  return { closed: asked.length };
}

function tellSeen(rows: readonly SightRow[], who: readonly WhoRow[]): void {
  tell({ type: 'seen', rows, who });
}

/** Devices that say only that they are there are in contact, too. */
function reviewContacts({ sessions, sights, clock }: ListenHost): void {
  const ahead = clock.now() - clock.elapsed();
  for (const session of sessions)
    if (clock.elapsed() - session.heardAt < REVIEW_MS && !session.treatment.relay)
      sights.heard(session.sight, Math.round(session.heardAt + ahead));
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
