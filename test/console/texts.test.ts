import type { Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ObedientDevice } from '../command/device.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';
import { Chromium, reads, type Seen } from './chromium.ts';
import { enter, show } from './person.ts';

/** What devices, integrators and operators write is text on every screen, in windows of three widths: nothing of it runs, and nothing makes the page wider. */
const DEVICE = '352093701000199';
const STRANGER = '352093701000277';
const H02_STRANGER = '4209951234';
const ACCOUNT = printable(64);
const MARK = '<img src=x onerror=alert(1)>';
const WIDTHS = [1280, 768, 320];
const HEIGHT = 480;

let server: ApiServer;
let browser: Chromium;
let device: ObedientDevice;
/** One window for all of it. */
let seen: Seen;

beforeAll(async () => {
  server = await ApiServer.start({ FIXGATE_HTTP_CONSOLE: 'true', FIXGATE_WORKERS: '1', FIXGATE_REGISTRY: 'closed' });
  await write();
  browser = await Chromium.launch();
  seen = await enter(server, browser, 'now', { stays: true });
});
// The last is the first to run: the server ends whatever the browser says.
afterAll(() => server.running.stop());
afterAll(async () => {
  device.stop();
  await browser.close();
});

/** As long as one may be: markup, a mark that turns the direction of what follows, and what has no place to break. */
function hostile(length: number): string {
  return `<img src=x onerror=alert(1)>\u202e<script>alert(2)</script>"'&amp;${'W'.repeat(10_000)}`.slice(0, length);
}

/** What a device or a command may have: printable ASCII. */
function printable(length: number): string {
  return hostile(length + 1).replace('\u202e', '');
}

async function done(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const answer = await server.call(method, path, body);
  expect([method, path, answer.status < 300, answer.body]).toEqual([method, path, true, answer.body]);
  return answer.body;
}

/** By operators and integrators, as far as the API takes it, by a device that is known and by two that are not. */
async function write(): Promise<void> {
  await done('PUT', '/v1/plans/watched', { records_cap: 1, exempt_events: [hostile(64)], steps: [{ action: 'notify', at_pct: 50 }] });
  await done('POST', '/v1/accounts', { id: ACCOUNT, name: hostile(200) });
  await done('POST', '/v1/accounts', { id: 'other' });
  const texts = { name: hostile(200), account: ACCOUNT, reason: hostile(200), model: hostile(64), serial: hostile(64) };
  await done('POST', '/v1/devices', { id: DEVICE, plan: 'watched', ...texts, labels: { [hostile(64)]: hostile(200) } });
  await done('POST', '/v1/tokens', { name: 'W'.repeat(64), scopes: ['read', 'locations'], accounts: [ACCOUNT] });
  // Of a frame that is longer than 4 KiB, a trace says nothing.
  const replies: Readonly<Record<string, string>> = { getparam: `Param ID:2001 Value:${printable(500)}`, getver: printable(10_000) };
  device = new ObedientDevice(
    await server.running.port('teltonika'),
    DEVICE,
    (text) => replies[text.split(' ')[0] ?? ''] ?? printable(3_000),
  );
  const wait = '?wait=100';
  const custom = { type: 'custom', protocol: 'teltonika', parameters: { text: `getver ${printable(150)}` } };
  const noted = { ref: printable(200), reason: hostile(200) };
  expect(await done('POST', `/v1/devices/${DEVICE}/commands${wait}`, { ...custom, ...noted })).toMatchObject({ state: 'answered' });
  const asked = { type: 'get_parameter', protocol: 'teltonika', parameters: { id: 2001 } };
  expect(await done('POST', `/v1/devices/${DEVICE}/commands${wait}`, asked)).toMatchObject({ state: 'answered' });
  const recovery = { reason: hostile(200), interval_s: 15, until: Date.now() + 3_600_000 };
  await done('POST', `/v1/devices/${DEVICE}/recovery`, recovery);
  await done('PUT', `/v1/devices/${DEVICE}/hold`, { reason: hostile(1000), reference: hostile(200), until: Date.now() + 3_600_000 });
  await done('POST', '/v1/accounts/other/suspend', { reason: hostile(200) });
  await knock('teltonika', Buffer.concat([Buffer.from([0, 15]), Buffer.from(STRANGER)]));
  await knock('h02', Buffer.from(`*HQ,${H02_STRANGER},${printable(900).replaceAll(/[,*#]/g, '')},${MARK}#`));
  await eventually(async () => {
    expect((await server.call('GET', '/v1/quarantine')).body['devices']).toHaveLength(2);
    const events = JSON.stringify((await server.call('GET', '/v1/events?limit=1000')).body['events']);
    for (const type of ['command', 'recovery_started', 'account_suspended']) expect(events).toContain(`"type":"${type}"`);
    expect(events.split(MARK).length).toBeGreaterThan(4);
  });
}

/** One that is refused. */
async function knock(codec: string, bytes: Buffer): Promise<void> {
  const stranger = await TcpDevice.connect(await server.running.port(codec));
  stranger.send(bytes);
  await stranger.until(({ ended }) => ended);
  stranger.close();
}

/** Where something hostile is read, and what there is of it. */
const SCREENS: readonly (readonly [screen: string, text: string])[] = [
  ['now', 'Deliveries'],
  ['devices', MARK],
  [`device/${DEVICE}`, MARK],
  [`device/${DEVICE}/commands`, MARK],
  [`device/${DEVICE}/usage`, 'watched'],
  [`device/${DEVICE}/events`, MARK],
  [`device/${DEVICE}/frames`, 'Pause'],
  [`device/${DEVICE}/settings`, `"serial": "${MARK}`],
  [`device/${DEVICE}/data`, 'Export'],
  [`device/${STRANGER}`, STRANGER],
  [`trace/${DEVICE}`, 'Pause'],
  [`decode?protocol=h02&hex=${Buffer.from(`*HQ,${H02_STRANGER},${printable(900)}#`).toString('hex')}`, MARK],
  ['quarantine', H02_STRANGER],
  ['commands?state=answered', MARK],
  ['plans', MARK],
  ['sinks', 'clickhouse'],
  ['events', MARK],
  ['settings', 'W'.repeat(64)],
];

/** Everything that is folded away or behind a button on the screen. */
async function unfold(page: Page): Promise<void> {
  await page.evaluate(`for (const one of document.querySelectorAll('main details')) one.open = true`);
  await page.evaluate(`document.querySelector('main button[aria-label="Edit watched"]')?.click()`);
}

/** What one reads, in fields, too. */
async function written(page: Page): Promise<string> {
  return String(
    await page.evaluate(
      `document.body.innerText + [...document.querySelectorAll('input, textarea')].map(({ value }) => value).join('\\n')`,
    ),
  );
}

/** Elements that texts have made, and what is wider than where it stands and neither scrolls nor is cut: its text lies over what is beside it. */
async function harmOf(page: Page): Promise<unknown> {
  return page.evaluate(`(() => {
    const wide = [...document.querySelectorAll('body, main, main *')].filter((one) =>
      getComputedStyle(one).overflowX === 'visible' && one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 1 && !one.closest('.scroll, .map, .option, select'));
    return {
      elements: document.querySelectorAll('main img, main script, [onerror]').length,
      isWide: document.documentElement.scrollWidth > innerWidth,
      over: wide.map((one) => one.outerHTML.slice(0, 120)),
    };
  })()`);
}

/** It is opened once: that is what it costs. */
it('the map is not wider than the window, whatever that is', async () => {
  const { page, faults } = seen;
  await show(page, 'map');
  await reads(page, 'devices with a position');
  for (const width of WIDTHS) {
    await page.setViewport({ width, height: HEIGHT });
    await eventually(async () =>
      expect([width, await page.evaluate('innerWidth'), await harmOf(page)]).toEqual([
        width,
        width,
        { elements: 0, isWide: false, over: [] },
      ]),
    );
  }
  expect(faults).toEqual([]);
});

describe.each(WIDTHS)('in a window of %i pixels', (width) => {
  it('is text on every screen, and nothing is wider than the window', async () => {
    const { page, faults } = seen;
    await page.setViewport({ width, height: HEIGHT });
    const harm: unknown[] = [];
    for (const [screen, text] of SCREENS) {
      await show(page, screen);
      await eventually(async () => {
        await unfold(page);
        const all = await written(page);
        if (!all.includes(text) || all.includes('Loading…')) throw new Error(`${screen} does not say "${text}": ${all.slice(0, 2000)}`);
      });
      harm.push({ screen, ...Object(await harmOf(page)) });
    }
    expect(harm).toEqual(SCREENS.map(([screen]) => ({ screen, elements: 0, isWide: false, over: [] })));
    expect(faults).toEqual([]);
  });

  it('is text in frames that come while one looks, field by field', async () => {
    const { page, faults } = seen;
    await page.setViewport({ width, height: HEIGHT });
    await show(page, `trace/${DEVICE}`);
    await reads(page, 'Pause');
    const body = { type: 'custom', protocol: 'teltonika', parameters: { text: `shown ${width}` } };
    await eventually(async () => {
      await done('POST', `/v1/devices/${DEVICE}/commands?wait=100`, body);
      expect((await page.$$('[role=option]')).length).toBeGreaterThan(1);
    });
    await page.evaluate("[...document.querySelectorAll('[role=option]')].find((row) => row.textContent.includes('in')).click()");
    await reads(page, MARK);
    expect(await harmOf(page)).toEqual({ elements: 0, isWide: false, over: [] });
    expect(faults).toEqual([]);
  });
});
