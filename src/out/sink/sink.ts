import type { Erased } from '../../base/erased.ts';
import type { Codec } from '../../codec/index.ts';
import type { Network, Traffic } from '../../journal/usage.ts';
import type { Event } from '../record/event.ts';
import { Rows } from '../record/rows.ts';

/**
 * What the shipper asks of a storage target (docs/architecture.md).
 *
 * 1. A sink owns its position: `open` says where it stands, and `deliver` moves it together with the rows, so that no
 *    crash between the two loses or doubles anything (promises 2 and 3).
 * 2. `deliver` rejects for anything that may pass: the shipper calls `open` again, and delivers from where it says.
 * 3. Rows that a sink will never take go to `park`; they never hold up the others.
 * 4. The same ranges give the same batch, with the same token, whenever they are read.
 * 5. What is marked relay is only in batches of a sink that passes things on and does not keep them.
 */
export interface Sink {
  /** Label in metrics and health, and the name of its parking file. */
  readonly name: string;
  readonly limits: BatchLimits;
  /** Records and events, usage, or both if absent. What it does not take is not decoded for it. */
  readonly takes?: 'records' | 'usage';
  /** Takes what is marked relay. */
  readonly relays: boolean;
  /** Of whose records it takes any; absent: of all. What it does not want is not decoded for it. */
  wants?(device: string): boolean;
  /** Waits for others, for minutes: an end does not wait until it has everything. */
  readonly isSlow?: boolean;
  /** The server is about to end: a delivery that waits rejects. */
  ending?(): void;
  /** Connects if need be and reads the position. Rejects when the target is not there or not as it should be. */
  open(): Promise<Position>;
  /** Resolves when everything in the batch is stored or parked and the position has moved. */
  deliver(batch: Batch, park: Park): Promise<void>;
  /** What an operator has to see to though everything is delivered; '' or absent: nothing. */
  readonly concern?: string;
  /**
   * When the newest status of the device that is there arrived, epoch ms, of those since `since`; 0: none is there. Asked for a device
   * that sends one each few seconds. Absent: it keeps no statuses. Rejects when the target is not there.
   */
  newestStatus?(device: string, since: number): Promise<number>;
  /** A cheap look whether the target is still there, made when there is nothing to deliver. Rejects when it is not. */
  check(): Promise<void>;
  /**
   * Removes what it has of these stretches of devices; what is not removed yet when it rejects is removed
   * when it is called again. While nothing of them is being delivered. Returns how much of what. Absent: it keeps
   * nothing that could be removed.
   */
  erase?(devices: Erased): Promise<Counts>;
  close(): Promise<void>;
}

/** How many of each thing. */
export type Counts = Readonly<Record<string, number>>;

/** A batch closes at the first of these. */
export interface BatchLimits {
  readonly rows: number;
  /** Of raw journal entries. */
  readonly bytes: number;
  /** How long the first entry may wait for company; 0: a batch is what is there. */
  readonly ageMs: number;
}

/** Journal sequences, both ends included. */
export interface Range {
  readonly from: number;
  readonly to: number;
}
/** A range per slot. */
export type Ranges = Readonly<Record<string, Range>>;

export interface Position {
  /** Last sequence delivered from the slot; 0 when none was. */
  delivered(slot: string): number;
  /** A batch that was begun and whose outcome is not known: exactly these ranges come next. */
  readonly pending: Ranges | null;
}

/** Resolves when the entry is kept aside, durably. */
export type Park = (slot: string, sequence: number, reason: string) => Promise<void>;

/** Journal entries of kind event, or of kind audit, as columns. */
export class EventRows {
  count = 0;
  device: string[] = [];
  account: string[] = [];
  protocol: string[] = [];
  type: string[] = [];
  /** 16 hex digits. */
  id: string[] = [];
  /** When it happened and when it was journaled, epoch ms. */
  time: number[] = [];
  received: number[] = [];
  /** The event's own fields, as the text of a JSON object. */
  data: string[] = [];
  slot: string[] = [];
  sequence: number[] = [];

  clear(): void {
    this.count = 0;
    for (const column of [this.device, this.account, this.protocol, this.type, this.id, this.data, this.slot]) column.length = 0;
    for (const column of [this.time, this.received, this.sequence]) column.length = 0;
  }

  push(event: Event, slot: string, sequence: number): void {
    this.count++;
    this.device.push(event.device);
    this.account.push(event.account);
    this.protocol.push(event.protocol);
    this.type.push(event.type);
    this.id.push(event.id);
    this.time.push(event.time);
    this.received.push(event.received);
    this.data.push(event.data);
    this.slot.push(slot);
    this.sequence.push(sequence);
  }

  at(row: number): Event {
    return {
      id: this.id[row] ?? '',
      device: this.device[row] ?? '',
      account: this.account[row] ?? '',
      time: this.time[row] ?? 0,
      received: this.received[row] ?? 0,
      protocol: this.protocol[row] ?? '',
      type: this.type[row] ?? '',
      data: this.data[row] ?? '{}',
    };
  }
}

/** Journal entries of kind usage as columns. */
export class UsageRows {
  count = 0;
  device: string[] = [];
  account: string[] = [];
  /** 16 hex digits. */
  id: string[] = [];
  /** When it was noted, epoch ms. */
  time: number[] = [];
  bytesIn: number[] = [];
  bytesOut: number[] = [];
  segments: number[] = [];
  datagrams: number[] = [];
  records: number[] = [];
  /** Undefined: not known. */
  network: (Network | undefined)[] = [];
  slot: string[] = [];
  sequence: number[] = [];

  clear(): void {
    this.count = 0;
    this.network.length = 0;
    for (const column of [this.device, this.account, this.id, this.slot]) column.length = 0;
    for (const column of [this.time, this.bytesIn, this.bytesOut, this.segments, this.datagrams, this.records, this.sequence])
      column.length = 0;
  }

  push(device: string, account: string, id: string, time: number, traffic: Traffic, slot: string, sequence: number): void {
    this.count++;
    this.device.push(device);
    this.account.push(account);
    this.id.push(id);
    this.time.push(time);
    this.bytesIn.push(traffic.in);
    this.bytesOut.push(traffic.out);
    this.segments.push(traffic.segments);
    this.datagrams.push(traffic.datagrams);
    this.records.push(traffic.records);
    this.network.push(traffic.network);
    this.slot.push(slot);
    this.sequence.push(sequence);
  }
}

/** Rows of a piece of the journal, on their way to one sink. Reused: a sink keeps nothing of it. */
export class Batch {
  ranges: Ranges = {};
  /** Identity of the installation whose journal the ranges are of. */
  instance = '';
  /** The same for the same ranges of the same installation, and for no others. */
  token = '';
  readonly rows = new Rows();
  /** The entry that a record came from, by row. */
  readonly slot: string[] = [];
  readonly sequence: number[] = [];
  /**
   * 1: the device sent this record again, and it was delivered before: the sink leaves it out, for the first reading is the
   * better one (its alarm may be raised already in the second). By row.
   */
  resent = new Uint8Array(1024);
  readonly events = new EventRows();
  /** Of `rows` and of `events`, those that are marked relay. */
  readonly relayedRows = new Set<number>();
  readonly relayedEvents = new Set<number>();
  readonly usage = new UsageRows();
  readonly audit = new EventRows();
  entries = 0;
  bytes = 0;
  /** Received time of the first entry, epoch ms; 0 when there is none. */
  oldest = 0;

  clear(): void {
    this.ranges = {};
    this.token = '';
    this.rows.clear();
    this.slot.length = 0;
    this.sequence.length = 0;
    this.resent.fill(0);
    this.events.clear();
    this.relayedRows.clear();
    this.relayedEvents.clear();
    this.usage.clear();
    this.audit.clear();
    this.entries = 0;
    this.bytes = 0;
    this.oldest = 0;
  }

  /** Notes where the rows that were added last came from. */
  locate(slot: string, sequence: number): void {
    while (this.slot.length < this.rows.count) {
      this.slot.push(slot);
      this.sequence.push(sequence);
    }
    if (this.rows.count > this.resent.length) {
      const larger = new Uint8Array(2 * this.rows.count);
      larger.set(this.resent);
      this.resent = larger;
    }
  }
}

/** What stands in front of every token: `instance` is the installation's identity. */
export function tokenOf(instance: string, ranges: Ranges): string {
  const slots = Object.keys(ranges).sort((a, b) => Number(a) - Number(b));
  return `${instance} ${slots.map((slot) => `${slot}:${ranges[slot]?.from}-${ranges[slot]?.to}`).join(' ')}`;
}

/** For /readyz: a sink that is away makes the server degraded, not unready. */
export type SinkHealth =
  | { readonly state: 'up' }
  /** `reason` is for people, `since` epoch ms. */
  | { readonly state: 'degraded'; readonly reason: string; readonly since: number };

/** Codecs by name, as journal entries name them. */
export type Codecs = ReadonlyMap<string, Codec>;
