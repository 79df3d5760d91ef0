import type { Readable } from 'node:stream';
import type { OfficeOptions } from '../cluster/office.ts';
import type { Codec, Options } from '../codec/index.ts';
import type { Explainer } from '../explain/explainer.ts';
import type { Campaigner } from '../fleet/command/campaigner.ts';
import type { CommandIntake } from '../fleet/command/intake.ts';
import type { Ledger } from '../fleet/command/ledger.ts';
import type { Shadow } from '../fleet/command/shadow.ts';
import type { Waiting } from '../fleet/command/waiting.ts';
import type { InstallationTester } from '../fleet/installation/tester.ts';
import type { PlanRecords } from '../fleet/plan/plan-records.ts';
import type { UsageRanking } from '../fleet/plan/usage-ranking.ts';
import type { Eraser } from '../fleet/privacy/eraser.ts';
import type { Holds } from '../fleet/privacy/hold.ts';
import type { RowSpan } from '../fleet/privacy/stored-rows.ts';
import type { Subject } from '../fleet/privacy/subjects.ts';
import type { Trail } from '../fleet/privacy/trail.ts';
import type { Views } from '../fleet/privacy/views.ts';
import type { AccountRecords } from '../fleet/registry/account-records.ts';
import type { Device } from '../fleet/registry/device.ts';
import type { DeviceRecords } from '../fleet/registry/device-records.ts';
import type { QuarantineList } from '../fleet/registry/quarantine-list.ts';
import type { RecipientRecords } from '../fleet/registry/recipient.ts';
import type { TextInbox } from '../in/sms/inbox.ts';
import type { Live } from '../live/live.ts';
import type { StatusBoard } from '../live/status.ts';
import type { TraceHub } from '../live/trace-hub.ts';
import type { Audits } from '../out/sink/clickhouse/audits.ts';
import type { Evidence } from '../out/sink/clickhouse/evidence.ts';
import type { UsageHistory } from '../out/sink/clickhouse/history.ts';
import type { Past } from '../out/sink/clickhouse/past.ts';
import type { StatementTable } from '../out/sink/clickhouse/statements.ts';
import type { ProfileStore } from '../state/profile.ts';
import type { StateStore } from '../state/store.ts';

/** What of the stored frames is read anew (`roles/replayer.ts`). */
export interface ReplayRequest {
  /** Of receipt, epoch ms, both included. */
  readonly from: number;
  readonly to: number;
  /** '': all. */
  readonly device: string;
  /** In place of those that the frames were stored with. */
  readonly options: Options;
  /** Also write it. */
  readonly apply: boolean;
  /** So many changes are shown. */
  readonly limit: number;
}

export interface ParkedList {
  readonly entries: readonly { readonly device: string }[];
  readonly total: number;
  readonly next?: string | undefined;
}

/** What the resources work on. */
export interface ApiOffice {
  readonly state: StateStore & ProfileStore;
  readonly commandIntake: CommandIntake;
  readonly ledger: Ledger;
  readonly waiting: Waiting;
  readonly shadow: Shadow;
  readonly tester: InstallationTester;
  readonly campaigner: Campaigner;
  readonly deviceRecords: DeviceRecords;
  readonly accounts: AccountRecords;
  readonly recipients: RecipientRecords;
  readonly quarantine: QuarantineList;
  readonly plans: PlanRecords;
  readonly codecs: ReadonlyMap<string, Codec>;
  readonly eraser: Eraser;
  /** Devices whose data must be kept. */
  readonly holds: Holds;
  readonly status: StatusBoard;
  readonly live: Live;
  readonly usage: UsageRanking;
  readonly traces: TraceHub;
  readonly replayer: {
    readonly isBusy: boolean;
    check(options: Options): { readonly options: Options; readonly problems: readonly { name: string; problem: string }[] };
    run(request: ReplayRequest): AsyncGenerator<string>;
  };
  /** What sinks have set aside. */
  readonly parked: {
    list(sink: string, after: string, limit: number): Promise<ParkedList>;
    retry(sink: string, id?: string): Promise<{ readonly delivered: number; readonly refused: number }>;
  };
  /** Reads bytes for people. */
  readonly explainer: Explainer;
  isConnected(device: string): boolean;
  /** Sessions of all workers (`cluster/office.ts`). */
  readonly connections: OfficeOptions['connections'];
  readonly disconnect: OfficeOptions['disconnect'];
  /** What statements rest on, and frozen ones, from the database. */
  readonly history: Pick<UsageHistory, 'used'>;
  readonly statements: Pick<StatementTable, 'list'>;
  /** Tracks and events, from the database. */
  readonly past: Past;
  /** The audit: what is written to it, and the table of it. */
  readonly trail: Trail;
  readonly audits: Audits;
  /** What devices did that they should not, and the frames of that. */
  readonly evidence: Evidence;
  /** Who has looked at where a device was. */
  readonly views: Views;
  /** Says which address a device has; false when it has never spoken. */
  pick(device: string, address: string, by: string): Promise<boolean>;
  /** The way in of text messages. */
  readonly texts: Pick<TextInbox, 'take'>;
  /** Is anything kept of the device? Rejects with AppError when ClickHouse, which may have it, does not answer. */
  isKept(id: string, device: Device | undefined): Promise<boolean>;
  /** Everything that is kept of a device, as a zip. */
  export(subject: Subject): Promise<Readable>;
  /** Everything that is kept of an account and of its devices in its time, as a zip. */
  exportAccount(account: { readonly id: string; readonly [field: string]: unknown }, subjects: readonly Subject[]): Promise<Readable>;
  /** What is kept of a period, as a zip whose manifest begins with `head`. */
  disclose(subjects: readonly Subject[], span: RowSpan, head: object): Promise<Readable>;
}
