import { every } from '../../base/beat.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { type Codec, type CommandRule, FrameKind, type FrameResult, type Options } from '../../codec/index.ts';
import type { OptionsOf } from '../../codec/registry.ts';
import { type Following, follow } from '../../state/follow.ts';
import type { Op, StateStore } from '../../state/store.ts';
import type { Device } from '../registry/device.ts';
import { COMMANDS, type Command, commandEvent, commandKey, isPending, mayHaveLeft, WITHHELD } from './command.ts';
import { meaningOf, ruleOf } from './critical.ts';
import { isNewer } from './delivery-line.ts';
import { nextKey } from './key.ts';
import { type Ledger, opposedBy } from './ledger.ts';
import type { TextGateway } from './text-gateway.ts';
import type { Reply } from './waiting.ts';

/**
 * Commands by text message; in the supervisor.
 *
 * 1. `via: sms` goes this way only. `via: any` does when no connection has taken it for `FALLBACK_MS`, and the device is not connected here.
 * 2. The ledger says `sent` before the gateway is asked, and an attempt asks it once. What is certain not to have left is queued again or
 *    failed. What may have left waits for a reply like what has left: `REPLY_MS` later it is sent again as far as its attempts go,
 *    and a critical command is unknown.
 * 3. One message of a device waits for a reply at a time.
 * 4. A message from the device's number is the reply when it reads like one to the command that waits, and is not an alarm. The sender can be
 *    forged: the note says that it came by text message. An unclear text is the reply when none comes that is clear, and never of a critical command.
 * 5. A message that the gateway has taken counts in `texts_out`, in the same write.
 */
export interface TextDeliveryOptions {
  readonly ledger: Ledger;
  readonly store: StateStore;
  readonly gateway: Pick<TextGateway, 'hand'> | undefined;
  readonly device: (id: string) => Promise<Device | undefined>;
  readonly codecs: ReadonlyMap<string, Codec>;
  readonly optionsOf: OptionsOf;
  /** Steps of a write that count one message to the device. */
  readonly counting: (device: string) => Promise<Op[]>;
  readonly isConnected: (device: string) => boolean;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  readonly log: Log;
  /** Journals an event of a device. */
  readonly record: (device: string, event: object) => void;
  /** Counts how commands came out, by state. */
  readonly count: (state: Command['state']) => void;
  /** As that of the delivery by connection. */
  readonly ended: (device: string, id: string, reply: Reply | undefined) => void;
}

interface Heard {
  readonly reply: Reply;
  readonly relay: boolean;
}

export const FALLBACK_MS = 120_000;
export const REPLY_MS = 600_000;
const TICK_MS = 1_000;
/** Devices at a time. */
const TOGETHER = 10;
/** A reply after longer is that to another command. */
const LATE_MS = 43_200_000;
/** Of a reply, as much as is read. */
const MOST_READ = 4_096;
const SCRATCH = new Uint8Array(4096);

export class TextDelivery {
  readonly #o: TextDeliveryOptions;
  /** Commands that may go this way, or have, by key. */
  readonly #waiting = new Map<string, Command>();
  /** Unclear texts, by id of the command that waits. */
  readonly #heard = new Map<string, Heard>();
  #following: Following | undefined;
  #stop: (() => void) | undefined;
  #working: Promise<void> = Promise.resolve();
  #isBusy = false;

  constructor(options: TextDeliveryOptions) {
    this.#o = options;
  }

  /** Without a gateway nothing goes this way, and no table is followed. */
  start(): void {
    const { store, log, gateway } = this.#o;
    if (gateway === undefined) return;
    const all = (commands: ReadonlyMap<string, Command>): void => {
      this.#waiting.clear();
      for (const [key, command] of commands) this.#note(key, command);
    };
    this.#following = follow(store, COMMANDS, { all, changed: (key, command) => this.#note(key, command) }, log);
    this.#stop = every(TICK_MS, () => {
      if (!this.#isBusy) this.#working = this.look();
    });
  }

  async stop(): Promise<void> {
    this.#stop?.();
    await this.#following?.stop();
    await this.#working;
  }

  /** Sends what is due, and puts down what has had no reply. */
  async look(): Promise<void> {
    this.#isBusy = true;
    const now = this.#o.now();
    const devices = new Map<string, Command>();
    for (const command of this.#waiting.values()) {
      const other = devices.get(command.device);
      if (this.#isDue(command, now) && (other === undefined || command.priority > other.priority)) devices.set(command.device, command);
    }
    await Promise.all(
      [...devices.values()].slice(0, TOGETHER).map((command) =>
        this.#step(command).catch((error: unknown) => {
          this.#o.log.warn({ error: messageOf(error) }, 'a command cannot be sent by text message; retrying');
        }),
      ),
    );
    this.#isBusy = false;
  }

  /** A message from the number of the device; it is in the journal. `relay`: what it says goes to the stream only. */
  async replied(device: string, frame: FrameResult, text: string, relay: boolean): Promise<void> {
    const { ledger, codecs, now } = this.#o;
    // The frame is the next message's as soon as something is waited for.
    const [key, place] = [frame.replyKey, placeOf(frame)];
    // Where a message is a frame, what replies in it.
    const reply = frame.replyText === '' ? text : frame.replyText;
    const said = reply.slice(0, MOST_READ);
    const saysNoMore = frame.kind === FrameKind.Reply;
    const since = now() - LATE_MS;
    const all = [...(await ledger.open(device)), ...(await ledger.unknown(device))];
    const sent = all.filter((one) => one.texted !== undefined && one.state !== 'queued' && changedAt(one) >= since);
    const codec = sent.length === 0 ? undefined : codecs.get((await this.#o.device(device))?.protocol ?? '');
    if (codec === undefined) return;
    for (const command of sent) {
      const isOther = codec.replies === 'echoed' && key >= 0 && key !== command.key;
      const reading = isOther ? undefined : codec.readReply?.(command, said);
      const values = { ...place, ...reading?.values };
      const outcome = reading?.outcome ?? '';
      const asksPlace = shownBy(codec, command) === 'fix';
      const isPlace = asksPlace && 'lat' in values && values['valid'] !== false && isNewer(values, command);
      const isReply = outcome === 'refused' || (outcome !== 'unclear' && outcome !== '' && !asksPlace);
      // A place or an alarm comes without being asked for.
      if (isPlace || (isReply && saysNoMore)) {
        await this.#came(command, reading?.outcome === 'refused' ? 'refused by the device, ' : '', { reply, values }, relay);
        return;
      }
      if (outcome === 'unclear' && saysNoMore && command.critical === '' && command.state === 'sent')
        this.#heard.set(command.id, { reply: { reply, values }, relay });
    }
  }

  /** `how`: in front of the note. */
  async #came(command: Command, how: string, { reply, values }: Reply, relay: boolean): Promise<void> {
    const { ledger } = this.#o;
    const note = `${how}by text message${relay ? `; ${WITHHELD}` : ''}`;
    const [kept, withheld] = relay
      ? [
          { reply: '', values: {} },
          { reply, values },
        ]
      : [{ reply, values }, undefined];
    if (how.startsWith('refused')) this.#said(await ledger.failed(command, note, kept.reply), withheld);
    else this.#said(await ledger.answered(command, kept.reply, kept.values, note), withheld);
  }

  #note(key: string, command: Command | undefined): void {
    const isOurs = command !== undefined && isPending(command) && (command.via !== undefined || command.texted !== undefined);
    if (isOurs) {
      this.#waiting.set(key, command);
      return;
    }
    const before = this.#waiting.get(key);
    if (before !== undefined) this.#heard.delete(before.id);
    this.#waiting.delete(key);
  }

  /** Invariants 1 and 2. */
  #isDue(command: Command, now: number): boolean {
    if (command.state === 'sent') return command.texted !== undefined && now >= changedAt(command) + REPLY_MS;
    if (this.#o.gateway === undefined || command.via === undefined || mayHaveLeft(command) || now >= command.expires) return false;
    const from = Math.max(command.not_before, command.next_attempt);
    if (command.via === 'sms') return now >= from;
    return now >= Math.max(from, changedAt(command)) + FALLBACK_MS && !this.#o.isConnected(command.device);
  }

  async #step(listed: Command): Promise<void> {
    const { ledger, now } = this.#o;
    const open = await ledger.open(listed.device);
    const command = open.find(({ id }) => id === listed.id);
    if (command === undefined || !this.#isDue(command, now())) return;
    const opposing = open.find(({ opposes }) => opposes.includes(command.id));
    const heard = this.#heard.get(command.id);
    if (command.state === 'sent' && heard !== undefined)
      await this.#came(command, 'in a form that is not documented, ', heard.reply, heard.relay);
    else if (command.state === 'sent')
      this.#said(await ledger.unanswered(command, `no reply to the text message within ${REPLY_MS / 60_000} min`, true));
    else if (opposing !== undefined) this.#said(await ledger.cancelled(command, opposedBy(opposing)));
    // Invariant 3.
    else if (!open.some(({ state, texted }) => state === 'sent' && texted !== undefined)) await this.#send(command);
  }

  async #send(command: Command): Promise<void> {
    const { ledger, gateway, now } = this.#o;
    const device = await this.#o.device(command.device);
    const codec = this.#o.codecs.get(device?.protocol ?? '');
    const key = nextKey(now(), 0, codec?.highestKey);
    const options = codec === undefined ? {} : this.#o.optionsOf(codec, command.device, device?.options);
    const text = codec === undefined ? undefined : textOf(codec, options, command.device, command, key, now());
    const to = device?.phone;
    if (gateway === undefined || codec === undefined || text === undefined || to === undefined) {
      const lacks = to === undefined ? 'a telephone number' : 'a text form of this command';
      if (command.via === 'sms') this.#said(await ledger.failed(command, `the device has no longer ${lacks}`));
      return;
    }
    const claimed = this.#said(await ledger.sending(command, key, ''));
    if (claimed === undefined) return;
    const handed = await gateway.hand(to, text, claimed.expires - now());
    if (handed.is === 'refused') this.#said(await ledger.failed(claimed, handed.note));
    else if (handed.is === 'later') this.#said(await ledger.unsent(claimed, handed.note, now() + handed.pauseMs));
    else if (handed.is === 'unknown') this.#said(await ledger.taken(claimed, '', handed.note, []));
    else {
      const note = `the gateway has taken it${handed.id === '' ? '' : ` as ${handed.id}`}`;
      const taken = this.#said(await ledger.taken(claimed, handed.id, note, await this.#o.counting(command.device)));
      const shown = shownBy(codec, command);
      if (taken !== undefined && (shown === 'contact' || shown === 'departure'))
        this.#said(await ledger.silent(taken, `${note}; the device does not reply to this`));
    }
  }

  #said(command: Command | undefined, withheld?: Reply): Command | undefined {
    if (command === undefined) return undefined;
    this.#note(commandKey(command.device, command.id), command);
    this.#o.count(command.state);
    this.#o.record(command.device, commandEvent({ ...command, ...withheld }));
    if (!isPending(command)) this.#o.ended(command.device, command.id, withheld);
    return command;
  }
}

/** The text of a command, undefined when the codec has none for the device. */
export function textOf(
  codec: Codec,
  options: Options,
  device: string,
  command: Pick<Command, 'type' | 'parameters'>,
  key: number,
  now: number,
): string | undefined {
  const dialect = codec.sms;
  try {
    const state = dialect?.open('device' in codec.options ? { ...options, device } : options, 0);
    const { type, parameters } = command;
    const length = state === undefined ? 0 : (dialect?.encodeCommand?.({ type, parameters }, key, state, SCRATCH, 0, now) ?? 0);
    return length > 0 ? Buffer.from(SCRATCH.subarray(0, length)).toString('latin1') : undefined;
  } catch {
    return undefined;
  }
}

function shownBy(codec: Codec, { type, parameters }: Command): CommandRule['shownBy'] {
  return ruleOf(codec, meaningOf(codec, type, parameters, {}).actsAs)?.shownBy;
}

function changedAt({ history, created }: Command): number {
  return history.at(-1)?.time ?? created;
}

/** The last position of the message; without a row the columns give none. */
function placeOf(frame: FrameResult): Command['values'] | undefined {
  const row = frame.rows - 1;
  const [lat = Number.NaN, lon = Number.NaN, time = Number.NaN] = [frame.latitude[row], frame.longitude[row], frame.time[row]];
  if (Number.isNaN(lat) || Number.isNaN(lon)) return undefined;
  return { ...(Number.isNaN(time) ? {} : { time }), valid: frame.valid[row] === 1, lat, lon };
}
