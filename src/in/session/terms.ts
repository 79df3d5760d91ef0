import { eventIndex } from '../../codec/events.ts';
import type { FrameResult } from '../../codec/index.ts';
import { RowFlag } from '../../codec/index.ts';
import { BURST_S } from '../../fleet/plan/burst.ts';
import { cycleOf } from '../../fleet/plan/cycle.ts';
import type { Plan } from '../../fleet/plan/plan.ts';
import type { PlanCache, Seen } from '../../fleet/plan/plan-cache.ts';
import { type Served, type Treatment, treatmentOf } from '../../fleet/plan/treatment.ts';
import type { AccountState } from '../../fleet/registry/account-states.ts';
import type { Device } from '../../fleet/registry/device.ts';
import type { Network } from '../../journal/usage.ts';
import { JUDGED, judgeTime } from '../../out/record/time-rules.ts';
import type { Notices } from './notices.ts';

const POWER_ON = eventIndex('power_on');

/** What of the plans a connection needs. */
export type PlanService = Pick<PlanCache, 'plan' | 'policy' | 'seen' | 'said' | 'programmed' | 'roams' | 'alarmsPass' | 'erased'> & {
  /** What the account is; undefined: active. */
  accountState(account: string | undefined): AccountState | undefined;
};

/** A record so old says nothing of the network that serves the device now. */
const LIVE_MS = 60_000;
const MOST_CODE = 999;

/** The terms of one device: what its state and the steps of its plan mean for its frames (docs/plans.md). */
export class Terms {
  readonly service: PlanService;
  readonly device: string;
  #record: Device | undefined;
  #plan: Plan;
  #treatment: Treatment;
  /** 0: nothing says how often it is to report. */
  #programmedS: number;
  #known: Seen | undefined;

  /** `record`: of the registry. `now`: wall clock, epoch ms. */
  constructor(service: PlanService, device: string, record: Device | undefined, now: number) {
    this.service = service;
    this.device = device;
    this.#record = record;
    this.#plan = service.plan(record?.plan);
    this.#programmedS = service.programmed(device, record?.interval_s ?? this.#plan.interval_s ?? 0);
    this.#treatment = this.#decide(now);
  }

  /** The record, the plan or the policy has changed. */
  changed(record: Device | undefined, now: number): void {
    this.#record = record;
    this.#plan = this.service.plan(record?.plan);
    this.#programmedS = this.service.programmed(this.device, record?.interval_s ?? this.#plan.interval_s ?? 0);
    this.#treatment = this.#decide(now);
  }

  at(now: number): Treatment {
    if (now >= this.#treatment.until) this.#treatment = this.#decide(now);
    return this.#treatment;
  }

  /** Asked for when there is something to see: of most devices there is nothing. */
  get seen(): Seen {
    this.#known ??= this.service.seen(this.device);
    return this.#known;
  }

  /** Follows the pace, the starts, the country and the receiver of the device. `received`: epoch ms. */
  watch(frame: FrameResult, received: number, notices: Notices): void {
    const programmedS = this.#programmedS;
    const home = this.#record?.home_networks ?? [];
    const lostAfterMs = 1000 * (this.#plan.gnss_lost_after_s ?? 0);
    const isWatched = programmedS > 0 || home.length > 0 || lostAfterMs > 0;
    for (let row = 0; row < frame.rows; row++) {
      const time = frame.time[row] ?? Number.NaN;
      if (frame.event[row] === POWER_ON) this.#started(time, received, notices);
      if (!isWatched) continue;
      const at = Number.isNaN(time) ? received : time;
      const cell = firstCell(frame, row);
      if (programmedS > 0) this.#watchPace(frame, row, received, notices);
      if (lostAfterMs > 0 && (cell >= 0 || !Number.isNaN(frame.latitude[row] ?? Number.NaN)))
        this.#watchReceiver(frame, row, at, lostAfterMs, notices);
      this.#watchCountry(frame.cellMcc[cell] ?? frame.networkMcc, at, home, notices);
    }
  }

  /** The network that serves the device by the last record of the frame, if that is of now and names it; else `before`. */
  networkOf(frame: FrameResult, received: number, before: Network | undefined): Network | undefined {
    const row = frame.rows - 1;
    const cell = firstCell(frame, row);
    const mcc = frame.cellMcc[cell] ?? frame.networkMcc;
    if (!isCountry(mcc)) return before;
    judgeTime(frame.time[row] ?? Number.NaN, received, frame.flags[row] ?? 0);
    if ((JUDGED.flags & RowFlag.NoTime) === 0 && Math.abs(received - JUDGED.time) > LIVE_MS) return before;
    const mnc = frame.cellMnc[cell] ?? frame.networkMnc;
    const home = this.#record?.home_networks ?? [];
    const roaming = home.length > 0 && !home.includes(mcc);
    return before?.mcc === mcc && before.mnc === mnc && before.roaming === roaming ? before : { mcc, mnc, roaming };
  }

  /** So many bytes have come that no frame could be read from, epoch ms. */
  unread(bytes: number, received: number, notices: Notices): void {
    const allowed = this.#plan.evidence.other_bytes;
    const burst = this.seen.others.saw(received, received, bytes, allowed);
    if (burst !== undefined) notices.event({ type: 'other_bytes', bytes: burst.seen, allowed, window_s: BURST_S, since: burst.since });
  }

  /** So fast no vehicle is, km/h. */
  get mostKmh(): number {
    return this.#plan.evidence.clone_kmh;
  }

  #watchPace(frame: FrameResult, row: number, received: number, notices: Notices): void {
    const { pace } = this.seen;
    const isExtra = pace.turns(frame.courseDeg[row] ?? Number.NaN, frame.speedKmh[row] ?? Number.NaN);
    // Alarms and events come when they do.
    if (isExtra || frame.event[row] !== 0) return;
    const bytes = (frame.to[row] ?? 0) - (frame.from[row] ?? 0);
    const news = pace.saw(frame.time[row] ?? Number.NaN, received, bytes, this.#programmedS, this.#plan.evidence);
    if (news !== undefined) notices.event(news);
  }

  #watchReceiver(frame: FrameResult, row: number, at: number, lostAfterMs: number, notices: Notices): void {
    const latitude = frame.latitude[row] ?? Number.NaN;
    const isFix = frame.valid[row] === 1 && !Number.isNaN(latitude);
    const speed = frame.speedKmh[row] ?? Number.NaN;
    const news = this.seen.gnss.saw(at, isFix, latitude, frame.longitude[row] ?? Number.NaN, speed, lostAfterMs);
    if (news !== undefined) notices.event(news);
  }

  #started(time: number, received: number, notices: Notices): void {
    const { reboots } = this.seen;
    // One that is sent again has its time again.
    if (!(time > this.seen.started)) return;
    this.seen.started = time;
    const allowed = this.#plan.evidence.reboots;
    const burst = reboots.saw(time, received, 1, allowed);
    if (burst !== undefined) notices.event({ type: 'reboot_storm', seen: burst.seen, allowed, window_s: BURST_S, since: burst.since });
  }

  #watchCountry(mcc: number, at: number, home: readonly number[], notices: Notices): void {
    const { territory } = this.seen;
    if (territory === undefined || home.length === 0 || !isCountry(mcc) || !territory.saw(mcc, at, home)) return;
    this.service.roams(this.device, territory.roaming);
    notices.event({ type: territory.roaming ? 'roaming_started' : 'roaming_ended', mcc });
  }

  #decide(now: number): Treatment {
    const served = combined(this.#record, this.service.accountState(this.#record?.account), this.#plan);
    return treatmentOf(served, this.#plan, this.service.policy(this.device), now);
  }
}

/** A mobile country code has three digits, and none is 000: a device that knows no network may say so. -1: it has said nothing. */
function isCountry(mcc: number): boolean {
  return mcc > 0 && mcc <= MOST_CODE;
}

/** Place of the row's first cell; -1: it has none. */
function firstCell(frame: FrameResult, row: number): number {
  const cell = row === 0 ? 0 : (frame.cellEnd[row - 1] ?? 0);
  return cell < (frame.cellEnd[row] ?? 0) ? cell : -1;
}

/** How a device is served whose account is in such a state. Neither record is changed by it. */
function combined(record: Device | undefined, account: AccountState | undefined, plan: Plan): Served | undefined {
  if (record === undefined || account === undefined || record.state === 'terminated') return record;
  if (account.state === 'closed') return { ...record, state: 'terminated' };
  const ends = account.ending_since === undefined ? Number.POSITIVE_INFINITY : cycleOf(plan, account.ending_since).end;
  const expires_at = Math.min(ends, record.expires_at ?? Number.POSITIVE_INFINITY);
  return { ...record, expires_at, ...(account.state === 'suspended' ? { state: account.state } : {}) };
}
