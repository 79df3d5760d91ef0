import { type Codec, type FrameResult, RowFlag } from '../../codec/index.ts';

const MINUTE_MS = 60_000;
const QUARTER_MS = 15 * MINUTE_MS;
/** Zones reach from -12 to +14 hours. */
const MOST_MS = 14 * 60 * MINUTE_MS;
/** So many live records, over so long, show the same offset. */
const RECORDS = 20;
const SPAN_MS = 30 * MINUTE_MS;
/** How far they may lie apart, and from a whole number of quarter hours: the network, and a clock that drifts. */
const SPREAD_MS = MINUTE_MS;
const MOST_DEVICES = 10_000;

/** Live records of one device that show one offset. */
interface Run {
  /** Quarter hours that its clock is ahead of UTC. */
  readonly quarters: number;
  /** Wall clock at the first one, epoch ms. */
  readonly since: number;
  records: number;
  leastMs: number;
  mostMs: number;
}

/**
 * Devices whose clock shows the time of a zone that nothing tells. One object a worker.
 *
 * 17. An offset is learned only where a dialect has no UTC and no zone was set (option `zoneOption` of the codec), from 20 live records
 *     over half an hour that differ by less than a minute, as whole quarter hours. From then on it is part of the options that frames are
 *     read under, and so of what is stored with them. A clock that is put right is learned the same way.
 */
export class Clocks {
  /** By device, the one that was looked at last at the end. */
  readonly #runs = new Map<string, Run>();

  /**
   * A frame of the device was decoded under this offset, minutes, and received at `wall`, epoch ms. Returns another offset when that has
   * been learned now, else undefined.
   */
  saw(codec: Codec, device: string, frame: FrameResult, offset: number, wall: number): number | undefined {
    if (codec.zoneOption === '' || frame.rows !== 1 || ((frame.flags[0] ?? 0) & RowFlag.Buffered) !== 0) return undefined;
    const aheadMs = (frame.time[0] ?? Number.NaN) + offset * MINUTE_MS - wall;
    const quarters = Math.round(aheadMs / QUARTER_MS);
    if (quarters * 15 === offset) {
      if (this.#runs.size > 0) this.#runs.delete(device);
      return undefined;
    }
    // Absent, or wrong by more than any zone is.
    if (!(Math.abs(aheadMs) <= MOST_MS + SPREAD_MS)) return undefined;
    if (Math.abs(aheadMs - quarters * QUARTER_MS) >= SPREAD_MS) {
      this.#runs.delete(device);
      return undefined;
    }
    const run = this.#runOf(device, quarters, aheadMs, wall);
    if (run.records < RECORDS || wall - run.since < SPAN_MS) return undefined;
    this.#runs.delete(device);
    return quarters * 15;
  }

  /** The device's run with one more record: a new one when the record does not go with the others. */
  #runOf(device: string, quarters: number, aheadMs: number, wall: number): Run {
    const known = this.#runs.get(device);
    this.#runs.delete(device);
    if (known !== undefined) {
      known.leastMs = Math.min(known.leastMs, aheadMs);
      known.mostMs = Math.max(known.mostMs, aheadMs);
      known.records++;
    }
    const goesOn = known?.quarters === quarters && known.mostMs - known.leastMs < SPREAD_MS;
    const run = goesOn ? known : { quarters, since: wall, records: 1, leastMs: aheadMs, mostMs: aheadMs };
    this.#runs.set(device, run);
    const [oldest] = this.#runs.size > MOST_DEVICES ? this.#runs.keys() : [];
    if (oldest !== undefined) this.#runs.delete(oldest);
    return run;
  }
}
