import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../base/secret.ts';

/** Signatures of gateways (docs/sms.md). */

/** How old a signed request may be, and how far ahead. */
const AGE_MS = 300_000;

/** `at`: the header, seconds or milliseconds since 1970. The signature is the hex of HMAC-SHA256 over `<at>.<body>`, with `sha256=` in front or not. */
export function isSigned(secret: Secret, at: string, body: string, signature: string, now: number): boolean {
  if (secret.isEmpty || !/^\d{10}(\d{3})?$/.test(at)) return false;
  const ms = at.length === 10 ? 1000 * Number(at) : Number(at);
  if (Math.abs(now - ms) > AGE_MS) return false;
  const expected = createHmac('sha256', secret.reveal()).update(`${at}.${body}`).digest('hex');
  return isEqual(expected, signature.toLowerCase().replace(/^sha256=/, ''));
}

/** Twilio's: base64 of HMAC-SHA1 over the URL and the parameters, sorted, each its name and value. */
export function isSignedByTwilio(token: Secret, url: string, parameters: URLSearchParams, signature: string): boolean {
  if (token.isEmpty) return false;
  const names = [...new Set(parameters.keys())].toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const text = names.map((name) =>
    [...new Set(parameters.getAll(name))]
      .toSorted()
      .map((value) => name + value)
      .join(''),
  );
  return isEqual(
    createHmac('sha1', token.reveal())
      .update(url + text.join(''))
      .digest('base64'),
    signature,
  );
}

function isEqual(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}
