import { messageOf } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import type { Secret, SecretUrl } from '../../base/secret.ts';

export interface GatewayOptions {
  /** Like Twilio's Messages API, a JSON body, or all of it in the URL. */
  readonly form: 'twilio' | 'json' | 'get';
  readonly url: SecretUrl;
  /** Number that the messages come from, or id of a messaging service (`MG…`) of Twilio. */
  readonly from: string;
  readonly user: string;
  readonly token: Secret;
}

/** What has become of a message. `note`: for people. */
export type Handed =
  | { readonly is: 'taken'; readonly id: string }
  /** It has not left, and will not. */
  | { readonly is: 'refused'; readonly note: string }
  /** It has not left; it may be handed in again after so long. */
  | { readonly is: 'later'; readonly note: string; readonly pauseMs: number }
  /** It may have left. */
  | { readonly is: 'unknown'; readonly note: string };

const TIMEOUT_MS = 15_000;
const PAUSE_MS = 30_000;
const LONGEST_PAUSE_MS = 600_000;
/** Of its answer. */
const MOST_TOLD = 200;
/** Twilio takes up to so many seconds. */
const LONGEST_VALIDITY_S = 14_400;
/** Nothing was said to the gateway. */
const UNREACHED: readonly string[] = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'];

export class TextGateway {
  readonly #o: GatewayOptions;
  readonly #timeoutMs: number;

  constructor(options: GatewayOptions, timeoutMs = TIMEOUT_MS) {
    this.#o = options;
    this.#timeoutMs = timeoutMs;
  }

  /** Hands one message over, once. `forMs`: for how long it is of use. */
  async hand(to: string, text: string, forMs: number): Promise<Handed> {
    try {
      const { url, ...init } = this.#request(to, text, forMs);
      const response = await fetch(url, { ...init, signal: AbortSignal.timeout(this.#timeoutMs), redirect: 'manual' });
      return this.#read(response.status, response.headers.get('retry-after'), await response.text());
    } catch (error) {
      const code = codeOf(error);
      if (UNREACHED.includes(code)) return { is: 'later', note: `the gateway cannot be reached: ${code}`, pauseMs: PAUSE_MS };
      return { is: 'unknown', note: this.#told('the gateway did not answer', code || messageOf(error)) };
    }
  }

  #request(to: string, text: string, forMs: number): { url: string; method: string; headers: Record<string, string>; body?: string } {
    const { form, from, user, token } = this.#o;
    const fields: Readonly<Record<string, string>> = { to, from, text, token: token.reveal() };
    const url = this.#o.url.reveal().replace(/\{(to|from|text|token)\}/g, (_, name: string) => encodeURIComponent(fields[name] ?? ''));
    const bearer = token.isEmpty ? '' : `Bearer ${token.reveal()}`;
    const authorization = user === '' ? bearer : `Basic ${Buffer.from(`${user}:${token.reveal()}`).toString('base64')}`;
    const allowed: Record<string, string> = authorization === '' ? {} : { authorization };
    if (form === 'get') return { url, method: 'GET', headers: allowed };
    if (form === 'json')
      return { url, method: 'POST', headers: { ...allowed, 'content-type': 'application/json' }, body: JSON.stringify({ to, from, text }) };
    const validity = String(Math.min(LONGEST_VALIDITY_S, Math.max(1, Math.ceil(forMs / 1000))));
    const sender = from.startsWith('MG') ? { MessagingServiceSid: from } : { From: from };
    const body = new URLSearchParams({ To: to, ...sender, Body: text, ValidityPeriod: validity }).toString();
    return { url, method: 'POST', headers: { ...allowed, 'content-type': 'application/x-www-form-urlencoded' }, body };
  }

  #read(status: number, retryAfter: string | null, body: string): Handed {
    const answer: unknown = jsonOf(body);
    const field = (name: string): string => {
      const value: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, name) : undefined;
      return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
    };
    if (status >= 200 && status < 300) return { is: 'taken', id: (field('sid') || field('id')).slice(0, MOST_TOLD) };
    const note = this.#told(`the gateway answered ${status}`, `${field('code')} ${field('message')}`.trim());
    // Too many, or not let in: that can change while the command waits.
    if (status === 429 || status === 401) {
      const seconds = Number(retryAfter ?? '');
      const pauseMs = seconds > 0 ? Math.min(LONGEST_PAUSE_MS, 1000 * seconds) : PAUSE_MS;
      return { is: 'later', note, pauseMs };
    }
    return { is: status >= 500 || status === 408 ? 'unknown' : 'refused', note };
  }

  /** Without what is secret, which an answer may repeat. */
  #told(what: string, more: string): string {
    const clean = this.#o.url.scrub(this.#o.token.scrub(more)).replace(/[^\x20-\x7e]/g, '.');
    return clean === '' ? what : `${what}: ${clean.slice(0, MOST_TOLD)}`;
  }
}

/** Of the system's error below that of fetch. */
function codeOf(error: unknown): string {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  const code: unknown = typeof cause === 'object' && cause !== null ? Reflect.get(cause, 'code') : undefined;
  return typeof code === 'string' ? code : '';
}

/** Undefined without a URL. */
export function gatewayOf(options: Omit<GatewayOptions, 'url'> & { readonly url: SecretUrl | undefined }): TextGateway | undefined {
  const { url } = options;
  return url === undefined ? undefined : new TextGateway({ ...options, url });
}
