import { systemClock } from '../../src/base/clock.ts';

/** Totals of all devices. */
export interface Heard {
  readonly acknowledged: number;
  readonly reconnects: number;
}

/** What the devices noticed of a fault, from its beginning until somewhat after its end. */
export interface Noticed {
  readonly acknowledgedDuring: number;
  readonly acknowledgedAfter: number;
  /** The longest time in which no device got an answer that says stored. */
  readonly longestSilenceMs: number;
  readonly reconnects: number;
}

const LOOK_MS = 50;
/** How long after its end a fault is still watched. */
export const AFTER_MS = 3000;

/** Looks at the totals all the time, so that faults that overlap each have their own account. */
export class Watch {
  readonly #heard: () => Heard;
  readonly #timer: NodeJS.Timeout;
  readonly #open = new Set<Account>();
  #last = 0;

  constructor(heard: () => Heard) {
    this.#heard = heard;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  begin(): Account {
    const account = new Account(this.#heard(), (done) => {
      this.#open.delete(done);
      return this.#heard();
    });
    this.#open.add(account);
    return account;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { acknowledged } = this.#heard();
    const now = systemClock.elapsed();
    const heard = acknowledged !== this.#last;
    this.#last = acknowledged;
    for (const account of this.#open) account.look(now, heard, acknowledged);
  }
}

export class Account {
  readonly #begun: Heard;
  readonly #close: (account: Account) => Heard;
  #atEnd = -1;
  #heardAt = systemClock.elapsed();
  #silence = 0;
  #acknowledged: number;

  constructor(begun: Heard, close: (account: Account) => Heard) {
    this.#begun = begun;
    this.#acknowledged = begun.acknowledged;
    this.#close = close;
  }

  look(now: number, heard: boolean, acknowledged: number): void {
    if (heard) this.#heardAt = now;
    this.#silence = Math.max(this.#silence, now - this.#heardAt);
    this.#acknowledged = acknowledged;
  }

  /** The fault is over; what follows is its aftermath. */
  over(): void {
    this.#atEnd = this.#acknowledged;
  }

  close(): Noticed {
    const { acknowledged, reconnects } = this.#close(this);
    const atEnd = this.#atEnd < 0 ? acknowledged : this.#atEnd;
    return {
      acknowledgedDuring: atEnd - this.#begun.acknowledged,
      acknowledgedAfter: acknowledged - atEnd,
      longestSilenceMs: Math.round(this.#silence),
      reconnects: reconnects - this.#begun.reconnects,
    };
  }
}
