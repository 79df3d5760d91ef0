import { randomBytes } from 'node:crypto';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { StateStore } from '../../state/store.ts';
import type { Command } from '../command/command.ts';
import type { Draft, Outcome } from '../command/intake.ts';
import type { Device } from '../registry/device.ts';
import type { Noted } from '../registry/owners.ts';
import { concluded, type Evidence, evaluate, type Item, isComplete, MOST_RECORDS, type Sent, type Shown } from './checklist.ts';
import { type InstallationTest, isRunning, putTest, shownTest, TESTS, type TestRow, type TestWanted, testsOf } from './test-records.ts';

/**
 * Runs installation tests, in the supervisor (docs/commands.md): hears what the devices send from now on, sends one command that only asks,
 * and writes down what was seen.
 *
 * 1. One test of a device at a time. It ends when every item has passed, or when its time is over.
 * 2. Of what a device sends, only the last records are kept, in memory; what is stored holds no position of the device.
 * 3. The relay is tested last, when everything else has passed. As soon as a stop may have left, its resume is handed in, also by the next
 *    start of a server that ended between the two.
 * 4. It is of the account that had the device when it began. When the device is passed on, the test is interrupted, and who has the
 *    device then is told nothing of it; the resume of 3 names no token.
 */
export interface HeardFrame {
  readonly at: number;
  readonly protocol: string;
  readonly transport: string;
  /** Records as JSON has them (docs/formats/tables.md). */
  readonly records: readonly Readonly<Record<string, unknown>>[];
}

export interface TesterOptions {
  readonly store: StateStore;
  readonly instance: string;
  /** Calls `heard` for each frame of the device from now on; returns how to end that. */
  readonly listen: (device: string, heard: (frame: HeardFrame) => void) => () => void;
  readonly device: (id: string) => Promise<Device | undefined>;
  /** Programmed interval by its record, its plan or its settings; undefined where none is known. */
  readonly intervalOf: (device: string) => Promise<number | undefined>;
  /** Types of the commands that the device's protocol knows. */
  readonly typesOf: (device: string, protocol: string) => Promise<readonly string[]>;
  readonly submit: (draft: Draft) => Promise<Outcome>;
  readonly cancel: (device: string, command: string, by: string) => Promise<unknown>;
  readonly command: (device: string, id: string) => Promise<Command | undefined>;
  /** `account`: whose event it is; absent: of who has the device now. */
  readonly record: (device: string, event: object, account?: string) => void;
  readonly count: (state: 'passed' | 'failed' | 'interrupted') => void;
  /** Epoch ms, and monotonic ms. */
  readonly now: () => number;
  readonly elapsed: () => number;
  readonly log: Log;
  /** How often running tests are looked at, 250 ms. */
  readonly tickMs?: number | undefined;
}

export type Begun = { readonly test: InstallationTest } | { readonly refused: 'running' | 'full' | 'passed on' };

const TICK_MS = 250;
const MOST = 50;
const LEAST_S = 60;
const MOST_S = 3_600;
const INTERVALS = 6;
/** The requester of what a test still owes a device that was passed on. */
const TESTER = 'installation';
/** Commands that only ask, the most telling first. */
const ASKING = ['version', 'status', 'network', 'inputs', 'locate'];

/** A command of the test, as far as it is. */
interface Handed {
  readonly type: string;
  /** '': it was refused. */
  readonly id: string;
  sent: Sent;
}

interface Run {
  row: TestRow;
  /** Monotonic ms. */
  readonly endsAt: number;
  seen: Evidence;
  isAsked: boolean;
  command: Handed | undefined;
  readonly relay: Handed[];
  stopListening(): void;
}

export class InstallationTester {
  readonly #o: TesterOptions;
  readonly #running = new Map<string, Run>();
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #busy = false;

  constructor(options: TesterOptions) {
    this.#o = options;
  }

  start(): void {
    this.#work = this.#interrupted().catch((error: unknown) => this.#failed('', error));
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    for (const run of this.#running.values()) run.stopListening();
    await this.#work;
    this.#running.clear();
  }

  /** `device`: its id, not an alias. `owners`: whose it must still be. Invariant 1. */
  async begin(device: string, wanted: TestWanted, by: string, owners?: Noted): Promise<Begun> {
    const { store, now, elapsed, instance } = this.#o;
    if (this.#running.size >= MOST) return { refused: 'full' };
    const isOn = this.#running.has(device) || (await testsOf(store, device)).some((one) => isRunning(one, now()));
    if (isOn) return { refused: 'running' };
    const account = await this.#accountOf(device);
    const interval_s = wanted.interval_s ?? (await this.#o.intervalOf(device));
    const seconds = wanted.seconds ?? Math.min(MOST_S, Math.max(LEAST_S, INTERVALS * (interval_s ?? 0)));
    const started = now();
    const spec = { ...wanted, ...(interval_s === undefined ? {} : { interval_s }), seconds };
    const seen: Evidence = {
      frames: 0,
      protocol: '',
      transport: '',
      known: false,
      firmware: '',
      records: [],
      command: undefined,
      relay: [],
    };
    const row: TestRow = {
      ...spec,
      id: `${started}-${randomBytes(4).toString('hex')}`,
      device,
      by,
      started,
      ended: 0,
      state: 'running',
      items: evaluate(spec, seen),
      server: instance,
      account,
      relay: [],
    };
    // Another request may have come meanwhile.
    if (this.#running.has(device)) return { refused: 'running' };
    const run: Run = {
      row,
      endsAt: elapsed() + 1000 * seconds,
      seen,
      isAsked: false,
      command: undefined,
      relay: [],
      stopListening: this.#o.listen(device, (frame) => hear(run, frame)),
    };
    this.#running.set(device, run);
    this.#timer ??= setInterval(() => this.#tick(), this.#o.tickMs ?? TICK_MS);
    let isPut = false;
    try {
      isPut = await putTest(store, row, owners);
    } finally {
      if (!isPut) {
        run.stopListening();
        this.#running.delete(device);
      }
    }
    return isPut ? { test: shownTest(row, started) } : { refused: 'passed on' };
  }

  async get(device: string, id: string): Promise<InstallationTest | undefined> {
    const { store, now } = this.#o;
    const row = await TESTS.get(store, device, id);
    return row === undefined ? undefined : shownTest(row, now());
  }

  /** Newest first. */
  async list(device: string): Promise<InstallationTest[]> {
    const { store, now } = this.#o;
    return (await testsOf(store, device)).toReversed().map((row) => shownTest(row, now()));
  }

  async #accountOf(device: string): Promise<string> {
    return (await this.#o.device(device))?.account ?? '';
  }

  #tick(): void {
    if (this.#running.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    if (this.#busy || this.#running.size === 0) return;
    this.#busy = true;
    this.#work = (async () => {
      for (const [device, run] of this.#running) await this.#look(run).catch((error: unknown) => this.#failed(device, error));
      this.#busy = false;
    })();
  }

  #failed(device: string, error: unknown): void {
    this.#o.log.warn({ device, error: messageOf(error) }, 'installation test could not be continued; retrying');
  }

  async #look(run: Run): Promise<void> {
    const { store, elapsed } = this.#o;
    const { device, id } = run.row;
    const account = await this.#accountOf(device);
    if (account !== run.row.account) return this.#leave(run, account);
    if (run.seen.frames > 0) {
      run.seen = { ...run.seen, known: (await this.#o.device(device)) !== undefined };
      await this.#ask(run);
    }
    await this.#follow(run);
    const items = evaluate(run.row, run.seen, run.row.items);
    const isOver = elapsed() >= run.endsAt;
    if (!isOver) await this.#testRelay(run, items);
    if (isOver || isComplete(items)) return this.#finish(run, items);
    if (JSON.stringify(items) === JSON.stringify(run.row.items)) return;
    run.row = { ...run.row, items };
    await store.write([TESTS.put(run.row, device, id)], 'visible');
  }

  async #finish(run: Run, items: readonly Item[]): Promise<void> {
    const { now, store } = this.#o;
    await this.#release(run);
    const { row } = run;
    const all = concluded(items);
    const failed = all.filter(({ state }) => state === 'failed').map(({ name }) => name);
    const ended: TestRow = { ...run.row, items: all, state: failed.length === 0 ? 'passed' : 'failed', ended: now() };
    await store.write([TESTS.put(ended, row.device, row.id)]);
    run.stopListening();
    this.#running.delete(row.device);
    this.#told(ended, failed);
  }

  /** Invariant 4. */
  async #leave(run: Run, account: string): Promise<void> {
    const { row } = run;
    const { device, id } = row;
    run.stopListening();
    run.row = testers(row, account);
    await this.#release(run);
    const left: TestRow = { ...row, relay: run.row.relay, state: 'interrupted', ended: this.#o.now() };
    await this.#o.store.write([TESTS.put(left, device, id)]);
    this.#running.delete(device);
    this.#o.count('interrupted');
  }

  #told({ device, id, profile, state, by, account }: TestRow, failed: readonly string[]): void {
    if (state === 'running') return;
    this.#o.count(state);
    this.#o.record(device, { type: 'installation_tested', test: id, profile, state, failed, by }, account);
  }

  /** The command that only asks, once. */
  async #ask(run: Run): Promise<void> {
    if (run.isAsked) return;
    const { device } = run.row;
    const types = await this.#o.typesOf(device, run.seen.protocol);
    const type = ASKING.find((one) => types.includes(one));
    run.command = type === undefined ? undefined : await this.#hand(run, type, run.row.started + 1000 * run.row.seconds);
    run.isAsked = true;
  }

  async #hand(run: Run, type: string, expires?: number): Promise<Handed> {
    const { consent } = run.row;
    const reason = `installation test${consent === undefined ? '' : `, ${consent} at the vehicle`}`;
    const outcome = await this.#o.submit({
      ...draftOf(run.row, type, reason),
      protocol: run.seen.protocol,
      ...(expires === undefined ? {} : { expires }),
    });
    if ('command' in outcome) return { type, id: outcome.command.id, sent: { type, state: 'queued', reply: '', note: '' } };
    // The same one is on its way already.
    if (outcome.other !== undefined) return { type, id: outcome.other, sent: { type, state: 'queued', reply: '', note: '' } };
    const note = outcome.problems.map(({ field, problem }) => `${field} ${problem}`).join('; ');
    return { type, id: '', sent: { type, state: '', reply: '', note: note === '' ? outcome.refused : note } };
  }

  /** How the commands have come out by now. */
  async #follow(run: Run): Promise<void> {
    for (const handed of [run.command, ...run.relay]) {
      if (handed === undefined || handed.id === '') continue;
      const found = await this.#o.command(run.row.device, handed.id);
      if (found === undefined) continue;
      const firmware = found.values['firmware'];
      if (typeof firmware === 'string' && run.seen.firmware === '') run.seen = { ...run.seen, firmware };
      handed.sent = { type: found.type, state: found.state, reply: found.reply, note: found.history.at(-1)?.note ?? '' };
    }
    run.seen = { ...run.seen, command: run.command?.sent, relay: run.relay.map(({ sent }) => sent) };
  }

  /** Invariant 3. */
  async #testRelay(run: Run, items: readonly Item[]): Promise<void> {
    if (!items.some(({ name, state }) => name === 'relay' && state === 'waiting')) return;
    const [stop] = run.relay;
    if (stop === undefined) {
      if (isComplete(items.filter(({ name }) => name !== 'relay'))) await this.#handRelay(run, 'engine_stop');
    } else if (run.relay.length === 1 && stop.id !== '' && stop.sent.state !== 'queued') await this.#handRelay(run, 'engine_resume');
  }

  async #handRelay(run: Run, type: string): Promise<void> {
    const { store } = this.#o;
    const handed = await this.#hand(run, type);
    run.relay.push(handed);
    run.row = { ...run.row, relay: [...run.row.relay, handed.id] };
    await store.write([TESTS.put(run.row, run.row.device, run.row.id)]);
  }

  /** A stop that has not left is taken back; one that may have left is followed by its resume. */
  async #release(run: Run): Promise<void> {
    const { device, by } = run.row;
    const [stop] = run.relay;
    if (stop === undefined || stop.id === '' || run.relay.length > 1) return;
    await this.#o.cancel(device, stop.id, by);
    if ((await this.#o.command(device, stop.id))?.state !== 'cancelled') await this.#handRelay(run, 'engine_resume');
  }

  /** Tests that this server has not brought to their end. Invariant 3. */
  async #interrupted(): Promise<void> {
    const { store, instance, now } = this.#o;
    for await (const [, row] of TESTS.entries(store)) {
      if (row.state !== 'running' || row.server !== instance) continue;
      const ended: TestRow = { ...row, state: 'interrupted', ended: now() };
      const { device, id, relay } = row;
      const account = await this.#accountOf(device);
      const isTheirs = row.account === undefined || row.account === account;
      if (relay.length === 1 && relay[0] !== '')
        await this.#o.submit(draftOf(isTheirs ? row : testers(row, account), 'engine_resume', 'installation test, interrupted'));
      await store.write([TESTS.put(ended, device, id)]);
      if (isTheirs) this.#told(ended, []);
      else this.#o.count('interrupted');
    }
  }
}

/** The command is for the device of this account only. */
function draftOf({ device, id, by, account }: TestRow, type: string, reason: string): Draft {
  const accounts = account === undefined ? undefined : new Set([account]);
  return { device, type, parameters: {}, requester: by, reason, ref: `test ${id}`, accounts };
}

/** The row as it asks for commands when another account has the device. */
function testers({ consent: _, ...row }: TestRow, account: string): TestRow {
  return { ...row, by: TESTER, account };
}

function hear(run: Run, { at, protocol, transport, records }: HeardFrame): void {
  const { seen } = run;
  const shown = records.map((record) => shownOf(record, at));
  const firmware = shown.map(({ attrs }) => attrs['firmware']).findLast((value) => typeof value === 'string');
  run.seen = {
    ...seen,
    frames: seen.frames + 1,
    protocol,
    transport,
    ...(firmware === undefined ? {} : { firmware: String(firmware) }),
    records: [...seen.records, ...shown].slice(-MOST_RECORDS),
  };
}

/** A record of JSON. */
export function shownOf(record: Readonly<Record<string, unknown>>, received: number): Shown {
  const { kind, valid, lat, lon, time, device_time, satellites, hdop, event, attrs, flags } = record;
  const doubts: readonly unknown[] = Array.isArray(flags) ? flags : [];
  // Where it was replaced by the time of receipt, what the device said is kept aside, if it said anything.
  const own = doubts.includes('no_time') ? device_time : doubts.includes('future') ? (device_time ?? time) : time;
  return {
    received,
    fix: kind === 'fix',
    valid: valid === true,
    attrs: typeof attrs === 'object' && attrs !== null ? { ...attrs } : {},
    ...(typeof own === 'number' ? { time: own } : {}),
    ...(typeof lat === 'number' ? { lat } : {}),
    ...(typeof lon === 'number' ? { lon } : {}),
    ...(typeof satellites === 'number' ? { satellites } : {}),
    ...(typeof hdop === 'number' ? { hdop } : {}),
    ...(typeof event === 'string' ? { event } : {}),
  };
}
