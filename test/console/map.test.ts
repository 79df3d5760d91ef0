import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BIN, cleanEnvironment, fixgate } from '../cli/command.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually, until } from '../support/wait.ts';
import { Chromium, press, reads, type Seen, textOf } from './chromium.ts';
import { buildPages } from './pages.ts';

/** Devices on the map: what a newcomer is promised, in a real browser with simulated devices. */
const COUNT = 6;
let server: ApiServer;
let browser: Chromium;
const drivers: ChildProcess[] = [];

beforeAll(async () => {
  buildPages();
  server = await ApiServer.start({ FIXGATE_HTTP_CONSOLE: 'true', FIXGATE_WORKERS: '1' });
  await until(async () => (await (await fetch(server.url)).text()).includes('/assets/'));
  browser = await Chromium.launch();
});
// The last is the first to run: the server ends whatever the browser says.
afterAll(() => server.running.stop());
afterAll(async () => {
  for (const child of drivers) child.kill('SIGKILL');
  await browser.close();
});

/** COUNT devices that report, once each has done so, until they are stopped; `stop` resolves when all of it is acknowledged. */
async function drive(): Promise<{ stop: () => Promise<void> }> {
  const target = `127.0.0.1:${await server.running.port('teltonika')}`;
  const args = ['--protocol', 'teltonika', '--target', target, '--transport', 'tcp', '--devices', String(COUNT), '--interval', '1s'];
  const child = spawn(process.execPath, [BIN, 'simulate', ...args, '--duration', '1h'], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(child, 'exit');
  drivers.push(child);
  await eventually(async () => {
    const { body } = await server.call('GET', '/v1/connections');
    const reporting = Array.isArray(body['connections']) ? body['connections'].filter(({ frames }) => frames > 1) : [];
    expect(reporting).toHaveLength(COUNT);
  });
  return {
    stop: async () => {
      child.kill('SIGINT');
      expect(await ended).toEqual([0, null]);
    },
  };
}

async function open(screen: string, by: Chromium = browser, ...scopes: string[]): Promise<Seen> {
  const args = ['console', ...scopes.flatMap((scope) => ['--scope', scope])];
  const { out } = await fixgate(args, '', { FIXGATE_DATA_DIR: server.running.dataDir, FIXGATE_URL: server.url });
  const seen = await by.open(out.trim());
  await seen.page.waitForSelector('nav');
  await seen.page.evaluate(`location.hash = '#/${screen}'`);
  await seen.page.waitForSelector('main h1');
  return seen;
}

async function onMap(page: Page): Promise<Record<string, string>> {
  return Object(await page.evaluate("({ ...document.querySelector('.map')?.dataset })"));
}

describe('the map', () => {
  it('shows simulated devices as they move, the same as the list, and is used by keys', async () => {
    const { page, faults } = await open('map');
    const requests: string[] = [];
    page.on('request', (request) => requests.push(request.url()));
    await reads(page, '0 devices with a position');
    const driven = await drive();
    await reads(page, `${COUNT} devices with a position`);
    await eventually(async () =>
      expect(await onMap(page)).toMatchObject({ devices: String(COUNT), marks: expect.stringMatching(/^[1-9]/) }),
    );
    // The list has the keys; the map follows the choice.
    await page.focus('[role=listbox]');
    await page.keyboard.press('j');
    await page.waitForSelector('.panel');
    const device = String(await page.evaluate("document.querySelector('.panel b').textContent"));
    const place = (): Promise<unknown> => page.evaluate("document.querySelector('.panel p.mono').textContent");
    const before = await place();
    await eventually(async () => expect(await place()).not.toBe(before));
    await page.focus('[role=listbox]');
    await page.keyboard.press('Enter');
    await eventually(async () => expect(await page.evaluate('location.hash')).toBe(`#/device/${device}`));
    await driven.stop();
    expect(requests.filter((url) => !url.startsWith(server.url) && !/^(blob|data):/.test(url))).toEqual([]);
    expect(requests.filter((url) => url.includes('/maps/')).length).toBeLessThanOrEqual(40);
    expect(faults).toEqual([]);
  });

  it('filters by state and id, in the address', async () => {
    const { page, faults } = await open('map?state=alarm');
    await eventually(async () => expect((await textOf(page)).match(/\d+ devices? with a position/)).not.toBeNull());
    expect(await page.$eval('select[aria-label=State]', (select) => Reflect.get(select, 'value'))).toBe('alarm');
    await page.select('select[aria-label=State]', '');
    await reads(page, `${COUNT} devices with a position`);
    await page.type('input[type=search]', 'no such device');
    await reads(page, '0 devices with a position');
    await eventually(async () => expect(await onMap(page)).toMatchObject({ devices: '0' }));
    expect(faults).toEqual([]);
  });

  it('loses a device that is erased while one looks', async () => {
    const { page } = await open('map');
    await reads(page, `${COUNT} devices with a position`);
    const { body } = await server.call('GET', '/v1/devices?limit=1');
    const [first] = Array.isArray(body['devices']) ? body['devices'] : [];
    expect(await server.call('DELETE', `/v1/devices/${first.id}/data?registry=remove`)).toMatchObject({ body: { device: first.id } });
    await reads(page, `${COUNT - 1} devices with a position`);
    expect(await textOf(page)).not.toContain(first.id);
    await eventually(async () => expect(await onMap(page)).toMatchObject({ devices: String(COUNT - 1) }));
  });

  it('is one click away from a device, whose command comes back answered', async () => {
    const driven = await drive();
    const { page, faults } = await open('map');
    await page.waitForSelector('[role=option]');
    await press(page, '[role=option]');
    await page.waitForSelector('.panel a');
    await press(page, '.panel a');
    await page.waitForSelector('nav.tabs');
    await page.evaluate("[...document.querySelectorAll('nav.tabs a')].find((a) => a.textContent === 'Commands').click()");
    await page.waitForSelector('form[aria-label="Send a command"] select');
    await page.select('form[aria-label="Send a command"] select', 'version');
    await press(page, 'form[aria-label="Send a command"] button.main');
    await page.waitForSelector('td .answered');
    await driven.stop();
    expect(faults).toEqual([]);
  });

  it('has the track of a device, point by point, and its events', async () => {
    const { body } = await server.call('GET', '/v1/devices?limit=1');
    const [device] = Array.isArray(body['devices']) ? body['devices'] : [];
    const { page, faults } = await open(`device/${device.id}`);
    // It is in ClickHouse a second after it came.
    await eventually(async () => {
      await press(page, 'button[aria-pressed=true]');
      await reads(page, 'Point ');
    });
    await eventually(async () => expect(await onMap(page)).toMatchObject({ devices: '1', marks: '1' }));
    expect(await page.evaluate("document.querySelector('.map').getBoundingClientRect().height")).toBeGreaterThan(200);
    const time = (): Promise<unknown> => page.evaluate("document.querySelector('dl.facts dd').textContent");
    const last = await time();
    await page.focus('input[type=range]');
    await page.keyboard.press('Home');
    await eventually(async () => expect(await time()).not.toBe(last));
    await page.evaluate("[...document.querySelectorAll('nav.tabs a')].find((a) => a.textContent === 'Events').click()");
    await reads(page, 'disconnected');
    expect(faults).toEqual([]);
  });

  it('changes its colours with the page', async () => {
    const { page, faults } = await open('map');
    await eventually(async () => expect(await onMap(page)).toMatchObject({ devices: expect.stringMatching(/^[1-9]/) }));
    await page.select('select[aria-label=Colours]', 'dark');
    await eventually(async () => expect(await page.evaluate('document.documentElement.dataset.theme')).toBe('dark'));
    await page.evaluate("delete document.querySelector('.map').dataset.devices");
    const driven = await drive();
    await eventually(async () => expect(await onMap(page)).toMatchObject({ devices: expect.stringMatching(/^[1-9]/) }));
    await driven.stop();
    expect(faults).toEqual([]);
  });

  it('is a list where a browser draws nothing', async () => {
    const plain = await Chromium.launch('--disable-3d-apis');
    const { page } = await open('map', plain);
    await reads(page, 'it has no WebGL');
    await reads(page, 'devices with a position');
    expect(await page.$$('[role=option]')).not.toEqual([]);
    await plain.close();
  });

  it('is not for who may not know where devices are', async () => {
    const { page } = await open('map', browser, 'read');
    await reads(page, 'lacks the scope');
    expect(await page.$$eval('nav a', (links) => links.map(({ textContent }) => textContent))).not.toContain('Map');
  });
});
