import type { Log } from '../../base/log.ts';
import { type Bytes, HASH, hash64 } from '../../base/wire/index.ts';
import type { Codec, Options } from '../../codec/index.ts';
import type { Session } from '../session/session.ts';

/** So often the same bytes, or ends of connections, make a device stuck; and so often again that is told once more. */
const STUCK = 3;
const AGAIN = 100;
/** A device that was stuck is read under `integrity: count` for so long. */
const LENIENT_MS = 3_600_000;
const MOST_DEVICES = 10_000;

/** Why the host ends a connection of which it cannot read the bytes: labels of fixgate_closes_total. */
const UNREADABLE: ReadonlySet<string> = new Set(['frame_too_long', 'noise', 'strikes', 'codec_error']);

interface Record {
  /** Hash of the frame refused last, and how often it came. */
  high: number;
  low: number;
  times: number;
  /** Connections in a row that ended because they could not be read. */
  closes: number;
  /** Monotonic ms until which the device is read under `integrity: count`. */
  lenientUntil: number;
}

/**
 * Devices whose data is refused. Most protocols let a device repeat what was not acknowledged for ever, and keep everything behind it.
 *
 * 16. A device that is stuck is told to the operator: the third time that it sends the same refused bytes, or that its connection ends
 *     because it cannot be read, there is an event `device_stuck` and a log line. A codec that can read damaged frames (option `integrity`
 *     with `verify` and `count`) does so from then on, unless the option is `strict`. In memory, a worker for itself.
 */
export class Refusals {
  readonly #log: Log;
  readonly #elapsed: () => number;
  /** By device, the one that was looked at last at the end. */
  readonly #records = new Map<string, Record>();
  /** The same object each time, by the options that it is made of. */
  readonly #lenient = new WeakMap<Options, Options>();

  constructor(log: Log, elapsed: () => number) {
    this.#log = log;
    this.#elapsed = elapsed;
  }

  /** The options under which a device is read: `given`, or the same with `integrity: count`. */
  options(codec: Codec, device: string, given: Options): Options {
    const record = this.#records.size === 0 ? undefined : this.#records.get(device);
    if (record === undefined || record.lenientUntil <= this.#elapsed()) return given;
    return this.#countingOptions(codec, given) ?? given;
  }

  /** The session's device has sent bytes[start, end), which its codec refuses. True: it is stuck. */
  refused(session: Session, codec: Codec, bytes: Bytes, start: number, end: number, reason: string): boolean {
    const record = this.#recordOf(session.device);
    hash64(session.device, bytes, start, end);
    const isSame = record.high === HASH.high && record.low === HASH.low;
    record.high = HASH.high;
    record.low = HASH.low;
    record.times = isSame ? record.times + 1 : 1;
    if (record.times < STUCK) return false;
    this.#stuck(session, codec, record, record.times, reason);
    return true;
  }

  /** The session's connection is ended by the host. */
  ended(session: Session, codec: Codec, reason: string): void {
    if (!UNREADABLE.has(reason)) return;
    const record = this.#recordOf(session.device);
    record.closes++;
    if (record.closes >= STUCK) this.#stuck(session, codec, record, record.closes, reason);
  }

  /** Something of the device was stored. */
  good(device: string): void {
    if (this.#records.size === 0) return;
    const record = this.#records.get(device);
    if (record !== undefined) record.closes = 0;
  }

  #stuck(session: Session, codec: Codec, record: Record, times: number, reason: string): void {
    const reads = this.#countingOptions(codec, session.reader.options) !== undefined;
    if (reads) record.lenientUntil = this.#elapsed() + LENIENT_MS;
    if (times !== STUCK && times % AGAIN !== 0) return;
    session.event({ type: 'device_stuck', protocol: codec.name, reason, times, reads_damaged: reads });
    const { device } = session;
    this.#log.warn({ device, protocol: codec.name, reason, times }, 'device repeats data that is refused');
  }

  /** Undefined for a codec, or under options, that read no damaged frame, or that read them anyway. */
  #countingOptions(codec: Codec, options: Options): Options | undefined {
    const rule = codec.options['integrity'];
    if (rule?.oneOf?.includes('count') !== true || (options['integrity'] ?? rule.fallback) !== 'verify') return undefined;
    let counting = this.#lenient.get(options);
    if (counting === undefined) {
      counting = { ...options, integrity: 'count' };
      this.#lenient.set(options, counting);
    }
    return counting;
  }

  #recordOf(device: string): Record {
    const found = this.#records.get(device) ?? { high: 0, low: 0, times: 0, closes: 0, lenientUntil: 0 };
    this.#records.delete(device);
    this.#records.set(device, found);
    const [oldest] = this.#records.size > MOST_DEVICES ? this.#records.keys() : [];
    if (oldest !== undefined) this.#records.delete(oldest);
    return found;
  }
}
