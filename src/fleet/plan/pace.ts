/**
 * Notices a device that measures much more often than it is programmed to (event `tamper_rate`).
 *
 * The device's own times tell: a backlog that is sent at once was measured in the usual intervals. Times that come again or go back
 * (resends, an old backlog behind live data) say nothing.
 */
const RECORDS = 30;
/** So many times the programmed rate, over all of them. Devices report extra in bends and at events. */
const FASTER = 4;
/** Not again within. */
const QUIET_MS = 3_600_000;

export class Pace {
  /** Most devices are not followed. */
  #times: Float64Array | undefined;
  #count = 0;
  #latest = Number.NEGATIVE_INFINITY;
  #said = Number.NEGATIVE_INFINITY;

  /** `time` of a record, epoch ms. Its mean interval in s when that is an event, else 0. */
  saw(time: number, programmedS: number): number {
    if (!(time > this.#latest)) return 0;
    this.#latest = time;
    const times = (this.#times ??= new Float64Array(RECORDS));
    const at = this.#count++ % RECORDS;
    const first = times[at] ?? time;
    times[at] = time;
    if (this.#count <= RECORDS || time - this.#said < QUIET_MS) return 0;
    const meanS = (time - first) / RECORDS / 1000;
    if (meanS * FASTER > programmedS) return 0;
    this.#said = time;
    return meanS;
  }
}
