import { lookMs } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Codec, CommandRule, Options, Reading, Transport } from '../../codec/index.ts';
import { type Command, commandEvent, isPending, mayHaveLeft, WITHHELD } from './command.ts';
import { meaningOf, ruleOf } from './critical.ts';
import { nextKey } from './key.ts';
import { type Ledger, opposedBy } from './ledger.ts';
import type { Shadow } from './shadow.ts';
import type { Reply } from './waiting.ts';

/** A device's connection as the delivery sees it. */
export interface DeliveryPort {
  readonly device: string;
  readonly codec: Codec;
  readonly transport: Transport;
  /** No answer is owed. */
  readonly clear: boolean;
  /** What it says goes to the stream only. */
  readonly relay: boolean;
  /** Its last live position says that it moves; undefined: there is none, or not of late. */
  readonly moving: boolean | undefined;
  /** Another session speaks for the device, and it is not known which one it is: a critical command must wait. */
  readonly contested: boolean;
  /** The device has spoken from there before. */
  readonly standing: boolean;
  /** Another session, at this address, has spoken while a critical command waited. */
  contest(peer: string): void;
  /** A request waits for a position: `fixed` is told of the next one. */
  wantsFix: boolean;
  /** A command waits until `moving` says something else: then `poke` is called. */
  wantsMotion: boolean;
  /** Asks for `ready` when the way is clear (invariant 2). */
  wait(): void;
  /** Writes the command; false when the codec cannot encode it for this device. */
  transmit(type: string, parameters: Options, key: number): boolean;
  /** Journals an event of the device. */
  event(event: object): void;
}

export interface DeliveryOptions {
  readonly ledger: Ledger;
  readonly shadow: Shadow;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  readonly log: Log;
  /** Counts how commands came out, by state. */
  readonly count: (state: Command['state']) => void;
  /** A command has ended or is unknown, which the ledger says already; `reply`: what it does not say (invariant 9). */
  readonly ended: (device: string, id: string, reply: Reply | undefined) => void;
}

/** After a failure of the store, and for anything that no timer covers. */
const AGAIN_MS = 5_000;
const LONGEST_MS = 60_000;
/** Invariant 8. */
const PROOF_MS = 60_000;
/** Of a reply, as much as is read: longer than any that is documented. The whole of it is kept. */
const MOST_READ = 4_096;
/** Devices tell whole seconds. */
const SECOND_MS = 1_000;

interface Flight {
  readonly command: Command;
  readonly key: number;
  /** Text of the device that is not a documented reply (invariant 5). */
  heard: { readonly text: string; readonly values: Command['values'] } | undefined;
}

/** The commands of one device on one connection: which goes next, which is in flight, what it came to. Numbers as in `delivery.ts`. */
export class DeliveryLine {
  readonly port: DeliveryPort;
  readonly #o: DeliveryOptions;
  readonly #working: Set<Promise<void>>;
  #last: Promise<void>;
  #gone = false;
  /** Outcomes that are known and not in the ledger yet. */
  #settling = 0;
  /** Chosen, and waiting for the way to be clear. */
  #next: Command | undefined;
  /** Marked sent, and waiting for the way to be clear again. */
  #claimed: Command | undefined;
  #flight: Flight | undefined;
  #lapsed: Flight | undefined;
  /** A reply to an earlier command may still come: a text in no documented form may be that. */
  #owed = false;
  #deadline: NodeJS.Timeout | undefined;
  #later: NodeJS.Timeout | undefined;
  #key = 0;
  /** The critical command that waits, or has waited, for a contradiction, and since when, epoch ms. */
  #proving: { readonly id: string; readonly since: number } | undefined;

  /** `before`: the device's last connection has written down how it ended. */
  constructor(port: DeliveryPort, options: DeliveryOptions, working: Set<Promise<void>>, before: Promise<void> = Promise.resolve()) {
    this.port = port;
    this.#o = options;
    this.#working = working;
    this.#last = before;
  }

  contradicted(peer: string): void {
    const { since } = this.#proving ?? { since: Number.NEGATIVE_INFINITY };
    if (this.port.standing || this.port.contested || this.#o.now() - since >= PROOF_MS) return;
    this.#proving = undefined;
    this.port.contest(peer);
  }

  look(): void {
    this.#step(() => this.#choose());
  }

  ready(): void {
    this.#step(async () => {
      if (this.#claimed !== undefined) await this.#put(this.#claimed);
      else if (this.#next !== undefined) await this.#send(this.#next);
    });
  }

  replied(key: number, text: string, attributes: Command['values']): void {
    const { codec, device } = this.port;
    const echoes = codec.replies === 'echoed';
    const readFor = (of: Flight | undefined): Reading | undefined =>
      of === undefined || (echoes && key >= 0 && key !== of.key) ? undefined : this.#read(of.command, text);
    const flight = this.#flight ?? this.#lapsed;
    let reading = readFor(flight);
    if (flight !== undefined && flight === this.#flight && reading !== undefined && !this.#settles(flight.command, reading)) {
      if (reading.outcome !== 'unclear' || !this.#owed) flight.heard = { text, values: { ...attributes, ...reading.values } };
      reading = undefined;
    }
    if (reading === undefined) this.#owed = false;
    else this.#land();
    this.#settle(async () => {
      const { ledger, shadow } = this.#o;
      const late = reading === undefined && echoes && key > 0 ? await ledger.unknownBy(device, key) : undefined;
      const command = reading === undefined ? late : flight?.command;
      const read = reading ?? this.#read(late, text);
      const values = { ...attributes, ...(read ?? this.#read(undefined, text))?.values };
      if (command !== undefined && read?.outcome === 'refused') await this.#refused(command, text);
      else if (command !== undefined && read !== undefined)
        await this.#answered(command, text, values, read.outcome === 'deferred' ? 'the device does it when it can' : '');
      for (const { name, value } of await shadow.told(device, values)) this.port.event({ type: 'settings_drift', setting: name, value });
    });
  }

  fixed(fix: Command['values']): void {
    const flight = this.#flight;
    if (flight === undefined || this.#shownBy(flight.command) !== 'fix' || !isNewer(fix, flight.command)) return;
    this.#land();
    this.#settle(() => this.#answered(flight.command, flight.heard?.text ?? '', fix, 'by a position'));
  }

  /** The connection is gone, or not the device's any more. Resolves when that is in the ledger. */
  leave(): Promise<void> {
    if (this.#gone) return this.#last;
    this.#gone = true;
    const [flight, claimed] = [this.#flight, this.#claimed];
    clearTimeout(this.#later);
    this.#land();
    this.#step(async () => {
      const { ledger } = this.#o;
      const ended = 'the connection ended before the reply';
      if (claimed !== undefined && claimed === this.#claimed) this.#said(await ledger.unsent(claimed, 'the connection ended first'));
      if (flight === undefined) return;
      const { command, heard } = flight;
      if (heard !== undefined) await this.#answered(command, heard.text, heard.values, this.#shortOf(command));
      else if (this.#shownBy(command) === 'departure')
        this.#said(await ledger.silent(command, 'the connection ended, as this command makes it'));
      else this.#said(await ledger.unanswered(command, ended, false));
    });
    return this.#last;
  }

  /** A step that writes an outcome down, however often that takes; until then its command looks as if it were in flight. */
  #settle(work: () => Promise<void>): void {
    this.#settling++;
    this.#step(async () => {
      for (;;) {
        try {
          await work();
          break;
        } catch (error) {
          if (this.#gone) throw error;
          this.#troubled(error);
          await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
        }
      }
      this.#settling--;
      await this.#choose();
    });
  }

  #troubled(error: unknown): void {
    this.#o.log.warn({ error: messageOf(error) }, 'commands of a device cannot be read or written; retrying');
  }

  /** Invariant 6. */
  #step(work: () => Promise<void>): void {
    const step = this.#last.then(work).catch((error: unknown) => {
      this.#troubled(error);
      this.#again(AGAIN_MS);
    });
    this.#last = step;
    this.#working.add(step);
    void step.finally(() => this.#working.delete(step));
  }

  async #choose(): Promise<void> {
    if (this.#gone || this.#settling > 0 || this.#flight !== undefined || this.#claimed !== undefined) return;
    const { ledger, now } = this.#o;
    const { port } = this;
    let best: Command | undefined;
    let soonest = Number.POSITIVE_INFINITY;
    const open = await ledger.open(port.device);
    port.wantsMotion = false;
    for (const listed of open) {
      const command = await this.#settled(listed, open);
      if (command === undefined) continue;
      const at = now();
      const from = Math.max(command.not_before, command.next_attempt);
      const proofMs = this.#proofMs(command);
      if (at < from) soonest = Math.min(soonest, from - at);
      else if (proofMs > 0) soonest = Math.min(soonest, proofMs);
      else if (!isMet(command, port.moving)) port.wantsMotion = true;
      else if (best === undefined || command.priority > best.priority) best = command;
      soonest = Math.min(soonest, command.expires - at);
    }
    // Something may have come meanwhile: the reply to a command that was to go again. Its step looks again.
    if (this.#gone || this.#settling > 0) return;
    this.#next = best;
    if (best === undefined) {
      if (Number.isFinite(soonest)) this.#again(soonest);
    } else if (port.transport === 'tcp' && port.clear) await this.#send(best);
    else port.wait();
  }

  /** The command, if it is still to be sent; what is over by now is put down as that. */
  async #settled(listed: Command, open: readonly Command[]): Promise<Command | undefined> {
    const { ledger, now } = this.#o;
    let command = listed;
    // Its reply comes by text message, or not at all: `text-delivery.ts` sees to it.
    if (command.state === 'sent' && command.texted !== undefined) return undefined;
    // Nothing is in flight here: who marked it is gone.
    if (command.state === 'sent') {
      const back = this.#said(await ledger.unanswered(command, 'the connection ended before the reply', false));
      if (back?.state !== 'queued') return undefined;
      command = back;
    }
    // It was on its way when the other came, and is back unsent.
    const opposing = open.find(({ opposes }) => opposes.includes(command.id));
    if (opposing !== undefined) this.#said(await ledger.cancelled(command, opposedBy(opposing)));
    else if (now() >= command.expires) this.#said(await ledger.expired(command));
    else if (mayHaveLeft(command)) this.#said(await ledger.unanswered(command, 'sent once by an earlier version', false));
    else if (command.via !== 'sms') return command;
    return undefined;
  }

  /** Invariant 8: how long the command is to wait. */
  #proofMs({ id, critical }: Command): number {
    if (critical === '') return 0;
    if (this.port.contested) return Number.POSITIVE_INFINITY;
    if (this.port.standing) return 0;
    const now = this.#o.now();
    if (this.#proving?.id !== id) this.#proving = { id, since: now };
    return Math.max(0, this.#proving.since + PROOF_MS - now);
  }

  async #send(command: Command): Promise<void> {
    this.#next = undefined;
    const claimed = this.#said(await this.#o.ledger.sending(command, this.#nextKey()));
    if (claimed === undefined) return this.#choose();
    this.#claimed = claimed;
    // The claim took a moment: the way may be closed again. On UDP it still is right behind the uplink.
    if (this.port.transport === 'tcp' && !this.port.clear) this.port.wait();
    else await this.#put(claimed);
  }

  async #put(command: Command): Promise<void> {
    const { ledger } = this.#o;
    this.#claimed = undefined;
    this.#lapsed = undefined;
    const isOpposed =
      command.switches.length > 0 && (await ledger.open(this.port.device)).some(({ opposes }) => opposes.includes(command.id));
    if (this.#gone) {
      this.#said(await ledger.unsent(command, 'the connection ended first'));
      return;
    }
    // Invariant 7. From here to the bytes nothing waits.
    if (
      isOpposed ||
      this.#settling > 0 ||
      this.#proofMs(command) > 0 ||
      this.#o.now() >= command.expires ||
      !isMet(command, this.port.moving)
    ) {
      this.#said(await ledger.unsent(command, 'its condition no longer holds'));
      return this.#choose();
    }
    const { key } = command;
    if (!this.port.transmit(command.type, command.parameters, key)) {
      this.#said(await ledger.failed(command, 'the codec cannot encode this for the device: check the parameters and the device family'));
      return this.#choose();
    }
    const shownBy = this.#shownBy(command);
    if (shownBy === 'contact') {
      this.#said(await ledger.silent(command, 'the device does not reply to this'));
      return this.#choose();
    }
    this.#flight = { command, key, heard: undefined };
    this.port.wantsFix = shownBy === 'fix';
    this.#deadline = setTimeout(() => this.#late(), this.port.codec.replyMs);
  }

  /** Nothing is in flight any more. */
  #land(): void {
    clearTimeout(this.#deadline);
    this.#flight = undefined;
    this.#lapsed = undefined;
    this.port.wantsFix = false;
  }

  /** Undefined if the text is not a reply to that command. */
  #read(command: Command | undefined, text: string): Reading | undefined {
    const { readReply } = this.port.codec;
    return readReply === undefined ? { outcome: 'done', values: {} } : readReply(command, text.slice(0, MOST_READ));
  }

  #late(): void {
    const flight = this.#flight;
    if (flight === undefined) return;
    this.#land();
    const { heard } = flight;
    if (heard === undefined) {
      this.#lapsed = flight;
      this.#owed = true;
    }
    this.#settle(async () => {
      const { ledger } = this.#o;
      if (heard !== undefined) await this.#answered(flight.command, heard.text, heard.values, this.#shortOf(flight.command));
      else this.#said(await ledger.unanswered(flight.command, `no reply within ${this.port.codec.replyMs / 1000} s`, true));
    });
  }

  /** What is wanting in what was heard. */
  #shortOf(command: Command): string {
    return this.#shownBy(command) === 'fix' ? 'no new position came' : 'in a form that is not documented';
  }

  /** Is it the reply, whatever else may come? */
  #settles(command: Command, reading: Reading): boolean {
    if (reading.outcome === 'refused') return true;
    if (this.#shownBy(command) === 'fix')
      return 'lat' in reading.values && reading.values['valid'] !== false && isNewer(reading.values, command);
    return reading.outcome !== 'unclear';
  }

  #again(ms: number): void {
    clearTimeout(this.#later);
    if (!this.#gone) this.#later = setTimeout(() => this.look(), Math.min(lookMs(LONGEST_MS), Math.max(1, ms)));
  }

  /** Invariant 9. */
  async #refused(command: Command, reply: string): Promise<void> {
    const { ledger } = this.#o;
    const note = 'refused by the device';
    if (!this.port.relay) this.#said(await ledger.failed(command, note, reply));
    else this.#said(await ledger.failed(command, `${note}; ${WITHHELD}`), { reply, values: {} });
  }

  /** Invariant 9. */
  async #answered(command: Command, reply: string, values: Command['values'], note: string): Promise<void> {
    const { ledger } = this.#o;
    if (!this.port.relay) this.#said(await ledger.answered(command, reply, values, note));
    else this.#said(await ledger.answered(command, '', {}, note === '' ? WITHHELD : `${note}; ${WITHHELD}`), { reply, values });
  }

  /** Makes the transition an event, if it was one. `withheld`: what the ledger may not have. */
  #said(command: Command | undefined, withheld?: Reply): Command | undefined {
    if (command === undefined) return undefined;
    this.#o.count(command.state);
    this.port.event(commandEvent({ ...command, ...withheld }));
    if (!isPending(command)) this.#o.ended(command.device, command.id, withheld);
    return command;
  }

  #shownBy({ type, parameters }: Command): CommandRule['shownBy'] {
    const { codec } = this.port;
    return ruleOf(codec, meaningOf(codec, type, parameters, {}).actsAs)?.shownBy;
  }

  #nextKey(): number {
    this.#key = nextKey(this.#o.now(), this.#key, this.port.codec.highestKey);
    return this.#key;
  }
}

/** A text that does not say when, and does not say that it is old, speaks of now. */
export function isNewer(position: Command['values'], command: Command): boolean {
  const { time } = position;
  return typeof time !== 'number' || time >= command.created - SECOND_MS;
}

/** A condition on a movement that is not known is not met. */
function isMet(command: Command, moving: boolean | undefined): boolean {
  return command.when === 'any' || (moving !== undefined && (command.when === 'moving') === moving);
}
