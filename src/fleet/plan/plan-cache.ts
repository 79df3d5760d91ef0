import { every } from '../../base/beat.ts';
import { systemClock } from '../../base/clock.ts';
import { type Erased, merged, type Stretch, stretchesOf } from '../../base/erased.ts';
import { messageOf } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import type { Log } from '../../base/log.ts';
import { type Following, follow } from '../../state/follow.ts';
import type { StateStore } from '../../state/store.ts';
import { TypedTable } from '../../state/table.ts';
import { SETTINGS, type Settings } from '../command/shadow.ts';
import { noteUnit, type UnitNews, type UnitValue } from '../registry/unit-facts.ts';
import { Bursts } from './burst.ts';
import { Gnss } from './gnss.ts';
import { Pace } from './pace.ts';
import { type Plan, UNLIMITED } from './plan.ts';
import { POLICIES, type Policy } from './steps.ts';
import { Territory } from './territory.ts';
import { inForce, PLANS, type PlanHistory } from './versions.ts';

/**
 * Plans, and which of their steps hold for which device, in the memory of one worker.
 *
 * 1. The tables are kept in memory and followed (`state/follow.ts`). Until they have been read, and while the store cannot be, what was
 *    known last holds: no caps at first.
 * 2. A version of a plan that comes into force does so within `LOOK_MS`.
 * 3. What has been seen of a device outlives its connection; bounded, the longest silent go first.
 * 4. On which side of its border a device is, is what any worker has said last: it may have spoken to others meanwhile.
 */
const LOOK_MS = 1_000;
const MOST_SEEN = 100_000;
/** A refused device that comes back is kept waiting for its answer, longer each time. */
const FIRST_PENALTY_MS = 5_000;
const LONGEST_PENALTY_MS = 300_000;
const FORGIVEN_MS = 3_600_000;

/** What has been seen of a device. */
export class Seen {
  readonly pace = new Pace();
  readonly gnss = new Gnss();
  /** Bytes that no frame could be read from, and starts of the device. */
  readonly others = new Bursts();
  readonly reboots = new Bursts();
  /** When it started last, by its own time, epoch ms. */
  started = Number.NEGATIVE_INFINITY;
  /** What it has said of its card, firmware and model last, by field and message. */
  readonly unit = new Map<string, string>();
  /** Undefined until it is known what was said last. */
  territory: Territory | undefined;
  /** Times of the records kept last, epoch ms, of those with a position and of those without. */
  keptFix = Number.NEGATIVE_INFINITY;
  keptStatus = Number.NEGATIVE_INFINITY;
  #refusals = 0;
  #refusedAt = 0;

  /** It is refused now, monotonic ms: how long to wait with that. */
  penalty(now: number): number {
    if (now - this.#refusedAt > FORGIVEN_MS) this.#refusals = 0;
    this.#refusedAt = now;
    const refusals = this.#refusals++;
    return refusals === 0 ? 0 : Math.min(LONGEST_PENALTY_MS, FIRST_PENALTY_MS * 2 ** (refusals - 1));
  }
}

/** What of an erasure a worker needs. */
interface Erasure {
  readonly ids: readonly string[];
  readonly stretches: readonly Stretch[];
}

/** As much of the table as that, so that a row of which the rest is damaged still keeps what was erased from being stored again. */
const ERASED = new TypedTable<Erasure>({ name: 'erasures', key: (device) => device, parse: parseErased });

/** Where a device was when that was said last. */
const TERRITORY = new TypedTable<'home' | 'roaming'>({
  name: 'territory',
  key: (device) => device,
  parse: (text) => (text === 'roaming' || text === 'home' ? text : undefined),
});

export class PlanCache {
  /** Alarms of persons are stored whatever a device's state or plan withholds, except of a terminated one. */
  readonly alarmsPass: boolean;
  readonly #store: StateStore;
  readonly #log: Log;
  #histories = new Map<string, PlanHistory>();
  /** Those versions that are in force. */
  #plans = new Map<string, Plan>();
  #policies = new Map<string, Policy>();
  /** Intervals that were asked for with a command, and that the devices have confirmed, s; NaN: none. */
  #intervals = new Map<string, readonly [desired: number, reported: number]>();
  #erasures = new Map<string, Erasure>();
  /** The same by every id. */
  #erased: Erased = new Map();
  readonly #seen = new Map<string, Seen>();
  readonly #listeners = new Set<(device: string | undefined) => void>();
  readonly #following: readonly Following[];
  readonly #stop: () => void;

  constructor(store: StateStore, log: Log, alarmsPass = true) {
    this.alarmsPass = alarmsPass;
    this.#store = store;
    this.#log = log;
    this.#following = this.#followers(store);
    this.#stop = every(LOOK_MS, () => this.#lookAtTime());
  }

  plan(name: string | undefined): Plan {
    return this.#plans.get(name ?? UNLIMITED.name) ?? UNLIMITED;
  }

  policy(device: string): Policy | undefined {
    return this.#policies.get(device);
  }

  /**
   * How often the device is to report, s, where its record or its plan says `usual`, 0: nothing. What a command asks for holds, as soon as the
   * device has confirmed it; until then the shorter of both.
   */
  programmed(device: string, usual: number): number {
    const [desired = Number.NaN, reported = Number.NaN] = this.#intervals.get(device) ?? [];
    if (Number.isNaN(desired)) return usual;
    const before = Number.isNaN(reported) ? usual : reported;
    return before > 0 ? Math.min(desired, before) : desired;
  }

  /** What was erased of the device; undefined: nothing was. */
  erased(device: string): readonly Stretch[] | undefined {
    return this.#erased.get(device);
  }

  /** Calls `listener` when another treatment may be due for a device; undefined: for any. */
  onChange(listener: (device: string | undefined) => void): void {
    this.#listeners.add(listener);
  }

  seen(device: string): Seen {
    const known = this.#seen.get(device);
    if (known !== undefined) {
      this.#seen.delete(device);
      this.#seen.set(device, known);
      return known;
    }
    const [oldest] = this.#seen.keys();
    if (oldest !== undefined && this.#seen.size >= MOST_SEEN) this.#seen.delete(oldest);
    const seen = new Seen();
    this.#seen.set(device, seen);
    this.#store.find('territory', device, (text) => {
      seen.territory ??= new Territory(text === 'roaming');
    });
    return seen;
  }

  /** The device has said this of itself; `changed` gets what is not as before. */
  said(device: string, values: readonly UnitValue[], changed: (news: UnitNews) => void): void {
    const { unit } = this.seen(device);
    const fresh = values.filter(({ field, message, value }) => unit.get(`${field} ${message}`) !== value);
    if (fresh.length === 0) return;
    for (const { field, message, value } of fresh) unit.set(`${field} ${message}`, value);
    noteUnit(this.#store, device, fresh)
      .then((all) => all.forEach(changed))
      .catch((error: unknown) => {
        // It is noted when it is said again.
        for (const { field, message } of fresh) unit.delete(`${field} ${message}`);
        this.#log.warn({ error: messageOf(error) }, 'what a device says of its card and firmware cannot be noted');
      });
  }

  /** Remembers the side, for every worker. */
  roams(device: string, roaming: boolean): void {
    this.#store
      .write([{ table: 'territory', key: device, put: roaming ? 'roaming' : 'home' }])
      .catch((error: unknown) => this.#log.warn({ error: messageOf(error) }, 'whether a device is roaming cannot be noted'));
  }

  async close(): Promise<void> {
    this.#stop();
    await Promise.all(this.#following.map((one) => one.stop()));
  }

  #followers(store: StateStore): Following[] {
    const plans = follow(
      store,
      PLANS,
      {
        all: (rows) => this.#versioned(() => (this.#histories = new Map(rows))),
        changed: (key, plan) => this.#versioned(() => put(this.#histories, key, plan)),
      },
      this.#log,
    );
    const policies = follow(
      store,
      POLICIES,
      {
        all: (rows) => this.#replaced(() => (this.#policies = new Map(rows))),
        changed: (key, policy) => {
          put(this.#policies, key, policy);
          this.#tell(key);
        },
      },
      this.#log,
    );
    const intervals = follow(
      store,
      SETTINGS,
      {
        all: (rows) =>
          this.#replaced(
            () => (this.#intervals = new Map([...rows].flatMap(([id, row]) => (hasInterval(row) ? [[id, intervalOf(row)]] : [])))),
          ),
        changed: (key, row) => {
          put(this.#intervals, key, row !== undefined && hasInterval(row) ? intervalOf(row) : undefined);
          this.#tell(key);
        },
      },
      this.#log,
    );
    const erased = (change: () => void): void => {
      change();
      this.#erased = byId(this.#erasures);
    };
    const erasures = follow(
      store,
      ERASED,
      {
        all: (rows) => erased(() => (this.#erasures = new Map(rows))),
        changed: (key, erasure) => erased(() => put(this.#erasures, key, erasure)),
      },
      this.#log,
    );
    // Invariant 4.
    const territory = follow(
      store,
      TERRITORY,
      {
        all: (rows) => {
          for (const [device, seen] of this.#seen) seen.territory?.told(rows.get(device) === 'roaming');
        },
        changed: (key, side) => this.#seen.get(key)?.territory?.told(side === 'roaming'),
      },
      this.#log,
    );
    return [plans, policies, intervals, erasures, territory];
  }

  /** Any device may be concerned. */
  #replaced(change: () => void): void {
    change();
    this.#tell(undefined);
  }

  #versioned(change: () => void): void {
    change();
    this.#replaced(() => (this.#plans = this.#current()));
  }

  #current(): Map<string, Plan> {
    const now = systemClock.now();
    return new Map([...this.#histories].map(([name, history]) => [name, inForce(history, now).plan]));
  }

  /** Invariant 2. */
  #lookAtTime(): void {
    const current = this.#current();
    if ([...current].some(([name, plan]) => this.#plans.get(name) !== plan)) this.#replaced(() => (this.#plans = current));
  }

  #tell(device: string | undefined): void {
    for (const listener of this.#listeners) listener(device);
  }
}

function hasInterval({ desired }: Settings): boolean {
  return typeof desired['interval'] === 'number';
}

function intervalOf({ desired, reported }: Settings): readonly [number, number] {
  return [Number(desired['interval'] ?? Number.NaN), Number(reported['interval'] ?? Number.NaN)];
}

function parseErased(text: string): Erasure | undefined {
  const value: unknown = jsonOf(text);
  if (typeof value !== 'object' || value === null || !('before' in value) || !('ids' in value)) return undefined;
  const { before, ids } = value;
  const stretches = stretchesOf(Reflect.get(value, 'stretches') ?? before);
  return stretches !== undefined && Array.isArray(ids) ? { stretches, ids: ids.map(String) } : undefined;
}

function byId(erasures: ReadonlyMap<string, Erasure>): Erased {
  const found = new Map<string, readonly Stretch[]>();
  for (const { ids, stretches } of erasures.values()) for (const id of ids) found.set(id, merged(found.get(id) ?? [], stretches));
  return found;
}

function put<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
