import type { Log } from '../../base/log.ts';
import type { Codec } from '../../codec/index.ts';
import type { OptionsOf } from '../../codec/registry.ts';
import type { Newcomers } from '../../fleet/registry/newcomers.ts';
import type { Quarantine } from '../../fleet/registry/quarantine.ts';
import type { Sights } from '../../live/sights.ts';
import type { Owing } from '../ack/settle.ts';
import type { CodecCounters } from '../session/counters.ts';
import type { Places } from '../session/places.ts';
import type { SessionHost } from '../session/session.ts';
import type { Refusals } from './refusals.ts';
import type { Scratch } from './scratch.ts';

/** What the intake needs of its socket. */
export interface Link {
  /** Sends answer bytes; they are the link's to keep. */
  send(bytes: Uint8Array): void;
  /** Ends the connection, answers owed or not. `reason` is a label of fixgate_closes_total. */
  close(reason: string): void;
  /** Ends the connection once the answers owed have left. */
  finish(reason: string): void;
  /** The last answer owed has been settled. */
  drained(): void;
  /** Reads no faster than this, bytes per second; 0: as they come. Absent where nothing can be made to wait. */
  throttle?(bytesPerS: number): void;
}

/** How many ids a connection, and an address, may name. */
export interface IdBounds {
  readonly perConnection: number;
  /** Another one has been named from there; false: too many in this minute. */
  admit(address: string): boolean;
}

export const UNBOUNDED: IdBounds = { perConnection: Number.POSITIVE_INFINITY, admit: () => true };

/** What all intakes of one worker share. */
export interface IntakeHost extends SessionHost {
  readonly quarantine: Pick<Quarantine, 'noted'>;
  /** How many ids that are not known may become devices. */
  readonly newcomers: Pick<Newcomers, 'admit'>;
  counters(codec: Codec): CodecCounters;
  /** The codec's options for a device, '' for one not known yet; the same object each time. */
  readonly options: OptionsOf;
  readonly log: Log;
  readonly scratch: Scratch;
  /** Where devices are, for those who look. */
  readonly sights: Sights;
  /** Where devices are that send no position; absent without a locator. */
  readonly places?: Pick<Places, 'saw'> | undefined;
  /** Devices whose data is refused. */
  readonly refusals: Refusals;
  /** Connections that owe answers; the owner of the journal calls `release` on them when the watermark moves. */
  readonly owing: Set<Owing>;
}
