import type { Erased } from '../base/erased.ts';
import type { Log } from '../base/log.ts';
import type { Metrics } from '../base/metrics/catalog.ts';
import type { Config } from '../config/schema.ts';
import type { Reply } from '../fleet/command/waiting.ts';
import type { SessionFacts } from '../in/session/session.ts';
import type { Sighting } from '../in/session/sightings.ts';
import type { TextFrame } from '../in/sms/inbox.ts';
import type { SightRow, WhoRow } from '../live/sights.ts';
import type { ServerFacts } from '../live/status.ts';
import type { TracedFrame } from '../live/traces.ts';
import type { EventJson } from '../out/record/event.ts';
import type { ClickHouseAccess } from '../out/sink/clickhouse/sink.ts';

/** What lies between the supervisor and what `src/roles` puts together: the office, and the programs of the children. */

/** '': any. */
export interface SessionsOf {
  readonly device: string;
  readonly codec: string;
}

export interface Connections {
  readonly sessions: readonly (SessionFacts & { readonly worker: number })[];
  readonly partial: boolean;
}

/** What the office gets of the server. */
export interface OfficeOptions {
  readonly config: Config;
  readonly instance: string;
  readonly log: Log;
  readonly metrics: Metrics;
  /** The configured or the embedded one. */
  readonly clickhouse: ClickHouseAccess;
  /** Why the state store must not be opened; '' when it may. */
  readonly stateDamage: string;
  /** Reaches the worker that has the device. */
  poke(device: string): void;
  /** Journals an event; `account`: whose device it is. */
  record(device: string, event: object, account?: string): void;
  /** Journals an entry of the audit; resolves when it is durable, rejects when it cannot be. */
  audit(entry: object): Promise<void>;
  /** Journals a text message; resolves when it is durable, rejects when it cannot be. */
  text(frame: TextFrame): Promise<void>;
  /** The state store could not be read or written. */
  suspectState(): void;
  isConnected(device: string): boolean;
  /** Sessions by worker and number, behind these; what a worker does not tell within a second is missing, and `partial` says so. */
  connections(after: { readonly worker: number; readonly number: number }, limit: number, of: SessionsOf): Promise<Connections>;
  /** Ends the session of a worker, or all of the device. Resolves with how many there were. */
  disconnect(what: { readonly worker: number; readonly number: number } | { readonly device: string }, by: string): Promise<number>;
  /** Asks the workers to copy frames (`live/traces.ts`) for a while. */
  trace(key: string): void;
  /** Asks the workers to tell each second where devices are. */
  watch(): void;
  /** What the status of the server is made of. */
  readonly facts: ServerFacts;
  /** Resolves when everything journaled so far is in segments that are not written any more. */
  rotate(): Promise<unknown>;
  /** As the shipper's. */
  erase(part: string, devices: Erased): Promise<Readonly<Record<string, number>>>;
}

/** What the supervisor has open of devices and commands. */
export interface OpenOffice {
  /** What people look at. */
  readonly live: {
    seen(rows: readonly SightRow[], who: readonly WhoRow[]): void;
    moved(device: string): void;
    events(events: readonly EventJson[]): void;
  };
  /** Looks for two devices with one id. */
  readonly clones: { saw(sighting: Sighting): void };
  readonly traces: { take(key: string, frames: readonly TracedFrame[], lost: number): void };
  /** Requests that wait for the end of a command. */
  readonly waiting: { ended(device: string, id: string, reply: Reply | undefined): void };
  /** The state store is damaged: nothing touches it any more. */
  abandonState(damage: string): void;
  close(): Promise<void>;
}

/** What the processes do, which the supervisor does not know. */
export interface Roles<Office extends OpenOffice> {
  openOffice(options: OfficeOptions): Promise<Office>;
  /** Paths of the modules of the children. */
  readonly worker: string;
  readonly shipper: string;
}
