import puppeteer, { type Browser, type BrowserContext, type Page } from 'puppeteer-core';
import { z } from 'zod';
import { eventually } from '../support/wait.ts';

/** Debian's, the same Chromium without its own windows and bars, which take a third of the processor time. */
const PROGRAM = '/usr/lib/chromium/chromium-headless-shell';
/** Beyond every machine: the test's own limit ends it. */
const PATIENCE_MS = 240_000;
/** Of a page at its start: refusals of its policy are errors of the console. */
const REPORT = `addEventListener('securitypolicyviolation', (e) => console.error('refused by the policy: ' + e.violatedDirective + ' ' + e.blockedURI));`;
/** Keeps what the API says to the page, streams as far as they have come. */
const RECORD = `{
  const real = window.fetch;
  window.told = [];
  window.fetch = async (...args) => {
    const response = await real(...args);
    if (!new URL(response.url).pathname.startsWith('/v1/')) return response;
    const reader = response.clone().body?.pipeThrough(new TextDecoderStream()).getReader();
    const at = window.told.push('') - 1;
    (async () => {
      for (;;) {
        const { value, done } = (await reader?.read()) ?? { done: true };
        if (done) return;
        window.told[at] += value;
      }
    })().catch(() => {});
    return response;
  };
}`;
/** Software rendering says so. A server that is being stopped does not answer, and one that builds its pages says so. */
const KNOWN = /GPU stall due to ReadPixels|status of 503|net::ERR_(CONNECTION|INCOMPLETE|EMPTY|INTERNET)_/;

/** A page, and what went wrong in it. */
export interface Seen {
  readonly page: Page;
  /** Errors of scripts, of the console and of the policy, and dialogs; refusals of the API are the page's business. */
  readonly faults: readonly string[];
}

export interface Look {
  readonly width?: number;
  readonly height?: number;
  /** Device pixels for a pixel of the page: a map, which is drawn without a graphics card, costs by them. */
  readonly scale?: number;
  readonly dark?: boolean;
  /** What the API says is kept, for `knownTo`. */
  readonly records?: boolean;
  /** Open for more than one test: `leave` does not close it. */
  readonly stays?: boolean;
  /** Another window beside the one of this page, with the same session. A tab behind another would be hidden. */
  readonly beside?: Page;
}

/** One real browser for a file of tests; every page that is not opened beside another has a profile of its own. */
export class Chromium {
  readonly #browser: Browser;
  readonly #faults: string[] = [];
  /** What `leave` closes. */
  readonly #contexts = new Set<BrowserContext>();

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async launch(...args: readonly string[]): Promise<Chromium> {
    const root = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    return new Chromium(
      await puppeteer.launch({ executablePath: PROGRAM, headless: 'shell', args: [...root, ...args], protocolTimeout: PATIENCE_MS }),
    );
  }

  async open(url: string, { width = 1280, height = 800, scale = 1, ...look }: Look = {}): Promise<Seen> {
    const { dark = false, records = false, stays = false, beside } = look;
    const context: BrowserContext = beside?.browserContext() ?? (await this.#browser.createBrowserContext());
    if (beside === undefined && !stays) this.#contexts.add(context);
    const page = await context.newPage({ type: beside === undefined ? 'tab' : 'window' });
    page.setDefaultTimeout(PATIENCE_MS);
    const faults: string[] = [];
    const fault = (text: string): void => {
      faults.push(text);
      this.#faults.push(text);
    };
    page.on('pageerror', (error) => fault(String(error)));
    page.on('dialog', (dialog) => {
      fault(`it asks: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('console', (message) => {
      const from = URL.parse(message.location().url ?? '')?.pathname ?? '';
      if (message.type() === 'error' && !from.startsWith('/v1/') && !KNOWN.test(message.text())) fault(`${from} ${message.text()}`);
    });
    await page.evaluateOnNewDocument(records ? REPORT + RECORD : REPORT);
    await page.setViewport({ width, height, deviceScaleFactor: scale });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }]);
    await page.goto(url);
    return { page, faults };
  }

  /** Closes what one test has opened: an open page goes on drawing. */
  async leave(): Promise<void> {
    await Promise.all([...this.#contexts].map((context) => context.close()));
    this.#contexts.clear();
  }

  /** Rejects when something went wrong in any of its pages. */
  async close(): Promise<void> {
    await this.#browser.close();
    if (this.#faults.length > 0) throw new Error(`in the pages: ${this.#faults.join('\n')}`);
  }
}

/** What one reads on the page. */
export async function textOf(page: Page): Promise<string> {
  return String(await page.evaluate('document.body.innerText'));
}

/** Everything that the API said to a page, that it shows or holds, and that the browser keeps of it. The page must have been opened with `records`. */
export async function knownTo(page: Page): Promise<string> {
  return String(
    await page.evaluate(`(async () => JSON.stringify({
      told: window.told,
      shown: document.documentElement.outerHTML,
      typed: [...document.querySelectorAll('input, textarea')].map(({ value }) => value),
      address: location.href,
      local: { ...localStorage },
      session: { ...sessionStorage },
      databases: await indexedDB.databases(),
      caches: await caches.keys(),
      cookies: document.cookie,
    }))()`),
  );
}

/** What a page has loaded from paths that match: how often, and bytes as they came. */
export async function loaded(page: Page, paths: RegExp): Promise<{ requests: number; bytes: number }> {
  const all = z.array(z.object({ name: z.string(), encodedBodySize: z.number() })).parse(
    await page.evaluate(`['navigation', 'resource'].flatMap((type) =>
      performance.getEntriesByType(type).map(({ name, encodedBodySize }) => ({ name, encodedBodySize })))`),
  );
  const found = all.filter(({ name }) => paths.test(URL.parse(name)?.pathname ?? ''));
  return { requests: found.length, bytes: found.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0) };
}

/** Clicks it, as soon as it is there. */
export async function press(page: Page, selector: string): Promise<void> {
  const element = await page.waitForSelector(selector);
  await element?.click();
}

export async function reads(page: Page, text: string): Promise<void> {
  await eventually(async () => {
    const all = await textOf(page);
    if (!all.includes(text)) throw new Error(`the page does not say "${text}": ${all.slice(0, 2000)}`);
  });
}
