import type { Op, StateStore } from '../../state/store.ts';
import { type AccountStep, accountSteps } from '../registry/account.ts';
import { DEVICES, type Device } from '../registry/device.ts';
import { UNITS, type UnitPeriod, unitsOf } from '../registry/units.ts';
import {
  advance,
  endOf,
  isForgotten,
  nextChange,
  SERVICE,
  SETTLED_KEY,
  type ServiceRow,
  type Subject,
  UNOWNED,
  withEnding,
} from './service.ts';
import { hasUnfrozen } from './unfrozen.ts';
import { inForce, PLANS, UNLIMITED_HISTORY } from './versions.ts';

/**
 * Keeps the rows of the table `service`, and announces what has become of a service. Runs in the supervisor: `step-keeper.ts` has it look at each
 * device that has changed, or whose account or plan has, and at each date that passes.
 *
 * 1. A change by a caller and what it means for the service are one write (`changed`). What a device or time has changed is written on the
 *    condition that the row is as it was read: of several servers on one store one does it.
 * 2. News are announced by the server that has claimed them, once; one that was killed meanwhile does it when it is back, or another after
 *    `ANNOUNCING_MS`. That can be the second time.
 * 3. Devices of before there was the table get a row without news.
 */
const ANNOUNCING_MS = 30_000;
const DAY_MS = 86_400_000;
const AGAIN_MS = 1_000;
const MOST_KNOWN = 500_000;

export interface ServiceKeeperOptions {
  readonly store: StateStore;
  /** Identity of this installation: several may share the store. */
  readonly instance: string;
  /** Journals an event of a device. */
  readonly record: (device: string, event: object) => void;
}

export class ServiceKeeper {
  readonly #o: ServiceKeeperOptions;
  /** What was looked at, by device: nothing is new while it is the same. */
  readonly #known = new Map<string, string>();
  /** Of accounts, as far as they were asked for since they have changed. */
  readonly #steps = new Map<string, readonly AccountStep[]>();
  #changes = 0;
  #isSettled = false;

  constructor(options: ServiceKeeperOptions) {
    this.#o = options;
  }

  /** The row of the device has changed. */
  told(device: string | undefined): void {
    if (device === undefined) this.#known.clear();
    else this.#known.delete(device);
  }

  /** The state of the account may have changed; undefined: of any. */
  accountTold(account: string | undefined): void {
    this.#changes++;
    if (account === undefined) this.#steps.clear();
    else this.#steps.delete(account);
  }

  /** Every device has been looked at once. */
  async settled(): Promise<void> {
    if (this.#isSettled) return;
    await this.#o.store.write([{ table: 'service', key: SETTLED_KEY, put: '{}' }]);
    this.#isSettled = true;
  }

  /** `noticeDays`: how long before its end a service is said to end. Returns when to look again, epoch ms. */
  async look(id: string, device: Device | undefined, now: number, noticeDays: number): Promise<number> {
    const seenAs = await this.#subject(device);
    const due = this.#dueOf(seenAs, now, noticeDays);
    const seen = JSON.stringify([
      device?.state,
      device?.activates_at,
      device?.suspends_at,
      endOf(seenAs, now),
      seenAs.holder.steps.at(-1)?.at,
      seenAs.holder.steps.length,
      device?.first_seen,
      device?.plan,
      device?.account,
      device?.provisional,
      due,
    ]);
    if (this.#known.get(id) === seen) return due;
    const { store, instance, record } = this.#o;
    const text = await store.get('service', id);
    const row = SERVICE.parse(id, text);
    // The device and its account are read behind the row, the account not from memory: a change of them before that is seen, and one after that
    // makes the write fail (invariant 1).
    const subject = await subjectOf(store, await DEVICES.get(store, id));
    const isNew = text === undefined && (this.#isSettled ||= (await store.get('service', SETTLED_KEY)) !== undefined);
    const moved = withEnding(advance(row, subject, now, { by: 'time', reason: '' }, !isNew), subject, now, noticeDays * DAY_MS);
    if (moved === undefined) return due;
    const { announcing, ...rest } = moved;
    // Invariant 2.
    if (row !== undefined && row.news.length > 0 && announcing !== undefined && announcing.by !== instance && announcing.until > now)
      return announcing.until;
    if (moved !== row || moved.news.length > 0) {
      const claimed: ServiceRow = moved.news.length === 0 ? rest : { ...rest, announcing: { by: instance, until: now + ANNOUNCING_MS } };
      const claim = JSON.stringify(claimed);
      // Another server was first, or a caller has changed it: what it is now is looked at again.
      if (!(await store.write([SERVICE.expect(text, id), { table: 'service', key: id, put: claim }]))) return now + AGAIN_MS;
      for (const event of moved.news) record(id, event);
      // What a statement is still to be made of stays.
      const isGone = isForgotten(rest) && !(await hasUnfrozen(store, id, rest.periods));
      const done = isGone ? SERVICE.remove(id) : SERVICE.put({ ...rest, news: [] }, id);
      if (moved.news.length > 0) await store.write([SERVICE.expect(claim, id), done]);
    }
    if (this.#known.size >= MOST_KNOWN) this.#known.clear();
    this.#known.set(id, seen);
    return due;
  }

  async #subject(device: Device | undefined): Promise<Subject> {
    const { account } = device ?? {};
    if (account === undefined) return { device, holder: UNOWNED };
    let steps = this.#steps.get(account);
    if (steps === undefined) {
      const changes = this.#changes;
      steps = await accountSteps(this.#o.store, account);
      if (this.#steps.size >= MOST_KNOWN) this.#steps.clear();
      // What has changed meanwhile is read again.
      if (changes === this.#changes) this.#steps.set(account, steps);
    }
    return subjectOf(this.#o.store, device, steps);
  }

  #dueOf(subject: Subject, now: number, noticeDays: number): number {
    const notice = endOf(subject, now) - noticeDays * DAY_MS;
    return Math.min(nextChange(subject, now), notice > now ? notice : Number.POSITIVE_INFINITY);
  }
}

/** The device with what its account has been; `steps` of that, when they are at hand. */
async function subjectOf(store: Pick<StateStore, 'get'>, device: Device | undefined, steps?: readonly AccountStep[]): Promise<Subject> {
  if (device?.account === undefined) return { device, holder: UNOWNED };
  const known = steps ?? (await accountSteps(store, device.account));
  if (!known.some(({ state }) => state === 'ending')) return { device, holder: { ...UNOWNED, steps: known } };
  const history = PLANS.read(await store.get('plans', device.plan)) ?? UNLIMITED_HISTORY;
  return { device, holder: { steps: known, cycleEnd: (at) => inForce(history, at).cycle.end } };
}

/** Invariant 1: what a caller's change of a device means for its service, as steps of the same write. */
export async function serviceOps(
  store: Pick<StateStore, 'get'>,
  now: number,
  [before, after]: readonly [Device | undefined, Device | undefined],
  by: string,
): Promise<readonly Op[]> {
  const id = after?.id ?? before?.id ?? '';
  const text = await store.get('service', id);
  const row = SERVICE.parse(id, text);
  const reason = after?.reason !== undefined && after.reason !== before?.reason ? after.reason : '';
  const was = before === undefined ? row : advance(row, await subjectOf(store, before), now, { by: 'time', reason: '' }, true);
  const moved = advance(was, await subjectOf(store, after), now, { by, reason });
  return moved === row || moved === undefined ? [] : [SERVICE.expect(text, id), SERVICE.put(moved, id)];
}

/** The row as `GET /v1/devices/{id}/service` shows it; of a device without one, what it would be. */
export async function readService(store: Pick<StateStore, 'get'>, id: string, now: number): Promise<ServiceRow | undefined> {
  const row = await SERVICE.get(store, id);
  const subject = await subjectOf(store, DEVICES.read(await store.get('devices', id)));
  return advance(row, subject, now, { by: 'time', reason: '' }, true);
}

/** Which units were in the device; none where it was never replaced. */
export async function readUnits(store: Pick<StateStore, 'get'>, id: string): Promise<readonly UnitPeriod[]> {
  const units = await UNITS.get(store, id);
  const device = DEVICES.read(await store.get('devices', id));
  return units === undefined ? [] : device === undefined ? units.periods : unitsOf(units, device);
}
