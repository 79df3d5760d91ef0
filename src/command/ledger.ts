import type { StateStore } from '../state/store.ts';
import { type Command, type CommandRequest, type CommandState, parseCommand, type Transition } from './command.ts';
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
 *
 *    and `sent` is an end where the device does not reply.
 * 2. Open commands and ended ones are kept apart, so that a device's contact reads only the open ones.
 * 3. A command is marked sent before its bytes leave. A crash in between leaves it sent and unanswered, like a lost reply:
 *    it is sent again, as far as its attempts go; one that was answered never is. The mark need not wait for the disk: what a
 *    power cut takes of it is an attempt that is not counted.
 * 4. The settings shadow changes in the same write: nobody sees one without the other.
 * 5. Kept: the last 100 ended commands of each device.
 */
export const OPEN_COMMANDS = 100;
const KEPT = 100;
const HISTORY = 50;
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

  /** Adds a command under `id`; undefined when that id has been used already. */
  async submit(request: CommandRequest, id: string): Promise<Command | undefined> {
    const now = this.#now();
    const first: Transition = { state: 'queued', time: now, note: '' };
    const begun = { state: first.state, ended: 0, attempts: 0, next_attempt: 0, history: [first], reply: '', values: {} };
    const command: Command = { ...request, id, created: now, ...begun };
    const key = keyOf(command);
    for (;;) {
      if ((await this.get(command.device, id)) !== undefined) return undefined;
      const written = await this.#store.write([
        { table: 'finished', key, expect: undefined },
        { table: 'commands', key, expect: undefined },
        { table: 'commands', key, put: JSON.stringify(command) },
        ...(await this.#shadow.asked(command)),
      ]);
      if (written) return command;
    }
  }

  async get(device: string, id: string): Promise<Command | undefined> {
    const key = `${device} ${id}`;
    return parseCommand((await this.#store.get('commands', key)) ?? (await this.#store.get('finished', key)));
  }

  /** Open commands of a device, or of all, oldest first. */
  async open(device?: string, page: { readonly after?: string; readonly limit?: number } = {}): Promise<Command[]> {
    const prefix = device === undefined ? '' : `${device} `;
    const found = await this.#store.list('commands', {
      prefix,
      limit: page.limit ?? OPEN_COMMANDS,
      ...(page.after === undefined ? {} : { after: page.after }),
    });
    return found.flatMap(({ value }) => parseCommand(value) ?? []);
  }

  /** Ended commands of a device, oldest first. */
  async finished(device: string): Promise<Command[]> {
    const found = await this.#store.list('finished', { prefix: `${device} `, limit: 2 * KEPT });
    return found.flatMap(({ value }) => parseCommand(value) ?? []);
  }

  /** Invariant 3: from here on, somebody is sending it. Undefined when it is not there to be sent. */
  sending(command: Command): Promise<Command | undefined> {
    return this.#move(command, 'sent', '', (found) =>
      found.state === 'queued' && found.attempts === command.attempts ? { attempts: found.attempts + 1 } : undefined,
    );
  }

  /** It could not be put on the wire after all. */
  unsent(command: Command, note: string): Promise<Command | undefined> {
    return this.#move(command, 'queued', note, (found) => (isThisAttempt(found, command) ? { attempts: found.attempts - 1 } : undefined));
  }

  /** The device is known to give no reply: this was all. */
  silent(command: Command, note: string): Promise<Command | undefined> {
    return this.#end(command, 'sent', note, (found) => (isThisAttempt(found, command) ? {} : undefined));
  }

  answered(command: Command, reply: string, values: Command['values'], note = ''): Promise<Command | undefined> {
    return this.#end(command, 'answered', note, (found) =>
      found.state === 'queued' || found.state === 'sent' ? { reply, values } : undefined,
    );
  }

  /** No reply came, or the connection ended before it: again later, or never. */
  unanswered(command: Command, note: string, waits: boolean): Promise<Command | undefined> {
    if (command.attempts >= this.#attempts) return this.failed(command, note);
    if (this.#now() >= command.expires) return this.expired(command);
    const pause = waits ? BACK_OFF_MS * 2 ** (command.attempts - 1) : 0;
    const next_attempt = this.#now() + pause;
    return this.#move(command, 'queued', note, (found) => (isThisAttempt(found, command) ? { next_attempt } : undefined));
  }

  /** `reply`: what the device said, where that is why. */
  failed(command: Command, note: string, reply = ''): Promise<Command | undefined> {
    return this.#end(command, 'failed', note, (found) =>
      found.state === 'queued' || isThisAttempt(found, command) ? { reply } : undefined,
    );
  }

  /** Does nothing to one that has been sent since it was read: its reply may be on the way. */
  expired(command: Command): Promise<Command | undefined> {
    return this.#end(command, 'expired', '', (found) => (found.state === 'queued' || isThisAttempt(found, command) ? {} : undefined));
  }

  /** Undefined when it is not waiting any more. */
  cancelled(command: Command, note: string): Promise<Command | undefined> {
    return this.#end(command, 'cancelled', note, (found) => (found.state === 'queued' ? {} : undefined));
  }

  #move(command: Command, state: CommandState, note: string, change: Change): Promise<Command | undefined> {
    return this.#transition(command, state, note, change, false);
  }

  async #end(command: Command, state: CommandState, note: string, change: Change): Promise<Command | undefined> {
    const done = await this.#transition(command, state, note, change, true);
    if (done !== undefined) await this.#forget(done.device);
    return done;
  }

  /** Invariant 1. */
  async #transition(command: Command, state: CommandState, note: string, change: Change, ends: boolean): Promise<Command | undefined> {
    const key = keyOf(command);
    for (;;) {
      const text = await this.#store.get('commands', key);
      const found = parseCommand(text);
      const changed = found === undefined ? undefined : change(found);
      if (found === undefined || changed === undefined) return undefined;
      const time = this.#now();
      const history = [...found.history, { state, time, note }].slice(-HISTORY);
      const next: Command = { ...found, ...changed, state, history, ended: ends ? time : 0 };
      const value = JSON.stringify(next);
      const shadow = !ends ? [] : await (state === 'answered' ? this.#shadow.confirmed(next) : this.#shadow.dropped(next));
      const written = await this.#store.write(
        ends
          ? [
              { table: 'commands', key, expect: text },
              { table: 'commands', key, remove: true },
              { table: 'finished', key, put: value },
              ...shadow,
            ]
          : [
              { table: 'commands', key, expect: text },
              { table: 'commands', key, put: value },
            ],
        state === 'sent' && !ends ? 'visible' : undefined,
      );
      if (written) return next;
    }
  }

  /** Invariant 5. */
  async #forget(device: string): Promise<void> {
    const all = await this.#store.list('finished', { prefix: `${device} `, limit: 2 * KEPT });
    if (all.length <= KEPT) return;
    await this.#store.write(all.slice(0, all.length - KEPT).map(({ key }) => ({ table: 'finished', key, remove: true })));
  }
}

/** What a transition changes beside the state; undefined: it does not apply any more. */
type Change = (found: Command) => Partial<Command> | undefined;

function keyOf(command: { readonly device: string; readonly id: string }): string {
  return `${command.device} ${command.id}`;
}

function isThisAttempt(found: Command, command: Command): boolean {
  return found.state === 'sent' && found.attempts === command.attempts;
}
