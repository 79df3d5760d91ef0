import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixgate } from '../cli/command.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';
import { Chromium, press, reads, textOf } from './chromium.ts';

/** The way in, in a real browser against a whole server that builds its pages itself. */
let server: ApiServer;
let browser: Chromium;

beforeAll(async () => {
  server = await ApiServer.start({ FIXGATE_HTTP_CONSOLE: 'true', FIXGATE_WORKERS: '1' });
  browser = await Chromium.launch();
});
afterAll(async () => {
  await browser.close();
  await server.running.stop();
});

async function link(...args: string[]): Promise<string> {
  const { out, error } = await fixgate(['console', ...args], '', { FIXGATE_DATA_DIR: server.running.dataDir, FIXGATE_URL: server.url });
  if (out === '') throw new Error(error);
  return out.trim();
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

  it('without a session sees the sign-in page, whatever the address', async () => {
    const { page, faults } = await browser.open(`${server.url}/#/map`);
    await reads(page, 'npx fixgate console');
    expect(await page.$$('nav')).toEqual([]);
    await page.type('input', 'not-a-code');
    await page.keyboard.press('Enter');
    await reads(page, 'invalid code');
    expect(faults).toEqual([]);
  });

  it('signs in with a token that is pasted, and out again', async () => {
    const { page, faults } = await browser.open(server.url);
    await page.waitForSelector('input');
    await page.type('input', server.token);
    await page.keyboard.press('Enter');
    await reads(page, 'No device yet');
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
  it('takes keys, and none while one types', async () => {
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
    expect(faults).toEqual([]);
  });

  it('fits a screen of 320 pixels', async () => {
    const { page } = await browser.open(await link(), { width: 320, height: 640 });
    await reads(page, 'No device yet');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(320);
  });
});
