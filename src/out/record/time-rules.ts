import { RowFlag } from '../../codec/index.ts';

/**
 * What a device's time is worth (docs/formats/tables.md). One bad clock must never make a ClickHouse partition of its own,
 * so a time outside 2010-01-01 … received + 24 h is replaced by the time of receipt and kept aside.
 */

/** 2010-01-01T00:00:00Z */
const EARLIEST = 1262304000000;
const DAY = 86_400_000;
/** Older than this on arrival: the record waited in the device's memory. */
const BUFFERED_MS = 300_000;
/** Ahead by more than this: the device's clock is wrong, though still believable. */
const FUTURE_MS = 300_000;
/** A GPS receiver that counts weeks in ten bits falls back by 1024 weeks. */
const ROLLOVER_MS = 1024 * 7 * DAY;
/** A repaired time is believed when it is this recent. */
const ROLLOVER_WINDOW_MS = 30 * DAY;

/** Result of `judgeTime`, valid until the next call. `deviceTime` is NaN unless the raw time was replaced. */
export const JUDGED = { time: 0, deviceTime: Number.NaN, flags: 0 };

/** `raw` epoch ms or NaN, `received` epoch ms, `flags` the RowFlag bits that the codec set. */
export function judgeTime(raw: number, received: number, flags: number): void {
  JUDGED.deviceTime = Number.NaN;
  if (Number.isNaN(raw)) {
    JUDGED.time = received;
    JUDGED.flags = flags | RowFlag.NoTime;
    return;
  }
  const repaired = raw + ROLLOVER_MS;
  if (repaired <= received + FUTURE_MS && repaired > received - ROLLOVER_WINDOW_MS) {
    JUDGED.time = repaired;
    JUDGED.flags = flags | RowFlag.Rollover | (repaired < received - BUFFERED_MS ? RowFlag.Buffered : 0);
    return;
  }
  if (raw > received + DAY) {
    JUDGED.time = received;
    JUDGED.deviceTime = raw;
    JUDGED.flags = flags | RowFlag.Future;
    return;
  }
  if (raw < EARLIEST) {
    JUDGED.time = received;
    JUDGED.deviceTime = raw;
    JUDGED.flags = flags | RowFlag.NoTime;
    return;
  }
  JUDGED.time = raw;
  let bits = flags;
  if (raw < received - BUFFERED_MS) bits |= RowFlag.Buffered;
  else if (raw > received + FUTURE_MS) bits |= RowFlag.Future;
  JUDGED.flags = bits;
}
