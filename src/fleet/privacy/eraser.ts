import { type Erased, merged, ownBefore, type Stretch, wholeBefore } from '../../base/erased.ts';
import { AppError, messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import { type Following, follow } from '../../state/follow.ts';
import type { Op, StateStore } from '../../state/store.ts';
import type { Device } from '../registry/device.ts';
import { HOLDS, type Hold, stands } from '../registry/hold.ts';
import type { Share } from '../registry/owners.ts';
import { ERASURES, type Erasure, stretchesIn } from './erasure.ts';
import { heldText } from './hold.ts';
import type { Subject } from './subjects.ts';

/**
 * Erases devices from everything that this installation keeps; in the supervisor.
 *
 * 1. What was asked for is in the state store before anything is removed, and is carried on with after a crash, for as long as
 *    it takes: a store that is away is waited for.
 * 2. Each part is on its own: one store that is away keeps no other from forgetting.
 * 3. What a device sent or recorded up to the moment of the request goes; what it sends from then on is kept as usual. Of an account only
 *    what is of its time with the device goes: what another owned stays.
 * 4. Installations that share a state store each do their part of every erasure.
 * 5. Doing it twice does no harm.
 * 6. What is under a hold (`hold.ts`) is not erased: an installation that has not begun when one is set begins after its end.
 */
export interface EraserOptions {
  readonly store: StateStore;
  /** Identity of this installation. */
  readonly instance: string;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  readonly log: Log;
  /** The device of this id, or whose alias it is. */
  readonly device: (id: string) => Promise<Device | undefined>;
  /** Journals an event of a device; `account`: whose it is, if not of who has the device now. */
  readonly record: (device: string, event: object, account?: string) => void;
  /** How each part is done, by its name. Rejects when it is to be tried again. */
  readonly parts: Readonly<Record<string, Part>>;
  /** How long after a failure a part is tried again, 5 s. */
  readonly pauseMs?: number | undefined;
}

/** Of several erasures it says together how much of what went. */
export type Part = (erasures: readonly Erasure[], devices: Erased) => Promise<Readonly<Record<string, number>>>;

interface Wanted {
  readonly device: string;
  readonly ids: readonly string[];
  readonly by: string;
  readonly registry: Erasure['registry'];
  /** Undefined: whosever it was. */
  readonly share?: Share | undefined;
}

const QUIET_MS = 60_000;
const PAUSE_MS = 5_000;
/** Devices that a part erases at once. */
const MOST_TOGETHER = 200;

export class Eraser {
  readonly #o: EraserOptions;
  /** Erasures that this installation has not finished. */
  readonly #open = new Map<string, Erasure>();
  readonly #running: Promise<void>[] = [];
  #following: Following | undefined;
  /** Those that wait for something to do, and those that wait after a failure. */
  readonly #idle = new Set<() => void>();
  readonly #pausing = new Set<() => void>();
  #stopped = false;
  readonly #said = new Map<string, number>();

  constructor(options: EraserOptions) {
    this.#o = options;
  }

  /** Carries on with what was begun, and begins what is asked for, here or elsewhere. */
  start(): void {
    const { store, log } = this.#o;
    const all = (erasures: ReadonlyMap<string, Erasure>): void => {
      this.#open.clear();
      for (const [key, erasure] of erasures) this.#note(key, erasure);
    };
    this.#following = follow(store, ERASURES, { all, changed: (key, erasure) => this.#note(key, erasure) }, log);
    for (const part of Object.keys(this.#o.parts)) this.#running.push(this.#run(part));
  }

  /** Ends when what is under way has ended or failed. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#following?.stop();
    this.#wake();
    for (const done of [...this.#pausing]) done();
    await Promise.all(this.#running);
  }

  /** Erases what the device has sent up to now. `id` may be an alias. Resolves when the request is kept; rejects with AppError UNDER_HOLD. */
  async request(id: string, by: string, registry: Erasure['registry']): Promise<Erasure> {
    const known = await this.#o.device(id);
    const own = known?.id ?? id;
    return this.#ask({ device: own, ids: [own, ...(known?.aliases ?? [])], by, registry });
  }

  /**
   * Erases what is of the time of the share's account with the device; of one that no other account had, all. Rejects with RangeError
   * without a share, or when its account never had the device: an erasure without times is one of everything, whosever it was.
   */
  async requestPart({ id: device, ids, share }: Pick<Subject, 'id' | 'ids' | 'share'>, by: string): Promise<Erasure> {
    if (share === undefined || share.spans.length === 0) throw new RangeError(`no account is named that had the device ${device}`);
    return this.#ask({ device, ids, by, registry: 'keep', share });
  }

  async #ask(wanted: Wanted): Promise<Erasure> {
    const { device, by, registry } = wanted;
    const erasure = await this.#keep(wanted);
    this.#o.record(device, { type: 'erase_started', by, before: erasure.before, registry }, erasure.account);
    this.#open.set(device, erasure);
    this.#wake();
    return erasure;
  }

  /**
   * What another request for the same device has asked for, and is not done yet, is asked for by this one as well: its time is a later
   * one, so that what was done for the other is done again.
   */
  async #keep({ device, ids: own, by, registry, share }: Wanted): Promise<Erasure> {
    const { store, instance, now } = this.#o;
    return attempt(`the erasure of device ${device}`, async () => {
      const text = await store.get('erasures', device);
      const last = ERASURES.read(text);
      const open = last !== undefined && this.progress(last).waiting.length > 0 ? last : undefined;
      const before = Math.max(now(), (last?.before ?? 0) + 1);
      const stretches = merged(last === undefined ? [] : stretchesIn(last), wantedIn(share, before));
      const erasure: Erasure = {
        device,
        ids: [...new Set([...own, ...(open?.ids ?? [])])],
        before,
        ...(share === undefined ? {} : { account: [...share.accounts].join(' ') }),
        ...(stretches.some(({ account, to }) => account !== undefined || to < before) ? { stretches } : {}),
        by,
        registry: open?.registry === 'remove' ? 'remove' : registry,
        instances: { ...stillBusy(last), [instance]: BEGUN },
      };
      const { free, hold } = await this.#holds(erasure.ids);
      if (hold !== undefined) throw new AppError('UNDER_HOLD', heldText(hold));
      return (await store.write([...free, ERASURES.expect(text, device), ERASURES.put(erasure, device)])) ? erasure : CONTENDED;
    });
  }

  async get(id: string): Promise<Erasure | undefined> {
    const own = (await this.#o.device(id))?.id ?? id;
    return ERASURES.read(await this.#o.store.get('erasures', own));
  }

  /** What this installation has removed, by part, and the parts that are still to be done. */
  progress(erasure: Erasure): { removed: Record<string, Record<string, number>>; waiting: string[]; erased: number } {
    const { removed = {}, erased = 0 } = erasure.instances[this.#o.instance] ?? {};
    return { removed, waiting: Object.keys(this.#o.parts).filter((part) => removed[part] === undefined), erased };
  }

  async #run(part: string): Promise<void> {
    while (!this.#stopped) {
      const waiting = [...this.#open.values()].filter((open) => this.progress(open).waiting.includes(part));
      if (waiting.length === 0) {
        await this.#sleep();
        continue;
      }
      try {
        const erasures = await this.#begun(waiting);
        if (erasures.length === 0) {
          await this.#sleep(this.#o.pauseMs ?? PAUSE_MS);
          continue;
        }
        const counts = (await this.#o.parts[part]?.(erasures, devicesIn(erasures))) ?? {};
        // How much it was stands with the first of those that were erased together.
        for (const [i, erasure] of erasures.entries()) await this.#done(erasure, part, i === 0 ? counts : {});
      } catch (error) {
        this.#failed(part, error);
        await this.#sleep(this.#o.pauseMs ?? PAUSE_MS);
      }
    }
  }

  /** Some of them, that this installation has begun or may begin now. */
  async #begun(waiting: readonly Erasure[]): Promise<Erasure[]> {
    const begun: Erasure[] = [];
    for (const erasure of waiting) {
      const found = await this.#begin(erasure);
      if (found !== undefined) begun.push(found);
      if (begun.length === MOST_TOGETHER) break;
    }
    return begun;
  }

  /** Invariant 6. */
  async #begin(erasure: Erasure): Promise<Erasure | undefined> {
    const { store, instance } = this.#o;
    if (erasure.instances[instance] !== undefined) return erasure;
    const { device } = erasure;
    return attempt(`the erasure of device ${device}`, async () => {
      const text = await store.get('erasures', device);
      const found = ERASURES.read(text);
      if (found === undefined || found.before !== erasure.before) return undefined;
      if (found.instances[instance] !== undefined) return found;
      const { free, hold } = await this.#holds(found.ids);
      if (hold !== undefined) return undefined;
      const begun = { ...found, instances: { ...found.instances, [instance]: BEGUN } };
      if (!(await store.write([...free, ERASURES.expect(text, device), ERASURES.put(begun, device)]))) return CONTENDED;
      this.#note(device, begun);
      return begun;
    });
  }

  /** The one that stands, if any, and the condition that nothing of that has changed. */
  async #holds(ids: readonly string[]): Promise<{ free: Op[]; hold: Hold | undefined }> {
    const { store, now } = this.#o;
    const free: Op[] = [];
    for (const key of ids) {
      const text = await store.get('holds', key);
      const hold = HOLDS.parse(key, text);
      if (hold !== undefined && stands(hold, now())) return { free, hold };
      free.push(HOLDS.expect(text, key));
    }
    return { free, hold: undefined };
  }

  async #done(erasure: Erasure, part: string, counts: Readonly<Record<string, number>>): Promise<void> {
    if (this.#stopped) return;
    const { store, instance, now, record } = this.#o;
    let finished: Erasure | undefined;
    await store.update('erasures', erasure.device, (text) => {
      const found = ERASURES.read(text);
      finished = undefined;
      // Asked for once more meanwhile: then everything is done once more.
      if (found === undefined || found.before !== erasure.before) return text;
      const removed = { ...found.instances[instance]?.removed, [part]: { ...counts } };
      const isAll = Object.keys(this.#o.parts).every((name) => removed[name] !== undefined);
      const changed = { ...found, instances: { ...found.instances, [instance]: { removed, erased: isAll ? now() : 0 } } };
      if (isAll) finished = changed;
      return JSON.stringify(changed);
    });
    if (finished !== undefined)
      record(erasure.device, { type: 'erased', by: erasure.by, removed: this.progress(finished).removed }, finished.account);
    this.#note(erasure.device, await ERASURES.get(store, erasure.device));
  }

  #note(key: string, erasure: Erasure | undefined): void {
    if (erasure === undefined || this.progress(erasure).waiting.length === 0) this.#open.delete(key);
    else {
      this.#open.set(key, erasure);
      this.#wake();
    }
  }

  #sleep(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stopped) return resolve();
      const sleepers = ms === undefined ? this.#idle : this.#pausing;
      const done = (): void => {
        clearTimeout(timer);
        sleepers.delete(done);
        resolve();
      };
      const timer = ms === undefined ? undefined : setTimeout(done, ms);
      sleepers.add(done);
    });
  }

  #wake(): void {
    for (const done of [...this.#idle]) done();
  }

  #failed(what: string, error: unknown): void {
    if (this.#stopped) return;
    const reason = messageOf(error);
    const now = this.#o.now();
    if (now - (this.#said.get(`${what} ${reason}`) ?? 0) < QUIET_MS) return;
    if (this.#said.size > 100) this.#said.clear();
    this.#said.set(`${what} ${reason}`, now);
    this.#o.log.warn({ part: what, reason }, 'erasure delayed; retrying');
  }
}

const BEGUN: Erasure['instances'][string] = { removed: {}, erased: 0 };

/** Other installations may be in the middle of the one before: they begin anew, and have begun. */
function stillBusy(last: Erasure | undefined): Erasure['instances'] {
  const busy = Object.entries(last?.instances ?? {}).filter(([, { erased }]) => erased === 0);
  return Object.fromEntries(busy.map(([instance]) => [instance, BEGUN]));
}

function devicesIn(erasures: readonly Erasure[]): Erased {
  const found = new Map<string, readonly Stretch[]>();
  for (const erasure of erasures) for (const id of erasure.ids) found.set(id, merged(found.get(id) ?? [], stretchesIn(erasure)));
  return found;
}

/** Invariant 3. */
function wantedIn(share: Share | undefined, before: number): readonly Stretch[] {
  if (share === undefined) return [wholeBefore(before)];
  const [account = ''] = share.accounts;
  return share.spans.map(({ measured, from, to }) => ownBefore(account, measured === 0 ? 0 : from, to, before));
}
