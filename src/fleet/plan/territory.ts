/**
 * Is a device in one of its home networks' countries? Follows the mobile country code of the serving cell; near a border a device
 * changes to and fro, so that a side counts when it was seen several times in a row, over some time.
 */
const RECORDS = 3;
const LASTING_MS = 60_000;

export class Territory {
  /** What has been said last. */
  roaming: boolean;
  #seen = 0;
  #since = 0;

  constructor(roaming: boolean) {
    this.roaming = roaming;
  }

  /** It has been said, here or by another worker. */
  told(roaming: boolean): void {
    if (roaming === this.roaming) return;
    this.roaming = roaming;
    this.#seen = 0;
  }

  /** A record of this time, epoch ms, was sent from this country. True when `roaming` has changed. */
  saw(mcc: number, time: number, home: readonly number[]): boolean {
    const away = home.length > 0 && !home.includes(mcc);
    if (away === this.roaming) {
      this.#seen = 0;
      return false;
    }
    if (this.#seen++ === 0) this.#since = time;
    if (this.#seen < RECORDS || time - this.#since < LASTING_MS) return false;
    this.#seen = 0;
    this.roaming = away;
    return true;
  }
}
