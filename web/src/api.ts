import { signal } from '@preact/signals';

/** What was refused, as the problem document has it. */
export class Refusal extends Error {
  readonly status: number;
  readonly fields: readonly { readonly field: string; readonly problem: string }[];
  /** The whole document. */
  readonly body: Readonly<Record<string, unknown>>;

  constructor(status: number, body: Readonly<Record<string, unknown>>) {
    super(typeof body.title === 'string' ? body.title : `the server answered ${status}`);
    this.status = status;
    this.fields = Array.isArray(body.problems) ? body.problems : [];
    this.body = body;
  }
}

/** Bearer token of the session, '' for none. */
export const token = signal('');
/** The server does not answer. */
export const isGone = signal(false);

let signedOut: () => void = () => {};

/** Called when the server does not know the token any more. */
export function onSignedOut(listener: () => void): void {
  signedOut = listener;
}

/** The body of the answer. Throws Refusal; status 0: the server cannot be reached. */
export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await request(method, path, body === undefined ? {} : { body: JSON.stringify(body) });
  const text = await response.text();
  return JSON.parse(text === '' ? 'null' : text);
}

export function get<T>(path: string): Promise<T> {
  return call<T>('GET', path);
}

export interface Sent {
  readonly body?: string;
  /** Media type of the body, JSON if absent. */
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends the request. */
  readonly end?: AbortSignal;
}

/** The answer while it comes in. */
export async function request(method: string, path: string, sent: Sent = {}): Promise<Response> {
  const { body, type = 'application/json', headers = {}, end } = sent;
  const all: Record<string, string> = { ...headers };
  if (token.value !== '') all.authorization = `Bearer ${token.value}`;
  if (body !== undefined) all['content-type'] = type;
  let response: Response;
  try {
    response = await fetch(path, { method, headers: all, body: body ?? null, signal: end ?? null });
  } catch (error) {
    if (end?.aborted === true) throw error;
    isGone.value = true;
    throw new Refusal(0, { title: 'the server does not answer' });
  }
  isGone.value = false;
  if (response.ok) return response;
  const problem = await bodyOf(response);
  if (response.status === 401 && token.value !== '' && !(method === 'POST' && path === '/v1/session')) signedOut();
  throw new Refusal(response.status, problem);
}

/** Opens what only a bearer may have as a download: the server gives a link that works once. */
export async function download(path: string): Promise<void> {
  const { url } = await call<{ url: string }>('POST', '/v1/downloads', { path });
  const link = document.createElement('a');
  link.href = url;
  link.download = '';
  link.click();
}

async function bodyOf(response: Response): Promise<Record<string, unknown>> {
  try {
    return Object(await response.json());
  } catch {
    return {};
  }
}
