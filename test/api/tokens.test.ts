import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { allows, createToken, findToken, listTokens, revokeToken, SCOPES, type Scope, type Token } from '../../src/api/tokens.ts';
import type { Op } from '../../src/state/store.ts';
import { Stores } from '../registry/stores.ts';

const stores = new Stores();
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(() => stores.clear());

const named = (name: string, scopes: readonly Scope[] = ['read']): Token => ({ name, scopes, created: 1 });

describe.each(['lmdb', 'redis'] as const)('tokens in %s', (kind) => {
  it('are valid from their making until they are revoked, for every process', async () => {
    const [store, other] = [await stores.open(kind), await stores.open(kind)];
    const [mine, theirs] = [await createToken(store, named('mine', ['read', 'engine'])), await createToken(store, named('theirs'))];
    expect(await findToken(other, mine)).toEqual(named('mine', ['read', 'engine']));
    expect(await revokeToken(other, 'mine')).toBe(1);
    expect([await findToken(store, mine), await findToken(other, mine)]).toEqual([undefined, undefined]);
    expect(await findToken(store, theirs)).toEqual(named('theirs'));
    expect(await listTokens(store)).toEqual([named('theirs')]);
    expect(await revokeToken(store, 'mine')).toBe(0);
  });

  it('of one name there is one; after it is revoked the name is free, and the old text stays invalid', async () => {
    const store = await stores.open(kind);
    const old = await createToken(store, named('me', ['admin']));
    await expect(createToken(store, named('me'))).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('"me"') });
    expect(await findToken(store, old)).toBeDefined();
    await revokeToken(store, 'me');
    const fresh = await createToken(store, named('me'));
    expect([await findToken(store, old), await findToken(store, fresh)]).toEqual([undefined, named('me')]);
  });

  it('of an earlier version, several of one name without an entry for it, are all revoked', async () => {
    const store = await stores.open(kind);
    const row = (key: string, name: string): Op => ({ table: 'tokens', key, put: JSON.stringify(named(name)) });
    await store.write([row('a'.repeat(64), 'me'), row('b'.repeat(64), 'me'), row('c'.repeat(64), 'other')]);
    expect(await revokeToken(store, 'me')).toBe(2);
    expect((await store.list('tokens', { limit: 9 })).map(({ key }) => key)).toEqual(['c'.repeat(64)]);
  });

  it('are found, listed and revoked among more than fit on a page', async () => {
    const store = await stores.open(kind);
    const many = Array.from({ length: 1_300 }, (_, n): Op => {
      const key = n.toString(16).padStart(64, '0');
      return { table: 'tokens', key, put: JSON.stringify(named(`t${n}`)) };
    });
    await store.write(many);
    expect(await listTokens(store)).toHaveLength(1_300);
    expect(await revokeToken(store, 't1299')).toBe(1);
    expect(await listTokens(store)).toHaveLength(1_299);
  });

  it('that are wrong, damaged or the entry of a name are no tokens', async () => {
    const store = await stores.open(kind);
    const text = await createToken(store, named('me'));
    const [row] = await store.list('tokens', { limit: 1 });
    for (const wrong of ['', 'me', 'name me', `${text} `, text.slice(0, -1), row?.key ?? ''])
      expect(await findToken(store, wrong)).toBeUndefined();
    await store.write([{ table: 'tokens', key: row?.key ?? '', put: '{"name":"me"' }]);
    expect([await findToken(store, text), await listTokens(store)]).toEqual([undefined, []]);
  });

  it('keep no text: what is stored does not contain it', async () => {
    const store = await stores.open(kind);
    const text = await createToken(store, named('me'));
    expect(text).toMatch(/^fg_[\w-]{32}$/);
    expect(JSON.stringify(await store.list('tokens', { limit: 9 }))).not.toContain(text.slice(3));
  });
});

describe('scopes', () => {
  it.each(SCOPES)('%s allows itself and nothing else, unless it is admin', (scope) => {
    expect(SCOPES.filter((other) => allows(named('x', [scope]), other))).toEqual(scope === 'admin' ? SCOPES : [scope]);
  });

  it('none allows nothing', () => {
    expect(SCOPES.filter((scope) => allows(named('x', []), scope))).toEqual([]);
  });
});
