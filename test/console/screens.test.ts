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

/** Every screen, in a real browser against a whole server that has devices. */
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const DEVICE = '352093701000199';
/** Of the README: one record of Codec 8. */
const FRAME = '00000000000000280801000001972b5cee00000ac50cb0235ceec8001c005a0b0036000302ef011504014235e80000010000900f';
const SCREENS = [
  'now',
  'map',
  'devices',
  `device/${DEVICE}`,
  `device/${DEVICE}/commands`,
  `device/${DEVICE}/usage`,
  `device/${DEVICE}/events`,
  `device/${DEVICE}/frames`,
  `device/${DEVICE}/settings`,
  `device/${DEVICE}/data`,
  'trace',
  'decode',
  'quarantine',
  'commands',
  'plans',
  'sinks',
  'events',
  'settings',
];
/** What may be otherwise in the dark. */
const OF_COLOURS = ['color-contrast', 'link-in-text-block'];
const violations = z.object({
  violations: z.array(z.object({ id: z.string(), nodes: z.array(z.object({ html: z.string(), failureSummary: z.string() })) })),
});

let server: ApiServer;
let browser: Chromium;
/** A window for all tests that can do with it. */
let light: Seen;

beforeAll(async () => {
  server = await ApiServer.start({ FIXGATE_HTTP_CONSOLE: 'true', FIXGATE_WORKERS: '1' });
  await writeHostileTexts();
  browser = await Chromium.launch();
  light = await enter(server, browser, 'now', { stays: true });
});
afterEach(() => browser.leave());
// The last is the first to run: the server ends whatever the browser says.
afterAll(() => server.running.stop());
afterAll(async () => {
  await browser.close();
});

/** As long as one may be: markup, a mark that turns the direction of what follows, and what has no place to break. */
function hostile(length: number): string {
  return `<img src=x onerror=alert(1)>\u202e<script>alert(2)</script>"'&amp;${'W'.repeat(10_000)}`.slice(0, length);
}

/** By an operator, where the API takes any text but control characters, and by a device in its reply to a command. */
async function writeHostileTexts(): Promise<void> {
  const texts = { name: hostile(200), account: hostile(64), reason: hostile(200), model: hostile(64), serial: hostile(64) };
  const labels = { [hostile(64)]: hostile(200) };
  expect(await server.call('POST', '/v1/devices', { id: DEVICE, ...texts, labels })).toMatchObject({ status: 201 });
  const device = new ObedientDevice(await server.running.port('teltonika'), DEVICE, () => hostile(10_000).replace('\u202e', ''));
  const custom = { type: 'custom', protocol: 'teltonika', parameters: { text: `getver ${hostile(40)}`.replace(/[^ -~]/g, '') } };
  expect(await server.call('POST', `/v1/devices/${DEVICE}/commands?wait=100`, custom)).toMatchObject({
    status: 201,
    body: { state: 'answered', reply: expect.stringContaining('W'.repeat(900)) },
  });
  device.stop();
  await eventually(async () => expect((await server.call('GET', `/v1/devices/${DEVICE}/state`)).body).toMatchObject({ connected: false }));
}

/** What was written is text: nothing of it has become an element, or has made the page wider than the window. */
async function expectText(page: Page, screen: string): Promise<void> {
  const found = await page.evaluate(`({
    elements: document.querySelectorAll('main img, main script').length,
    isWide: document.documentElement.scrollWidth > innerWidth,
  })`);
  expect({ screen, ...Object(found) }).toEqual({ screen, elements: 0, isWide: false });
}

/** What has been asked for is there, or was refused in words. */
async function settled(page: Page): Promise<void> {
  await eventually(async () =>
    expect(await page.evaluate(`document.querySelector('main h1') !== null && !/Loading…/.test(document.body.innerText)`)).toBe(true),
  );
}

/** The window that is open already, at another screen. */
async function at(screen: string): Promise<Seen> {
  await show(light.page, screen);
  return light;
}

describe.each([{ dark: false }, { dark: true }])('every screen (dark: $dark)', ({ dark }) => {
  it('keeps to its policy, runs without errors, and can be used by everyone', { timeout: 600_000 }, async () => {
    const { page, faults } = dark ? await enter(server, browser, 'now', { dark }) : light;
    const found: unknown[] = [];
    for (const screen of SCREENS) {
      await show(page, screen);
      await settled(page);
      await expectText(page, screen);
      // Past the policy of the page, which refuses a script from here.
      await page.evaluate(AXE);
      const run = { resultTypes: ['violations'], ...(dark ? { runOnly: { type: 'rule', values: OF_COLOURS } } : {}) };
      const result = violations.parse(await page.evaluate(`axe.run(document, ${JSON.stringify(run)})`));
      for (const { id, nodes } of result.violations)
        found.push({ screen, id, nodes: nodes.slice(0, 3).map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`) });
    }
    expect(found).toEqual([]);
    expect(faults).toEqual([]);
  });
});

describe('the screens', () => {
  it('show what a device or an operator wrote as text', async () => {
    const { page, faults } = await at('devices');
    await reads(page, '<img src=x onerror=alert(1)>');
    await show(page, `device/${DEVICE}/commands`);
    await reads(page, '<script>alert(2)</script>');
    await expectText(page, 'commands');
    await show(page, 'commands?state=answered');
    await reads(page, '<img src=x onerror=alert(1)>');
    expect(faults).toEqual([]);
  });

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
    expect(faults).toEqual([]);
  });

  it('show what a device and the server say to each other, byte for byte', async () => {
    const imei = '356307042441013';
    const { page, faults } = await at(`trace/${imei}`);
    await reads(page, 'not connected');
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
    const body = { type: 'custom', protocol: 'teltonika', parameters: { text: 'getver' } };
    expect((await server.call('POST', `/v1/devices/${DEVICE}/commands`, body)).status).toBe(201);
    const { page, faults } = await at('commands?state=queued');
    await reads(page, 'getver');
    expect(await page.$$eval('main table a', (links) => links.map(({ textContent }) => textContent))).toEqual([DEVICE]);
    await show(page, 'commands?state=failed');
    await reads(page, 'No command.');
    expect(faults).toEqual([]);
  });

  it('show a token that is limited to accounts what it may use, and nothing that is refused', { timeout: 600_000 }, async () => {
    const [mine, other] = ['352093701000888', '352093701000889'];
    const account = 'acme-desk';
    for (const body of [
      { id: mine, account },
      { id: other, account: 'other' },
    ])
      expect((await server.call('POST', '/v1/devices', body)).status).toBe(201);
    const device = await TcpDevice.connect(await server.running.port('teltonika'));
    device.send(Buffer.concat([Buffer.from('000f', 'hex'), Buffer.from(mine)]));
    await device.until((d) => d.received.length >= 1);
    device.send(Buffer.from(FRAME, 'hex'));
    await device.until((d) => d.received.length >= 5);
    const scopes = ['read', 'locations', 'commands', 'devices', 'plans', 'erase', 'admin'];
    const made = await server.call('POST', '/v1/tokens', { name: 'desk', scopes, accounts: [account] });
    const { page, faults } = await browser.open(server.url);
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

  it('fit 320 pixels', { timeout: 600_000 }, async () => {
    const { page, faults } = light;
    await page.setViewport({ width: 320, height: 640 });
    // The others are in texts.test.ts.
    for (const screen of ['trace', 'decode', 'commands']) {
      await show(page, screen);
      await settled(page);
      await expectText(page, screen);
    }
    expect(faults).toEqual([]);
  });
});
