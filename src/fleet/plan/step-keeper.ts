import { every } from '../../base/beat.ts';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { Seldom } from '../../base/seldom.ts';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import { followKeys } from '../../state/follow.ts';
import { pages } from '../../state/pages.ts';
import type { Op, StateStore, Table } from '../../state/store.ts';
import { isRowDamaged } from '../../state/table.ts';
import type { Outcome } from '../command/intake.ts';
import { caseOps } from '../registry/cases.ts';
import { DEVICES, type Device, deviceSchema } from '../registry/device.ts';
import type { DevicePlans } from './device-plans.ts';
import { type Standing, tellExcess } from './excess.ts';
import type { Plan, Step } from './plan.ts';
import { SETTLED_KEY } from './service.ts';
import type { ServiceKeeper } from './service-keeper.ts';
import { isSame, POLICIES, type Policy, stepsHeld } from './steps.ts';
import { readUsage } from './usage.ts';

/**
 * Decides which steps of their plans hold for devices, and says so: to the workers in the table `policies`, to people as events, to
 * the device as a command where it is to report less often. Runs in the supervisor.
 *
 * 1. What has changed (usage, a device, a plan, time) is looked at within about a second; the same again changes nothing.
 * 2. Each beginning and end of a step is an event, at least once: it stands in the policy as news until it has been announced, so
 *    that a crash in between does not lose it. The policy names the installation that is announcing, and until when: others leave it
 *    to that one until then. The same installation, started again, goes on at once.
 * 3. A policy is written on the condition that it is still as it was read: several servers on one store take turns.
 * 4. `slow` and recovery mode ask for an interval with a command; when they end, the one before is asked for again, where it is known.
 * 5. Recovery mode ends by itself, and takes itself out of the device's record.
 * 6. A step that cannot act does not hold: datagrams cannot be made to wait.
 */
export interface StepKeeperOptions {
  readonly store: StateStore;
  /** Identity of this installation: several may share the store. */
  readonly instance: string;
  readonly plans: DevicePlans;
  /** Looks after the states of devices, which change with dates, too. */
  readonly service: Pick<ServiceKeeper, 'look' | 'told' | 'accountTold' | 'settled'>;
  /** Hands in a command. */
  readonly submit: (draft: {
    device: string;
    type: string;
    parameters: { seconds: number };
    requester: string;
    reason: string;
  }) => Promise<Outcome>;
  /** The interval that a device has, as far as that is known, s. */
  readonly intervalOf: (device: string) => Promise<number | undefined>;
  /** Journals an event of a device. */
  readonly record: (device: string, event: object) => void;
  /** Counts what plans do, by action. */
  readonly count: (action: string) => void;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  readonly log: Log;
}

const SWEEP_MS = 1_000;
/** Usage of a device that reports all the time is looked at together. */
const GATHER_MS = 200;
const AGAIN_MS = 2_000;
/** How long one installation may take to announce what it has written. */
const ANNOUNCING_MS = 30_000;
/** Policies of one write. */
const TOGETHER = 200;

/** What is to become of a device's policy. */
interface Verdict {
  readonly device: string;
  readonly plan: Plan;
  readonly before: string | undefined;
  /** What is written until the news are announced. */
  readonly during: Policy | undefined;
  /** What is written then; undefined: it has none any more. */
  readonly after: Policy | undefined;
  readonly news: Policy['news'];
  /** The interval to ask for, s. */
  readonly asks: number | undefined;
  readonly reason: string;
}

export class StepKeeper {
  readonly #o: StepKeeperOptions;
  /** Devices to look at. */
  readonly #dirty = new Set<string>();
  /** When time alone will change something, epoch ms. */
  readonly #due = new Map<string, number>();
  #unwatch: () => void = () => {};
  #stopSweep: (() => void) | undefined;
  #gather: NodeJS.Timeout | undefined;
  /** Plans whose devices are to be looked at, undefined: all devices; and accounts. */
  #scans = new Set<string | undefined>();
  readonly #accounts = new Set<string>();
  #working: Promise<void> = Promise.resolve();
  #busy = false;
  #stopped = false;
  /** Monotonic ms: a clock that is set back makes it no longer. */
  #pauseUntil = 0;
  readonly #damage = new Seldom('the steps of a plan cannot be decided for a device', systemClock);

  constructor(options: StepKeeperOptions) {
    this.#o = options;
  }

  start(): void {
    const { store, log } = this.#o;
    this.#unwatch = followKeys(store, ['plans', 'usage', 'devices', 'service', 'accounts'], (table, key) => this.#changed(table, key), log);
    this.#stopSweep = every(SWEEP_MS, () => this.#tick());
    this.#scans.add(undefined);
    this.#soon();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatch();
    this.#stopSweep?.();
    clearTimeout(this.#gather);
    await this.#working;
  }

  #changed(table: Table, key: string | undefined): void {
    if (table === 'service') this.#o.service.told(key);
    if (key === SETTLED_KEY) return;
    if (table === 'accounts') this.#o.service.accountTold(key);
    if (table === 'plans') this.#scans.add(key);
    else if (table === 'accounts' && key !== undefined) this.#accounts.add(key);
    else if (key === undefined) this.#scans.add(undefined);
    else this.#dirty.add(table === 'usage' ? key.slice(0, key.lastIndexOf(' ')) : key);
    this.#soon();
  }

  #tick(): void {
    const now = this.#o.now();
    for (const [device, at] of this.#due)
      if (at <= now) {
        this.#due.delete(device);
        this.#dirty.add(device);
      }
    if (this.#isBehind) this.#soon();
  }

  get #isBehind(): boolean {
    return this.#dirty.size > 0 || this.#scans.size > 0 || this.#accounts.size > 0;
  }

  #soon(): void {
    if (this.#busy || this.#stopped) return;
    this.#gather ??= setTimeout(() => {
      this.#gather = undefined;
      if (this.#busy || this.#stopped || systemClock.elapsed() < this.#pauseUntil) return;
      this.#busy = true;
      this.#working = this.#work()
        .catch((error: unknown) => {
          this.#o.log.warn({ error: messageOf(error) }, 'plan steps cannot be evaluated; retrying');
          this.#pauseUntil = systemClock.elapsed() + AGAIN_MS;
        })
        .finally(() => {
          this.#busy = false;
          if (this.#isBehind) this.#soon();
        });
    }, GATHER_MS);
  }

  async #work(): Promise<void> {
    for (const plan of this.#scans) {
      await this.#scan((device) => plan === undefined || device?.plan === plan);
      this.#scans.delete(plan);
    }
    for (const account of this.#accounts) {
      // One that changes meanwhile is added again.
      this.#accounts.delete(account);
      await this.#scan((device) => device?.account === account).catch((error: unknown) => {
        this.#accounts.add(account);
        throw error;
      });
    }
    while (this.#dirty.size > 0 && !this.#stopped) {
      const devices = [...this.#dirty].slice(0, TOGETHER);
      // A device that changes meanwhile is added again.
      for (const device of devices) this.#dirty.delete(device);
      try {
        // Beside each other, so that the store takes what they write together.
        const looks = await Promise.allSettled(
          devices.map((device) => this.#look(device).catch((error: unknown) => this.#unread(device, error))),
        );
        const failed = looks.find((look) => look.status === 'rejected');
        if (failed !== undefined) throw failed.reason;
        await this.#settle(looks.flatMap((look) => (look.status === 'fulfilled' ? (look.value ?? []) : [])));
      } catch (error) {
        for (const device of devices) this.#dirty.add(device);
        throw error;
      }
    }
    if (this.#dirty.size === 0 && !this.#stopped) await this.#o.service.settled();
  }

  /** A device whose record is damaged keeps the steps that it has, and holds up no other. */
  #unread(device: string, error: unknown): undefined {
    if (!isRowDamaged(error)) throw error;
    this.#damage.warn(this.#o.log, { device, error: messageOf(error) });
  }

  async #scan(isWanted: (device: Device | undefined) => boolean): Promise<void> {
    for await (const page of pages(this.#o.store, 'devices')) {
      for (const { key, value } of page) if (isWanted(DEVICES.read(value))) this.#dirty.add(key);
      if (this.#stopped) break;
    }
  }

  /** What is to change is decided once more with the plan as the store has it: one from memory could undo what another server has written. */
  async #look(id: string): Promise<Verdict | undefined> {
    if ((await this.#decide(id)) === undefined) return undefined;
    this.#o.plans.forget(id);
    return this.#decide(id);
  }

  async #decide(id: string): Promise<Verdict | undefined> {
    const { store, plans, now: clock } = this.#o;
    const now = clock();
    // Before what it follows from: otherwise a look with an older device could undo what another server has written meanwhile.
    const text = await store.get('policies', id);
    const registered = await DEVICES.get(store, id);
    let device = registered ?? deviceSchema.parse({ id });
    if (device.recovery !== undefined && device.recovery.until <= now) device = await this.#recovered(id, device);
    const force = await plans.of(id, now);
    this.#dueAt(id, await this.#o.service.look(id, registered, now, force.plan.ending_notice_days));
    const before = POLICIES.read(text);
    if (before !== undefined && this.#isAnnounced(before, now)) {
      this.#dueAt(id, before.announcing?.until ?? now);
      return undefined;
    }
    const { plan } = force;
    const recovery = device.recovery;
    if (recovery !== undefined) this.#dueAt(id, recovery.until);
    const isCapped = plan.bytes_cap !== undefined || plan.records_cap !== undefined;
    if (plan.steps.length === 0 && before === undefined && recovery === undefined && !isCapped) return undefined;
    const usage = await readUsage(store, device, force);
    const { pct, cycle } = usage;
    const again = async (): Promise<Standing> => {
      plans.forget(id);
      const latest = await plans.of(id, clock());
      return { force: latest, usage: await readUsage(store, device, latest) };
    };
    await tellExcess(store, device, usage, again, this.#o.record);
    const held = stepsHeld(plan, pct, before?.cycle === cycle.start ? before.held : []).filter((step) => canHold(step, device));
    if (held.length > 0) this.#dueAt(id, cycle.end);
    const slowed = await this.#slowed(device, plan, held, before);
    const policy = { cycle: cycle.start, cycle_end: cycle.end, used_pct: pct, held, ...(slowed === undefined ? {} : { slowed }), news: [] };
    const after = held.length === 0 && slowed === undefined ? undefined : policy;
    const news = [...(before?.news ?? []), ...changes(before?.held ?? [], held)];
    const asks = asked(before, slowed?.interval_s);
    if (news.length === 0 && asks === undefined && isSamePolicy(before, after)) return undefined;
    return {
      device: id,
      plan,
      before: text,
      during: this.#during(before, after, news, now),
      after,
      news,
      asks,
      reason: reasonOf(plan, recovery, before, slowed !== undefined),
    };
  }

  /** The interval that recovery or a step wants, and the one that was before; undefined: the usual one. */
  async #slowed(device: Device, plan: Plan, held: readonly Step[], before: Policy | undefined): Promise<Policy['slowed']> {
    const slow = held.reduce((most, step) => (step.action === 'slow' ? Math.max(most, step.interval_s) : most), 0);
    const wanted = device.recovery?.interval_s ?? (slow > 0 ? slow : undefined);
    const usual = before?.slowed?.before_s ?? device.interval_s ?? plan.interval_s ?? (await this.#o.intervalOf(device.id));
    return wanted === undefined ? undefined : { interval_s: wanted, ...(usual === undefined ? {} : { before_s: usual }) };
  }

  /** Invariant 2: is another installation at it? */
  #isAnnounced({ news, announcing }: Policy, now: number): boolean {
    return news.length > 0 && announcing !== undefined && announcing.by !== this.#o.instance && announcing.until > now;
  }

  /** A policy that ends is kept until its end has been announced. */
  #during(before: Policy | undefined, after: Policy | undefined, news: Policy['news'], now: number): Policy | undefined {
    const policy = after ?? (before === undefined ? undefined : { ...before, held: [] });
    if (policy === undefined) return undefined;
    const { announcing: _, ...rest } = policy;
    return news.length === 0 ? { ...rest, news } : { ...rest, news, announcing: { by: this.#o.instance, until: now + ANNOUNCING_MS } };
  }

  /** Invariant 5. */
  async #recovered(id: string, before: Device): Promise<Device> {
    const { store, now, record } = this.#o;
    return attempt(`the record of device ${id}`, async () => {
      const text = await store.get('devices', id);
      const device = DEVICES.read(text);
      if (device?.recovery === undefined || device.recovery.until > now()) return device ?? before;
      const { recovery, ...rest } = device;
      const cases = await caseOps(store, now(), [device, rest], 'time');
      if (!(await store.write([DEVICES.expect(text, id), DEVICES.put(rest, id), ...cases]))) return CONTENDED;
      record(id, { type: 'recovery_ended', case: String(recovery.started), by: 'time' });
      return rest;
    });
  }

  #dueAt(device: string, at: number): void {
    if (!Number.isFinite(at)) return;
    this.#due.set(device, Math.min(this.#due.get(device) ?? Number.POSITIVE_INFINITY, at));
  }

  /** Invariants 2 and 3. */
  async #settle(verdicts: readonly Verdict[]): Promise<void> {
    if (verdicts.length === 0) return;
    const { store } = this.#o;
    const written = verdicts.flatMap((verdict): Op[] => [expected(verdict, verdict.before), putOp(verdict, verdict.during)]);
    if (!(await store.write(written))) {
      for (const verdict of verdicts)
        if (verdicts.length > 1) await this.#settle([verdict]);
        else this.#dirty.add(verdict.device);
      return;
    }
    for (const verdict of verdicts) {
      this.#announce(verdict);
      if (verdict.asks !== undefined) await this.#ask(verdict, verdict.asks);
    }
    const announced = verdicts.map((verdict): Op[] => [expected(verdict, textOf(verdict.during)), putOp(verdict, verdict.after)]);
    // Where another server has written meanwhile, that stands.
    if (!(await store.write(announced.flat()))) for (const ops of announced) await store.write(ops);
  }

  #announce({ device, plan, news, after }: Verdict): void {
    for (const { step, begins } of news) {
      const { action, at_pct, ...parameters } = step;
      const used_pct = after === undefined ? 0 : Math.round(10 * after.used_pct) / 10;
      this.#o.record(device, { type: begins ? 'plan_step' : 'plan_step_ended', plan: plan.name, action, at_pct, used_pct, ...parameters });
      if (begins) this.#o.count(action);
    }
  }

  /** Invariant 4. */
  async #ask({ device, reason }: Verdict, seconds: number): Promise<void> {
    const outcome = await this.#o.submit({ device, type: 'set_interval', parameters: { seconds }, requester: 'plan', reason });
    // The same may be on its way already.
    if ('refused' in outcome && outcome.refused !== 'conflict')
      this.#o.record(device, { type: 'plan_command_refused', command: 'set_interval', seconds, problems: outcome.problems });
  }
}

function expected({ device }: Verdict, value: string | undefined): Op {
  return { table: 'policies', key: device, expect: value };
}

function putOp({ device }: Verdict, policy: Policy | undefined): Op {
  const text = textOf(policy);
  return text === undefined ? { table: 'policies', key: device, remove: true } : { table: 'policies', key: device, put: text };
}

function textOf(policy: Policy | undefined): string | undefined {
  return policy === undefined ? undefined : JSON.stringify(policy);
}

/** Invariant 6. */
function canHold(step: Step, device: Device): boolean {
  return step.action !== 'throttle' || device.transport !== 'udp';
}

/** The steps that begin and end between two states. */
function changes(before: readonly Step[], after: readonly Step[]): Policy['news'] {
  const without = (steps: readonly Step[], others: readonly Step[]): Step[] =>
    steps.filter((step) => !others.some((other) => isSame(step, other)));
  return [
    ...without(after, before).map((step) => ({ step, begins: true })),
    ...without(before, after).map((step) => ({ step, begins: false })),
  ];
}

/** Nothing that others look at has changed: use within a cycle may. */
function isSamePolicy(before: Policy | undefined, after: Policy | undefined): boolean {
  return before?.cycle === after?.cycle && (before?.slowed === undefined) === (after?.slowed === undefined);
}

/** The interval, s, that the device is to be asked for; undefined: it has been. What had not been announced is asked for again. */
function asked(before: Policy | undefined, wanted: number | undefined): number | undefined {
  const isAsked = wanted === before?.slowed?.interval_s && (before?.news ?? []).length === 0;
  return isAsked ? undefined : (wanted ?? before?.slowed?.before_s);
}

function reasonOf(plan: Plan, recovery: Device['recovery'], before: Policy | undefined, isSlowed: boolean): string {
  if (!isSlowed) return `end of ${before?.slowed === undefined ? 'a step' : 'the longer interval'}`;
  return recovery === undefined ? `plan ${plan.name}` : `recovery: ${recovery.reason}`;
}
