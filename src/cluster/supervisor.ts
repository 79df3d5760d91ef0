import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { Vitals } from '../base/descriptors.ts';
import { AppError, messageOf } from '../base/errors.ts';
import { nodeStorage } from '../base/files.ts';
import { inUse } from '../base/lock/lock.ts';
import { Ownership } from '../base/lock/ownership.ts';
import type { Log } from '../base/log.ts';
import { MetricsAggregate, type MetricsJson } from '../base/metrics/aggregate.ts';
import { createMetrics, type Metrics } from '../base/metrics/catalog.ts';
import { placeOf } from '../base/wire/network.ts';
import { packConfig } from '../config/pack.ts';
import type { Config } from '../config/schema.ts';
import type { ServerFacts } from '../live/status.ts';
import type { ClickHouseAccess } from '../out/sink/clickhouse/sink.ts';
import { checkStore, DATA_FILE, damageText } from '../state/check.ts';
import { type ClickHouse, clickHouseOf, forkEngine, packAccess } from './clickhouse.ts';
import { makeDataDir } from './data-directory.ts';
import { Directory } from './directory.ts';
import { EventJournal } from './event-journal.ts';
import { openInstance } from './instance.ts';
import { UnknownMessages } from './ipc.ts';
import type { FromRole, Health, ToEach } from './messages.ts';
import type { OfficeOptions, OpenOffice, Roles } from './office.ts';
import { ownedStorage } from './owned-storage.ts';
import { ownerOnly } from './owner-only.ts';
import { claimPorts } from './ports.ts';
import { Post, type PostHost } from './post.ts';
import { recoverSlot, recoverSlots } from './recover-slots.ts';
import { forkChild, forkWorker, type Running } from './running.ts';
import { handOver } from './succession.ts';
import { Watchdog } from './watchdog.ts';
import { connectionsOf, disconnect } from './worker-connections.ts';

/**
 * The primary process: forks one worker per slot, the shipper and the embedded ClickHouse, restarts what dies, and
 * takes everything down in the order that loses nothing.
 *
 * 1. A slot's number is stable: a restarted worker continues the same journal directory.
 * 2. A child that dies is started again, after a pause that grows while it keeps dying.
 * 3. A child that cannot start at the first start ends the server with that child's reason; later it is tried again. One
 *    that was killed from outside while it started is started again, like any other.
 * 4. Workers are replaced one at a time: the new one listens, on a slot of its own, before the old one stops.
 * 5. Down: workers first (no more data comes in, all that is durable is answered), then the shipper (what is durable
 *    is delivered, as far as the time goes), then the embedded ClickHouse.
 * 6. The data directory is this server's before anything in it is read, and no process of it outlives the supervisor for
 *    long. When another server has taken it all the same, the children are killed: see base/lock/ownership.ts.
 */

/** How long the supervisor before this one may take to end. */
const PREDECESSOR_WAIT_MS = 2000;
/** Part of the drain time that the workers may use; the rest is the shipper's. */
const WORKER_SHARE = 0.5;
const EMBEDDED_CLOSE_MS = 10_000;
const STATE_STORE = 'state_store';
/** Of a child that is not a worker. */
const NO_SLOT = -1;
/** For what the supervisor itself has open; a state store that does not answer must not keep the server from ending. */
const OFFICE_CLOSE_MS = 5_000;
/** A journal that is full or hangs rotates late; what waits for it asks again. */
const ROTATE_MS = 60_000;
/** Rewriting a large journal and mutating a large table take their time. Asked again, it goes on where it is. */
const ERASE_MS = 3_600_000;

/** Readiness of the whole server: see docs/http.md. */
export interface Readiness {
  readonly status: 'ready' | 'degraded' | 'unready';
  readonly parts: Readonly<Record<string, Health>>;
}

export class Supervisor<Office extends OpenOffice> implements PostHost {
  readonly metrics: Metrics = createMetrics();
  readonly aggregate = new MetricsAggregate();
  readonly #vitals = new Vitals();
  readonly log: Log;
  config: Config;
  watchdog: Watchdog | undefined;
  /** Rejects when another server has taken the data directory. */
  readonly lost: Promise<never>;
  #lose: (error: AppError) => void = () => {};
  #ownership: Ownership | undefined;
  readonly #posts: Post[] = [];
  /** By slot. */
  readonly #workers = new Map<number, Post>();
  readonly #directory = new Directory(
    (slot, device, verdict) => this.#workers.get(slot)?.send({ type: 'rivals', device, verdict }),
    () => systemClock.elapsed(),
  );
  readonly #roles: Roles<Office>;
  #greeting: (slot: number, successor: boolean) => ToEach | undefined = () => undefined;
  readonly #unknown = new UnknownMessages((type) => this.log.warn({ type }, 'a message of an unknown type is ignored'));
  #replacing: Promise<void> | undefined;
  #events: EventJournal | undefined;
  /** Devices and commands; undefined while the server starts. */
  office: Office | undefined;
  /** Successors of workers that end, by their slots. */
  readonly #heirs = new Map<number, Post>();
  #shipper: Post | undefined;
  #embedded: Post | undefined;
  #stopping: Promise<void> | undefined;
  /** Which file is damaged and what to do, '' while the state store is sound. */
  #stateDamage = '';
  #checkingState: Promise<void> | undefined;

  constructor(config: Config, log: Log, roles: Roles<Office>) {
    this.config = config;
    this.#roles = roles;
    this.log = log;
    this.lost = new Promise((_, reject) => {
      this.#lose = reject;
    });
    // It is waited for while the server runs.
    this.lost.catch(() => {});
  }

  /** Starts everything; throws AppError with the reason and the remedy when something cannot start. */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      await this.stop(0);
      throw error;
    }
  }

  /** Drains and ends all children. Calling it again changes nothing. */
  stop(drainMs: number): Promise<void> {
    this.#stopping ??= this.#stop(drainMs);
    return this.#stopping;
  }

  async #start(): Promise<void> {
    const ownership = await this.#takeDirectory();
    const storage = ownedStorage(nodeStorage, ownership.tenure);
    this.watchdog = new Watchdog();
    const journals = join(this.config.dataDir, 'journal');
    await nodeStorage.makeDirectory(journals);
    // Before the ports: a worker that outlived its supervisor may still have them.
    const orderOffset = orderOffsetBehind(await recoverSlots(journals, storage));
    this.config = { ...this.config, listeners: await claimPorts(this.config.listeners) };
    const { config } = this;
    const instance = await openInstance(config.dataDir, this.log);
    await ownership.name(instance);
    this.#events = await EventJournal.open(config, instance, orderOffset, ownership.tenure, this.log);
    const clickhouse = await clickHouseOf(config);
    this.office = await this.#roles.openOffice(this.#officeOptions(instance, clickhouse.access));
    const packed = packAccess(clickhouse);
    const raw = packConfig(config);
    this.#greeting = (slot, successor) => ({
      type: 'start',
      config: raw,
      instance,
      owner: ownership.random,
      slot,
      successor,
      orderOffset,
      clickhouse: packed,
      stateDamage: this.#stateDamage,
    });
    this.#makePosts(clickhouse);
    await Promise.all(this.#posts.map((post) => post.firstStart()));
    this.log.info(
      {
        listeners: config.listeners.map((l) => `${l.codec} ${l.transport} ${placeOf(l.host, l.port)}`),
        clickhouse: clickhouse.access.url,
        redis: config.redis.url ?? 'off: set FIXGATE_REDIS_URL to turn the stream on',
      },
      'listening',
    );
  }

  /** Invariant 6. */
  async #takeDirectory(): Promise<Ownership> {
    const { dataDir } = this.config;
    await makeDataDir(dataDir);
    const ownership = await Ownership.take(dataDir, {
      waitMs: PREDECESSOR_WAIT_MS,
      log: this.log,
      lost: (owner) => this.#abandon(inUse(dataDir, owner)),
    });
    this.#ownership = ownership;
    await ownership.tenure.confirm();
    await ownerOnly(dataDir, this.log);
    await this.#checkState(true);
    return ownership;
  }

  #officeOptions(instance: string, clickhouse: ClickHouseAccess): OfficeOptions {
    return {
      config: this.config,
      instance,
      log: this.log,
      metrics: this.metrics,
      clickhouse,
      stateDamage: this.#stateDamage,
      poke: (device) => this.#poke(device),
      record: (device, event, account) => this.#events?.record(device, event, account),
      audit: async (entry) => this.#events?.audit(entry),
      text: async (frame) => this.#events?.text(frame),
      suspectState: () => void this.suspectState(),
      connections: (after, limit, of) => connectionsOf(this.#workers, after, limit, of),
      disconnect: (what, by) => disconnect(this.#workers, what, by),
      trace: (key) => {
        for (const post of this.#workers.values()) post.send({ type: 'trace', key });
      },
      watch: () => {
        for (const post of this.#workers.values()) post.send({ type: 'watch' });
      },
      isConnected: (device) => this.#directory.slotOf(device) !== undefined,
      facts: this.#facts(),
      rotate: () => this.#rotate(),
      erase: (part, devices) => this.#erase(part, devices),
    };
  }

  #facts(): ServerFacts {
    return {
      readiness: () => this.readiness(),
      processes: () =>
        this.#posts.map(({ name, ready, health, running, restarts }) => {
          const state = ready ? (health[name]?.state ?? 'up') : 'starting';
          return { name, state, pid: running?.pid ?? 0, restarts };
        }),
      metrics: async () => {
        const own: MetricsJson = await this.metrics.registry.getMetricsAsJSON();
        // The life of a process is behind its name.
        return [
          ['supervisor', own] as const,
          ...[...this.aggregate.reports()].map(([key, all]) => [key.replace(/\/.*/, ''), all] as const),
        ];
      },
      connected: () => this.#directory.size,
      listeners: () => this.config.listeners,
    };
  }

  #makePosts({ engine }: ClickHouse): void {
    if (engine !== undefined) {
      this.#embedded = new Post(this, {
        name: 'clickhouse',
        spawn: () => forkEngine(engine),
        greeting: () => undefined,
        heard: (message) => this.#heard(NO_SLOT, message),
      });
      this.#posts.push(this.#embedded);
    }
    for (let slot = 0; slot < this.config.workers; slot++) this.#posts.push(this.#makeWorker(slot));
    this.#shipper = new Post(this, {
      name: 'shipper',
      spawn: () => forkChild(this.#roles.shipper, []),
      greeting: () => this.#greeting(NO_SLOT, false),
      heard: (message) => this.#heard(NO_SLOT, message),
    });
    this.#posts.push(this.#shipper);
  }

  /** Replaces all workers by new processes, one after the other, while devices can connect all the time. Never rejects. */
  replaceWorkers(): Promise<void> {
    this.#replacing ??= this.#replaceWorkers().finally(() => {
      this.#replacing = undefined;
    });
    return this.#replacing;
  }

  readiness(): Readiness {
    const parts: Record<string, Health> = {};
    if (this.#posts.length === 0) parts['supervisor'] = { state: 'down', reason: 'starting' };
    for (const post of this.#posts) {
      if (!post.ready || post.silent) parts[post.name] = { state: 'down', reason: 'starting or restarting' };
      Object.assign(parts, post.health);
    }
    if (this.#stateDamage !== '') parts[STATE_STORE] = { state: 'down', reason: this.#stateDamage };
    const needed = (name: string): boolean => name === 'supervisor' || name === STATE_STORE || name.startsWith('worker-');
    const unready = Object.entries(parts).some(([name, health]) => needed(name) && health.state === 'down');
    const degraded = Object.values(parts).some((health) => health.state !== 'up');
    return { status: unready ? 'unready' : degraded ? 'degraded' : 'ready', parts };
  }

  async metricsText(): Promise<string> {
    this.metrics.memory.set(this.#vitals.take().memoryBytes);
    const own: MetricsJson = await this.metrics.registry.getMetricsAsJSON();
    return this.aggregate.text(own);
  }

  /** Something points at a damaged state store: a process has crashed, or could not read it. Never rejects. */
  suspectState(): Promise<void> {
    this.#checkingState ??= this.#checkState(false).finally(() => {
      this.#checkingState = undefined;
    });
    return this.#checkingState;
  }

  /** Has another process read the whole store, and keeps every process from it when it is damaged. `exclusive`: none has it open. */
  async #checkState(exclusive: boolean): Promise<void> {
    if (this.config.state.url !== undefined || this.#stateDamage !== '') return;
    const directory = join(this.config.dataDir, 'state');
    try {
      const { damage } = await checkStore(directory, exclusive);
      if (damage === '') return;
      this.#stateDamage = damageText(directory, damage);
    } catch (error) {
      this.log.warn({ error: messageOf(error) }, 'the state store cannot be checked');
      return;
    }
    this.log.error({ file: join(directory, DATA_FILE) }, this.#stateDamage);
    this.office?.abandonState(this.#stateDamage);
    for (const post of [...this.#workers.values(), this.#shipper]) post?.send({ type: 'state_damaged', damage: this.#stateDamage });
  }

  async #stop(drainMs: number): Promise<void> {
    // What dies from here on stays down: its journal is delivered at the next start.
    for (const post of [...this.#posts, ...this.#workers.values()]) {
      post.retire();
      // Nor is anything that takes long waited for: it is carried on with at the next start.
      post.abandon('the server is stopping');
    }
    const drain = (deadlineMs: number) => (running: Running) => running.send({ type: 'drain', deadlineMs });
    const workersMs = drainMs * WORKER_SHARE;
    const until = systemClock.elapsed() + drainMs;
    await Promise.all([...this.#workers.values()].map((post) => post.stop(drain(workersMs), workersMs + 2000)));
    await this.#closeOwn();
    const shipperMs = Math.max(0, until - systemClock.elapsed());
    await this.#shipper?.stop(drain(shipperMs), shipperMs + 2000);
    await this.#embedded?.stop((running) => running.release(), EMBEDDED_CLOSE_MS);
    this.watchdog?.close();
    await this.#ownership?.close();
  }

  /** Invariant 6: no child may touch the directory of another server once more. */
  #abandon(error: AppError): void {
    this.#stopping ??= Promise.resolve();
    for (const post of [...this.#posts, ...this.#workers.values()]) {
      post.retire();
      post.running?.kill('SIGKILL');
    }
    this.watchdog?.close();
    this.#lose(error);
  }

  async #closeOwn(): Promise<void> {
    const { office } = this;
    // From here on the API answers 503: the state store is closed before HTTP is.
    this.office = undefined;
    const closed = Promise.resolve(office?.close()).then(() => this.#events?.close());
    const late = new Promise<false>((resolve) => setTimeout(() => resolve(false), OFFICE_CLOSE_MS).unref());
    const whole = await Promise.race([closed.then(() => true), late]).catch((error: unknown) => {
      this.log.error({ error: messageOf(error) }, 'the state store cannot be closed');
      return true;
    });
    if (!whole) this.log.warn({}, 'commands and events of the supervisor not finished at the deadline; the ledger keeps them');
  }

  async #replaceWorkers(): Promise<void> {
    const { drainMs, dataDir } = this.config;
    const ownership = this.#ownership;
    if (this.#workers.size === 0 || ownership === undefined) return;
    this.log.info({ workers: this.#workers.size }, 'replacing the workers');
    for (const [slot, old] of [...this.#workers]) {
      const spare = this.#spareSlot();
      const successor = this.#makeWorker(spare, true);
      try {
        await successor.start();
        const trouble = await handOver(old, successor, this.config.listeners.length);
        if (trouble !== '') throw new AppError('WORKER_FAILED', `${successor.name} does not listen: ${trouble}`);
      } catch (error) {
        await successor.stop((running) => running.kill('SIGKILL'), 0);
        this.#workers.delete(spare);
        this.log.error({ error: messageOf(error) }, 'a new worker cannot start; the remaining workers are kept');
        return;
      }
      if (this.#stopping !== undefined) return;
      this.#posts.splice(this.#posts.indexOf(old), 1, successor);
      this.#heirs.set(slot, successor);
      await old.stop((running) => running.send({ type: 'drain', deadlineMs: drainMs }), drainMs + 2000);
      this.#heirs.delete(slot);
      this.#workers.delete(slot);
      // If it was killed at the deadline, its journal is finished here.
      await recoverSlot(join(dataDir, 'journal', String(slot)), ownedStorage(nodeStorage, ownership.tenure)).catch((error: unknown) => {
        this.log.error({ slot, error: messageOf(error) }, 'the journal of a replaced worker cannot be closed; retried at the next start');
      });
    }
    this.log.info({ workers: this.#workers.size }, 'the workers are replaced');
  }

  #makeWorker(slot: number, successor = false): Post {
    const post = new Post(this, {
      name: `worker-${slot}`,
      spawn: () => forkWorker(this.#roles.worker),
      greeting: (life) => this.#greeting(slot, successor && life === 1),
      heard: (message) => this.#heard(slot, message),
      ended: () => this.#directory.forget(slot),
    });
    this.#workers.set(slot, post);
    return post;
  }

  #heard(slot: number, message: FromRole): void {
    switch (message.type) {
      case 'sessions':
        this.#directory.moved(slot, message.moves);
        for (const [device] of message.moves) this.office?.live.moved(device);
        break;
      case 'traced':
        this.office?.traces.take(message.key, message.frames, message.lost);
        break;
      case 'events':
        this.office?.live.events(message.events);
        break;
      case 'seen':
        this.office?.live.seen(message.rows, message.who);
        break;
      case 'spoke':
        for (const other of this.#directory.spoke(slot, message.device)) this.#workers.get(other)?.send(message);
        break;
      case 'sightings':
        for (const sighting of message.sightings) this.office?.clones.saw(sighting);
        break;
      case 'datagram':
        this.#heirs.get(slot)?.send(message);
        break;
      case 'command_ended':
        this.office?.waiting.ended(message.device, message.id, message.reply);
        break;
      case 'state_suspect':
        void this.suspectState();
        break;
      default:
        this.#unknown.ignore(message);
    }
  }

  crashed(): Promise<void> {
    return this.suspectState();
  }

  /** All journals: what was journaled until now is in segments that are not written any more. */
  async #rotate(): Promise<void> {
    const posts = [...this.#workers.values()];
    await Promise.all([this.#events?.rotate(), ...posts.map((post) => post.ask((ticket) => ({ type: 'rotate', ticket }), ROTATE_MS))]);
  }

  async #erase(...[part, devices]: Parameters<OfficeOptions['erase']>): Promise<Readonly<Record<string, number>>> {
    if (this.#shipper === undefined) throw new AppError('WORKER_FAILED', 'the shipper is starting');
    return (await this.#shipper.ask((ticket) => ({ type: 'erase', ticket, part, devices: [...devices] }), ERASE_MS)).counts;
  }

  #poke(device: string): void {
    const slot = this.#directory.slotOf(device);
    if (slot !== undefined) this.#workers.get(slot)?.send({ type: 'commands', device });
  }

  #spareSlot(): number {
    let slot = 0;
    while (this.#workers.has(slot)) slot++;
    return slot;
  }
}

/**
 * What the processes add to their monotonic time to give entries their order: it goes on behind all entries that there are,
 * and is the wall clock where that has not been set back.
 */
function orderOffsetBehind(order: number): number {
  return Math.max(1000 * systemClock.now(), order + 1) - 1000 * systemClock.elapsed();
}
