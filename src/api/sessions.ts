import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { entries } from '../state/pages.ts';
import type { Op, StateStore } from '../state/store.ts';
import { byId, rowsOf, TypedTable } from '../state/table.ts';
import { findToken, hashOf, SCOPES, type Scope, type Token, tokenAt } from './tokens.ts';

/**
 * Sign-in of people: a code that works once, or a token, makes a session, whose text is a bearer token like any other.
 *
 * 1. Texts of codes and sessions are kept nowhere: the tables have their SHA-256.
 * 2. A code makes one session: it is taken out in the write that puts the session, by whichever server.
 * 3. A session made from a token may do what the token may now, and ends with it.
 * 4. A session ends IDLE_MS after its last use, and at `expires` in any case.
 */
export const CODE_MS = 10 * 60_000;
export const SESSION_MS = 7 * 86_400_000;
const IDLE_MS = 12 * 3_600_000;
/** How often its last use is written. */
const SEEN_MS = 60_000;
/** 144 bits. */
const RANDOM_BYTES = 18;
/** Marks a bearer token as the text of a session. */
const PREFIX = 'fgs_';

const scopes = z.array(z.enum(SCOPES));
const codeRow = z.object({
  name: z.string(),
  scopes,
  /** When the code ends. */
  expires: z.int(),
  /** Lifetime of the session that it makes. */
  session_ms: z.int(),
});
const sessionRow = z.object({
  name: z.string(),
  scopes,
  /** Key of the token that it was made from. */
  of: z.string().optional(),
  created: z.int(),
  seen: z.int(),
  expires: z.int(),
});

const CODES = new TypedTable({ name: 'codes', key: byId, parse: rowsOf(codeRow) });
const SESSIONS = new TypedTable({ name: 'sessions', key: byId, parse: rowsOf(sessionRow) });

export interface Session extends Token {
  /** Epoch ms. */
  readonly expires: number;
  /** Of its row. */
  readonly key: string;
}

/** Makes a code and returns its text. */
export async function createCode(store: StateStore, may: readonly Scope[], sessionMs = SESSION_MS): Promise<string> {
  const text = randomBytes(RANDOM_BYTES).toString('base64url');
  const now = systemClock.now();
  const row = { name: 'console', scopes: [...may], expires: now + CODE_MS, session_ms: sessionMs };
  await store.write([...(await ended(store, now)), CODES.put(row, hashOf(text))]);
  return text;
}

/** A session for who has the code. Undefined for a code that is not one, any more or not yet. */
export async function signInByCode(store: StateStore, code: string): Promise<{ text: string; session: Session } | undefined> {
  const key = hashOf(code);
  const value = await store.get('codes', key);
  const found = CODES.read(value);
  const now = systemClock.now();
  if (found === undefined || now >= found.expires) return undefined;
  const { name, scopes: may, session_ms } = found;
  return made(store, { name, scopes: may, created: now, seen: now, expires: now + session_ms }, [
    CODES.expect(value, key),
    CODES.remove(key),
  ]);
}

/** A session for who has the token; undefined for none of ours. */
export async function signInByToken(store: StateStore, text: string): Promise<{ text: string; session: Session } | undefined> {
  const token = await findToken(store, text);
  if (token === undefined) return undefined;
  const now = systemClock.now();
  const { name, scopes: may, accounts, expires = Number.POSITIVE_INFINITY } = token;
  const row = { name, scopes: [...may], of: hashOf(text), created: now, seen: now, expires: Math.min(expires, now + SESSION_MS) };
  const found = await made(store, row, []);
  return found === undefined || accounts === undefined ? found : { ...found, session: { ...found.session, accounts } };
}

/** Undefined: there is no such session, or it has ended. */
export async function findSession(store: StateStore, text: string): Promise<Session | undefined> {
  if (!text.startsWith(PREFIX)) return undefined;
  const key = hashOf(text);
  const value = await store.get('sessions', key);
  const row = SESSIONS.read(value);
  const now = systemClock.now();
  if (row === undefined || hasEnded(row, now)) return undefined;
  const { name, created, expires, of } = row;
  const token = of === undefined ? undefined : await tokenAt(store, of);
  if (of !== undefined && token === undefined) return undefined;
  const limits = token?.accounts === undefined ? {} : { accounts: token.accounts };
  // Another request that comes at the same time may have written it, or the session has been ended: both are as good.
  if (now - row.seen >= SEEN_MS) await store.write([SESSIONS.expect(value, key), SESSIONS.put({ ...row, seen: now }, key)], 'visible');
  return { name, scopes: token?.scopes ?? row.scopes, created, expires: Math.min(expires, token?.expires ?? expires), key, ...limits };
}

/** Ends it. */
export async function signOut(store: StateStore, { key }: Session): Promise<void> {
  await store.write([SESSIONS.remove(key)]);
}

export function isSession(token: Token): token is Session {
  return 'key' in token;
}

async function made(
  store: StateStore,
  row: z.infer<typeof sessionRow>,
  taken: readonly Op[],
): Promise<{ text: string; session: Session } | undefined> {
  const text = `${PREFIX}${randomBytes(RANDOM_BYTES).toString('base64url')}`;
  const key = hashOf(text);
  const isMade = await store.write([...taken, SESSIONS.put(row, key)]);
  const { name, scopes: may, created, expires } = row;
  return isMade ? { text, session: { name, scopes: may, created, expires, key } } : undefined;
}

/** Removes what has ended. */
async function ended(store: StateStore, now: number): Promise<Op[]> {
  const ops: Op[] = [];
  for await (const [key, value] of entries(store, 'codes')) if (now >= (CODES.read(value)?.expires ?? 0)) ops.push(CODES.remove(key));
  for await (const [key, value] of entries(store, 'sessions')) {
    const row = SESSIONS.read(value);
    if (row === undefined || hasEnded(row, now)) ops.push(SESSIONS.remove(key));
  }
  return ops;
}

function hasEnded({ seen, expires }: z.infer<typeof sessionRow>, now: number): boolean {
  return now >= expires || now - seen >= IDLE_MS;
}
