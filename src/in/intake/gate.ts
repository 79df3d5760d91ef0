import type { Bytes } from '../../base/wire/index.ts';
import { addressOf } from '../../base/wire/network.ts';
import { type Codec, FrameKind, type Options, type Transport } from '../../codec/index.ts';
import { keptOptions } from '../../codec/options.ts';
import type { DeviceLookup } from '../../fleet/registry/device-lookup.ts';
import { Definition } from '../../journal/definition.ts';
import { Origin } from '../../journal/entry.ts';
import { journalEvent } from '../session/notices.ts';
import type { Session } from '../session/session.ts';
import type { Terms } from '../session/terms.ts';
import type { IdBounds, IntakeHost } from './host.ts';

/**
 * Who may speak on one connection: asks the registry, holds frames until it has answered, refuses, and makes refused devices wait.
 *
 * 11. No session begins before the registry has identified the device: until then the frame that names it and those behind it
 *     are held, and nothing is stored, answered or promised. A device that is not admitted is refused, as far as the protocol can
 *     say so, and nothing of it is stored. A refused device that comes back at once waits for the refusal, longer each time.
 */

/** Bytes of frames that are held while the registry is asked. */
const MOST_HELD = 262_144;

/** Why a device is not admitted: a label of fixgate_rejects_total; '' when it is. */
export type Refusal =
  | ReturnType<DeviceLookup['refusal']>
  | 'terminated'
  | 'refuse'
  | 'ids_per_connection'
  | 'ids_per_address'
  | 'new_id_rate';

interface Held {
  readonly frames: Bytes[];
  bytes: number;
}

export class Gate {
  readonly #host: IntakeHost;
  readonly #codec: Codec;
  readonly #transport: Transport;
  readonly #peer: string;
  readonly #bounds: IdBounds;
  /** Ids that the connection has named, once there are two. */
  #named: Set<string> | undefined;
  #held: Held | undefined;
  /** What the registry has answered late, while frames go on that were held. */
  #answered: DeviceLookup | undefined;
  #penalty: NodeJS.Timeout | undefined;
  /** What frames are read under, as the journal keeps it, and the options that it was made for. */
  #definition: Definition | undefined;
  #definedFor: Options | undefined;

  constructor(host: IntakeHost, codec: Codec, transport: Transport, peer: string, bounds: IdBounds) {
    this.#host = host;
    this.#codec = codec;
    this.#transport = transport;
    this.#peer = peer;
    this.#bounds = bounds;
  }

  /** Frames are held. */
  get holds(): boolean {
    return this.#held !== undefined;
  }

  /** A refusal waits. */
  get delays(): boolean {
    return this.#penalty !== undefined;
  }

  /**
   * Who reports under this id? Undefined: the registry answers later. Frames are held from now on, and `replay` gets them then: while
   * it runs, `ask` has the answer at hand.
   */
  ask(reported: string, replay: (frames: readonly Bytes[]) => void): DeviceLookup | undefined {
    if (this.#answered?.reported === reported) return this.#answered;
    let answer: DeviceLookup | undefined;
    let held: Held | undefined;
    this.#host.registry.lookup(reported, (known) => {
      if (held === undefined) {
        answer = known;
        return;
      }
      if (this.#held !== held) return;
      this.#held = undefined;
      this.#answered = known;
      replay(held.frames);
      this.#answered = undefined;
    });
    if (answer === undefined) {
      held = { frames: [], bytes: 0 };
      this.#held = held;
    }
    return answer;
  }

  /** Keeps a copy of a frame; false: there are too many. */
  hold(bytes: Bytes, start: number, end: number): boolean {
    const held = this.#held;
    if (held === undefined) return false;
    held.bytes += end - start;
    if (held.bytes > MOST_HELD) return false;
    // A copy, also of a Buffer: the bytes are lent.
    held.frames.push(new Uint8Array(bytes.subarray(start, end)));
    return true;
  }

  /**
   * May the device speak? `kind`: of the frame that names it, which `origin` has sent. `isAlias`: it has the turn, under another id.
   * `last`: the device that was served last.
   */
  refusal(known: DeviceLookup, terms: Terms, kind: FrameKind, origin: Origin, isAlias: boolean, last: Origin | undefined): Refusal {
    const reason = known.refusal(this.#peer) || this.#outOfService(terms, kind);
    return reason || (isAlias ? '' : this.#tooMany(known.id, last)) || this.#excess(known, origin);
  }

  /** Why the device of a session is not served any more, now that the registry has something else to say; '' when it is. */
  reviewed({ device, known: before, origin }: Session, known: DeviceLookup): Refusal | 'alias_changed' {
    if (known.id !== device) return 'alias_changed';
    return known.refusal(this.#peer) || (before.unread ? this.#excess(known, origin) : '');
  }

  /** Counts a refusal, and notes what an operator may want to see of it. */
  refused(reason: Exclude<Refusal, ''>, known: DeviceLookup, origin: Origin, bytes: Bytes, start: number, end: number): void {
    const { metrics, quarantine, clock } = this.#host;
    metrics.rejects.inc({ reason });
    if (reason === 'unknown_device' || reason === 'new_id_rate')
      quarantine.noted(known.reported, this.#codec.name, this.#transport, bytes, start, end, reason === 'new_id_rate');
    else if (reason === 'network_refused' && known.isNews(clock.elapsed())) journalEvent(this.#host, origin, { type: reason });
    else if (reason === 'unit_replaced' && known.isNews(clock.elapsed())) {
      const { name: protocol } = this.#codec;
      journalEvent(this.#host, origin, { type: 'unit_refused', protocol, transport: this.#transport, address: addressOf(this.#peer) });
    }
  }

  /** How long the device, refused now, is kept waiting for the refusal, ms. */
  penaltyMs(device: string): number {
    return this.#host.service.seen(device).penalty(this.#host.clock.elapsed());
  }

  /** Calls `over` when the refusal has waited long enough. */
  delay(penaltyMs: number, over: () => void): void {
    this.#penalty = setTimeout(() => {
      this.#penalty = undefined;
      over();
    }, penaltyMs);
  }

  /** The refusal waits no longer. */
  release(): void {
    clearTimeout(this.#penalty);
    this.#penalty = undefined;
  }

  /** The connection is about to end: nothing is held, and no answer of the registry is waited for. */
  close(): void {
    this.#held = undefined;
    this.release();
  }

  /** Where the device's entries come from, read under these options; `before` when that is still right. */
  originOf(known: DeviceLookup, options: Options, before?: Origin): Origin {
    const account = known.device?.account ?? '';
    if (before?.definition.account === account) return before;
    let definition = this.#definition;
    if (definition === undefined || definition.account !== account || this.#definedFor !== options) {
      definition = new Definition(this.#codec.name, this.#transport, keptOptions(this.#codec, options), account);
      this.#definition = definition;
      this.#definedFor = options;
    }
    return new Origin(definition, known.id, this.#peer);
  }

  #outOfService(terms: Terms, kind: FrameKind): '' | 'terminated' | 'refuse' {
    const { mode } = terms.at(this.#host.clock.now());
    if (mode === 'terminate') return 'terminated';
    // Behind a refused login no alarm could come: its frames are refused instead.
    return mode === 'refuse' && kind === FrameKind.Login && !terms.service.alarmsPass ? 'refuse' : '';
  }

  /** Has the connection, or its address, named too many? */
  #tooMany(id: string, last: Origin | undefined): '' | 'ids_per_connection' | 'ids_per_address' {
    if (!this.#bounds.admit(addressOf(this.#peer))) return 'ids_per_address';
    if (last === undefined || this.#named?.has(id) === true) return '';
    this.#named ??= new Set([last.device]);
    if (this.#named.size >= this.#bounds.perConnection) return this.#named.has(id) ? '' : 'ids_per_connection';
    this.#named.add(id);
    return '';
  }

  /** Is the device new, and one too many? */
  #excess(known: DeviceLookup, origin: Origin): '' | 'new_id_rate' {
    if (!known.isNew) return '';
    const address = addressOf(this.#peer);
    const verdict = this.#host.newcomers.admit(address);
    if (verdict === 'excess_news') journalEvent(this.#host, origin, { type: 'new_ids_limited', address });
    return verdict === 'admitted' ? '' : 'new_id_rate';
  }
}
