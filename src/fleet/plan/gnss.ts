/**
 * Notices a device that goes on reporting and gets no positions, or the same one though it says that it moves (events `gnss_lost` and
 * `gnss_back`). The device's own times tell: a backlog that is sent at once was measured in the usual intervals. A heartbeat, which has
 * neither place nor cells, says nothing: parked devices send nothing else.
 */
const MOVING_KMH = 10;

export type GnssNews = { readonly type: 'gnss_lost'; readonly reason: 'no_fix' | 'stuck'; readonly since: number } | GnssBack;
interface GnssBack {
  readonly type: 'gnss_back';
  readonly lost_s: number;
}

export class Gnss {
  #latest = Number.NEGATIVE_INFINITY;
  /** Of the first record without a position since the last with one, and of the first with the place that it has now, epoch ms. */
  #noFixSince = Number.NaN;
  #stuckSince = Number.NaN;
  #latitude = Number.NaN;
  #longitude = Number.NaN;
  /** Since when what was told lasts; NaN: nothing was. */
  #lostSince = Number.NaN;
  #lostFor: 'no_fix' | 'stuck' = 'no_fix';

  /** A record that says where the device is, or that it does not know; `valid`: its position is a real one. */
  saw(time: number, valid: boolean, latitude: number, longitude: number, speedKmh: number, lostAfterMs: number): GnssNews | undefined {
    if (!(time > this.#latest)) return undefined;
    this.#latest = time;
    if (!valid) {
      this.#stuckSince = Number.NaN;
      if (Number.isNaN(this.#noFixSince)) this.#noFixSince = time;
      return this.#lost('no_fix', this.#noFixSince, time, lostAfterMs);
    }
    this.#noFixSince = Number.NaN;
    const isSame = latitude === this.#latitude && longitude === this.#longitude;
    this.#latitude = latitude;
    this.#longitude = longitude;
    if (isSame && speedKmh >= MOVING_KMH) {
      if (Number.isNaN(this.#stuckSince)) this.#stuckSince = time;
      return this.#lost('stuck', this.#stuckSince, time, lostAfterMs);
    }
    this.#stuckSince = Number.NaN;
    if (Number.isNaN(this.#lostSince) || (isSame && this.#lostFor === 'stuck')) return undefined;
    const lost_s = Math.round((time - this.#lostSince) / 1000);
    this.#lostSince = Number.NaN;
    return { type: 'gnss_back', lost_s };
  }

  #lost(reason: 'no_fix' | 'stuck', since: number, time: number, afterMs: number): GnssNews | undefined {
    if (time - since < afterMs || !Number.isNaN(this.#lostSince)) return undefined;
    this.#lostSince = since;
    this.#lostFor = reason;
    return { type: 'gnss_lost', reason, since };
  }
}
