import { messageOf } from '../errors.ts';
import { jsonOf } from '../json.ts';
import type { Log } from '../log.ts';
import type { StateStore, Table } from '../state/store.ts';
import { Pace } from './pace.ts';
import { type Plan, parsePlan, UNLIMITED } from './plan.ts';
import { type Policy, parsePolicy } from './steps.ts';
import { Territory } from './territory.ts';

/**
 * Plans, and which of their steps hold for whom, as one worker needs them: at hand on the byte path.
 *
 * 1. The tables are kept in memory, and follow the store's watch. Until they have been read, and while the store cannot be, what was
 *    known last holds: no caps at first.
 * 2. What has been seen of a device outlives its connection; bounded, the longest silent go first.
 */
const PAGE = 1_000;
const AGAIN_MS = 2_000;
const MOST_SEEN = 100_000;
/** A refused device that comes back is kept waiting for its answer, longer each time. */
const FIRST_PENALTY_MS = 5_000;
const LONGEST_PENALTY_MS = 300_000;
const FORGIVEN_MS = 3_600_000;

/** What has been seen of a device. */
export class Seen {
  readonly pace = new Pace();
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

/** Tables that are kept in memory. */
const FOLLOWED = ['plans', 'policies', 'erasures'] as const;
type Followed = (typeof FOLLOWED)[number];

/** What of an erasure a worker needs: up to when everything of these ids was erased, epoch ms. */
interface Erased {
  readonly ids: readonly string[];
  readonly before: number;
}

export class Service {
  /** Alarms of persons are stored whatever a device's state or plan withholds, except of a terminated one. */
  readonly alarmsPass: boolean;
  readonly #store: StateStore;
  readonly #log: Log;
  #plans = new Map<string, Plan>();
  #policies = new Map<string, Policy>();
  #erasures = new Map<string, Erased>();
  /** The same by every id. */
  #erased = new Map<string, number>();
  readonly #seen = new Map<string, Seen>();
  readonly #listeners = new Set<(device: string | undefined) => void>();
  readonly #unwatch: () => void;
  #again: NodeJS.Timeout | undefined;
  /** What has changed while tables are being read: a list for each reading, for several may overlap. */
  readonly #readings = new Set<[Table, string][]>();
  #closed = false;

  constructor(store: StateStore, log: Log, alarmsPass = true) {
    this.alarmsPass = alarmsPass;
    this.#store = store;
    this.#log = log;
    this.#unwatch = store.watch((table, key) => this.#changed(table, key));
    this.#read(FOLLOWED);
  }

  plan(name: string | undefined): Plan {
    return this.#plans.get(name ?? UNLIMITED.name) ?? UNLIMITED;
  }

  policy(device: string): Policy | undefined {
    return this.#policies.get(device);
  }

  /** What the device measured before this was erased, epoch ms; 0: nothing was. */
  erasedBefore(device: string): number {
    return this.#erased.get(device) ?? 0;
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

  /** Remembers the side, for the next worker that sees the device. */
  roams(device: string, roaming: boolean): void {
    this.#store
      .write([{ table: 'territory', key: device, put: roaming ? 'roaming' : 'home' }])
      .catch((error: unknown) => this.#failed(error));
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#again);
    this.#unwatch();
  }

  #changed(table: Table, key: string | undefined): void {
    if (table !== 'plans' && table !== 'policies' && table !== 'erasures') return;
    if (key === undefined) {
      this.#read([table]);
      return;
    }
    for (const meanwhile of this.#readings) meanwhile.push([table, key]);
    this.#store.find(table, key, (text, readable) => {
      if (!readable) this.#read([table]);
      else if (table === 'plans') {
        put(this.#plans, key, parsePlan(text));
        this.#tell(undefined);
      } else if (table === 'erasures') {
        put(this.#erasures, key, parseErased(text));
        this.#erased = byId(this.#erasures);
      } else {
        put(this.#policies, key, parsePolicy(text));
        this.#tell(key);
      }
    });
  }

  #read(tables: readonly Followed[]): void {
    clearTimeout(this.#again);
    this.#readAll(tables).catch((error: unknown) => {
      if (this.#closed) return;
      this.#failed(error);
      this.#again = setTimeout(() => this.#read(FOLLOWED), AGAIN_MS);
    });
  }

  async #readAll(tables: readonly Followed[]): Promise<void> {
    const meanwhile: [Table, string][] = [];
    this.#readings.add(meanwhile);
    try {
      for (const table of tables) await this.#readTable(table);
    } finally {
      this.#readings.delete(meanwhile);
    }
    for (const [table, key] of meanwhile) this.#changed(table, key);
    this.#tell(undefined);
  }

  async #readTable(table: Followed): Promise<void> {
    const texts = new Map<string, string>();
    for (let after: string | undefined; ; ) {
      const page = await this.#store.list(table, { limit: PAGE, ...(after === undefined ? {} : { after }) });
      for (const { key, value } of page) texts.set(key, value);
      after = page.at(-1)?.key;
      if (page.length < PAGE) break;
    }
    if (table === 'plans') this.#plans = parsed(texts, parsePlan);
    else if (table === 'policies') this.#policies = parsed(texts, parsePolicy);
    else {
      this.#erasures = parsed(texts, parseErased);
      this.#erased = byId(this.#erasures);
    }
  }

  #tell(device: string | undefined): void {
    for (const listener of this.#listeners) listener(device);
  }

  #failed(error: unknown): void {
    if (!this.#closed) this.#log.warn({ error: messageOf(error) }, 'plans cannot be read or noted; what was known last holds');
  }
}

function parseErased(text: string | undefined): Erased | undefined {
  const value: unknown = jsonOf(text);
  if (typeof value !== 'object' || value === null || !('before' in value) || !('ids' in value)) return undefined;
  const { before, ids } = value;
  return typeof before === 'number' && Array.isArray(ids) ? { before, ids: ids.map(String) } : undefined;
}

function byId(erasures: ReadonlyMap<string, Erased>): Map<string, number> {
  const found = new Map<string, number>();
  for (const { ids, before } of erasures.values()) for (const id of ids) found.set(id, Math.max(before, found.get(id) ?? 0));
  return found;
}

function put<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

function parsed<T>(texts: ReadonlyMap<string, string>, parse: (text: string) => T | undefined): Map<string, T> {
  const found = new Map<string, T>();
  for (const [key, text] of texts) put(found, key, parse(text));
  return found;
}
