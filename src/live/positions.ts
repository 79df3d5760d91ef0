import { Deadlines, type Due } from '../base/deadlines.ts';
import type { SightRow, WhoRow } from './sights.ts';

/**
 * The last known position of every device, in the memory of the supervisor.
 *
 * 1. A row never goes back in time, neither in place nor in contact.
 * 2. There is no row of a device with privacy `relay`, nor anything from before its device was erased, or came to its account from another.
 * 3. A device that has left keeps its row; beyond MOST rows, the longest silent goes.
 * 4. The state is computed, and looked at again without news: by `sweep` when time changes it, and at once when a device comes or goes; each
 *    row within SWEEP_S, whatever has been missed.
 */
export const DEVICE_STATES = ['alarm', 'offline', 'silent', 'over_cap', 'moving', 'standing'] as const;
export type DeviceState = (typeof DEVICE_STATES)[number];

/** As it is told to clients, in this order. */
export const COLUMNS = ['device', 'lat', 'lon', 'speed_kmh', 'course_deg', 'time', 'received', 'state', 'via'] as const;

export interface Row extends Due {
  readonly device: string;
  /** Rises with each new row. */
  readonly number: number;
  /** NaN: the place is not known. */
  lat: number;
  lon: number;
  /** The place before. */
  fromLat: number;
  fromLon: number;
  speedKmh: number | null;
  courseDeg: number | null;
  time: number;
  received: number;
  alarm: number;
  account: string;
  plan: string;
  intervalS: number;
  state: DeviceState;
  /** From a worker of this server, or from the database. */
  via: 'live' | 'store';
}

/** A row of the table `last_positions`. */
export interface StoredRow {
  readonly device: string;
  readonly lat: number;
  readonly lon: number;
  readonly speed_kmh: number | null;
  readonly course_deg: number | null;
  readonly time: number;
  readonly received: number;
}

export interface PositionsOptions {
  readonly now: () => number;
  isConnected(device: string): boolean;
  isOverCap(device: string): boolean;
  isRelay(device: string): boolean;
  /** What came before this, epoch ms, has been erased; 0: nothing was. */
  erasedBefore(device: string): number;
  /** What came before this, epoch ms, was of another account; 0: nothing was. */
  ownedSince(device: string): number;
  /** The device has another account: there is no row of it any more. */
  passedOn(device: string, from: string): void;
  /** The row says something else than before. */
  changed(row: Row): void;
  /** Default: 200 000. */
  readonly most?: number;
}

const MOST = 200_000;
const SWEEP_S = 300;
const LEAST_SWEPT = 10;
/** The least silence of a connected device. */
const SILENT_MS = 300_000;
const SILENT_INTERVALS = 3;
const ALARM_MS = 600_000;
const MOVING_KMH = 5;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

export class Positions {
  readonly #o: PositionsOptions;
  readonly #most: number;
  readonly #rows = new Map<string, Row>();
  readonly #counts: Record<DeviceState, number> = { alarm: 0, offline: 0, silent: 0, over_cap: 0, moving: 0, standing: 0 };
  /** Alarms by the minute in which they came. */
  readonly #alarms = new Map<number, number>();
  /** Rows that another state waits for. */
  readonly #deadlines: Deadlines<Row>;
  #numbers = 0;
  #sweep: Iterator<Row> | undefined;

  constructor(options: PositionsOptions) {
    this.#o = options;
    this.#most = options.most ?? MOST;
    this.#deadlines = new Deadlines(options.now());
  }

  get size(): number {
    return this.#rows.size;
  }

  /** In the order of their numbers. */
  rows(): IterableIterator<Row> {
    return this.#rows.values();
  }

  get(device: string): Row | undefined {
    return this.#rows.get(device);
  }

  /** How many connected devices are silent. */
  get silent(): number {
    return this.#counts.silent;
  }

  /** Alarms of the last hour. */
  get alarms(): number {
    const oldest = Math.floor((this.#o.now() - HOUR_MS) / MINUTE_MS);
    let sum = 0;
    for (const [minute, count] of this.#alarms) if (minute > oldest) sum += count;
    return sum;
  }

  /** What a worker has told. */
  seen(rows: readonly SightRow[], who: readonly WhoRow[]): void {
    for (const [device, lat, lon, speedKmh, courseDeg, time, received, alarm] of rows) {
      const hidden = this.#hiddenBefore(device);
      if (this.#o.isRelay(device) || received < hidden) continue;
      const row = this.#rowOf(device, received);
      // Invariant 1.
      if (received > row.received) row.received = received;
      row.via = 'live';
      if (alarm > row.alarm) this.#alarm(row, alarm);
      if (lat !== null && lon !== null && time >= row.time && time >= hidden)
        Object.assign(row, { fromLat: row.lat, fromLon: row.lon, lat, lon, speedKmh, courseDeg, time });
      row.state = this.#counted(row);
      this.#o.changed(row);
    }
    for (const [device, account, plan, intervalS] of who) this.describe(device, account, plan, intervalS);
  }

  /** What the database has; rows that are newer here stay. */
  restored(rows: readonly StoredRow[]): void {
    for (const { device, lat, lon, speed_kmh, course_deg, time, received } of rows) {
      const hidden = this.#hiddenBefore(device);
      if (this.#o.isRelay(device) || received < hidden || time < hidden) continue;
      const known = this.#rows.get(device);
      if (known !== undefined && known.time >= time) continue;
      const row = this.#rowOf(device, received);
      Object.assign(row, {
        lat,
        lon,
        speedKmh: speed_kmh,
        courseDeg: course_deg,
        time,
        received: Math.max(row.received, received),
        via: 'store',
      });
      row.state = this.#counted(row);
      this.#o.changed(row);
    }
  }

  /** What the registry says of the device. */
  describe(device: string, account: string, plan: string, intervalS: number): void {
    const row = this.#rows.get(device);
    if (row === undefined) return;
    // Invariant 2.
    if (row.account !== '' && row.account !== account) {
      const from = row.account;
      this.remove(device);
      this.#o.passedOn(device, from);
      return;
    }
    row.account = account;
    row.plan = plan;
    row.intervalS = intervalS;
    this.#wait(row);
  }

  /** The device has come or gone, or has reached a cap. */
  touch(device: string): void {
    const row = this.#rows.get(device);
    if (row !== undefined) this.#look(row);
  }

  /** False: there was no row. */
  remove(device: string): boolean {
    const row = this.#rows.get(device);
    if (row === undefined) return false;
    this.#counts[row.state]--;
    this.#deadlines.forget(row);
    return this.#rows.delete(device);
  }

  /** To be called once a second: looks again at the rows whose time has come, and at a part of the others. */
  sweep(): void {
    this.#deadlines.take(this.#o.now(), (row) => this.#look(row));
    const oldest = Math.floor((this.#o.now() - HOUR_MS) / MINUTE_MS);
    for (const minute of this.#alarms.keys()) if (minute <= oldest) this.#alarms.delete(minute);
    for (let left = Math.max(LEAST_SWEPT, Math.ceil(this.#rows.size / SWEEP_S)); left > 0; left--) {
      this.#sweep ??= this.#rows.values();
      const { done, value } = this.#sweep.next();
      if (done === true) {
        this.#sweep = undefined;
        return;
      }
      this.#look(value);
    }
  }

  #hiddenBefore(device: string): number {
    return Math.max(this.#o.erasedBefore(device), this.#o.ownedSince(device));
  }

  #look(row: Row): void {
    const before = row.state;
    row.state = this.#counted(row);
    if (row.state !== before) this.#o.changed(row);
  }

  #rowOf(device: string, received: number): Row {
    const known = this.#rows.get(device);
    if (known !== undefined) return known;
    if (this.#rows.size >= this.#most) this.#dropSilent();
    const row: Row = {
      device,
      number: ++this.#numbers,
      lat: Number.NaN,
      lon: Number.NaN,
      fromLat: Number.NaN,
      fromLon: Number.NaN,
      speedKmh: null,
      courseDeg: null,
      time: 0,
      received,
      alarm: 0,
      account: '',
      plan: 'default',
      intervalS: 0,
      state: 'offline',
      via: 'live',
      due: 0,
    };
    this.#counts[row.state]++;
    this.#rows.set(device, row);
    return row;
  }

  /** Invariant 3: a hundredth at a time. */
  #dropSilent(): void {
    const bySilence = [...this.#rows.values()].sort((a, b) => a.received - b.received);
    for (const { device } of bySilence.slice(0, Math.max(1, Math.floor(this.#most / 100)))) this.remove(device);
  }

  #alarm(row: Row, at: number): void {
    row.alarm = at;
    const minute = Math.floor(at / MINUTE_MS);
    this.#alarms.set(minute, 1 + (this.#alarms.get(minute) ?? 0));
  }

  /** Its state now, which is counted in place of the one before. */
  #counted(row: Row): DeviceState {
    const state = this.#stateOf(row);
    this.#counts[row.state]--;
    this.#counts[state]++;
    this.#wait(row, state);
    return state;
  }

  /** Until time alone may give the row another state: an alarm is over, or a device that is connected is silent. */
  #wait(row: Row, state = row.state): void {
    if (state === 'alarm') this.#deadlines.wait(row, row.alarm + ALARM_MS);
    else if (state !== 'offline' && state !== 'silent') this.#deadlines.wait(row, row.received + silentMs(row.intervalS) + 1);
  }

  #stateOf({ device, alarm, received, intervalS, speedKmh }: Row): DeviceState {
    const now = this.#o.now();
    if (alarm > 0 && now - alarm < ALARM_MS) return 'alarm';
    if (!this.#o.isConnected(device)) return 'offline';
    if (now - received > silentMs(intervalS)) return 'silent';
    if (this.#o.isOverCap(device)) return 'over_cap';
    return (speedKmh ?? 0) >= MOVING_KMH ? 'moving' : 'standing';
  }
}

function silentMs(intervalS: number): number {
  return Math.max(SILENT_MS, SILENT_INTERVALS * 1000 * intervalS);
}

/** The text of a row for clients. */
export function rowText({ device, lat, lon, speedKmh, courseDeg, time, received, state, via }: Row): string {
  return JSON.stringify([device, lat, lon, speedKmh, courseDeg, time, received, state, via]);
}

/** What of the rows is wanted. */
export interface RowFilter {
  /** west, south, east, north; west > east: over the antimeridian. */
  readonly bbox?: readonly [number, number, number, number] | undefined;
  readonly devices?: ReadonlySet<string> | undefined;
  readonly account?: string | undefined;
  /** Of these accounts, and from their time. */
  readonly limited?: { readonly accounts: ReadonlySet<string>; since(device: string): number } | undefined;
  readonly plan?: string | undefined;
  readonly state?: DeviceState | undefined;
}

/** A row without a place is never wanted. */
export function wants({ bbox, devices, account, limited, plan, state }: RowFilter, row: Row): boolean {
  if (Number.isNaN(row.lat)) return false;
  if (devices !== undefined && !devices.has(row.device)) return false;
  if (account !== undefined && row.account !== account) return false;
  if (limited !== undefined && !(limited.accounts.has(row.account) && row.time >= limited.since(row.device))) return false;
  if (plan !== undefined && row.plan !== plan) return false;
  if (state !== undefined && row.state !== state) return false;
  return bbox === undefined || isWithin(bbox, row.lat, row.lon);
}

/** The row was wanted at the place before. */
export function hasLeft(filter: RowFilter, row: Row): boolean {
  return filter.bbox !== undefined && wants({ ...filter, bbox: undefined }, row) && isWithin(filter.bbox, row.fromLat, row.fromLon);
}

function isWithin([west, south, east, north]: readonly [number, number, number, number], lat: number, lon: number): boolean {
  if (Number.isNaN(lat)) return false;
  if (lat < south || lat > north) return false;
  return west <= east ? lon >= west && lon <= east : lon >= west || lon <= east;
}
