import { batch, computed, signal } from '@preact/signals';
import { call, onSignedOut, token } from './api.ts';
import { place, replace, to } from './route.ts';

/** Who is signed in. The session is a bearer token of this browser: there is no cookie, which other ports of the host would be sent. */
export interface Session {
  readonly token: string;
  readonly name: string;
  readonly scopes: readonly string[];
  /** That it is limited to; absent: it is not. */
  readonly accounts?: readonly string[];
  readonly expires?: number;
}

const KEY = 'fixgate.session';
export const session = signal<Session | undefined>(undefined);
/** Why the sign-in page is shown again, '' for no reason. */
export const reason = signal('');
/** Not decided yet: a code is being tried. */
export const isSigningIn = signal(false);

const scopes = computed(() => new Set(session.value?.scopes));

export function may(scope: string): boolean {
  return scopes.value.has('admin') || scopes.value.has(scope);
}

/** Only devices of some accounts are seen (docs/accounts.md). */
export function isLimited(): boolean {
  return session.value?.accounts !== undefined;
}

/** What tokens that are limited to accounts are refused, whatever their scopes. */
export function mayAsOperator(scope: string): boolean {
  return may(scope) && !isLimited();
}

/** The screen that is shown first. */
export function home(): string {
  if (!isLimited()) return 'now';
  return may('locations') ? 'map' : 'devices';
}

export async function signIn(given: { readonly code?: string; readonly token?: string }): Promise<void> {
  isSigningIn.value = true;
  try {
    keep(await call<Session>('POST', '/v1/session', given));
    reason.value = '';
  } finally {
    isSigningIn.value = false;
  }
}

export async function signOut(): Promise<void> {
  await call('DELETE', '/v1/session').catch(() => {});
  forget('');
}

/** At the start: the code of the link, else the session of before. */
export async function begin(): Promise<void> {
  onSignedOut(() => forget('The session has ended.'));
  const code = /^#code=([\w-]+)$/.exec(location.hash)?.[1];
  const kept = restored();
  if (kept !== undefined) enter(kept);
  // A second tab of the browser signs out the first one, too.
  addEventListener('storage', ({ key, newValue }) => {
    if (key === KEY && newValue === null) forget('');
  });
  if (code === undefined) {
    if (kept !== undefined) await refresh(kept);
    return;
  }
  // At once: the code must not stay in the history or be copied with the address.
  replace(to(''));
  try {
    await signIn({ code });
  } catch (error) {
    reason.value = error instanceof Error ? error.message : String(error);
  }
}

/** What the session may do now; one that has ended is forgotten on the way. */
async function refresh(kept: Session): Promise<void> {
  const now = await call<Omit<Session, 'token'>>('GET', '/v1/session').catch(() => undefined);
  if (now !== undefined && token.value === kept.token) keep({ ...now, token: kept.token });
}

function restored(): Session | undefined {
  try {
    const value: Partial<Session> | null = JSON.parse(localStorage.getItem(KEY) ?? 'null');
    const { token: text, name, scopes: allowed } = value ?? {};
    return typeof text === 'string' && typeof name === 'string' && Array.isArray(allowed)
      ? { ...value, token: text, name, scopes: allowed }
      : undefined;
  } catch {
    return undefined;
  }
}

function keep(value: Session): void {
  localStorage.setItem(KEY, JSON.stringify(value));
  enter(value);
}

/** The address names a screen before anything is asked for. */
function enter(value: Session): void {
  batch(() => {
    token.value = value.token;
    session.value = value;
    if (place.value.screen === '') replace(to(home()));
  });
}

function forget(why: string): void {
  localStorage.removeItem(KEY);
  token.value = '';
  session.value = undefined;
  reason.value = why;
}
