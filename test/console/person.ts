import type { Page } from 'puppeteer-core';
import { fixgate } from '../cli/command.ts';
import type { ApiServer } from '../support/api-server.ts';
import { until } from '../support/wait.ts';
import type { Chromium, Look, Seen } from './chromium.ts';

/** What people do with the console of a server. */

/** The link that `fixgate console` prints. */
export async function linkTo(server: ApiServer, ...args: readonly string[]): Promise<string> {
  const env = { FIXGATE_DATA_DIR: server.running.dataDir, FIXGATE_URL: server.url };
  const { out, error } = await fixgate(['console', ...args], '', env);
  if (out === '') throw new Error(error);
  return out.trim();
}

/** Past the page that waits for the build. */
function built(url: string): Promise<void> {
  return until(async () => (await (await fetch(url)).text()).includes('/assets/'));
}

/** Signs in by a link, and opens the screen. */
export async function enter(
  server: ApiServer,
  browser: Chromium,
  screen: string,
  { scopes = [], ...look }: Look & { readonly scopes?: readonly string[] } = {},
): Promise<Seen> {
  await built(server.url);
  const seen = await browser.open(await linkTo(server, ...scopes.flatMap((scope) => ['--scope', scope])), look);
  await seen.page.waitForSelector('nav');
  await show(seen.page, screen);
  return seen;
}

/** Signs in with a token that is pasted. */
export async function enterWith(token: string, server: ApiServer, browser: Chromium, look: Look = {}): Promise<Seen> {
  await built(server.url);
  const seen = await browser.open(server.url, look);
  await seen.page.waitForSelector('input');
  await seen.page.type('input', token);
  await seen.page.keyboard.press('Enter');
  await seen.page.waitForSelector('nav');
  return seen;
}

/** What a person does with the menu. */
export async function show(page: Page, screen: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(`#/${screen}`)}`);
  await page.waitForSelector(`main[data-screen="${screen.split(/[/?]/)[0]}"] h1`);
}
