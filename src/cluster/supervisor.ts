import { type ChildProcess, fork } from 'node:child_process';
import cluster, { type Worker } from 'node:cluster';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Office, openOffice } from '../app.ts';
import { systemClock } from '../clock.ts';
import { packConfig } from '../config/pack.ts';
import type { Config } from '../config/schema.ts';
import { Vitals } from '../descriptors.ts';
import { clickHouseSecret } from '../embedded/secret.ts';
import { AppError, messageOf, systemCode } from '../errors.ts';
import { nodeStorage } from '../journal/storage.ts';
import { inUse } from '../lock/lock.ts';
import { Ownership } from '../lock/ownership.ts';
import type { Log } from '../log.ts';
import { MetricsAggregate, type MetricsJson } from '../metrics/aggregate.ts';
import { createMetrics } from '../metrics/catalog.ts';
import { type Secret, SecretUrl } from '../secret.ts';
import { checkStore, DATA_FILE, damageText } from '../state/check.ts';
import { placeOf } from '../wire/network.ts';
import { modulePath } from './child-process.ts';
import { Directory } from './directory.ts';
import { EventJournal } from './event-journal.ts';
import { openInstance } from './instance.ts';
import { type FromChild, type Health, isFromChild, type SendHandle, type ToChild } from './messages.ts';
import { ownedStorage } from './owned-storage.ts';
import { ownerOnly } from './owner-only.ts';
import { claimPorts } from './ports.ts';
import { recoverSlot, recoverSlots } from './recover-slots.ts';
import { Succession } from './succession.ts';
import { Watchdog } from './watchdog.ts';

/**
 * The primary process: forks one worker per slot, the shipper and the embedded ClickHouse, restarts what dies, and
 * takes everything down in the order that loses nothing.
 *
 * 1. A slot's number is stable: a restarted worker continues the same journal directory.
 * 2. A child that dies is started again, after a pause that grows while it keeps dying.
 * 3. A child that cannot start at the first start ends the server with that child's reason; later it is tried again. One
 *    that was killed from outside while it started is started again, like any other.
 * 4. Workers are replaced one at a time: the new one listens, on a slot that nobody else has, before the old one stops.
 * 5. Down: workers first (no more data comes in, all that is durable is answered), then the shipper (what is durable
 *    is delivered, as far as the time goes), then the embedded ClickHouse.
 * 6. The data directory is this server's before anything in it is read, and no process of it outlives the supervisor for
 *    long. When another server has taken it all the same, the children are killed: see lock/ownership.ts.
 */

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;
/** A child that lived this long has earned the short pause again. */
const SETTLED_MS = 30_000;
const START_MS = 60_000;
/** How long the supervisor before this one may take to end. */
const PREDECESSOR_WAIT_MS = 2000;
/** Sent by a person, a program or a system short of memory; the others are the child's own doing. */
const FROM_OUTSIDE: readonly string[] = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'];
/** Part of the drain time that the workers may use; the rest is the shipper's. */
const WORKER_SHARE = 0.5;
/** No child reads what the server is given on standard input. */
const CHILD_STDIO: ('ignore' | 'inherit' | 'ipc')[] = ['ignore', 'inherit', 'inherit', 'ipc'];
const EMBEDDED_CLOSE_MS = 10_000;
/** What ends a process that reads a damaged page of a mapped file, among other things. */
const CRASHES: readonly (string | null)[] = ['SIGBUS', 'SIGSEGV', 'SIGABRT', 'SIGILL', 'SIGFPE'];
const STATE_STORE = 'state_store';
/** For what the supervisor itself has open; a state store that does not answer must not keep the server from ending. */
const OFFICE_CLOSE_MS = 5_000;

/** A child as the supervisor needs it, a cluster worker or a plain process alike. */
interface Running {
  /** `sent`: it has left, or never will. */
  send(message: ToChild, socket?: SendHandle, sent?: () => void): void;
  kill(signal: NodeJS.Signals): void;
  /** Lets go of it: a child ends when it has no parent. */
  release(): void;
  onMessage(listener: (message: unknown, socket: unknown) => void): void;
  onExit(listener: (code: number | null, signal: string | null) => void): void;
  readonly pid: number;
}

/** One place in the process tree, whoever fills it at the moment. */
class Post {
  readonly name: string;
  running: Running | undefined;
  ready = false;
  health: Readonly<Record<string, Health>> = {};
  /** Names one life of the process, for the metrics. */
  life = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #ending = false;
  /** The child that ended last was killed from outside. */
  #killed = false;
  #startedAt = 0;
  readonly #supervisor: Supervisor;
  readonly #spawn: () => Running;
  readonly #greeting: (life: number) => ToChild | undefined;
  #reports = false;
  /** Why it died is being looked into. */
  #looking: Promise<void> = Promise.resolve();
  /** Takes what the child says beyond its start and its reports; undefined: it has ended. */
  heard: (message: FromChild | undefined, socket?: unknown) => void = () => {};

  constructor(supervisor: Supervisor, name: string, spawn: () => Running, greeting: (life: number) => ToChild | undefined) {
    this.#supervisor = supervisor;
    this.name = name;
    this.#spawn = spawn;
    this.#greeting = greeting;
  }

  /** Ready, and its first report is still on its way. */
  get silent(): boolean {
    return this.#reports && Object.keys(this.health).length === 0;
  }

  /** Invariant 3. Resolves when the child is ready. */
  async firstStart(): Promise<void> {
    while (!this.#ending) {
      try {
        await this.start();
        return;
      } catch (error) {
        if (!this.#killed || this.#ending) throw error;
        this.#supervisor.log.warn(
          { child: this.name, error: messageOf(error) },
          'a process was killed while it started and is started again',
        );
        await new Promise((resolve) => setTimeout(resolve, this.#pause()));
      }
    }
  }

  /** Starts the child; resolves when it is ready, rejects with its reason when it cannot start. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const running = this.#spawn();
      const { log, metrics, aggregate, watchdog } = this.#supervisor;
      const life = `${this.name}/${++this.life}`;
      this.running = running;
      watchdog?.watch(running.pid);
      this.#startedAt = systemClock.elapsed();
      let failure: AppError | undefined;
      const late = setTimeout(() => {
        failure = new AppError('WORKER_FAILED', `${this.name} did not start within ${START_MS / 1000} s`);
        running.kill('SIGKILL');
      }, START_MS);
      running.onMessage((message, socket) => {
        if (!isFromChild(message)) return;
        if (message.type === 'ready') {
          clearTimeout(late);
          this.ready = true;
          resolve();
        } else if (message.type === 'failed') failure = new AppError(message.code, message.message);
        else if (message.type !== 'report') this.heard(message, socket);
        else {
          this.health = message.health;
          aggregate.report(life, message.metrics);
        }
      });
      running.onExit((code, signal) => {
        clearTimeout(late);
        watchdog?.forget(running.pid);
        this.#killed = failure === undefined && signal !== null && FROM_OUTSIDE.includes(signal);
        const started = this.ready;
        this.running = undefined;
        this.ready = false;
        this.health = {};
        aggregate
          .ended(life)
          .catch((error: unknown) => log.error({ error: messageOf(error) }, 'the counters of an ended process are lost'));
        this.heard(undefined);
        if (this.#ending) {
          resolve();
          return;
        }
        if (CRASHES.includes(signal)) this.#looking = this.#supervisor.suspectState();
        const why = failure?.message ?? (signal === null ? `ended with code ${code}` : `killed by ${signal}`);
        if (!started) reject(failure ?? new AppError('WORKER_FAILED', `${this.name} ${why} while starting`));
        else {
          log.warn({ child: this.name, pid: running.pid, why }, 'a process died and is started again');
          metrics.restarts.inc({ process: this.name.replace(/-\d+$/, '') });
          this.#again();
        }
      });
      const greeting = this.#greeting(this.life);
      this.#reports = greeting !== undefined;
      if (greeting !== undefined) running.send(greeting);
    });
  }

  /** Not to be started again. */
  retire(): void {
    this.#ending = true;
  }

  /** Asks the child to finish and waits for its end; kills it when it does not. */
  async stop(ask: (running: Running) => void, deadlineMs: number): Promise<void> {
    this.retire();
    const running = this.running;
    if (running === undefined) return;
    const ended = new Promise<void>((resolve) => running.onExit(() => resolve()));
    ask(running);
    const late = setTimeout(() => running.kill('SIGKILL'), deadlineMs);
    await ended;
    clearTimeout(late);
  }

  #pause(): number {
    if (systemClock.elapsed() - this.#startedAt > SETTLED_MS) this.#pauseMs = FIRST_PAUSE_MS;
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs);
    return pauseMs;
  }

  #again(): void {
    setTimeout(async () => {
      await this.#looking;
      if (this.#ending) return;
      this.start().catch((error: unknown) => {
        this.#supervisor.log.error({ child: this.name, error: messageOf(error) }, 'a process cannot be started again; trying on');
        this.#again();
      });
    }, this.#pause());
  }
}

/** Readiness of the whole server: see docs/http.md. */
export interface Readiness {
  readonly status: 'ready' | 'degraded' | 'unready';
  readonly parts: Readonly<Record<string, Health>>;
}

/** What a child was asked to do. */
interface Asked {
  readonly post: Post;
  resolve(counts: Readonly<Record<string, number>>): void;
  reject(error: AppError): void;
}

export class Supervisor {
  readonly metrics = createMetrics();
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
  readonly #directory = new Directory((slot, device, claims) => this.#workers.get(slot)?.running?.send({ type: 'rivals', device, claims }));
  #greeting: (slot: number, successor: boolean) => ToChild | undefined = () => undefined;
  #replacing: Promise<void> | undefined;
  #events: EventJournal | undefined;
  /** Devices and commands; undefined while the server starts. */
  office: Office | undefined;
  #succession: Succession | undefined;
  #shipper: Post | undefined;
  #embedded: Post | undefined;
  #stopping: Promise<void> | undefined;
  #tickets = 0;
  readonly #asked = new Map<number, Asked>();
  /** Which file is damaged and what to do, '' while the state store is sound. */
  #stateDamage = '';
  #checkingState: Promise<void> | undefined;

  constructor(config: Config, log: Log) {
    this.config = config;
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
    await makeDataDir(this.config.dataDir);
    const ownership = await Ownership.take(this.config.dataDir, {
      waitMs: PREDECESSOR_WAIT_MS,
      log: this.log,
      lost: (owner) => this.#abandon(inUse(this.config.dataDir, owner)),
    });
    this.#ownership = ownership;
    await ownership.tenure.confirm();
    await ownerOnly(this.config.dataDir, this.log);
    await this.#checkState(true);
    const storage = ownedStorage(nodeStorage, ownership.tenure);
    this.watchdog = new Watchdog();
    const journals = join(this.config.dataDir, 'journal');
    await nodeStorage.makeDirectory(journals);
    // Before the ports: a worker that outlived its supervisor may still have them.
    const orderOffset = orderOffsetBehind(await recoverSlots(journals, storage));
    this.config = { ...this.config, listeners: await claimPorts(this.config.listeners) };
    const config = this.config;
    const instance = await openInstance(config.dataDir, this.log);
    await ownership.name(instance);
    this.#events = await EventJournal.open(config, instance, orderOffset, ownership.tenure, this.log);
    const embedded = config.clickhouse.url === undefined;
    const port = config.clickhouse.port === 0 && embedded ? await freePort() : config.clickhouse.port;
    const clickhouse = await clickHouseAccess(config, port);
    this.office = await openOffice(
      config,
      instance,
      this.log,
      this.metrics,
      (device) => this.#poke(device),
      (device, event) => this.#events?.record(device, event),
      clickhouse,
      {
        stateDamage: this.#stateDamage,
        suspectState: () => void this.suspectState(),
        isConnected: (device) => this.#directory.slotOf(device) !== undefined,
        rotate: () => this.#rotate(),
        erase: (part, devices) => this.#ask(this.#shipper, (ticket) => ({ type: 'erase', ticket, part, devices: [...devices] })),
      },
    );

    if (embedded) {
      this.#embedded = this.#post(
        'clickhouse',
        () => forkEmbedded(config.dataDir, port),
        () => undefined,
      );
    }
    cluster.setupPrimary({ exec: modulePath('./worker', import.meta.url), args: [], stdio: CHILD_STDIO });
    const packed = { ...clickhouse, url: clickhouse.url.reveal(), password: clickhouse.password.reveal() };
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
    for (let slot = 0; slot < config.workers; slot++) this.#posts.push(this.#makeWorker(slot));
    this.#shipper = this.#post(
      'shipper',
      () => ofProcess(fork(modulePath('./shipper', import.meta.url), [], { stdio: CHILD_STDIO })),
      () => this.#greeting(-1, false),
    );
    this.#shipper.heard = (message) => {
      if (message?.type === 'state_suspect') void this.suspectState();
      else this.#answered(this.#shipper, message);
    };
    await Promise.all(this.#posts.map((post) => post.firstStart()));
    this.log.info(
      {
        listeners: config.listeners.map((l) => `${l.codec} ${l.transport} ${placeOf(l.host, l.port)}`),
        clickhouse: clickhouse.url,
        redis: config.redis.url ?? 'off: set FIXGATE_REDIS_URL to turn the stream on',
      },
      'listening',
    );
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
    for (const post of [...this.#workers.values(), this.#shipper])
      post?.running?.send({ type: 'state_damaged', damage: this.#stateDamage });
  }

  async #stop(drainMs: number): Promise<void> {
    // What dies from here on stays down: its journal is delivered at the next start.
    for (const post of [...this.#posts, ...this.#workers.values()]) post.retire();
    // Nor is anything that takes long waited for: it is carried on with at the next start.
    for (const [ticket, asked] of this.#asked) {
      this.#asked.delete(ticket);
      asked.reject(new AppError('WORKER_FAILED', 'the server is stopping'));
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
    const closed = (async () => {
      await this.office?.close();
      await this.#events?.close();
      return true;
    })();
    const late = new Promise<false>((resolve) => setTimeout(() => resolve(false), OFFICE_CLOSE_MS).unref());
    const whole = await Promise.race([closed, late]).catch((error: unknown) => {
      this.log.error({ error: messageOf(error) }, 'the state store cannot be closed');
      return true;
    });
    if (!whole) this.log.warn({}, 'commands and events of the supervisor are not finished in time; what is in the ledger stays there');
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
        this.#succession = new Succession({ send: (...args) => successor.running?.send(...args) }, this.config.listeners.length);
        if (!(await this.#succession.complete((message) => old.running?.send(message))))
          throw new AppError('WORKER_FAILED', `${successor.name} does not listen`);
      } catch (error) {
        await successor.stop((running) => running.kill('SIGKILL'), 0);
        this.#workers.delete(spare);
        this.log.error({ error: messageOf(error) }, 'a new worker cannot start: the workers that have not been replaced stay');
        return;
      } finally {
        this.#succession = undefined;
      }
      if (this.#stopping !== undefined) return;
      this.#posts.splice(this.#posts.indexOf(old), 1, successor);
      await old.stop((running) => running.send({ type: 'drain', deadlineMs: drainMs }), drainMs + 2000);
      this.#workers.delete(slot);
      // Should it have been killed at the deadline, nobody else finishes its journal.
      await recoverSlot(join(dataDir, 'journal', String(slot)), ownedStorage(nodeStorage, ownership.tenure)).catch((error: unknown) => {
        this.log.error(
          { slot, error: messageOf(error) },
          'the journal of a replaced worker cannot be closed; it is tried again at the next start',
        );
      });
    }
    this.log.info({ workers: this.#workers.size }, 'the workers are replaced');
  }

  #makeWorker(slot: number, successor = false): Post {
    const post = new Post(
      this,
      `worker-${slot}`,
      () => ofWorker(cluster.fork()),
      (life) => this.#greeting(slot, successor && life === 1),
    );
    post.heard = (message, socket) => {
      this.#answered(post, message);
      if (message === undefined) this.#directory.forget(slot);
      else if (message.type === 'sessions') this.#directory.moved(slot, message.moves);
      else if (message.type === 'state_suspect') void this.suspectState();
      else if (message.type === 'spoke')
        for (const other of this.#directory.othersThan(slot, message.device)) this.#workers.get(other)?.running?.send(message);
      else if (message.type !== 'done') this.#succession?.heard(message, socket);
    };
    this.#workers.set(slot, post);
    return post;
  }

  /** All journals: what was journaled until now is in segments that are not written any more. */
  async #rotate(): Promise<void> {
    const posts = [...this.#workers.values()];
    await Promise.all([this.#events?.rotate(), ...posts.map((post) => this.#ask(post, (ticket) => ({ type: 'rotate', ticket })))]);
  }

  /** Rejects when the child cannot do it, or ends before it has said. */
  #ask(post: Post | undefined, message: (ticket: number) => ToChild): Promise<Readonly<Record<string, number>>> {
    return new Promise((resolve, reject) => {
      if (post?.running === undefined || !post.ready || this.#stopping !== undefined) {
        reject(new AppError('WORKER_FAILED', `${post?.name ?? 'a process'} is starting or ending`));
        return;
      }
      const ticket = ++this.#tickets;
      this.#asked.set(ticket, { post, resolve, reject });
      post.running.send(message(ticket));
    });
  }

  /** Settles what was asked of a child; undefined: it has ended. */
  #answered(post: Post | undefined, message: FromChild | undefined): void {
    if (message !== undefined && message.type !== 'done') return;
    for (const [ticket, asked] of this.#asked) {
      if (message === undefined ? asked.post !== post : ticket !== message.ticket) continue;
      this.#asked.delete(ticket);
      if (message?.trouble === '') asked.resolve(message.counts);
      else asked.reject(new AppError('WORKER_FAILED', message?.trouble ?? `${asked.post.name} has ended`));
    }
  }

  #poke(device: string): void {
    const slot = this.#directory.slotOf(device);
    if (slot !== undefined) this.#workers.get(slot)?.running?.send({ type: 'commands', device });
  }

  #spareSlot(): number {
    let slot = 0;
    while (this.#workers.has(slot)) slot++;
    return slot;
  }

  #post(name: string, spawn: () => Running, greeting: (life: number) => ToChild | undefined): Post {
    const post = new Post(this, name, spawn, greeting);
    this.#posts.push(post);
    return post;
  }
}

/**
 * What the processes add to their monotonic time to give entries their order: it goes on behind all entries that there are,
 * and is the wall clock where that has not been set back.
 */
function orderOffsetBehind(order: number): number {
  return Math.max(1000 * systemClock.now(), order + 1) - 1000 * systemClock.elapsed();
}

async function makeDataDir(directory: string): Promise<void> {
  const probe = join(directory, '.writable');
  try {
    await nodeStorage.makeDirectory(directory);
    await writeFile(probe, '');
    const { unlink } = await import('node:fs/promises');
    await unlink(probe);
  } catch (error) {
    throw new AppError(
      'DATA_DIR_UNUSABLE',
      `cannot write to the data directory ${directory} (${systemCode(error) || messageOf(error)}); make it writable or set FIXGATE_DATA_DIR to another one`,
      error,
    );
  }
}

/** The ClickHouse of the configuration; without one the embedded one on `port`, whose secret is made at the first start. */
async function clickHouseAccess(
  config: Config,
  port: number,
): Promise<{ url: SecretUrl; username: string; password: Secret; database: string }> {
  const { url, user: username, password, database } = config.clickhouse;
  if (url !== undefined) return { url, username, password, database };
  const secret = await clickHouseSecret(join(config.dataDir, 'clickhouse'));
  return { url: new SecretUrl(`http://127.0.0.1:${port}`), username: 'default', password: secret, database };
}

async function freePort(): Promise<number> {
  const [claimed] = await claimPorts([{ codec: 'clickhouse', transport: 'tcp', host: '127.0.0.1', port: 0, idleMs: 0 }]);
  return claimed?.port ?? 0;
}

function forkEmbedded(dataDir: string, port: number): Running {
  const directory = join(dataDir, 'clickhouse');
  return ofProcess(
    fork(modulePath('../embedded/main', import.meta.url), ['--directory', directory, '--port', String(port)], { stdio: CHILD_STDIO }),
  );
}

function ofProcess(child: ChildProcess): Running {
  // Without a listener, a process that cannot be started or reached would end this one.
  child.on('error', () => {});
  if (child.pid === undefined) throw new AppError('WORKER_FAILED', 'no process can be started: no descriptor or no process is left');
  return {
    pid: child.pid,
    // A message to a process that is just dying is answered by its exit.
    send: (message, socket, sent) => void child.send(message, socket, undefined, () => sent?.()),
    kill: (signal) => void child.kill(signal),
    release: () => {
      if (child.connected) child.disconnect();
    },
    onMessage: (listener) => void child.on('message', listener),
    onExit: (listener) => void child.on('exit', listener),
  };
}

function ofWorker(worker: Worker): Running {
  worker.on('error', () => {});
  return ofProcess(worker.process);
}
