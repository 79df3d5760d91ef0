import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { openState } from '../../src/state/open.ts';
import { entries } from '../../src/state/pages.ts';
import { ApiServer } from '../support/api-server.ts';
import { CHECKOUT, TESTED } from '../support/program.ts';
import { eventually } from '../support/wait.ts';
import { Chromium, loaded, press, reads, textOf } from './chromium.ts';
import { enterWith, linkTo, show } from './person.ts';

/** The way in, in a real browser against a whole server of the checkout, which builds its pages itself. */
const ENV = {
  [TESTED]: CHECKOUT,
  FIXGATE_HTTP_CONSOLE: 'true',
  FIXGATE_WORKERS: '1',
  FIXGATE_CLICKHOUSE_URL: 'http://127.0.0.1:9',
  FIXGATE_DRAIN_MS: '500',
};
let server: ApiServer;
let browser: Chromium;

beforeAll(async () => {
  server = await ApiServer.start(ENV);
  browser = await Chromium.launch();
});
afterEach(() => browser.leave());
// The last is the first to run: the server ends whatever the browser says.
afterAll(() => server.running.stop());
afterAll(async () => {
  await browser.close();
});

const link = (...args: readonly string[]): Promise<string> => linkTo(server, ...args);

/** As if the ten minutes of every code were over: in the state store, which the server shares with the command line. */
async function expireCodes(): Promise<void> {
  const store = await openState({ url: undefined, prefix: '', directory: join(server.running.dataDir, 'state'), log: silentLog });
  for await (const [key, value] of entries(store, 'codes'))
    await store.write([{ table: 'codes', key, put: JSON.stringify({ ...JSON.parse(value), expires: Date.now() - 1 }) }]);
  await store.close();
}

describe('a person', () => {
  it('signs in with the link, once, and the code is gone from the address', async () => {
    const once = await link();
    // From the first moment: the page that waits for the build loads itself again.
    const { page, faults } = await browser.open(once);
    await reads(page, 'No device yet');
    expect(await page.evaluate('location.href')).toBe(`${server.url}/#/now`);
    expect(await page.evaluate('history.length')).toBeLessThanOrEqual(2);
    expect(await page.evaluate('document.cookie')).toBe('');
    await page.reload();
    await reads(page, 'No device yet');
    expect(faults).toEqual([]);
    const second = await browser.open(once);
    await reads(second.page, 'invalid code');
    expect(await textOf(second.page)).not.toContain('No device yet');
  });

  it('is refused with a code whose ten minutes are over', async () => {
    const once = await link();
    await expireCodes();
    const { page, faults } = await browser.open(once);
    await reads(page, 'invalid code: it works once, for 10 minutes');
    expect(await page.$$('nav')).toEqual([]);
    expect(await page.evaluate('location.hash')).not.toContain('code');
    expect(await page.evaluate("localStorage.getItem('fixgate.session')")).toBeNull();
    expect(faults).toEqual([]);
  });

  it('is signed out of every tab when the token is revoked, also where nothing but the stream tells', async () => {
    const made = await server.call('POST', '/v1/tokens', { name: 'visitor', scopes: ['read', 'locations'] });
    const { page, faults } = await enterWith(String(made.body['token']), server, browser, { width: 800, height: 600 });
    await show(page, 'map');
    await reads(page, '● live');
    const beside = await browser.open(`${server.url}/#/events`, { beside: page });
    await reads(beside.page, '● live');
    expect((await server.call('DELETE', '/v1/tokens/visitor')).status).toBe(204);
    // Its stream is looked at every 30 seconds.
    await reads(page, 'paste a code or a token');
    await reads(beside.page, 'paste a code or a token');
    expect([await textOf(page), await textOf(beside.page)].filter((text) => text.includes('The session has ended.'))).not.toEqual([]);
    for (const one of [page, beside.page]) expect(await one.$$('nav, .map')).toEqual([]);
    expect(await page.evaluate('localStorage.length')).toBe(await page.evaluate("localStorage.getItem('fixgate.theme') === null ? 0 : 1"));
    expect([...faults, ...beside.faults]).toEqual([]);
  });

  it('without a session sees the sign-in page, whatever the address; a token that is pasted opens the rest', async () => {
    const { page, faults } = await browser.open(`${server.url}/#/map`);
    await reads(page, 'npx fixgate console');
    expect(await page.$$('nav')).toEqual([]);
    // Compressed, and nothing of the map.
    const { requests, bytes } = await loaded(page, /^(?!\/icon)/);
    expect([requests <= 3, bytes <= 25_000, bytes > 1000]).toEqual([true, true, true]);
    await page.type('input', 'not-a-code');
    await page.keyboard.press('Enter');
    await reads(page, 'invalid code');
    // In the same window with a token that is pasted, and out again.
    await page.goto(server.url);
    await page.waitForSelector('input');
    await page.type('input', server.token);
    await page.keyboard.press('Enter');
    await reads(page, 'No device yet');
    await reads(page, '● live');
    // Once, not again because the stream is there: only after a pause.
    const asked = `performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/v1/status')).map((one) => one.startTime)`;
    const times: unknown = await page.evaluate(asked);
    const pauses = (Array.isArray(times) ? times : []).map(
      (at, index, all) => Number(all[index + 1] ?? Number.POSITIVE_INFINITY) - Number(at),
    );
    expect(pauses.length).toBeGreaterThan(0);
    expect(Math.min(...pauses)).toBeGreaterThan(5000);
    await press(page, '::-p-text(Sign out)');
    await reads(page, 'paste a code or a token');
    expect(await page.evaluate("localStorage.getItem('fixgate.session')")).toBeNull();
    expect(faults).toEqual([]);
  });

  it('is signed out when the session is ended elsewhere', async () => {
    const { page } = await browser.open(await link());
    await reads(page, 'No device yet');
    const bearer = String(await page.evaluate("JSON.parse(localStorage.getItem('fixgate.session')).token"));
    await fetch(`${server.url}/v1/session`, { method: 'DELETE', headers: { authorization: `Bearer ${bearer}` } });
    await eventually(async () => {
      await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
      expect(await textOf(page)).toContain('paste a code or a token');
    });
  });

  it('sees in the menu only what the scopes allow', async () => {
    const { page } = await browser.open(await link('--scope', 'read'));
    await reads(page, 'No device yet');
    const names = await page.$$eval('nav a', (links) => links.map(({ textContent }) => textContent));
    expect(names).toContain('Now');
    expect(names).not.toContain('Map');
    await page.goto(`${server.url}/#/map`);
    await reads(page, 'lacks the scope');
  });
});

describe('every page', () => {
  it('takes keys, and fits a screen of 320 pixels', async () => {
    const { page, faults } = await browser.open(await link());
    await reads(page, 'No device yet');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent.trim()')).toBe('Skip to the content');
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.id')).toBe('main');
    await page.keyboard.press('?');
    await page.waitForSelector('dialog[open]');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog[open]', { hidden: true });
    await page.setViewport({ width: 320, height: 640 });
    await reads(page, 'No device yet');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(320);
    expect(faults).toEqual([]);
  });
});
