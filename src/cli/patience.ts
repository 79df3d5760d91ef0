import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '../base/errors.ts';
import { io } from './io.ts';

export const RETRY_MS = 1_000;

/**
 * For commands that follow a server until Ctrl-C: one that was there and is away is asked again until it is back. Both are said once. A
 * server that never was there is an error of the command line, and so is what it refuses.
 */
export class Patience {
  readonly #say: (text: string) => void;
  #wasThere = false;
  #isAway = false;

  constructor(say: (text: string) => void = tell) {
    this.#say = say;
  }

  async until<T>(ask: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const answer = await ask();
        if (this.#isAway) this.#say('the server is back');
        this.#wasThere = true;
        this.#isAway = false;
        return answer;
      } catch (error) {
        if (!this.#wasThere || !(error instanceof AppError) || error.code !== 'SINK_UNREACHABLE') throw error;
        if (!this.#isAway) this.#say(`${error.message}; it is asked again every second`);
        this.#isAway = true;
      }
      await pause(RETRY_MS);
    }
  }
}

/** On standard error, so that what is piped has only what was asked for. */
export function tell(text: string): void {
  io().error.write(`fixgate: ${text}\n`);
}
