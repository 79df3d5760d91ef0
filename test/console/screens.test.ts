import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { HTTPRequest, Page } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ObedientDevice } from '../command/device.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';
import { Chromium, press, reads, type Seen, textOf } from './chromium.ts';
import { enter, show } from './person.ts';

/**
 * Every screen, in a real browser against a whole server that has devices. What devices, integrators and operators write is text on
 * every screen, in windows of three widths: nothing of it runs, and nothing makes the page wider.
 */
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const DEVICE = '352093701000199';
const STRANGER = '352093701000277';
const H02_STRANGER = '4209951234';
const ACCOUNT = printable(64);
const MARK = '<img src=x onerror=alert(1)>';
const WIDTHS = [1280, 768, 320];
const HEIGHT = 480;
/** Of the README: one record of Codec 8. */
const FRAME = '00000000000000280801000001972b5cee00000ac50cb0235ceec8001c005a0b0036000302ef011504014235e80000010000900f';
/** What may be otherwise in the dark. */
const OF_COLOURS = ['color-contrast', 'link-in-text-block'];
const violations = z.object({
  violations: z.array(z.object({ id: z.string(), nodes: z.array(z.object({ html: z.string(), failureSummary: z.string() })) })),
});

let server: ApiServer;
let browser: Chromium;
/** A window for all tests that can do with it. */
let seen: Seen;
let device: ObedientDevice;

beforeAll(async () => {
  server = await ApiServer.start({ FIXGATE_HTTP_CONSOLE: 'true', FIXGATE_WORKERS: '1', FIXGATE_REGISTRY: 'closed' });
  await write();
  browser = await Chromium.launch();
  seen = await enter(server, browser, 'now', { height: HEIGHT, stays: true });
});
afterEach(() => browser.leave());
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
  expect(await done('POST', `/v1/devices/${DEVICE}/commands${wait}`, { ...custom, ...noted })).toMatchObject({
    state: 'answered',
    reply: expect.stringContaining('W'.repeat(900)),
  });
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

/** Every screen, and what there is of it, where there is something hostile that. */
const SCREENS: readonly (readonly [screen: string, text: string])[] = [
  ['now', 'Deliveries'],
  ['map', 'devices with a position'],
  ['devices', MARK],
  [`device/${DEVICE}`, MARK],
  [`device/${DEVICE}/commands`, MARK],
  [`device/${DEVICE}/usage`, 'watched'],
  [`device/${DEVICE}/events`, MARK],
  [`device/${DEVICE}/frames`, 'Pause'],
  [`device/${DEVICE}/settings`, `"serial": "${MARK}`],
  [`device/${DEVICE}/data`, 'Export'],
  [`device/${STRANGER}`, STRANGER],
  ['trace', 'Trace'],
  [`trace/${DEVICE}`, 'Pause'],
  [`decode?protocol=h02&hex=${Buffer.from(`*HQ,${H02_STRANGER},${printable(900)}#`).toString('hex')}`, MARK],
  ['quarantine', H02_STRANGER],
  ['commands?state=answered', MARK],
  ['plans', MARK],
  ['decode', 'Bytes as hex'],
  ['sinks', 'clickhouse'],
  ['commands', 'getver'],
  ['events', MARK],
  ['settings', 'W'.repeat(64)],
];
/** One of each kind: what axe looks for is in all of a kind. */
const KINDS = SCREENS.filter(([screen]) => !screen.includes('?') && ![`device/${STRANGER}`, `trace/${DEVICE}`].includes(screen));

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

const HARMLESS = { elements: 0, isWide: false, over: [] };

/** Waits until the screen that is open says what it says, with all that can be unfolded. */
async function unfolded(page: Page, [screen, text]: readonly [screen: string, text: string]): Promise<void> {
  await eventually(async () => {
    await unfold(page);
    const all = await written(page);
    if (!all.includes(text) || all.includes('Loading…')) throw new Error(`${screen} does not say "${text}": ${all.slice(0, 2000)}`);
  });
}

/** What axe says against it as it is shown. */
async function barriersOf(page: Page, rules: readonly string[] = []): Promise<object[]> {
  // Past the policy of the page, which refuses a script from here.
  if ((await page.evaluate('typeof axe')) === 'undefined') await page.evaluate(AXE);
  const run = { resultTypes: ['violations'], ...(rules.length > 0 ? { runOnly: { type: 'rule', values: rules } } : {}) };
  const result = violations.parse(await page.evaluate(`axe.run(document, ${JSON.stringify(run)})`));
  return result.violations.map(({ id, nodes }) => ({
    id,
    nodes: nodes.slice(0, 3).map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`),
  }));
}

/** The window that is open already, at another screen. */
async function at(screen: string): Promise<Seen> {
  await show(seen.page, screen);
  return seen;
}

/** What axe says against it by day, and in the dark. */
async function barriersOfBoth(page: Page): Promise<object[]> {
  const found = await barriersOf(page);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
  found.push(...(await barriersOf(page, OF_COLOURS)));
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
  return found;
}

describe('every screen', () => {
  it('keeps to its policy, runs without errors, can be used by everyone, also in the dark, says what was written as text, and is not wider than the window, whatever that is', {
    timeout: 600_000,
  }, async () => {
    const { page, faults } = seen;
    for (const one of SCREENS) {
      const [screen] = one;
      await show(page, screen);
      await unfolded(page, one);
      expect([screen, KINDS.includes(one) ? await barriersOfBoth(page) : []]).toEqual([screen, []]);
      for (const width of WIDTHS) {
        await page.setViewport({ width, height: HEIGHT });
        await unfolded(page, one);
        await eventually(async () =>
          expect([screen, width, await page.evaluate('innerWidth'), await harmOf(page)]).toEqual([screen, width, width, HARMLESS]),
        );
      }
      await page.setViewport({ width: WIDTHS[0] ?? 0, height: HEIGHT });
    }
    expect(faults).toEqual([]);
  });
});

describe('the screens', () => {
  it('are reached by keys', async () => {
    const { page } = await at('now');
    await page.keyboard.press('g');
    await page.keyboard.press('d');
    await reads(page, DEVICE);
    await page.keyboard.press('/');
    expect(await page.evaluate('document.activeElement.type')).toBe('search');
    // No key works while one types.
    await page.keyboard.type('gn?');
    expect(await page.evaluate('location.hash')).toContain('#/devices');
    expect(await page.$$('dialog[open]')).toEqual([]);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Escape');
    await eventually(async () => expect(await page.evaluate('location.hash')).toBe('#/now'));
  });

  it('add a device, change it, and erase it only when its id is typed', async () => {
    const id = '352093701000777';
    const { page, faults } = await at('devices');
    await press(page, 'summary');
    await page.type('input[name=id]', id);
    await press(page, 'form button.main');
    await page.waitForSelector('nav.tabs');
    expect(await page.evaluate('location.hash')).toBe(`#/device/${id}`);
    await show(page, `device/${id}/settings`);
    await page.waitForSelector('input[name=account]');
    await page.type('input[name=account]', 'acme');
    await press(page, 'form button.main');
    await eventually(async () =>
      expect((await server.call('GET', `/v1/devices/${id}`)).body).toMatchObject({ account: 'acme', state: 'active', privacy: 'store' }),
    );
    await show(page, `device/${id}/data`);
    await press(page, 'button.danger');
    await page.waitForSelector('dialog[open] button.danger:disabled');
    await page.type('dialog input', id);
    await page.waitForSelector('dialog[open] button.danger:not(:disabled)');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog[open]', { hidden: true });
    // What is asked of one device is not asked of the next.
    await press(page, 'button.danger');
    await page.waitForSelector('dialog[open]');
    await show(page, `device/${DEVICE}/data`);
    await eventually(async () => expect(await page.$eval('h1', ({ textContent }) => textContent)).toBe(DEVICE));
    expect(await page.$('dialog[open]')).toBeNull();
    expect(faults).toEqual([]);
  });

  it('say what bytes mean, and which bytes a field is', async () => {
    const { page, faults } = await at('decode?hex=000f333536333037303432343431303133');
    await reads(page, '356307042441013');
    await page.hover('tbody tr');
    await page.waitForSelector('.hex .marked');
    expect(await page.evaluate("[...document.querySelectorAll('.hex .marked')].map((byte) => byte.textContent).join('')")).toBe('000f');
    // As it stands in a hex dump; and what is none.
    await page.evaluate("document.querySelector('textarea').value = ''");
    await page.type('textarea', 'not hex at all');
    await press(page, 'form button.main');
    await page.waitForSelector('.refused');
    // Another link, while the screen is open.
    await show(page, `decode?protocol=teltonika&hex=${FRAME}`);
    await reads(page, '1 message of teltonika');
    expect(await page.$('.refused')).toBeNull();
    expect(faults).toEqual([]);
  });

  it('show what a device and the server say to each other, byte for byte', async () => {
    const imei = '356307042441013';
    const { page, faults } = await at(`trace/${imei}`);
    await reads(page, 'not connected');
    await done('POST', '/v1/devices', { id: imei });
    const device = await TcpDevice.connect(await server.running.port('teltonika'));
    device.send(Buffer.from('000f333536333037303432343431303133', 'hex'));
    await device.until((d) => d.received.length >= 1);
    device.send(Buffer.from(FRAME, 'hex'));
    await device.until((d) => d.received.length >= 5);
    await reads(page, 'records');
    await reads(page, '00000001');
    await page.evaluate("[...document.querySelectorAll('[role=option]')].find((row) => row.textContent.includes('records')).click()");
    await eventually(async () =>
      expect(await page.evaluate("[...document.querySelectorAll('.hex span')].map((byte) => byte.textContent).join('')")).toBe(FRAME),
    );
    await page.waitForSelector('section[aria-label=Frame] tbody tr');
    device.close();
    expect(faults).toEqual([]);
  });

  it('list the commands of all devices, by state', async () => {
    const id = '352093701000666';
    await done('POST', '/v1/devices', { id });
    await done('POST', `/v1/devices/${id}/commands`, { type: 'custom', protocol: 'teltonika', parameters: { text: 'getinfo' } });
    const { page, faults } = await at('commands?state=queued');
    await reads(page, 'getinfo');
    expect(await page.$$eval('main table a', (links) => links.map(({ textContent }) => textContent))).toEqual([id]);
    await show(page, 'commands?state=failed');
    await reads(page, 'No command.');
    expect(faults).toEqual([]);
  });

  it('show a token that is limited to accounts what it may use, and nothing that is refused', { timeout: 600_000 }, async () => {
    const [mine, other] = ['352093701000888', '352093701000889'];
    const account = 'acme-desk';
    for (const body of [
      { id: mine, account },
      { id: other, account: 'others' },
    ])
      expect((await server.call('POST', '/v1/devices', body)).status).toBe(201);
    const device = await TcpDevice.connect(await server.running.port('teltonika'));
    device.send(Buffer.concat([Buffer.from('000f', 'hex'), Buffer.from(mine)]));
    await device.until((d) => d.received.length >= 1);
    device.send(Buffer.from(FRAME, 'hex'));
    await device.until((d) => d.received.length >= 5);
    const scopes = ['read', 'locations', 'commands', 'devices', 'plans', 'erase', 'admin'];
    const made = await server.call('POST', '/v1/tokens', { name: 'desk', scopes, accounts: [account] });
    const { page, faults } = await browser.open(server.url, { scale: 0.25 });
    const asked = new Set<HTTPRequest>();
    const refused: string[] = [];
    page.on('request', (request) => asked.add(request));
    page.on('requestfailed', (request) => asked.delete(request));
    page.on('response', (response) => {
      asked.delete(response.request());
      // With any token: the codec has learned nothing yet.
      const isKnown = response.url() === `${server.url}/v1/devices/${mine}/profile` && response.status() === 404;
      if (response.status() >= 400 && !isKnown) refused.push(`${response.status()} ${response.request().method()} ${response.url()}`);
    });
    await page.waitForSelector('input');
    await page.type('input', String(made.body['token']));
    await page.keyboard.press('Enter');
    await page.waitForSelector('main[data-screen=map]');
    await reads(page, mine);
    expect(await page.$$eval('header nav a', (links) => links.map(({ textContent }) => textContent))).toEqual(
      'Map Devices Trace Decode Plans Events Settings'.split(' '),
    );
    // Of a menu that is not there; and there is no key.
    for (const screen of ['now', 'quarantine', 'commands', 'sinks']) {
      await page.evaluate(`location.hash = '#/${screen}'`);
      await reads(page, `This token sees the devices of account ${account} only.`);
    }
    await page.evaluate("document.querySelector('main a').click()");
    await page.waitForSelector('main[data-screen=map]');
    await page.keyboard.press('?');
    await page.waitForSelector('dialog[open]');
    const keys = await page.$$eval('dialog dt', (all) => all.map(({ textContent }) => textContent));
    expect(keys).toContain('g d');
    expect(keys).not.toContain('g n');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog[open]', { hidden: true });
    const texts: string[] = [];
    for (const [screen, text] of Object.entries({
      devices: mine,
      [`device/${mine}/position`]: 'Disconnect',
      [`device/${mine}/commands`]: 'Send',
      [`device/${mine}/usage`]: 'Plan default',
      [`device/${mine}/events`]: 'connected',
      [`device/${mine}/frames`]: 'Pause',
      [`device/${mine}/settings`]: 'Learned by the codec\n\nnone',
      [`device/${mine}/data`]: 'Download',
      'trace?peer=127.0.0.1': 'Choose a device',
      [`trace/${mine}`]: 'Pause',
      decode: 'Bytes as hex',
      plans: 'default',
      events: 'connected',
      settings: `sees the devices of\n${account}`,
      map: mine,
    })) {
      await show(page, screen);
      await reads(page, text);
      await eventually(async () => expect([...asked].map((request) => request.url())).toEqual([]));
      texts.push(await textOf(page));
    }
    const all = texts.join('\n');
    for (const word of [
      other,
      'Add, upload',
      'The whole record',
      'Erase',
      'Networks and addresses',
      'New plan',
      'or address',
      'Make a token',
    ])
      expect(all).not.toContain(word);
    expect({ refused, faults }).toEqual({ refused: [], faults: [] });
    device.close();
  });

  it('make a plan, and say what is wrong with one', async () => {
    const { page } = await at('plans');
    await press(page, '::-p-text(New plan)');
    await page.waitForSelector('form.empty input');
    await page.type('form.empty input', 'Not A Name');
    await press(page, 'form.empty button.main');
    await reads(page, 'must be 1 to 64 lower-case letters');
    await page.evaluate("document.querySelector('form.empty input').value = ''");
    await page.type('form.empty input', 'small');
    await press(page, 'form.empty button.main');
    await eventually(async () => expect(await server.call('GET', '/v1/plans/small')).toMatchObject({ status: 200 }));
  });
});

describe.each(WIDTHS)('in a window of %i pixels', (width) => {
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
    expect(await harmOf(page)).toEqual(HARMLESS);
    expect(faults).toEqual([]);
  });
});
