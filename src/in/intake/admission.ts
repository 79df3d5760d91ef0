import { eventName, type FrameResult, isPersonalAlarm } from '../../codec/index.ts';
import type { Plan } from '../../plan/plan.ts';
import type { Seen, Service } from '../../plan/service.ts';
import { type Treatment, treatmentOf } from '../../plan/treatment.ts';
import { JUDGED, judgeTime } from '../../record/time-rules.ts';
import type { Device } from '../../registry/device.ts';

/**
 * What a device's state and the steps of its plan mean for the frames of one connection (docs/plans.md).
 *
 * 1. Which records of a frame are kept depends on the frame, the treatment and what was kept before; it is written into the journal
 *    with the frame, so that a later reading keeps the same.
 * 2. Of a device in service, exempt events are always kept, and with `decimate` every event. Alarms of persons are kept of any device
 *    that is not terminated, unless the configuration says otherwise.
 */

export type PlanService = Pick<Service, 'plan' | 'policy' | 'seen' | 'roams' | 'alarmsPass' | 'erasedBefore'>;

/** Events that have nothing to do with the frame's answer. */
export interface Notices {
  event(event: object): void;
}

/** No event, in a frame's column. */
const EVENT_NONE = 0;

/** A mask is used before the next one is made. */
let mask = new Uint8Array(32);

export class Admission {
  readonly #service: PlanService;
  readonly #device: string;
  /** Of the records that `select` has kept last, those that only being an alarm of a person has kept. */
  passed = 0;
  #known: Seen | undefined;
  #record: Device | undefined;
  #plan: Plan;
  #treatment: Treatment;

  /** `record`: of the registry. `now`: wall clock, epoch ms. */
  constructor(service: PlanService, device: string, record: Device | undefined, now: number) {
    this.#service = service;
    this.#device = device;
    this.#record = record;
    this.#plan = service.plan(record?.plan);
    this.#treatment = this.#decide(now);
  }

  /** The record, the plan or the policy has changed. */
  changed(record: Device | undefined, now: number): void {
    this.#record = record;
    this.#plan = this.#service.plan(record?.plan);
    this.#treatment = this.#decide(now);
  }

  at(now: number): Treatment {
    if (now >= this.#treatment.until) this.#treatment = this.#decide(now);
    return this.#treatment;
  }

  /** What `select` has chosen, as the journal's `keep`. */
  get mask(): Uint8Array {
    return mask;
  }

  /** How many records of the frame are kept, and which: in `mask`. `received`: epoch ms. */
  select(frame: FrameResult, treatment: Treatment, received: number): number {
    const { rows } = frame;
    if (treatment.mode === 'keep') return rows;
    const length = Math.ceil(rows / 8);
    if (mask.length < length) mask = new Uint8Array(2 * length);
    mask.fill(0, 0, length);
    this.passed = 0;
    let kept = 0;
    for (let row = 0; row < rows; row++) {
      if (!this.#keeps(frame, row, treatment, received)) continue;
      mask[row >> 3] = (mask[row >> 3] ?? 0) | (1 << (row & 7));
      kept++;
    }
    return kept;
  }

  /** Is every record of the frame from before the device was erased? Judged as when it is delivered. `received`: epoch ms. */
  isErased(frame: FrameResult, received: number): boolean {
    const before = this.#service.erasedBefore(this.#device);
    if (before === 0 || frame.rows === 0) return false;
    for (let row = 0; row < frame.rows; row++) {
      judgeTime(frame.time[row] ?? Number.NaN, received, frame.flags[row] ?? 0);
      if (JUDGED.time >= before) return false;
    }
    return true;
  }

  /** Follows the pace and the country of the device. `received`: epoch ms. */
  watch(frame: FrameResult, received: number, notices: Notices): void {
    const programmedS = this.#record?.interval_s ?? this.#plan.interval_s ?? 0;
    const home = this.#record?.home_networks ?? [];
    if (programmedS === 0 && home.length === 0) return;
    const { pace, territory } = this.#seen;
    const follows = territory !== undefined && home.length > 0;
    for (let row = 0; row < frame.rows; row++) {
      const time = frame.time[row] ?? Number.NaN;
      if (programmedS > 0) {
        const interval_s = pace.saw(time, programmedS);
        if (interval_s > 0) notices.event({ type: 'tamper_rate', interval_s: Math.round(10 * interval_s) / 10, programmed_s: programmedS });
      }
      const cell = row === 0 ? 0 : (frame.cellEnd[row - 1] ?? 0);
      const mcc = cell < (frame.cellEnd[row] ?? 0) ? (frame.cellMcc[cell] ?? -1) : -1;
      if (!follows || mcc < 0 || !territory.saw(mcc, Number.isNaN(time) ? received : time, home)) continue;
      this.#service.roams(this.#device, territory.roaming);
      notices.event({ type: territory.roaming ? 'roaming_started' : 'roaming_ended', mcc });
    }
  }

  /** Asked for when there is something to see: of most devices there is nothing. */
  get #seen(): Seen {
    this.#known ??= this.#service.seen(this.#device);
    return this.#known;
  }

  #decide(now: number): Treatment {
    return treatmentOf(this.#record, this.#plan, this.#service.policy(this.#device), now);
  }

  /** Invariant 2. */
  #keeps(frame: FrameResult, row: number, treatment: Treatment, received: number): boolean {
    const event = frame.event[row] ?? EVENT_NONE;
    if (treatment.inService && event !== EVENT_NONE && treatment.exempt.includes(eventName(event))) return true;
    if (treatment.mode !== 'decimate') {
      if (treatment.mode === 'terminate' || !this.#service.alarmsPass || !isPersonalAlarm(event)) return false;
      this.passed++;
      return true;
    }
    if (event !== EVENT_NONE) return true;
    const seen = this.#seen;
    const given = frame.time[row] ?? Number.NaN;
    const time = Number.isNaN(given) ? received : given;
    const isFix = !Number.isNaN(frame.latitude[row] ?? Number.NaN);
    // Away from the one before, in either direction: a backlog has its own pace.
    if (Math.abs(time - (isFix ? seen.keptFix : seen.keptStatus)) < 1000 * treatment.keepEveryS) return false;
    if (isFix) seen.keptFix = time;
    else seen.keptStatus = time;
    return true;
  }
}
