/** What the server answers, as far as the pages use it (/openapi.json has all of it). */
export interface Status {
  readonly version: string;
  readonly instance: string;
  readonly started: number;
  readonly ready: {
    readonly status: string;
    readonly parts: Readonly<Record<string, { readonly state: string; readonly reason?: string }>>;
  };
  readonly devices: Readonly<
    Record<'known' | 'connected' | 'silent' | 'offline' | 'over_cap' | 'alarms_1h' | 'quarantined', number | null | undefined>
  >;
  readonly rates: Readonly<Record<'frames' | 'records' | 'bytes_in' | 'bytes_out' | 'answers', number>>;
  readonly answer_ms: Readonly<Record<'p50' | 'p95' | 'p99', number | null>>;
  readonly journal: {
    readonly bytes: number;
    readonly budget: number;
    readonly free_bytes: number;
    readonly state: string;
    readonly reason?: string;
    readonly oldest_undelivered_s: number | null;
  };
  readonly sinks: readonly Sink[];
  readonly groups?: readonly { readonly stream: string; readonly group: string; readonly lag: number | null; readonly missed: number }[];
  readonly processes: readonly {
    readonly name: string;
    readonly state: string;
    readonly pid: number;
    readonly rss: number;
    readonly loop_lag_ms: number;
    readonly restarts: number;
  }[];
  readonly listeners: readonly {
    readonly codec: string;
    readonly transport: string;
    readonly host: string;
    readonly port: number;
    readonly connections: number | null;
    readonly malformed_per_min: number | null;
    readonly rejects_per_min: number | null;
  }[];
  readonly series?: Series;
}

export interface Sink {
  readonly name: string;
  readonly state: string;
  readonly reason?: string;
  readonly since?: number;
  readonly lag_s: number | null;
  readonly entries: number | null;
  readonly rows_per_s: number | null;
  readonly parked: number | null;
}

interface Series {
  readonly at: number;
  readonly step_s: number;
  readonly records: readonly (number | null)[];
  readonly answer_p99: readonly (number | null)[];
  readonly lag: Readonly<Record<string, readonly (number | null)[]>>;
}

export interface Device {
  readonly id: string;
  readonly aliases: readonly string[];
  readonly name?: string;
  readonly account?: string;
  readonly plan: string;
  readonly state: string;
  readonly privacy: string;
  readonly protocol?: string;
  readonly transport?: string;
  readonly first_seen?: number;
  /** With `with=live`. */
  readonly live?: { readonly connected: boolean; readonly state: string; readonly received?: number; readonly usage_pct: number };
  readonly [field: string]: unknown;
}

export interface Command {
  readonly id: string;
  readonly device: string;
  readonly type: string;
  readonly state: string;
  readonly created?: number;
  readonly ended: number;
  readonly attempts: number;
  readonly reply: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly requester?: string;
  readonly withheld?: boolean;
  readonly [field: string]: unknown;
}
