import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createCode } from '../../src/api/sessions.ts';
import { createToken, revokeToken, type Scope } from '../../src/api/tokens.ts';
import { systemClock } from '../../src/base/clock.ts';
import { TABLES } from '../../src/state/store.ts';
import { type Answer, Api, fieldsOf } from './rig.ts';

let api: Api;
beforeEach(async () => {
  api = await Api.start();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await api.stop();
});

const NO_TOKEN = { authorization: '' };
const signIn = (body: object): Promise<Answer> => api.call('POST', '/v1/session', body, NO_TOKEN);
const as = (answer: Answer) => ({ authorization: `Bearer ${String(answer.body['token'])}` });
const who = (answer: Answer): Promise<Answer> => api.call('GET', '/v1/session', undefined, as(answer));
/** The clock of the server goes on by so much. */
function later(ms: number): void {
  const at = Date.now() + ms;
  vi.spyOn(systemClock, 'now').mockImplementation(() => at);
}
const newToken = (name: string, scopes: readonly Scope[]) => createToken(api.office.state, { name, scopes, created: 1 });
const HOUR = 3_600_000;

describe('a code', () => {
  it('makes one session, invariant 2', async () => {
    const code = await createCode(api.office.state, ['read', 'devices']);
    expect(code).toMatch(/^[\w-]{24}$/);
    const answers = await Promise.all([1, 2, 3].map(() => signIn({ code })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 401, 401]);
    const [made = answers[0]] = answers.filter(({ status }) => status === 201);
    expect(made?.body).toEqual({
      token: expect.stringMatching(/^fgs_[\w-]{24}$/),
      name: 'console',
      scopes: ['read', 'devices'],
      expires: expect.any(Number),
    });
    if (made === undefined) throw new Error('no session');
    const { token, ...rest } = made.body;
    expect((await who(made)).body).toEqual(rest);
    expect((await api.call('GET', '/v1/devices', undefined, as(made))).status).toBe(200);
    expect((await api.call('GET', '/v1/devices/d-1/data', undefined, as(made))).status).toBe(403);
    expect((await signIn({ code })).status).toBe(401);
  });

  it('ends after ten minutes', async () => {
    const code = await createCode(api.office.state, ['read']);
    later(10 * 60_000 + 1000);
    expect(await signIn({ code })).toMatchObject({ status: 401, body: { title: expect.stringContaining('fixgate console') } });
    // The next one removes it.
    await createCode(api.office.state, ['read']);
    expect(await api.office.state.list('codes', { limit: 9 })).toHaveLength(1);
  });

  it('and the session of it are kept as hashes only, invariant 1', async () => {
    const code = await createCode(api.office.state, ['admin']);
    const inTables = async (): Promise<string> =>
      JSON.stringify(await Promise.all(TABLES.map((table) => api.office.state.list(table, { limit: 100 }))));
    expect(await inTables()).not.toContain(code);
    const token = String((await signIn({ code })).body['token']);
    expect(await inTables()).not.toContain(token.slice(4));
  });
});

describe('a session', () => {
  it('of a token may what the token may now, and ends with it, invariant 3', async () => {
    const text = await newToken('fleet', ['read']);
    const made = await signIn({ token: text });
    expect(made).toMatchObject({ status: 201, body: { name: 'fleet', scopes: ['read'] } });
    expect((await api.call('DELETE', '/v1/devices/d-1', undefined, as(made))).status).toBe(403);
    await revokeToken(api.office.state, 'fleet');
    expect((await who(made)).status).toBe(401);
    await newToken('fleet', ['devices']);
    expect((await who(made)).status).toBe(401);
  });

  it('is ended by signing out; others stay', async () => {
    const text = await newToken('fleet', ['read']);
    const [one, other] = [await signIn({ token: text }), await signIn({ token: text })];
    expect((await api.call('DELETE', '/v1/session', undefined, as(one))).status).toBe(204);
    expect([(await who(one)).status, (await who(other)).status]).toEqual([401, 200]);
    expect((await api.call('DELETE', '/v1/session')).status).toBe(409);
  });

  it('ends twelve hours after its last use, and at its end in any case, invariant 4', async () => {
    const made = await signIn({ code: await createCode(api.office.state, ['read'], 30 * HOUR) });
    for (const hours of [11, 22, 29]) {
      later(hours * HOUR);
      expect([hours, (await who(made)).status]).toEqual([hours, 200]);
    }
    later(30 * HOUR);
    expect((await who(made)).status).toBe(401);
    const idle = await signIn({ code: await createCode(api.office.state, ['read']) });
    later(43 * HOUR);
    expect((await who(idle)).status).toBe(401);
  });

  it('is asked for without a token, and its own token is one; a plain token may ask who it is', async () => {
    expect((await api.call('GET', '/v1/session', undefined, NO_TOKEN)).status).toBe(401);
    expect((await api.call('GET', '/v1/session')).body).toEqual({ name: 'tester', scopes: ['admin'] });
  });
});

describe('signing in', () => {
  it('is refused for wrong codes and tokens: 401, after ten in a minute 429; a right one is never refused', async () => {
    const wrong: number[] = [];
    for (let n = 0; n < 12; n++) wrong.push((await signIn(n % 2 === 0 ? { code: `wrong-${n}` } : { token: `fg_wrong-${n}` })).status);
    expect(wrong).toEqual([...Array.from({ length: 10 }, () => 401), 429, 429]);
    expect((await signIn({ code: await createCode(api.office.state, ['read']) })).status).toBe(201);
    expect((await signIn({ token: await newToken('late', ['read']) })).status).toBe(201);
    expect((await signIn({ code: 'wrong' })).status).toBe(429);
  });

  it('needs a code or a token, not both', async () => {
    for (const body of [{}, { code: 'a', token: 'b' }]) expect(fieldsOf(await signIn(body))).toEqual(['body']);
    expect(fieldsOf(await signIn({ code: 7 }))).toEqual(['code']);
    // The text of a session makes no other session.
    const made = await signIn({ code: await createCode(api.office.state, ['read']) });
    expect((await signIn({ token: made.body['token'] })).status).toBe(401);
  });
});
