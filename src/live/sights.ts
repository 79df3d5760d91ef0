import { eventIndex, type FrameResult } from '../codec/index.ts';
import type { Marks } from '../journal/entry.ts';
import { JUDGED, judgeTime } from '../out/record/time-rules.ts';

/**
 * Where the devices of one worker are, on the way to the supervisor.
 *
 * 1. Nothing of a device with privacy `relay` comes here.
 * 2. What has been told is on the disk: a sight waits for the watermark of the journal, and one of a failed commit is forgotten.
 * 3. The byte path only writes into fields that are there: no allocation and no message for a frame. `tick` tells, a part of the list
 *    at a time, so that the messages of many devices are spread over a second.
 */

/** [device, lat, lon, speed_kmh, course_deg, time of the place, received, last alarm]; null: absent. Times in epoch ms, 0: never. */
export type SightRow = readonly [
  device: string,
  lat: number | null,
  lon: number | null,
  speedKmh: number | null,
  courseDeg: number | null,
  time: number,
  received: number,
  alarm: number,
];

/** What the registry says of a device: [device, account, plan, programmed interval in s or 0]. */
export type WhoRow = readonly [device: string, account: string, plan: string, intervalS: number];

/** What is told of the device itself, besides where it is. */
export interface Described {
  readonly device: string;
  readonly record: { readonly account?: string | undefined; readonly plan: string; readonly interval_s?: number | undefined } | undefined;
}

/** How far ahead the time of a place may be. */
const AHEAD_MS = 300_000;
/** Rows of one message. */
const MOST_ROWS = 1_000;
/** Told at once, however short the list. */
const LEAST_ROWS = 100;
/** Ticks in which the list is told, when a client looks; a tick is 100 ms. */
const TICKS = 10;
/** And how often a list is told when none does. */
const UNWATCHED_MS = 10_000;
/** How long a look lasts. */
const WATCH_MS = 15_000;
export const TICK_MS = 100;

const ALARMS = new Set((['sos', 'power_cut', 'tamper', 'collision'] as const).map(eventIndex));

/** What one session has seen of its device. */
export class Sight {
  readonly of: Described;
  lat = Number.NaN;
  lon = Number.NaN;
  speedKmh = Number.NaN;
  courseDeg = Number.NaN;
  time = 0;
  received = 0;
  alarm = 0;
  /** Of its last entry in the journal. */
  sequence = 0;
  /** It is in the list of what is to be told. */
  listed = false;
  /** The registry's record that was told last. */
  told: Described['record'] | null = null;

  constructor(of: Described) {
    this.of = of;
  }
}

export class Sights {
  readonly #now: () => number;
  #list: Sight[] = [];
  /** The list was told to its end, or a client looked: monotonic ms. */
  #told: number;
  #watchedUntil = Number.NEGATIVE_INFINITY;

  /** `now`: monotonic ms. */
  constructor(now: () => number) {
    this.#now = now;
    this.#told = now();
  }

  /** A client looks. */
  watch(): void {
    this.#watchedUntil = this.#now() + WATCH_MS;
  }

  /** A frame of the device is in the journal; `keep`: which of its rows are kept. Called for each frame with rows. */
  saw(sight: Sight, frame: FrameResult, keep: Marks['keep'], received: number, sequence: number): void {
    sight.received = received;
    sight.sequence = sequence;
    for (let row = 0; row < frame.rows; row++) {
      if (keep !== null && ((keep[row >> 3] ?? 0) & (1 << (row & 7))) === 0) continue;
      const event = frame.event[row] ?? 0;
      if (event > 0 && ALARMS.has(event)) sight.alarm = received;
      if (frame.valid[row] === 1) place(sight, frame, row, received);
    }
    if (sight.listed) return;
    sight.listed = true;
    this.#list.push(sight);
  }

  /** The device has said something that says nothing of its place. */
  heard(sight: Sight, received: number): void {
    if (sight.listed || received <= sight.received) return;
    sight.received = received;
    sight.listed = true;
    this.#list.push(sight);
  }

  /** Entries `from` to `to` are lost. */
  failed(from: number, to: number): void {
    this.#list = this.#list.filter((sight) => {
      if (sight.sequence < from || sight.sequence > to) return true;
      sight.listed = false;
      sight.time = 0;
      return false;
    });
  }

  /** The next part of the list is to be told soon: `tick` is to be called every TICK_MS, otherwise once a second. */
  get isHasty(): boolean {
    const now = this.#now();
    return now < this.#watchedUntil || (this.#list.length > 0 && now - this.#told >= UNWATCHED_MS);
  }

  /** To be called as `isHasty` says: tells a part of the list, as far as it is on the disk. */
  tick(durable: number, tell: (rows: readonly SightRow[], who: readonly WhoRow[]) => void): void {
    const now = this.#now();
    const isWatched = now < this.#watchedUntil;
    // A long list without a client is told in messages of the same size, one a tick.
    if (!isWatched && now - this.#told < UNWATCHED_MS) return;
    const most = isWatched ? Math.min(MOST_ROWS, Math.max(LEAST_ROWS, Math.ceil(this.#list.length / TICKS))) : MOST_ROWS;
    const taken = this.#list.splice(0, most);
    if (isWatched || this.#list.length === 0) this.#told = now;
    const rows: SightRow[] = [];
    const who: WhoRow[] = [];
    for (const sight of taken) {
      // Invariant 2.
      if (sight.sequence > durable) {
        this.#list.push(sight);
        continue;
      }
      sight.listed = false;
      const { device, record } = sight.of;
      if (sight.told !== record) {
        sight.told = record;
        who.push([device, record?.account ?? '', record?.plan ?? 'default', record?.interval_s ?? 0]);
      }
      rows.push([
        device,
        absent(sight.lat),
        absent(sight.lon),
        absent(sight.speedKmh),
        absent(sight.courseDeg),
        sight.time,
        sight.received,
        sight.alarm,
      ]);
    }
    if (rows.length > 0) tell(rows, who);
  }
}

/** The row is a valid one; where it has a place, and is not older, it is the device's. */
function place(sight: Sight, frame: FrameResult, row: number, received: number): void {
  const lat = frame.latitude[row] ?? Number.NaN;
  if (Number.isNaN(lat)) return;
  judgeTime(frame.time[row] ?? Number.NaN, received, frame.flags[row] ?? 0);
  if (JUDGED.time < sight.time || JUDGED.time > received + AHEAD_MS) return;
  sight.time = JUDGED.time;
  sight.lat = lat;
  sight.lon = frame.longitude[row] ?? Number.NaN;
  sight.speedKmh = frame.speedKmh[row] ?? Number.NaN;
  sight.courseDeg = frame.courseDeg[row] ?? Number.NaN;
}

function absent(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}
