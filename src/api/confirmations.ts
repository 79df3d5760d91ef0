import type { FastifyReply } from 'fastify';
import { systemClock } from '../base/clock.ts';
import { problem } from './problem.ts';
import type { Token } from './tokens.ts';

const CONFIRM_MS = 120_000;
const MOST_WAITING = 1_000;

/** Requests that take a second one, with the key that the first was answered with (`commands.confirm`). */
export class Confirmations {
  readonly isNeeded: boolean;
  readonly #asked = new Map<string, { readonly what: string; readonly until: number }>();

  constructor(isNeeded: boolean) {
    this.isNeeded = isNeeded;
  }

  /** Does the key stand for the same request of the same token? It is good for one. */
  isGiven(key: string | undefined, token: Token, device: string, wanted: object): boolean {
    const asked = key === undefined ? undefined : this.#asked.get(key);
    if (key === undefined || asked === undefined) return false;
    this.#asked.delete(key);
    return asked.what === whatOf(token, device, wanted) && systemClock.elapsed() < asked.until;
  }

  ask(reply: FastifyReply, token: Token, device: string, wanted: object): FastifyReply {
    const [first] = this.#asked.keys();
    if (first !== undefined && this.#asked.size >= MOST_WAITING) this.#asked.delete(first);
    const key = crypto.randomUUID();
    this.#asked.set(key, { what: whatOf(token, device, wanted), until: systemClock.elapsed() + CONFIRM_MS });
    const title = `confirmation required: repeat the request with \`confirm\` within ${CONFIRM_MS / 1000} s`;
    return problem(reply, 428, title, [{ field: 'confirm', problem: `must be "${key}"` }], { confirm: key });
  }
}

function whatOf(token: Token, device: string, wanted: object): string {
  return JSON.stringify([token.name, device, wanted]);
}
