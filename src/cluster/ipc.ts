import { AppError } from '../base/errors.ts';
import type { SessionFacts } from '../in/session/session.ts';
import type { Done, SendHandle, ToChild } from './messages.ts';

/**
 * Messages between processes: what each receiver does with one that it does not know, and requests with their answers.
 *
 * 1. A `switch` over a union ends in `ignore(message)`, which takes `never`: a member without a case does not compile.
 * 2. A message of an unknown type (another library's, say) is reported once for each type, and changes nothing.
 * 3. Each request is settled once: by its answer, by its deadline, or by the end of the other process.
 */

/** Types that are remembered; more than that are not reported. */
const MOST_TYPES = 100;
const TYPE_LENGTH = 64;

/** Both ends have one version: an object with a type is taken for a message, and the `switch` finds whether it is one. */
export function isMessage<Message extends { readonly type: string }>(message: unknown): message is Message {
  return typeof message === 'object' && message !== null && 'type' in message && typeof message.type === 'string';
}

/** The default of each receiver's `switch`. */
export class UnknownMessages {
  readonly #report: (type: string) => void;
  readonly #types = new Set<string>();

  constructor(report: (type: string) => void) {
    this.#report = report;
  }

  ignore(message: never): void {
    const unknown: unknown = message;
    const type = isMessage(unknown) ? unknown.type.slice(0, TYPE_LENGTH) : '';
    if (this.#types.has(type) || this.#types.size >= MOST_TYPES) return;
    this.#types.add(type);
    this.#report(type);
  }
}

/** What a request has come to. */
export interface Answer {
  readonly counts: Readonly<Record<string, number>>;
  /** Where sessions were asked for. */
  readonly sessions?: readonly SessionFacts[];
  /** What came with it. */
  readonly socket: unknown;
}

interface Open {
  readonly timer: NodeJS.Timeout;
  resolve(answer: Answer): void;
  reject(error: AppError): void;
}

/** Requests to one child that are not answered yet. */
export class Requests {
  readonly #name: string;
  readonly #open = new Map<number, Open>();
  #tickets = 0;

  /** `name` of the child, for errors. */
  constructor(name: string) {
    this.#name = name;
  }

  /** `send` gets the ticket. Rejects with WORKER_FAILED: the child failed to do it, has ended, or has not answered in time. */
  ask(send: (ticket: number) => void, timeoutMs: number): Promise<Answer> {
    const ticket = ++this.#tickets;
    const answer = new Promise<Answer>((resolve, reject) => {
      const late = (): void => this.#fail(ticket, `${this.#name} has not answered within ${timeoutMs / 1000} s`);
      this.#open.set(ticket, { timer: setTimeout(late, timeoutMs).unref(), resolve, reject });
    });
    send(ticket);
    return answer;
  }

  /** An answer; one that comes too late changes nothing. */
  done({ ticket, counts, sessions, trouble }: Done, socket: unknown): void {
    if (trouble !== '') this.#fail(ticket, trouble);
    else this.#take(ticket)?.resolve({ counts, socket, ...(sessions === undefined ? {} : { sessions }) });
  }

  /** The child has ended, or is about to: what was asked of it stays undone. */
  abandon(reason: string): void {
    for (const ticket of [...this.#open.keys()]) this.#fail(ticket, reason);
  }

  #fail(ticket: number, reason: string): void {
    this.#take(ticket)?.reject(new AppError('WORKER_FAILED', reason));
  }

  #take(ticket: number): Open | undefined {
    const open = this.#open.get(ticket);
    this.#open.delete(ticket);
    clearTimeout(open?.timer);
    return open;
  }
}

/** Sends to a child. `sent`: the message has left, or never will. */
export type Send = (message: ToChild, socket?: SendHandle, sent?: () => void) => void;
