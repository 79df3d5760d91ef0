import { createHash, randomBytes } from 'node:crypto';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import { attempt, CONTENDED } from '../state/attempt.ts';
import { entries } from '../state/pages.ts';
import type { Op, StateStore } from '../state/store.ts';
import { byId, TypedTable } from '../state/table.ts';

/**
 * What a token may do. `read`: look at everything but where devices are. `locations`: look at that, too. `commands`: send commands. `engine`: also those that switch
 * the engine or an output. `custom`: also the device's own language, and sending the device elsewhere (`fleet/command/critical.ts`). `devices`: make, change and remove devices. `plans`: the same of plans. `erase`: erase what devices
 * have sent. `admin`: everything.
 */
export const SCOPES = ['read', 'locations', 'commands', 'engine', 'custom', 'devices', 'plans', 'erase', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

export interface Token {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Epoch ms. */
  readonly created: number;
  /** Accounts that it is limited to (`reach.ts`); absent: it is not. */
  readonly accounts?: readonly string[] | undefined;
  /** From then on it is refused, epoch ms; absent: until it is revoked. */
  readonly expires?: number | undefined;
}

/** By the SHA-256 of its text, hex. Entries of the names, `name <name>`, are not tokens. */
const TOKENS = new TypedTable<Token>({ name: 'tokens', key: byId, parse: parseToken });

/**
 * Makes a token and returns its text, which is kept nowhere: the table `tokens` has its hash, and the name, which one token has.
 * Throws AppError USAGE when there is a token of that name.
 */
export async function createToken(store: StateStore, token: Token): Promise<string> {
  const text = `fg_${randomBytes(24).toString('base64url')}`;
  const key = hashOf(text);
  // A token of an earlier version has no entry for its name.
  const isTaken = (await listTokens(store)).some(({ name }) => name === token.name);
  const made =
    !isTaken &&
    (await store.write([
      { table: 'tokens', key: nameKey(token.name), expect: undefined },
      { table: 'tokens', key: nameKey(token.name), put: JSON.stringify({ hash: key }) },
      { table: 'tokens', key, put: JSON.stringify(token) },
    ]));
  if (!made) throw new AppError('USAGE', `token "${token.name}" already exists; revoke it first or choose another name`);
  return text;
}

export async function listTokens(store: StateStore): Promise<Token[]> {
  const found: Token[] = [];
  for await (const [, token] of TOKENS.entries(store)) found.push(token);
  return found;
}

/** Removes all tokens of that name; returns how many there were. */
export async function revokeToken(store: StateStore, name: string): Promise<number> {
  return attempt(`the token "${name}"`, async () => {
    const found: { readonly key: string; readonly value: string }[] = [];
    for await (const [key, value] of entries(store, 'tokens')) if (TOKENS.read(value)?.name === name) found.push({ key, value });
    const ops = found.flatMap(({ key, value }): Op[] => [
      { table: 'tokens', key, expect: value },
      { table: 'tokens', key, remove: true },
    ]);
    ops.push({ table: 'tokens', key: nameKey(name), remove: true });
    return (await store.write(ops)) ? found.length : CONTENDED;
  });
}

/** Whose token it is; undefined for none of ours, and for one that has expired. */
export async function findToken(store: StateStore, text: string): Promise<Token | undefined> {
  return tokenAt(store, hashOf(text));
}

/** The same by the hash of its text. */
export async function tokenAt(store: StateStore, hash: string): Promise<Token | undefined> {
  const token = TOKENS.read(await store.get('tokens', hash));
  return token?.expires !== undefined && systemClock.now() >= token.expires ? undefined : token;
}

export function allows(token: Token, scope: Scope): boolean {
  return token.scopes.includes('admin') || token.scopes.includes(scope);
}

/** How the texts of tokens, codes and sessions are kept. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function nameKey(name: string): string {
  return `name ${name}`;
}

function parseToken(text: string): Token | undefined {
  const value: unknown = jsonOf(text);
  return isToken(value) ? value : undefined;
}

function isToken(value: unknown): value is Token {
  if (typeof value !== 'object' || value === null || !('name' in value) || !('scopes' in value) || !Array.isArray(value.scopes))
    return false;
  // A limit that cannot be read is none to be without.
  if ('accounts' in value && !(Array.isArray(value.accounts) && value.accounts.every((one) => typeof one === 'string'))) return false;
  return !('expires' in value) || typeof value.expires === 'number';
}
