/** Which requests the embedded ClickHouse answers at all: invariant 1 of `clickhouse.ts`. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { type Exception, exception } from './exception.ts';

const FROM_A_PAGE = exception(497, 'ACCESS_DENIED', 'Requests of web pages are refused');
const FOREIGN_HOST = exception(497, 'ACCESS_DENIED', 'The Host of a request must be a loopback name');
const NO_SECRET = {
  ...exception(
    516,
    'AUTHENTICATION_FAILED',
    'Send the user default and the secret of the data directory (fixgate clickhouse url says where it is) in the headers ' +
      'X-ClickHouse-User and X-ClickHouse-Key, or as basic authorization; or use fixgate sql',
  ),
  // No browser may keep a password for this: there is no WWW-Authenticate.
  status: 401,
};

/** Why a request is not answered, or null (invariant 1). */
export function refusalOf(request: IncomingMessage, allowed: Buffer): Exception | null {
  // A browser adds these, and no page can take them away; a name that DNS points here is another name in Host.
  if (request.headers.origin !== undefined || request.headers['sec-fetch-site'] !== undefined) return FROM_A_PAGE;
  if (!isLoopback(hostOf(`http://${header(request, 'host')}`))) return FOREIGN_HOST;
  return mayEnter(request, allowed) ? null : NO_SECRET;
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname.replaceAll(/[[\]]/g, '') : '';
}

/** The user `default` and the secret, in headers. In the URL they would end up in logs and histories: refused even when right. */
function mayEnter(request: IncomingMessage, allowed: Buffer): boolean {
  const params = new URLSearchParams(request.url?.split('?')[1] ?? '');
  if (params.has('user') || params.has('password')) return false;
  let user = header(request, 'x-clickhouse-user') || 'default';
  let password = header(request, 'x-clickhouse-key');
  const [scheme, token] = header(request, 'authorization').split(' ', 2);
  if (scheme?.toLowerCase() === 'basic' && token !== undefined) {
    const pair = Buffer.from(token, 'base64').toString();
    const colon = pair.indexOf(':');
    user = pair.slice(0, colon) || 'default';
    password = pair.slice(colon + 1);
  } else if (scheme !== '') return false;
  // Digests are of one length and say nothing about what they are of: comparing them takes the same time always.
  return timingSafeEqual(digest(password), allowed) && user === 'default';
}

/** Of a secret, to compare with. */
export function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** Header of a request or response, once. */
export function header(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return typeof value === 'string' ? value : '';
}
