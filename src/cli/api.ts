import { AppError, messageOf } from '../base/errors.ts';
import { SecretUrl } from '../base/secret.ts';
import { io } from './io.ts';

/** Options of every command that talks to a running server. */
export const API_OPTIONS = { url: { type: 'string' }, json: { type: 'boolean', default: false } } as const;

export const API_HELP = `  --url <url>       the server, default FIXGATE_URL or http://127.0.0.1:8080
  --json            as JSON, for programs

FIXGATE_TOKEN holds the bearer token: fixgate token create --name me --scope`;

/** A body that is sent as it is. */
export interface Raw {
  readonly media: string;
  readonly bytes: string | ReadableStream<Uint8Array>;
}

/** The HTTP API of a running server. */
export class Api {
  readonly #url: SecretUrl;
  readonly #token: string | undefined;

  constructor(url: string | undefined) {
    this.#url = new SecretUrl((url ?? io().env['FIXGATE_URL'] ?? 'http://127.0.0.1:8080').replace(/\/$/, ''));
    this.#token = io().env['FIXGATE_TOKEN'];
  }

  /** What the server answers as JSON, undefined for nothing. Throws AppError with what it refuses. */
  async call(method: string, path: string, body?: object): Promise<unknown> {
    return answerOf(
      await this.#fetch(method, path, body === undefined ? undefined : { media: 'application/json', bytes: JSON.stringify(body) }),
    );
  }

  /** The same; undefined when what the path names is not there. */
  async find(method: string, path: string, body?: object): Promise<unknown> {
    const response = await this.#fetch(
      method,
      path,
      body === undefined ? undefined : { media: 'application/json', bytes: JSON.stringify(body) },
    );
    // Nothing to say, and yet it was there.
    return response.status === 404 ? undefined : ((await answerOf(response)) ?? null);
  }

  async send(path: string, raw: Raw): Promise<unknown> {
    return answerOf(await this.#fetch('POST', path, raw));
  }

  /** The body as it comes; undefined when what the path names is not there. */
  async text(path: string, more: Readonly<Record<string, string>> = {}): Promise<AsyncIterable<Uint8Array> | undefined> {
    const response = await this.#fetch('GET', path, undefined, more);
    if (response.status === 404) return undefined;
    if (!response.ok || response.body === null) throw refusal(await response.json().catch(() => undefined), response.status);
    return response.body;
  }

  /** The answer to a POST, as it comes. */
  async stream(path: string, body: object): Promise<AsyncIterable<Uint8Array>> {
    const response = await this.#fetch('POST', path, { media: 'application/json', bytes: JSON.stringify(body) });
    if (!response.ok || response.body === null) throw refusal(await response.json().catch(() => undefined), response.status);
    return response.body;
  }

  async #fetch(method: string, path: string, raw: Raw | undefined, more: Readonly<Record<string, string>> = {}): Promise<Response> {
    const headers: Record<string, string> = { ...more, ...(raw === undefined ? {} : { 'content-type': raw.media }) };
    if (this.#token !== undefined) headers['authorization'] = `Bearer ${this.#token}`;
    const body = raw === undefined ? {} : { body: raw.bytes, duplex: 'half' as const };
    try {
      return await fetch(`${this.#url.reveal()}${path}`, { method, headers, ...body });
    } catch (error) {
      throw new AppError(
        'SINK_UNREACHABLE',
        `no server answers at ${this.#url} (${this.#url.scrub(messageOf(error))}); start it, or use --url`,
        error,
      );
    }
  }
}

async function answerOf(response: Response): Promise<unknown> {
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok) return answer;
  throw refusal(answer, response.status);
}

function refusal(answer: unknown, status: number): AppError {
  return new AppError(status >= 500 ? 'SINK_UNREACHABLE' : 'USAGE', said(answer, status));
}

/** A problem document in one line. */
function said(answer: unknown, status: number): string {
  if (typeof answer !== 'object' || answer === null || !('title' in answer)) return `the server answered ${status}`;
  const problems = 'problems' in answer && Array.isArray(answer.problems) ? answer.problems : [];
  return [String(answer.title), ...problems.map(problemText)].join('; ');
}

/** `field what is wrong with it`. */
export function problemText(one: unknown): string {
  return typeof one === 'object' && one !== null ? `${Reflect.get(one, 'field')} ${Reflect.get(one, 'problem')}` : '';
}
