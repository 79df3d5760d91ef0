import { inspect } from 'node:util';

/**
 * Values that must not reach a log, an error text or an answer. Printing one in any way (template, JSON, console,
 * pino) gives its harmless form; `reveal` gives the value, for the library that needs it and for nothing else.
 * Between processes they travel as what `reveal` gives (`config/pack.ts`).
 */

/** Shorter ones are not looked for in texts: they would take ordinary letters out. */
const SHORTEST = 3;
const HIDDEN = '***';

/** A password or key. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  get isEmpty(): boolean {
    return this.#text === '';
  }

  /** The text of another program with this secret replaced in it. */
  scrub(text: string): string {
    return scrub(text, [this.#text]);
  }

  toString(): string {
    return this.#text === '' ? '' : HIDDEN;
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

/** A URL that may carry a user, a password or a key in its query. Printed as scheme, host, port and path. */
export class SecretUrl {
  readonly #text: string;
  readonly #shown: string;

  constructor(text: string) {
    this.#text = text;
    const url = parsed(text);
    // A path is a socket of this machine, which Redis clients take instead of a URL.
    this.#shown = text.startsWith('/') ? (text.split('?')[0] ?? '') : url === null ? HIDDEN : withoutSecrets(url);
  }

  reveal(): string {
    return this.#text;
  }

  /** The scheme with its colon, '' when the text is not a URL. */
  get protocol(): string {
    return parsed(this.#text)?.protocol ?? '';
  }

  get hasPassword(): boolean {
    return (parsed(this.#text)?.password ?? '') !== '';
  }

  get hasHost(): boolean {
    return (parsed(this.#text)?.host ?? '') !== '';
  }

  /** The text of another program with everything secret of this URL replaced in it. */
  scrub(text: string): string {
    const url = parsed(this.#text);
    if (url === null) return scrub(text, [this.#text]);
    const query = [...url.searchParams.values()];
    const inside = [url.href, url.search, url.password, decoded(url.password), ...query, ...query.map(encodeURIComponent)];
    return scrub(text.replaceAll(this.#text, this.#shown), inside);
  }

  toString(): string {
    return this.#shown;
  }

  toJSON(): string {
    return this.#shown;
  }

  [inspect.custom](): string {
    return this.#shown;
  }
}

/** Undefined for ''. */
export function secretUrl(text: string): SecretUrl | undefined {
  return text === '' ? undefined : new SecretUrl(text);
}

function parsed(text: string): URL | null {
  return URL.parse(text);
}

/** Some schemes have no host (`mailto:`, or `localhost:8123` read as one): their rest may be anything. */
function withoutSecrets(url: URL): string {
  return url.host === '' ? HIDDEN : `${url.protocol}//${url.host}${url.pathname === '/' ? '' : url.pathname}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Long ones first: one may be part of another. */
function scrub(text: string, secrets: readonly string[]): string {
  const found = secrets.filter((secret) => secret.length >= SHORTEST).sort((a, b) => b.length - a.length);
  return found.reduce((clean, secret) => clean.replaceAll(secret, HIDDEN), text);
}
