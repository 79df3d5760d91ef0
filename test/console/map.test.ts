import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { HTTPRequest, Page } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { BIN, cleanEnvironment } from '../cli/command.ts';
import { ApiServer } from '../support/api-server.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { eventually, until } from '../support/wait.ts';
import { Chromium, press, reads, type Seen, textOf } from './chromium.ts';
import { enter, show } from './person.ts';

/** Devices on the map: what a newcomer is promised, in a real browser with simulated devices. */
const COUNT = 6;
/** One is erased. */
const LEFT = COUNT - 1;
const ENV = { ...OWN_ENGINE, FIXGATE_HTTP_CONSOLE: 'true', FIXGATE_WORKERS: '1' };
let server: ApiServer;
let browser: Chromium;
const drivers: ChildProcess[] = [];
/** As small as it may be with the list beside the map. */
const WINDOW = { width: 800, height: 600, scale: 0.25 };
/** A window for all tests that can do with it: a map costs most when it is opened. */
let seen: Seen;

beforeAll(async () => {
  server = await ApiServer.start(ENV);
  browser = await Chromium.launch();
});
afterEach(() => browser.leave());
// The last is the first to run: the server ends whatever the browser says.
afterAll(async () => {
  await server.running.stop();
  await server.running.removeData();
});
afterAll(async () => {
  for (const child of drivers) child.kill('SIGKILL');
  await browser.close();
});

/** So many devices that report, once each has done so, until they are stopped; `stop` resolves when all of it is acknowledged. */
async function drive(count = COUNT): Promise<{ stop: () => Promise<void> }> {
  const target = `127.0.0.1:${await server.running.port('teltonika')}`;
  const args = ['--protocol', 'teltonika', '--target', target, '--transport', 'tcp', '--devices', String(count), '--interval', '1s'];
  const child = spawn(process.execPath, [BIN, 'simulate', ...args, '--duration', '1h'], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(child, 'exit');
  drivers.push(child);
  await eventually(async () => {
    const { body } = await server.call('GET', '/v1/connections');
    const reporting = Array.isArray(body['connections']) ? body['connections'].filter(({ frames }) => frames > 1) : [];
    expect(reporting).toHaveLength(count);
  });
  return {
    stop: async () => {
      child.kill('SIGINT');
      expect(await ended).toEqual([0, null]);
    },
  };
}

function open(screen: string, by: Chromium = browser, ...scopes: string[]): Promise<Seen> {
  return enter(server, by, screen, { ...WINDOW, scopes });
}

/** The list and the map, from afar, have the same devices, so many, by their ids; returns those. */
async function agreed(page: Page, count: number): Promise<unknown> {
  await page.waitForSelector('.map[data-ready]');
  await page.evaluate("document.querySelector('.map').map.jumpTo({ center: [10, 25], zoom: 0 })");
  return eventually(async () => {
    const listed = await page.$$eval('[role=option] .mono', (all) => all.map(({ textContent }) => textContent));
    expect(listed).toHaveLength(count);
    expect(await drawn(page)).toEqual([...listed].sort());
    return listed;
  });
}

/** Statuses of what the addresses answer, again and again, until it is there. */
async function answersUntil(there: Promise<unknown>, addresses: readonly string[]): Promise<ReadonlySet<number>> {
  let isThere = false;
  const watched = there.finally(() => {
    isThere = true;
  });
  const statuses = new Set<number>();
  await until(async () => {
    for (const address of addresses)
      await fetch(address).then(
        async (response) => {
          await response.arrayBuffer();
          statuses.add(response.status);
        },
        // It does not listen yet.
        () => {},
      );
    return isThere;
  });
  await watched;
  return statuses;
}

/** Parts of the map with more towns the closer one looks. */
const SOUTH = { center: [-64, -33], zoom: 5 };
const NORTH = { center: [25, 53], zoom: 5 };
type Place = typeof SOUTH;

/** Names of the towns that are drawn there: a coarser tile in the place of one that did not come has fewer. */
function towns(page: Page, place: Place): Promise<unknown> {
  return page.evaluate(`(async () => {
    const { map } = document.querySelector('.map');
    map.jumpTo(${JSON.stringify(place)});
    return [...new Set(map.queryRenderedFeatures({ layers: ['town'] }).map(({ properties }) => properties.name))].sort();
  })()`);
}

/** What it draws there when all of it comes. */
async function townsOfWhole(page: Page, place: Place): Promise<unknown> {
  await page.waitForSelector('.map[data-ready]');
  await page.evaluate(`new Promise((resolve) => {
    const { map } = document.querySelector('.map');
    map.once('idle', resolve);
    map.jumpTo(${JSON.stringify(place)});
  })`);
  return towns(page, place);
}

/** Looks there while it does not come: what is far away is drawn in its place. */
async function lookInVain(page: Page, place: Place): Promise<void> {
  await page.evaluate(`(async () => {
    const { map } = document.querySelector('.map');
    const failed = new Promise((resolve) => map.once('error', resolve));
    map.jumpTo(${JSON.stringify(place)});
    await failed;
  })()`);
}

/** Ids of the devices that are drawn, alone or in a cluster. */
function drawn(page: Page): Promise<unknown> {
  return page.evaluate(`(async () => {
    const { map } = document.querySelector('.map');
    const source = map.getSource('devices');
    const found = map.queryRenderedFeatures({ layers: ['marks', 'clusters'] });
    const members = found.map(({ properties }) =>
      properties.cluster_id === undefined ? [{ properties }] : source.getClusterLeaves(properties.cluster_id, 1000, 0));
    return [...new Set((await Promise.all(members)).flat().map(({ properties }) => properties.device))].sort();
  })()`);
}

async function onMap(page: Page): Promise<Record<string, string>> {
  return Object(await page.evaluate("({ ...document.querySelector('.map')?.dataset })"));
}

/** The first device of the list moves, as its panel says; returns its id. The list has the keys; the map follows the choice. */
async function moves(page: Page): Promise<string> {
  await page.waitForSelector('[role=option]');
  await page.focus('[role=listbox]');
  await page.keyboard.press('j');
  await page.waitForSelector('.panel');
  const device = String(await page.evaluate("document.querySelector('.panel b').textContent"));
  const place = (): Promise<unknown> => page.evaluate("document.querySelector('.panel p.mono').textContent");
  const before = await place();
  await eventually(async () => expect(await place()).not.toBe(before));
  return device;
}

describe('the map', () => {
  const whole = new Map<Place, unknown>();
  /** A window with a map that has not been looked at closely. */
  let fresh: Seen;

  it('shows simulated devices as they move, the same as the list, changes its colours with the page, and is used by keys', async () => {
    seen = await enter(server, browser, 'map', { ...WINDOW, stays: true });
    const { page, faults } = seen;
    const requests: string[] = [];
    page.on('request', (request) => requests.push(request.url()));
    await reads(page, '0 devices with a position');
    const driven = await drive();
    await reads(page, `${COUNT} devices with a position`);
    await agreed(page, COUNT);
    await eventually(async () =>
      expect(await onMap(page)).toMatchObject({ devices: String(COUNT), marks: expect.stringMatching(/^[1-9]/) }),
    );
    // While no device is selected, nothing is drawn for that.
    await page.evaluate(`{
      window.marked = 0;
      document.querySelector('.map').map.on('sourcedata', ({ sourceId }) => { if (sourceId === 'selected') window.marked++; });
    }`);
    for (let updates = 0; updates < 2; updates++) {
      await page.evaluate("delete document.querySelector('.map').dataset.devices");
      await eventually(async () => expect(await onMap(page)).toMatchObject({ devices: String(COUNT) }));
    }
    expect(await page.evaluate('window.marked')).toBe(0);
    const device = await moves(page);
    await eventually(async () => expect(await page.evaluate('window.marked')).not.toBe(0));
    await agreed(page, COUNT);
    await page.select('select[aria-label=Colours]', 'dark');
    await eventually(async () => expect(await page.evaluate('document.documentElement.dataset.theme')).toBe('dark'));
    await page.evaluate("delete document.querySelector('.map').dataset.devices");
    await eventually(async () => expect(await onMap(page)).toMatchObject({ devices: String(COUNT) }));
    await page.focus('[role=listbox]');
    await page.keyboard.press('Enter');
    await eventually(async () => expect(await page.evaluate('location.hash')).toBe(`#/device/${device}`));
    // Its command comes back answered.
    await page.waitForSelector('nav.tabs');
    await page.evaluate("[...document.querySelectorAll('nav.tabs a')].find((a) => a.textContent === 'Commands').click()");
    await page.waitForSelector('form[aria-label="Send a command"] select');
    await page.select('form[aria-label="Send a command"] select', 'version');
    // What it says about the command moves the button.
    await page.evaluate(`document.querySelector('form[aria-label="Send a command"] button.main').click()`);
    await page.waitForSelector('td .answered');
    await driven.stop();
    expect(requests.filter((url) => !url.startsWith(server.url) && !/^(blob|data):/.test(url))).toEqual([]);
    expect(requests.filter((url) => url.includes('/maps/')).length).toBeLessThanOrEqual(40);
    expect(faults).toEqual([]);
  });

  it('filters by state and id, in the address', async () => {
    const { page, faults } = seen;
    await show(page, 'map?state=alarm');
    await eventually(async () => expect((await textOf(page)).match(/\d+ devices? with a position/)).not.toBeNull());
    expect(await page.$eval('select[aria-label=State]', (select) => Reflect.get(select, 'value'))).toBe('alarm');
    await page.select('select[aria-label=State]', '');
    await reads(page, `${COUNT} devices with a position`);
    const [first] = z.array(z.string()).parse(await agreed(page, COUNT));
    await page.type('input[type=search]', String(first));
    expect(await agreed(page, 1)).toEqual([first]);
    await page.click('input[type=search]', { count: 3 });
    await page.type('input[type=search]', 'no such device');
    await reads(page, '0 devices with a position');
    await agreed(page, 0);
    await eventually(async () => expect(await onMap(page)).toMatchObject({ devices: '0' }));
    await page.click('input[type=search]', { count: 3 });
    await page.keyboard.press('Backspace');
    await reads(page, `${COUNT} devices with a position`);
    expect(faults).toEqual([]);
  });

  it('loses a device that is erased while one looks', async () => {
    const { page } = seen;
    await reads(page, `${COUNT} devices with a position`);
    const { body } = await server.call('GET', '/v1/devices');
    // Those that are left are the first, which can be driven again.
    const last = Array.isArray(body['devices']) ? body['devices'].at(-1) : undefined;
    expect(await server.call('DELETE', `/v1/devices/${last.id}/data?registry=remove`)).toMatchObject({ body: { device: last.id } });
    await reads(page, `${LEFT} devices with a position`);
    expect(await textOf(page)).not.toContain(last.id);
    expect(await agreed(page, LEFT)).not.toContain(last.id);
  });

  it('is one click away from a device', async () => {
    const { page, faults } = seen;
    for (const place of [SOUTH, NORTH]) whole.set(place, await townsOfWhole(page, place));
    await press(page, '[role=option]');
    await press(page, '.panel a');
    await page.waitForSelector('nav.tabs');
    expect(faults).toEqual([]);
  });

  it('has the track of a device, point by point, and its events', async () => {
    const { body } = await server.call('GET', '/v1/devices?limit=1');
    const [device] = Array.isArray(body['devices']) ? body['devices'] : [];
    const { page, faults } = seen;
    await show(page, `device/${device.id}`);
    // It is in ClickHouse a second after it came, and an event a second after that.
    await eventually(async () => {
      const events = await server.call('GET', `/v1/events?device=${device.id}&type=disconnected`);
      expect(events).toMatchObject({
        status: 200,
        body: { events: expect.arrayContaining([expect.objectContaining({ type: 'disconnected' })]) },
      });
    });
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

  it('says that ClickHouse is away, on a track and on Now, moves meanwhile, and has the track when it is back', async () => {
    const { body } = await server.call('GET', '/v1/devices?limit=1');
    const [device] = Array.isArray(body['devices']) ? body['devices'] : [];
    const { page, faults } = seen;
    await show(page, `device/${device.id}`);
    await reads(page, 'Point ');
    const [killed = 0] = server.running.children('clickhouse');
    process.kill(killed, 'SIGKILL');
    // The one that is started in its place is away as long as one looks.
    const next = await eventually(() => {
      const found = server.running.children('clickhouse').filter((pid) => pid !== killed);
      expect(found).toHaveLength(1);
      return found[0] ?? 0;
    });
    process.kill(next, 'SIGSTOP');
    await press(page, 'button[aria-pressed=true]');
    await page.waitForSelector('main .refused');
    expect(await textOf(page)).toContain('ClickHouse');
    const driven = await drive(LEFT);
    await show(page, 'now');
    const problems = await page.waitForSelector('section[aria-label=Problems]');
    expect(await problems?.evaluate((section) => section.textContent)).toContain('clickhouse');
    await show(page, 'map');
    await moves(page);
    await driven.stop();
    process.kill(next, 'SIGCONT');
    await show(page, `device/${device.id}`);
    await reads(page, 'Point ');
    expect(faults).toEqual([]);
    await page.close();
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

  it('is live in four windows of seven, and the API answers in all of them', async () => {
    const { page, faults } = await open('now');
    const tabs = [page];
    // All at once: a browser has six connections to a host.
    const more = await Promise.all(Array.from({ length: 6 }, () => browser.open(`${server.url}/#/now`, { ...WINDOW, beside: page })));
    tabs.push(...more.map((one) => one.page));
    const states = (): Promise<string[]> =>
      Promise.all(tabs.map(async (tab) => String(await tab.evaluate("document.querySelector('header [role=status]').textContent"))));
    await eventually(async () =>
      expect((await states()).sort()).toEqual([...Array(3).fill('○ paused: click to go on'), ...Array(4).fill('● live')]),
    );
    // Each of them is answered what it asks for.
    for (const tab of tabs) {
      await tab.evaluate("location.hash = '#/devices'");
      await tab.waitForSelector('main[data-screen=devices]');
      await reads(tab, '352093701');
    }
    const paused = (await states()).findIndex((text) => text.includes('paused'));
    await tabs[paused]?.evaluate("dispatchEvent(new Event('focus'))");
    await eventually(async () => expect((await states())[paused]).toBe('● live'));
    expect([...faults, ...more.flatMap((one) => one.faults)]).toEqual([]);
  });

  it('draws what was refused for a moment as if it never had been', async () => {
    fresh = await enter(server, browser, 'map', { ...WINDOW, stays: true });
    const { page, faults } = fresh;
    await page.waitForSelector('.map[data-ready]');
    await page.setRequestInterception(true);
    let isRefused = true;
    const refuse = (request: HTTPRequest): void => {
      if (isRefused && request.url().includes('/maps/')) void request.respond({ status: 503 });
      else void request.continue();
    };
    page.on('request', refuse);
    await lookInVain(page, SOUTH);
    expect(await towns(page, SOUTH)).not.toEqual(whole.get(SOUTH));
    isRefused = false;
    await eventually(async () => expect(await towns(page, SOUTH)).toEqual(whole.get(SOUTH)));
    page.off('request', refuse);
    await page.setRequestInterception(false);
    expect(faults).toEqual([]);
  });

  it('stays right over a restart of the server', async () => {
    const { page, faults } = fresh;
    const beside = await browser.open(`${server.url}/#/now`, { ...WINDOW, beside: page });
    await reads(beside.page, '● live');
    await agreed(page, LEFT);
    const [asset = ''] = /assets\/[^"]+\.js/.exec(await (await fetch(server.url)).text()) ?? [];
    const { dataDir } = server.running;
    server.running.signal('SIGTERM');
    await server.running.exited;
    await reads(page, 'The server does not answer');
    await reads(page, 'reconnecting');
    await agreed(page, LEFT);
    // What is asked for now does not come: a screen, and a part of the map below the devices.
    await beside.page.evaluate("location.hash = '#/decode'");
    await reads(beside.page, 'cannot be loaded');
    await lookInVain(page, NORTH);
    expect(await towns(page, NORTH)).not.toEqual(whole.get(NORTH));
    // It is there again for others first, and from its first answer on it has its pages.
    await page.setOfflineMode(true);
    const starting = ApiServer.start({ ...ENV, FIXGATE_HTTP_PORT: new URL(server.url).port }, { dataDir, known: server.token });
    const statuses = await answersUntil(starting, [`${server.url}/`, `${server.url}/${asset}`, `${server.url}/maps/world.pmtiles`]);
    expect([...statuses]).toEqual([200]);
    server = await starting;
    const driven = await drive(COUNT + 1);
    await driven.stop();
    await reads(page, `${LEFT} devices with a position`);
    await page.setOfflineMode(false);
    await reads(page, `${COUNT + 1} devices with a position`);
    await eventually(async () => expect(await towns(page, NORTH)).toEqual(whole.get(NORTH)));
    await agreed(page, COUNT + 1);
    await reads(page, '● live');
    await reads(beside.page, 'Bytes as hex');
    expect([...faults, ...beside.faults]).toEqual([]);
  });
});
