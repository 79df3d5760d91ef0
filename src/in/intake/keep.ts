import { isErased } from '../../base/erased.ts';
import type { Metrics } from '../../base/metrics/catalog.ts';
import { eventName, FrameKind, type FrameResult, isPersonalAlarm } from '../../codec/index.ts';
import type { Treatment } from '../../fleet/plan/treatment.ts';
import type { Marks } from '../../journal/entry.ts';
import { JUDGED, judgeTime } from '../../out/record/time-rules.ts';
import type { Terms } from '../session/terms.ts';

/**
 * Which records of a frame are kept. One object a worker: what it has judged holds until the next frame.
 *
 * 12. What a device's state or plan withholds is never stored, and is written into the journal with the frame, so that a later
 *    reading keeps the same; it depends on the frame, the treatment and what was kept before. Replies to commands always pass. Of a
 *    device in service, exempt events are always kept, and with `decimate` every event. Alarms of persons are kept of any device that
 *    is not terminated, unless the configuration says otherwise.
 *    What a unit measured before it was put into the device is of another one, and is withheld whatever else holds.
 * 15. A frame of nothing but records from before its device was erased is not journaled: what was erased does not come back to the
 *    disk from the device's memory. In a frame with newer records, delivery leaves the old ones out.
 */

/** No event, in a frame's column. */
const EVENT_NONE = 0;
/** For a device whose data goes to the stream only. */
const RELAY: Marks = { keep: null, relay: true };

export const Verdict = { Store: 0, Withhold: 1, Erased: 2 } as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

export class Keep {
  /** How many records of the frame are kept. */
  kept = 0;
  /** What the journal is told beside the frame. */
  marks: Marks | undefined;
  #mask = new Uint8Array(32);
  /** Records of another device. */
  #foreign = 0;
  /** Of the records kept, those that only being an alarm of a person has kept. */
  #passed = 0;

  /** What becomes of a frame that says more than that the device is there. `received`: epoch ms. */
  judge(frame: FrameResult, terms: Terms, treatment: Treatment, received: number, metrics: Metrics): Verdict {
    const { rows } = frame;
    this.kept = rows;
    this.marks = treatment.relay ? RELAY : undefined;
    if (isErasedFrame(frame, terms, received)) {
      metrics.withheld.inc({ reason: 'erased' }, rows);
      return Verdict.Erased;
    }
    if ((treatment.mode === 'keep' && treatment.since === 0) || frame.kind === FrameKind.Reply) return Verdict.Store;
    this.#select(frame, terms, treatment, received);
    if (this.#foreign > 0) metrics.withheld.inc({ reason: 'unit' }, this.#foreign);
    if (this.kept + this.#foreign < rows) metrics.withheld.inc({ reason: treatment.why }, rows - this.kept - this.#foreign);
    if (this.#passed > 0) metrics.alarmsPassed.inc({ reason: treatment.why }, this.#passed);
    if (this.kept === 0) return Verdict.Withhold;
    if (this.kept < rows) this.marks = { keep: this.#mask, relay: treatment.relay };
    return Verdict.Store;
  }

  #select(frame: FrameResult, terms: Terms, treatment: Treatment, received: number): void {
    const length = Math.ceil(frame.rows / 8);
    if (this.#mask.length < length) this.#mask = new Uint8Array(2 * length);
    const mask = this.#mask;
    mask.fill(0, 0, length);
    this.#passed = 0;
    this.#foreign = 0;
    this.kept = 0;
    for (let row = 0; row < frame.rows; row++) {
      if (treatment.since > 0 && isBefore(frame, row, treatment.since, received)) {
        this.#foreign++;
        continue;
      }
      if (!this.#keeps(frame, row, terms, treatment, received)) continue;
      mask[row >> 3] = (mask[row >> 3] ?? 0) | (1 << (row & 7));
      this.kept++;
    }
  }

  #keeps(frame: FrameResult, row: number, terms: Terms, treatment: Treatment, received: number): boolean {
    const event = frame.event[row] ?? EVENT_NONE;
    if (treatment.inService && event !== EVENT_NONE && treatment.exempt.includes(eventName(event))) return true;
    if (treatment.mode === 'keep') return true;
    if (treatment.mode !== 'decimate') {
      if (treatment.mode === 'terminate' || !terms.service.alarmsPass || !isPersonalAlarm(event)) return false;
      this.#passed++;
      return true;
    }
    if (event !== EVENT_NONE) return true;
    const { seen } = terms;
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

/** Is every record of the frame from before the device was erased? Judged as when it is delivered. */
function isErasedFrame(frame: FrameResult, { service, device }: Terms, received: number): boolean {
  const erased = service.erased(device);
  if (erased === undefined || frame.rows === 0) return false;
  for (let row = 0; row < frame.rows; row++) if (!isErased(erased, '', received, timeOf(frame, row, received))) return false;
  return true;
}

/** Was it measured before then, as is judged when it is delivered? */
function isBefore(frame: FrameResult, row: number, then: number, received: number): boolean {
  return timeOf(frame, row, received) < then;
}

function timeOf(frame: FrameResult, row: number, received: number): number {
  judgeTime(frame.time[row] ?? Number.NaN, received, frame.flags[row] ?? 0);
  return JUDGED.time;
}
