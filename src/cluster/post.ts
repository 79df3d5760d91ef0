import { systemClock } from '../base/clock.ts';
import { AppError, messageOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { MetricsAggregate } from '../base/metrics/aggregate.ts';
import type { Metrics } from '../base/metrics/catalog.ts';
import { type Answer, isMessage, Requests } from './ipc.ts';
import type { FromChild, FromRole, Health, SendHandle, ToChild, ToEach } from './messages.ts';
import type { Running } from './running.ts';
import type { Watchdog } from './watchdog.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;
/** A child that lived this long has earned the short pause again. */
const SETTLED_MS = 30_000;
const START_MS = 60_000;
/** Sent by a person, a program or a system short of memory; the others are the child's own doing. */
const FROM_OUTSIDE: readonly string[] = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'];
/** What ends a process that reads a damaged page of a mapped file, among other things. */
const CRASHES: readonly (string | null)[] = ['SIGBUS', 'SIGSEGV', 'SIGABRT', 'SIGILL', 'SIGFPE'];

/** What all places share. */
export interface PostHost {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly aggregate: MetricsAggregate;
  readonly watchdog: Watchdog | undefined;
  /** A child has crashed: why is looked into before it is started again. Never rejects. */
  crashed(): Promise<void>;
}

export interface PostOptions {
  readonly name: string;
  spawn(): Running;
  /** First message to a child in its nth life; undefined: it needs none, and reports nothing. */
  greeting(life: number): ToEach | undefined;
  /** Takes what the child says beyond its start, its reports and its answers. */
  heard?(message: FromRole): void;
  ended?(): void;
}

/** One place in the process tree, whichever process fills it at the moment. */
export class Post {
  readonly name: string;
  running: Running | undefined;
  ready = false;
  health: Readonly<Record<string, Health>> = {};
  /** After an unexpected end. */
  restarts = 0;
  readonly #host: PostHost;
  readonly #o: PostOptions;
  readonly #requests: Requests;
  /** Names one life of the process, for the metrics. */
  #life = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #ending = false;
  /** The child that ended last was killed from outside. */
  #killed = false;
  #startedAt = 0;
  #reports = false;
  /** Why it died is being looked into. */
  #looking: Promise<void> = Promise.resolve();
  /** The child's own reason for its end. */
  #failure: AppError | undefined;

  constructor(host: PostHost, options: PostOptions) {
    this.#host = host;
    this.#o = options;
    this.name = options.name;
    this.#requests = new Requests(options.name);
  }

  /** Ready, and its first report is still on its way. */
  get silent(): boolean {
    return this.#reports && Object.keys(this.health).length === 0;
  }

  send(message: ToChild): void {
    this.running?.send(message);
  }

  /** Sends a request, with a socket if one is given. Rejects with WORKER_FAILED when the child cannot do it, or ends first. */
  ask(message: (ticket: number) => ToChild, timeoutMs: number, socket?: SendHandle, sent?: () => void): Promise<Answer> {
    const running = this.running;
    if (running === undefined || !this.ready || this.#ending) {
      sent?.();
      return Promise.reject(new AppError('WORKER_FAILED', `${this.name} is starting or ending`));
    }
    return this.#requests.ask((ticket) => running.send(message(ticket), socket, sent), timeoutMs);
  }

  /** Resolves when the child is ready; one that was killed from outside while it started is started again. */
  async firstStart(): Promise<void> {
    while (!this.#ending) {
      try {
        await this.start();
        return;
      } catch (error) {
        if (!this.#killed || this.#ending) throw error;
        this.#host.log.warn({ child: this.name, error: messageOf(error) }, 'a process was killed during its start; restarting it');
        await new Promise((resolve) => setTimeout(resolve, this.#pause()));
      }
    }
  }

  /** Starts the child; resolves when it is ready, rejects with its reason when it cannot start. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const running = this.#o.spawn();
      const life = `${this.name}/${++this.#life}`;
      this.running = running;
      this.#host.watchdog?.watch(running.pid);
      this.#startedAt = systemClock.elapsed();
      this.#failure = undefined;
      const late = setTimeout(() => {
        this.#failure = new AppError('WORKER_FAILED', `${this.name} did not start within ${START_MS / 1000} s`);
        running.kill('SIGKILL');
      }, START_MS);
      running.onMessage((message, socket) => {
        if (!isMessage<FromChild>(message)) return;
        if (message.type === 'ready') clearTimeout(late);
        this.#take(message, socket, life, resolve);
      });
      running.onExit((code, signal) => {
        clearTimeout(late);
        this.#exited(running.pid, life, code, signal, resolve, reject);
      });
      const greeting = this.#o.greeting(this.#life);
      this.#reports = greeting !== undefined;
      if (greeting !== undefined) running.send(greeting);
    });
  }

  /** Not to be started again. */
  retire(): void {
    this.#ending = true;
  }

  /** What was asked of the child is not waited for any more. */
  abandon(reason: string): void {
    this.#requests.abandon(reason);
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

  #take(message: FromChild, socket: unknown, life: string, isReady: () => void): void {
    switch (message.type) {
      case 'ready':
        this.ready = true;
        isReady();
        break;
      case 'failed':
        this.#failure = new AppError(message.code, message.message);
        break;
      case 'report':
        this.health = message.health;
        this.#host.aggregate.report(life, message.metrics);
        break;
      case 'done':
        this.#requests.done(message, socket);
        break;
      default:
        this.#o.heard?.(message);
    }
  }

  #exited(
    pid: number,
    life: string,
    code: number | null,
    signal: string | null,
    resolve: () => void,
    reject: (error: AppError) => void,
  ): void {
    const { log, metrics, aggregate, watchdog } = this.#host;
    const failure = this.#failure;
    watchdog?.forget(pid);
    this.#killed = failure === undefined && signal !== null && FROM_OUTSIDE.includes(signal);
    const started = this.ready;
    this.running = undefined;
    this.ready = false;
    this.health = {};
    aggregate.ended(life).catch((error: unknown) => log.error({ error: messageOf(error) }, 'the counters of an ended process are lost'));
    this.#requests.abandon(`${this.name} has ended`);
    this.#o.ended?.();
    if (this.#ending) {
      resolve();
      return;
    }
    if (CRASHES.includes(signal)) this.#looking = this.#host.crashed();
    const why = failure?.message ?? (signal === null ? `ended with code ${code}` : `killed by ${signal}`);
    if (!started) reject(failure ?? new AppError('WORKER_FAILED', `${this.name} ${why} while starting`));
    else {
      log.warn({ child: this.name, pid, why }, 'a process ended unexpectedly; restarting it');
      this.restarts++;
      metrics.restarts.inc({ process: this.name.replace(/-\d+$/, '') });
      this.#again();
    }
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
        this.#host.log.error({ child: this.name, error: messageOf(error) }, 'a process cannot be restarted; retrying');
        this.#again();
      });
    }, this.#pause());
  }
}
