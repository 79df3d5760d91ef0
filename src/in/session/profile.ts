import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../base/clock.ts';
import type { Codec } from '../../codec/index.ts';
import type { ProfileStore } from '../../state/profile.ts';
import type { Notices } from './notices.ts';
import type { Reader } from './reader.ts';

/** Not a memo: those have 31 bits. */
const UNKNOWN = -1;

export interface ProfileHost {
  readonly profiles: ProfileStore;
  readonly clock: Clock;
}

/**
 * What a codec has learned about the device of one session.
 *
 * 7. What earlier connections learned about the device is adopted before the frame that named it is kept, or when the store
 *    answers; what this one learns is remembered for the next, under the id of its hardware, when the durable part has changed.
 */
export class SessionProfile {
  readonly #host: ProfileHost;
  #reader: Reader;
  readonly #codec: Codec;
  readonly #unit: string;
  readonly #notices: Notices;
  /** The memo looked at last. */
  #memo = UNKNOWN;
  /** The durable part of a memo that the store holds for the device; UNKNOWN until the store has answered. */
  #kept = UNKNOWN;
  #ended = false;
  /** The memo that was at hand when the session began; 0 for none. */
  recalled = 0;
  /** Minutes that the device's clock is ahead, as learned. */
  clock = 0;
  /** That has changed since the device was last looked at. */
  clockMoved = false;

  constructor(host: ProfileHost, reader: Reader, codec: Codec, unit: string, notices: Notices) {
    this.#host = host;
    this.#reader = reader;
    this.#codec = codec;
    this.#unit = unit;
    this.#notices = notices;
  }

  /** Asks for the device's profile, which comes at once or later. */
  recall(): void {
    if (!this.#reader.adopts && this.#codec.zoneOption === '') return;
    let isAtOnce = true;
    this.#host.profiles.findProfile(this.#unit, (profile) => {
      if (this.#ended) return;
      const known = profile?.codec === this.#codec.name ? profile : undefined;
      const memo = known?.memo ?? 0;
      this.#moved(known?.clock ?? 0);
      if (isAtOnce) this.recalled = memo;
      if (this.#reader.adopt(memo)) this.#kept = this.#reader.durablePart(memo) ?? UNKNOWN;
      // What was learned until now is compared with what is kept when the next frame comes.
      this.#memo = UNKNOWN;
    });
    isAtOnce = false;
  }

  /** The state's memo, before a frame: when the part that outlives the connection has changed, it is remembered. */
  learned(memo: number): void {
    if (memo !== this.#memo) this.#learned(memo);
  }

  /** The device is read by another reader from now on. */
  follow(reader: Reader): void {
    this.#reader = reader;
    this.#memo = UNKNOWN;
  }

  /** A profile that comes later is not adopted any more. */
  end(): void {
    this.#ended = true;
  }

  /** The device's clock is found to be so many minutes ahead. */
  clockFound(minutes: number): void {
    const before = this.clock;
    this.#moved(minutes);
    if (this.#kept === UNKNOWN) this.#kept = this.#reader.durablePart(this.#reader.memo()) ?? 0;
    this.#remember(this.#kept);
    this.#notices.event({ type: 'clock_offset', protocol: this.#codec.name, minutes, before });
  }

  #moved(minutes: number): void {
    if (minutes === this.clock) return;
    this.clock = minutes;
    this.clockMoved = true;
  }

  #remember(memo: number): void {
    const clock = this.clock === 0 ? {} : { clock: this.clock };
    this.#host.profiles.remember(this.#unit, { codec: this.#codec.name, memo, ...clock, updated: this.#host.clock.now() });
  }

  #learned(memo: number): void {
    this.#memo = memo;
    if (this.#kept === UNKNOWN) return;
    const durable = this.#reader.durablePart(memo);
    if (durable === undefined || durable === this.#kept) return;
    const before = this.#lasting(this.#kept);
    this.#kept = durable;
    this.#remember(durable);
    const learned = this.#lasting(durable);
    if (learned !== undefined && !isDeepStrictEqual(learned, before))
      this.#notices.event({ type: 'profile', protocol: this.#codec.name, learned });
  }

  /** What a memo says beside the alarms in progress, which are remembered but are events of their own. */
  #lasting(memo: number): Readonly<Record<string, string>> | undefined {
    const { alarms: _, ...lasting } = this.#reader.describe(memo) ?? {};
    return Object.keys(lasting).length === 0 ? undefined : lasting;
  }
}
