import type { Batch, BatchLimits, Park, Position, Range, Ranges, Sink } from '../../src/out/sink/sink.ts';

/** What the next delivery does: stores and says so, stores and fails, fails without storing, or comes to find that others moved. */
export type Fate = 'delivered' | 'stored-but-failed' | 'not-stored' | 'rewound';

/** A sink that keeps rows and position in memory, as one, and has the accidents it is told to have. */
export class MemorySink implements Sink {
  readonly name: string;
  readonly limits: BatchLimits;
  readonly relays: boolean;
  /** `device TAB time TAB id`, in order of arrival. */
  rows: string[] = [];
  events: string[] = [];
  batches: { readonly ranges: Ranges; readonly token: string; readonly rows: number }[] = [];
  position: Record<string, number> = {};
  pending: Ranges | null = null;
  /** Announces batches, as a sink with a cursor of its own does. */
  readonly announces: boolean;
  fate: () => Fate = () => 'delivered';
  attempts = 0;
  opens = 0;
  away = false;
  closed = false;
  #history: { rows: number; events: number; position: Record<string, number> }[] = [];

  constructor(options: { name?: string; limits?: Partial<BatchLimits>; announces?: boolean; relays?: boolean } = {}) {
    this.name = options.name ?? 'memory';
    this.limits = { rows: 100, bytes: 1 << 20, ageMs: 0, ...options.limits };
    this.relays = options.relays ?? false;
    this.announces = options.announces ?? false;
  }

  async open(): Promise<Position> {
    this.opens++;
    if (this.away) throw new Error('the memory sink is away');
    const position = { ...this.position };
    return { delivered: (slot) => position[slot] ?? 0, pending: this.pending };
  }

  async deliver(batch: Batch, _park: Park): Promise<void> {
    this.attempts++;
    if (this.away) throw new Error('the memory sink is away');
    for (const [slot, { from }] of Object.entries(batch.ranges)) {
      if (from !== (this.position[slot] ?? 0) + 1) throw new Error(`slot ${slot}: ${from} does not follow ${this.position[slot]}`);
    }
    if (this.announces) this.pending = batch.ranges;
    const fate = this.fate();
    if (fate === 'rewound') {
      // A replica that lags takes over: rows and position go back together.
      const older = this.#history[Math.max(0, this.#history.length - 3)] ?? { rows: 0, events: 0, position: {} };
      this.rows.length = older.rows;
      this.events.length = older.events;
      this.position = { ...older.position };
      throw new Error('failed over to an older replica');
    }
    if (fate === 'not-stored') throw new Error('not stored');
    this.#history.push({ rows: this.rows.length, events: this.events.length, position: { ...this.position } });
    for (let row = 0; row < batch.rows.count; row++) {
      if (batch.resent[row] !== 1) this.rows.push(`${batch.rows.device[row]}\t${batch.rows.time[row]}\t${batch.rows.id(row)}`);
    }
    for (let i = 0; i < batch.events.count; i++)
      this.events.push(`${batch.events.device[i]} ${batch.events.type[i]} ${batch.events.id[i]}`);
    for (const [slot, { to }] of Object.entries<Range>(batch.ranges)) this.position[slot] = to;
    this.batches.push({ ranges: batch.ranges, token: batch.token, rows: batch.rows.count });
    this.pending = null;
    if (fate === 'stored-but-failed') throw new Error('stored, and nobody heard');
  }

  async check(): Promise<void> {
    if (this.away) throw new Error('the memory sink is away');
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}
