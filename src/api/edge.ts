import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { systemClock } from '../base/clock.ts';
import { systemCode } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { problem } from './problem.ts';

/**
 * What is true of every request, before any route: where it may be meant for, how long it may take, and what is answered when it does not
 * come to a route.
 *
 * 1. A name in `Host` that is not this server's is refused: a web page whose name was made to lead here cannot use the API. Addresses are
 *    taken, for no page can have one as its name.
 * 2. Every refusal is a problem document, also of what is not HTTP.
 * 3. Nothing waits without bound: the head of a request, its body, a body that comes though the request was refused.
 */

/** Paths of machines that look after this one, by whatever name they call it. */
const WATCHED = ['/metrics', '/healthz', '/readyz'];
export const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/;

export interface EdgeOptions {
  /** Address listened on. */
  readonly host: string;
  /** URL under which people and programs reach the server, '' for none. */
  readonly publicUrl: string;
}

export function guardEdge(server: FastifyInstance, options: EdgeOptions): void {
  const known = ['localhost', options.host.toLowerCase(), URL.parse(options.publicUrl)?.hostname ?? ''];
  // Without a public URL, a request without a name is not one for this server.
  const names = new Set(known.filter((name) => name !== ''));
  const isOpen = !LOOPBACK.test(options.host);
  server.addHook('onRequest', async (request, reply) => {
    const { hostname } = request;
    const isWatched = isOpen && WATCHED.includes(request.url.split('?')[0] ?? '');
    if (isWatched || isAddress(hostname) || names.has(hostname.toLowerCase())) return;
    // Of HTTP/1.0, which no page can send.
    if (hostname === '' && request.raw.httpVersion === '1.0') return;
    const title = hostname === '' ? 'missing Host header' : 'unknown Host: set http.publicUrl to the public URL of this server';
    return problem(reply, hostname === '' ? 400 : 421, title);
  });
  server.addHook('onSend', async (request, reply) => {
    // Refused before its body was read: the connection cannot go on, and does not wait for the rest.
    if (hasBody(request) && !request.raw.complete) reply.header('connection', 'close');
  });
}

/** Answers 408 when the body has not come in time. For routes that gather it before they run. */
export function limitBody(request: FastifyRequest, reply: FastifyReply, bodyMs: number): void {
  if (!hasBody(request)) return;
  const late = setTimeout(() => {
    if (!request.raw.complete && !reply.sent) problem(reply, 408, `request body timed out after ${bodyMs / 1000} s`);
  }, bodyMs);
  const done = (): void => clearTimeout(late);
  request.raw.once('end', done);
  request.raw.once('close', done);
}

/** What Node could not read as a request, or waited for too long. */
export function refuseRaw(error: Error, socket: Duplex): void {
  if (systemCode(error) === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, title] =
    systemCode(error) === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? [408, 'request timed out']
      : systemCode(error) === 'HPE_HEADER_OVERFLOW'
        ? [431, 'request head too large']
        : [400, 'not an HTTP request'];
  const body = JSON.stringify({ type: 'about:blank', status, title });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'content-type: application/problem+json; charset=utf-8',
    `content-length: ${body.length}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function isAddress(hostname: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(hostname) || /^\[[0-9a-f:.]+\]$/i.test(hostname);
}

const WINDOW_MS = 60_000;
/** Addresses remembered. */
const MOST_ADDRESSES = 10_000;

/** Wrong tokens or codes by address: bounded, and said once a minute. */
export class WrongTokens {
  readonly #log: Log;
  readonly #most: number;
  readonly #message: string;
  readonly #wrong = new Map<string, { count: number; readonly until: number }>();

  /** `most`: of one address in a minute, beyond which it has to wait. */
  constructor(log: Log, most: number, message: string) {
    this.#log = log;
    this.#most = most;
    this.#message = message;
  }

  /** Seconds that the address has to wait, 0 for none. */
  waitOf(address: string): number {
    const found = this.#wrong.get(address);
    const left = (found?.until ?? 0) - systemClock.elapsed();
    return found !== undefined && found.count >= this.#most && left > 0 ? Math.ceil(left / 1000) : 0;
  }

  note(address: string): void {
    const now = systemClock.elapsed();
    const found = this.#wrong.get(address);
    if (found !== undefined && found.until > now) {
      found.count++;
      return;
    }
    if (this.#wrong.size >= MOST_ADDRESSES) this.#wrong.clear();
    this.#wrong.delete(address);
    this.#wrong.set(address, { count: 1, until: now + WINDOW_MS });
    this.#log.warn({ address }, this.#message);
  }
}
