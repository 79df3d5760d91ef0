import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createToken } from '../../src/api/tokens.ts';
import { systemClock } from '../../src/base/clock.ts';
import type { Used } from '../../src/fleet/plan/statement.ts';
import { fixgate } from '../cli/command.ts';
import { Api } from './rig.ts';

/** Statements, usage, services and plans, as an operator and as two accounts see a device that was passed on in the middle of a cycle. */

const NOVEMBER = Date.UTC(2026, 10, 1);
const DECEMBER = Date.UTC(2026, 11, 1);
const DAY = 86_400_000;
const HOSTILE = `<img src=x onerror="alert('1')">&co`;
let api: Api;
let now = NOVEMBER - 5 * DAY;
const tokens: Record<string, string> = {};
const used = (n: number): Used => ({
  networks: [{ mcc: 262, mnc: 1, roaming: true, bytes_in: n, bytes_out: 0, segments: 0, datagrams: 0, records: 0 }],
  told: ['clone', 'sim_changed'].map((type, at) => ({ type, at, action: '', at_pct: 0, command: '', id: '', reason: '' })),
});

beforeAll(async () => {
  api = await Api.start();
  vi.spyOn(systemClock, 'now').mockImplementation(() => now);
  const rows: Record<string, Used> = { acme: used(600), bolt: used(40) };
  Object.assign(api.office, {
    history: { used: async (_devices: unknown, _cycle: unknown, account = '') => new Map([['d-01', rows[account]]]) },
    statements: { list: async () => [] },
  });
  await api.call('PUT', '/v1/plans/small', { bytes_cap: 1000, prorate: true, prorate_floor_pct: 25 });
  await api.call('PUT', '/v1/plans/other', { bytes_cap: 7 });
  for (const id of ['acme', 'bolt', HOSTILE]) await api.call('POST', '/v1/accounts', { id });
  expect((await api.call('PUT', '/v1/devices/d-01', { plan: 'small', account: 'acme', activates_at: now + 1 })).status).toBe(201);
  now = NOVEMBER + 10 * DAY;
  const use = (bytes_in: number) =>
    api.office.state.write([
      { table: 'usage', key: `d-01 ${NOVEMBER}`, add: { bytes_in, bytes_out: 0, segments: 0, datagrams: 0, records: 0 } },
    ]);
  await use(600);
  expect((await api.call('PATCH', '/v1/devices/d-01', { account: 'bolt' })).status).toBe(200);
  now = NOVEMBER + 15 * DAY;
  await use(40);
  for (const account of ['acme', 'bolt', 'else'])
    tokens[account] = await createToken(api.office.state, { name: account, scopes: ['read'], accounts: [account], created: now });
});
afterAll(async () => {
  vi.restoreAllMocks();
  await api.stop();
});

const as = (account: string, path: string) => api.call('GET', path, undefined, { authorization: `Bearer ${tokens[account]}` });
const list = async (account: string): Promise<Record<string, unknown>[]> =>
  Object((await as(account, '/v1/devices/d-01/statements')).body['statements']);

it('a cycle in which a device was passed on shows each account its part', async () => {
  expect(await list('bolt')).toMatchObject([
    {
      account: 'bolt',
      provisional: true,
      start: NOVEMBER + 10 * DAY,
      cycle_start: NOVEMBER,
      bytes_in: 40,
      bytes_cap: 666,
      days: { active: 5 },
    },
  ]);
  expect(await list('bolt')).toHaveLength(1);
  expect(await list('acme')).toMatchObject([
    { account: 'acme', end: NOVEMBER + 10 * DAY, bytes_in: 600, bytes_cap: 333, days: { active: 10 } },
  ]);
  expect((await as('acme', '/v1/devices/d-01/statements/2026-11')).body).toMatchObject({ account: 'acme', bytes_in: 600 });
  expect((await as('else', '/v1/devices/d-01/statements')).status).toBe(404);
  expect(Object((await api.call('GET', '/v1/devices/d-01/statements')).body['statements'])).toHaveLength(2);
});

it('its caps begin anew with its new account, and the forecast says when they will be reached', async () => {
  const { cycles } = (await as('bolt', '/v1/devices/d-01/usage')).body;
  expect(cycles).toMatchObject([{ start: NOVEMBER + 10 * DAY, end: DECEMBER, bytes_in: 40, bytes_cap: 666, expected_bytes: 160 }]);
  expect(Object(cycles)[0]).not.toHaveProperty('cap_at');
  expect((await as('acme', '/v1/devices/d-01/usage')).status).toBe(404);
  await api.call('PUT', '/v1/plans/small?effective=now', { bytes_cap: 120 });
  // 40 bytes in 5 days: 120 after 10 more.
  expect((await as('bolt', '/v1/devices/d-01/usage')).body['cycles']).toMatchObject([{ cap_at: NOVEMBER + 25 * DAY, expected_bytes: 160 }]);
  await api.call('PUT', '/v1/plans/small?effective=now', { bytes_cap: 1000, prorate: true, prorate_floor_pct: 25 });
});

it('services and plans are shown to whom they are', async () => {
  const periods = async (account: string): Promise<unknown[]> =>
    Object((await as(account, '/v1/devices/d-01/service')).body['periods']).map(({ account: of }: { account: string }) => of);
  expect([await periods('acme'), await periods('bolt')]).toEqual([['acme', 'acme'], ['bolt']]);
  expect((await as('else', '/v1/devices/d-01/service')).status).toBe(404);
  const names = async (account: string): Promise<unknown[]> =>
    Object((await as(account, '/v1/plans')).body['plans']).map(({ name }: { name: string }) => name);
  expect([await names('bolt'), await names('acme')]).toEqual([['small'], []]);
  expect((await as('bolt', '/v1/plans/small')).status).toBe(200);
  expect(Object((await as('bolt', '/v1/plans/small/versions')).body['versions']).at(-1)).toMatchObject({ by: '' });
  for (const [account, path] of [
    ['bolt', '/v1/plans/other'],
    ['bolt', '/v1/plans/other/versions'],
    ['acme', '/v1/plans/small'],
  ] as const)
    expect((await as(account, path)).status).toBe(404);
});

it('the statement of an account is the sum of its devices, and not for others', async () => {
  expect((await as('bolt', '/v1/accounts/bolt/statements/2026-11')).body).toMatchObject({
    account: 'bolt',
    cycle: '2026-11',
    provisional: true,
    devices: 1,
    bytes_in: 40,
    billed_bytes: 40,
    networks: [{ mcc: 262, mnc: 1, roaming: true, bytes_in: 40 }],
    days: { active: 5 },
    evidence: { clone: 1, sim_changed: 1 },
    statements: [{ device: 'd-01', account: 'bolt' }],
  });
  expect((await as('acme', '/v1/accounts/acme/statements/2026-11')).body).toMatchObject({
    bytes_in: 600,
    statements: [{ account: 'acme' }],
  });
  for (const path of ['/v1/accounts/acme/statements/2026-11', '/v1/accounts/bolt/statements/2026-09'])
    expect((await as('bolt', path)).status).toBe(404);
});

it('fixgate statement prints it, as lines for a table program, and as one page with everything escaped', async () => {
  const run = (...args: string[]) => fixgate(['statement', ...args], '', { FIXGATE_URL: api.url, FIXGATE_TOKEN: tokens['bolt'] ?? '' });
  expect((await run('bolt', '--cycle', '2026-11')).out).toMatch(/^cycle +2026-11\ndevices +1\n/);
  const { lines } = await run('bolt', '--cycle', '2026-11', '--csv');
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatch(/^d-01,bolt,small,.*,40,0,0,5,2,,$/);
  const { out, code } = await run('d-01', '--html');
  expect([code, out.startsWith('<!doctype html>'), out.includes('262-01')]).toEqual([0, true, true]);
  expect(out).not.toMatch(/<script|<img|<link|src=|href=|url\(/);
  expect(await run('nobody', '--cycle', '2026-11')).toMatchObject({ code: 1 });
  const { statementPage } = await import('../../src/cli/statement-page.ts');
  const page = statementPage(HOSTILE, undefined, [
    { account: HOSTILE, plan: HOSTILE, commands: { [HOSTILE]: 1 }, evidence: { [HOSTILE]: 1, clone: 3 }, hash: HOSTILE, start: 0 },
  ]);
  expect([page.includes('<img'), page.includes('&co')]).toEqual([false, false]);
  expect(page).toContain('<tr><td>Two devices with its id</td><td class="n">3</td></tr>');
  expect(page).toContain('&#60;img src=x onerror=&#34;alert(&#39;1&#39;)&#34;&#62;&#38;co');
});
