import { attempt, CONTENDED } from '../../state/attempt.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { unheld } from '../registry/hold.ts';
import { isPassedOn, type Noted, stillOf } from '../registry/owners.ts';
import {
  areOpposite,
  COMMANDS,
  type Command,
  type CommandRequest,
  type CommandState,
  commandKey,
  FINISHED,
  mayHaveLeft,
  type Transition,
  UNKNOWN,
} from './command.ts';
import { Shadow } from './shadow.ts';

/**
 * Every command, in the state store: the one place that knows what has become of it (promise 9).
 *
 * 1. A transition happens once: it is written on the condition that the command is still as it was read, whichever
 *    process comes first. The states are
 *
 *        queued ⇄ sent → answered | failed
 *           └──────┴──→ expired
 *        queued → cancelled
 *        sent → unknown → answered | failed       critical commands
 *
 *    and `sent` is an end where the device does not reply.
 * 2. Open commands, unknown ones and ended ones are kept apart, so that a device's contact reads only the open ones, and unknown
 *    ones hold nothing up. A command only moves in that order, and is looked for in that order.
 * 3. A command is marked sent before its bytes leave. A crash in between leaves it sent and unanswered, like a lost reply:
 *    it is sent again, as far as its attempts go; one that was answered never is. The mark need not wait for the disk: what a
 *    power cut takes of it is an attempt that is not counted.
 * 4. A critical command is transmitted at most once: its mark is on disk before its first byte, and without a reply it becomes
 *    unknown. It ends by a late reply, or when a person says how it came out.
 * 5. The settings shadow changes in the same write: no reader sees one without the other.
 * 6. Kept: the last 100 ended commands of each device, all that end while it is under a hold or are there then, and all unknown ones.
 * 7. Handing in is one step: what it was decided by (the device's open commands) is still so when it is written. Earlier commands
 *    that do the opposite and have not left are cancelled in the same write.
 */
export const OPEN_COMMANDS = 100;
const KEPT = 100;
const HISTORY = 50;
/** Keys come again (`key.ts`): a reply after longer may belong to another command. */
const KEY_MS = 43_200_000;
/** Wait before the second attempt, doubled for each further one. */
const BACK_OFF_MS = 15_000;

export class Ledger {
  readonly #store: StateStore;
  readonly #now: () => number;
  readonly #shadow: Shadow;
  readonly #attempts: number;

  /** `now` is the wall clock, epoch ms. `attempts`: how often a command is sent at most. */
  constructor(store: StateStore, now: () => number, attempts: number) {
    this.#store = store;
    this.#now = now;
    this.#shadow = new Shadow(store);
    this.#attempts = attempts;
  }

  /**
   * Adds a command under `id` when `admits` says so of the device's open and unknown ones, which it may be asked several times;
   * undefined when it does not, when the id has been used already (invariant 7), or when whose the device is has changed since the caller
   * has read that row, `owners`.
   */
  async submit(request: CommandRequest, id: string, admits: Admits = () => true, owners?: Noted): Promise<Command | undefined> {
    const now = this.#now();
    const first: Transition = { state: 'queued', time: now, note: '' };
    const begun = { state: first.state, ended: 0, attempts: 0, next_attempt: 0, history: [first], key: 0, reply: '', values: {} };
    const { device } = request;
    return attempt(commandsOf(device), async () => {
      if (await isPassedOn(this.#store, device, owners)) return undefined;
      const last = await this.#store.get('submitted', device);
      if ((await this.get(device, id)) !== undefined) return undefined;
      const open = await this.open(device);
      const unknown = await this.unknown(device);
      if (!admits(open, unknown)) return undefined;
      const opposites = [...unknown, ...open].filter((other) => areOpposite(request, other));
      const command: Command = { ...request, id, created: now, ...begun, opposes: opposites.map((other) => other.id) };
      const written = await this.#store.write([
        { table: 'submitted', key: device, expect: last },
        { table: 'submitted', key: device, put: id },
        ...stillOf(device, owners),
        ...PLACES.map((table) => table.expect(undefined, device, id)),
        COMMANDS.put(command, device, id),
        ...(await this.#cancelling(opposites.filter(isHeld), command)),
        ...(await this.#shadow.asked(command)),
      ]);
      return written ? command : CONTENDED;
    });
  }

  async get(device: string, id: string): Promise<Command | undefined> {
    const key = commandKey(device, id);
    const place = await this.#find(key);
    return place?.table.parse(key, place.text);
  }

  /** Open commands of a device, oldest first. */
  async open(device: string): Promise<Command[]> {
    return this.#list(COMMANDS, device, OPEN_COMMANDS);
  }

  /** Commands of a device that have left and of which nothing more is known, oldest first. */
  async unknown(device: string): Promise<Command[]> {
    return this.#list(UNKNOWN, device, 2 * OPEN_COMMANDS);
  }

  /** The unknown command of that id, of whatever device. */
  async unknownOf(id: string): Promise<Command | undefined> {
    for await (const [, command] of UNKNOWN.entries(this.#store)) if (command.id === id) return command;
    return undefined;
  }

  /** The unknown command whose bytes carried this key. */
  async unknownBy(device: string, key: number): Promise<Command | undefined> {
    const since = this.#now() - KEY_MS;
    return (await this.unknown(device)).findLast((command) => command.key === key && (command.history.at(-1)?.time ?? 0) >= since);
  }

  /** Ended commands of a device, oldest first. */
  async finished(device: string): Promise<Command[]> {
    const found: Command[] = [];
    for await (const [, command] of FINISHED.entries(this.#store, { prefix: `${device} ` })) found.push(command);
    return found;
  }

  /** One that is damaged does not hide the others. */
  async #list(table: typeof COMMANDS, device: string, limit: number): Promise<Command[]> {
    const found = await this.#store.list(table.name, { prefix: `${device} `, limit });
    return found.flatMap(({ value }) => table.read(value) ?? []);
  }

  /** Invariants 3 and 4: from here on it is being sent, by text message where `texted` is given. Undefined if it cannot be sent any more. */
  sending(command: Command, key = 0, texted?: string): Promise<Command | undefined> {
    return this.#move(command, 'sent', texted === undefined ? '' : 'by text message', (found) =>
      isHeld(found) && found.attempts === command.attempts ? { attempts: found.attempts + 1, key, texted } : undefined,
    );
  }

  /** The gateway has taken the message under the id `texted`; `counts`: steps of the same write. */
  taken(command: Command, texted: string, note: string, counts: readonly Op[]): Promise<Command | undefined> {
    return this.#transition(command, 'sent', note, (found) => (isThisAttempt(found, command) ? { texted } : undefined), { more: counts });
  }

  /** It is certain that no byte of it left. */
  unsent(command: Command, note: string, next_attempt = command.next_attempt): Promise<Command | undefined> {
    return this.#move(command, 'queued', note, (found) =>
      isThisAttempt(found, command) ? { attempts: found.attempts - 1, next_attempt, texted: undefined } : undefined,
    );
  }

  /** The device is known to give no reply: this was all. */
  silent(command: Command, note: string): Promise<Command | undefined> {
    return this.#end(command, 'sent', note, (found) => (isThisAttempt(found, command) ? {} : undefined));
  }

  answered(command: Command, reply: string, values: Command['values'], note = ''): Promise<Command | undefined> {
    return this.#end(command, 'answered', note, () => ({ reply, values }));
  }

  /** No reply came, or the connection ended before it: again later, or never. */
  unanswered(command: Command, note: string, waits: boolean): Promise<Command | undefined> {
    if (mayHaveLeft(command)) return this.#lost(command, note);
    if (command.attempts >= this.#attempts) return this.failed(command, note);
    if (this.#now() >= command.expires) return this.expired(command);
    const pause = waits ? BACK_OFF_MS * 2 ** (command.attempts - 1) : 0;
    const next_attempt = this.#now() + pause;
    return this.#move(command, 'queued', note, (found) =>
      isThisAttempt(found, command) ? { next_attempt, texted: undefined } : undefined,
    );
  }

  /** `reply`: what the device said, where that is why. */
  failed(command: Command, note: string, reply = ''): Promise<Command | undefined> {
    return this.#end(command, 'failed', note, (found) =>
      found.state === 'queued' || found.state === 'unknown' || isThisAttempt(found, command) ? { reply } : undefined,
    );
  }

  /** Does nothing to one that has been sent since it was read: its reply may be on the way. */
  expired(command: Command): Promise<Command | undefined> {
    if (mayHaveLeft(command)) return this.#lost(command, 'its time is over');
    const note = command.when === 'any' || command.attempts > 0 ? '' : `no recent position of the device said ${command.when}`;
    return this.#end(command, 'expired', note, (found) => (isHeld(found) || isThisAttempt(found, command) ? {} : undefined));
  }

  /** Undefined when it is not waiting any more, or the device was passed on since `owners` was read. */
  cancelled(command: Command, note: string, owners?: Noted): Promise<Command | undefined> {
    return this.#end(command, 'cancelled', note, (found) => (isHeld(found) ? {} : undefined), owners);
  }

  /** A person says how an unknown command came out. Undefined when it is not unknown any more, or the device was passed on since. */
  settled(command: Command, state: 'answered' | 'failed', note: string, owners?: Noted): Promise<Command | undefined> {
    return this.#end(command, state, note, (found) => (found.state === 'unknown' ? {} : undefined), owners);
  }

  /** Invariant 4. */
  #lost(command: Command, note: string): Promise<Command | undefined> {
    return this.#move(command, 'unknown', note, (found) =>
      isThisAttempt(found, command) || (found.state === 'queued' && mayHaveLeft(found)) ? {} : undefined,
    );
  }

  #move(command: Command, state: CommandState, note: string, change: Change): Promise<Command | undefined> {
    return this.#transition(command, state, note, change);
  }

  async #end(command: Command, state: CommandState, note: string, change: Change, owners?: Noted): Promise<Command | undefined> {
    const done = await this.#transition(command, state, note, change, { ends: true, owners });
    if (done !== undefined) await this.#forget(done.device);
    return done;
  }

  /** Invariant 1. */
  async #transition(
    command: Command,
    state: CommandState,
    note: string,
    change: Change,
    {
      ends = false,
      more = [],
      owners,
    }: { readonly ends?: boolean; readonly more?: readonly Op[]; readonly owners?: Noted | undefined } = {},
  ): Promise<Command | undefined> {
    const key = keyOf(command);
    return attempt(commandsOf(command.device), async () => {
      if (await isPassedOn(this.#store, command.device, owners)) return undefined;
      const place = await this.#find(key);
      const found = COMMANDS.read(place?.text);
      const changed = found === undefined || found.ended > 0 ? undefined : change(found);
      if (place === undefined || found === undefined || changed === undefined) return undefined;
      const next = this.#next(found, changed, state, note, ends);
      const shadow = !ends ? [] : await (state === 'answered' ? this.#shadow.confirmed(next) : this.#shadow.dropped(next));
      const isMark = state === 'sent' && !ends;
      const until = isMark && next.critical === '' ? 'visible' : undefined;
      return (await this.#store.write([...moved(place, next), ...shadow, ...more, ...stillOf(command.device, owners)], until))
        ? next
        : CONTENDED;
    });
  }

  #next(found: Command, changed: Partial<Command>, state: CommandState, note: string, ends: boolean): Command {
    const time = this.#now();
    const history = [...found.history, { state, time, note }].slice(-HISTORY);
    return { ...found, ...changed, state, history, ended: ends ? time : 0 };
  }

  /** Steps of a write that cancel these commands in favour of a later one. */
  async #cancelling(commands: readonly Command[], by: Command): Promise<Op[]> {
    const ops: Op[] = [];
    for (const command of commands) {
      const key = keyOf(command);
      const text = await this.#store.get('commands', key);
      const found = COMMANDS.read(text);
      // One that is on its way by now is not cancelled: should it come back unsent, its device's line does that.
      if (text === undefined || found === undefined || !isHeld(found)) continue;
      ops.push(...moved({ table: COMMANDS, text }, this.#next(found, {}, 'cancelled', opposedBy(by), true)));
    }
    return ops;
  }

  /** Invariant 2. */
  async #find(key: string): Promise<Place | undefined> {
    for (const table of PLACES) {
      const text = await this.#store.get(table.name, key);
      if (text !== undefined) return { table, text };
    }
    return undefined;
  }

  /** Invariant 6. */
  async #forget(device: string): Promise<void> {
    const all = await this.#store.list('finished', { prefix: `${device} `, limit: 2 * KEPT });
    if (all.length <= KEPT) return;
    const isUnheld = await unheld(this.#store, device, this.#now());
    // Where a hold is set meanwhile nothing is removed; where very many were kept, some go with each that ends.
    if (isUnheld === undefined) return;
    const gone = all.slice(0, all.length - KEPT).map(({ key }): Op => ({ table: 'finished', key, remove: true }));
    await this.#store.write([isUnheld, ...gone]);
  }
}

/** What a transition changes beside the state; undefined: it does not apply any more. */
type Change = (found: Command) => Partial<Command> | undefined;
export type Admits = (open: readonly Command[], unknown: readonly Command[]) => boolean;

/** Invariant 2. */
const PLACES = [COMMANDS, UNKNOWN, FINISHED];
interface Place {
  readonly table: typeof COMMANDS;
  readonly text: string;
}

/** Steps of a write that put a command where it belongs, on the condition that it is still as it was read. */
function moved({ table, text }: Place, next: Command): Op[] {
  const { device, id } = next;
  const to = next.ended > 0 ? FINISHED : next.state === 'unknown' ? UNKNOWN : COMMANDS;
  return [table.expect(text, device, id), ...(table === to ? [] : [table.remove(device, id)]), to.put(next, device, id)];
}

export function opposedBy(later: Command): string {
  return `by ${later.type} ${later.id}`;
}

function commandsOf(device: string): string {
  return `the list of commands of device ${device}`;
}

function keyOf(command: { readonly device: string; readonly id: string }): string {
  return commandKey(command.device, command.id);
}

/** It waits here, and no byte of it is on its way. */
function isHeld(found: Command): boolean {
  return found.state === 'queued' && !mayHaveLeft(found);
}

function isThisAttempt(found: Command, command: Command): boolean {
  return found.state === 'sent' && found.attempts === command.attempts;
}
