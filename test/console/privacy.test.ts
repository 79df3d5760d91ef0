import type { Page } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { crc16Arc, putU32be } from '../../src/base/wire/index.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet, reply } from '../helpers/teltonika.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';
import { Chromium, knownTo, reads, textOf } from './chromium.ts';
import { enter, enterWith, show } from './person.ts';

/** What people may not see is nowhere: not in an answer of the API, not on the page, not in what the browser keeps. */
interface Spot {
  readonly lat: number;
  readonly lon: number;
}

/** Stored, relayed, and passed on from one account to the other; each is somewhere else. */
const STORED = '356307042441013';
const RELAYED = '356307042441021';
const PASSED = '356307042441039';
const SPOT: Record<'stored' | 'relayed' | 'before' | 'after', Spot> = {
  stored: { lat: 59.3293, lon: 18.0686 },
  relayed: { lat: 48.1371, lon: 11.5754 },
  before: { lat: 52.5163, lon: 13.3777 },
  after: { lat: 45.4642, lon: 9.1903 },
};
const [A, B] = ['acme-haulage', 'bolt-couriers'];

let server: ApiServer;
let browser: Chromium;
const devices: TcpDevice[] = [];

beforeAll(async () => {
  server = await ApiServer.start({ FIXGATE_HTTP_CONSOLE: 'true', FIXGATE_WORKERS: '1' });
  browser = await Chromium.launch();
  expect((await server.call('PUT', `/v1/devices/${RELAYED}`, { privacy: 'relay' })).status).toBe(201);
  expect((await server.call('PUT', `/v1/devices/${PASSED}`, { account: A })).status).toBe(201);
  for (const [id, spot] of [
    [STORED, SPOT.stored],
    [RELAYED, SPOT.relayed],
    [PASSED, SPOT.before],
  ] as const) {
    const device = await TcpDevice.connect(await server.running.port('teltonika'));
    devices.push(device);
    device.send(handshake(id));
    device.send(at(spot));
    await device.until(({ received }) => received.length === 5);
    await replies(id, device, spot);
  }
  const stored = (): Promise<string> => server.running.query('SELECT DISTINCT device FROM positions ORDER BY device');
  await eventually(async () => expect((await stored()).trim().split('\n')).toEqual([STORED, PASSED]));
});
afterEach(() => browser.leave());
// The last is the first to run: the server ends whatever the browser says.
afterAll(() => server.running.stop());
afterAll(async () => {
  for (const device of devices) device.close();
  await browser.close();
});

/** A record there, now. */
function at({ lat, lon }: Spot): Uint8Array {
  const bytes = packet(Date.now(), 40);
  putU32be(bytes, 19, Math.round(lon * 1e7));
  putU32be(bytes, 23, Math.round(lat * 1e7));
  putU32be(bytes, 41, crc16Arc(bytes, 8, 41));
  return bytes;
}

/** It is asked in its own words, and answers where it is. */
async function replies(id: string, device: TcpDevice, { lat, lon }: Spot): Promise<void> {
  const text = `GPS:1 Sat:7 Lat:${lat} Long:${lon} Alt:147`;
  const body = { type: 'custom', parameters: { text: 'getgps' } };
  // It has said who it is; its record comes a moment later.
  const { body: made } = await eventually(async () => {
    const answer = await server.call('POST', `/v1/devices/${id}/commands`, body);
    expect(answer).toMatchObject({ status: 201 });
    return answer;
  });
  await device.until(({ received }) => received.length > 5);
  device.send(reply(text));
  await eventually(async () =>
    expect(await server.call('GET', `/v1/devices/${id}/commands/${String(made['id'])}`)).toMatchObject({ body: { state: 'answered' } }),
  );
}

/** A place as texts and frames have it. */
const wordsOf = ({ lat, lon }: Spot): string[] =>
  [lat, lon].flatMap((degrees) => [
    degrees.toFixed(4),
    Math.round(degrees * 1e7)
      .toString(16)
      .padStart(8, '0'),
  ]);

function expectNothingOf(spot: Spot, known: string, why: string): void {
  const all = known.toLowerCase();
  expect([why, wordsOf(spot).filter((word) => all.includes(word))]).toEqual([why, []]);
}

const tabsOf = (id: string): string[] =>
  ['position', 'commands', 'usage', 'events', 'frames', 'settings', 'data'].map((tab) => `device/${id}/${tab}`);

/** Every screen, for as long as it asks for something. */
async function walk(page: Page, screens: readonly string[], look: (screen: string) => Promise<void> = async () => {}): Promise<void> {
  for (const screen of screens) {
    await page.evaluate(`location.hash = ${JSON.stringify(`#/${screen}`)}`);
    await page.waitForSelector('main h1');
    await page.waitForNetworkIdle({ idleTime: 100, concurrency: 2 });
    await look(screen);
  }
}

/** Beside the map. */
const SCREENS = ['now', 'devices', 'trace', 'decode', 'quarantine', 'commands', 'plans', 'sinks', 'events', 'settings'];
/** A map costs by what it draws. */
const SMALL = { width: 800, height: 600, scale: 0.25 };

describe('without the scope locations', () => {
  it('no place is in an answer, on a screen or in the browser, and nothing that is asked for is refused', {
    timeout: 600_000,
  }, async () => {
    const { page, faults } = await enter(server, browser, 'now', { scopes: ['read'], records: true });
    const refused: string[] = [];
    page.on('response', (response) => {
      if (response.status() === 401 || response.status() === 403) refused.push(`${response.status()} ${response.url()}`);
    });
    // It is told the rest: that there was a reply.
    await show(page, `device/${STORED}/commands`);
    await reads(page, 'withheld');
    await walk(page, [...SCREENS, 'map', ...tabsOf(STORED), `trace/${STORED}`, `map?device=${STORED}`]);
    expect(await page.$$('.map')).toEqual([]);
    expectNothingOf(SPOT.stored, await knownTo(page), 'told');
    expect(refused).toEqual([]);
    // Nor is it found by a place.
    const place = `${SPOT.stored.lat}, ${SPOT.stored.lon}`;
    for (const [screen, boxes] of Object.entries({ devices: 'search input', events: 'search input', commands: 'input[type=search]' })) {
      await show(page, screen);
      for (const box of await page.$$(`main ${boxes}`)) {
        await page.waitForSelector('main tbody th');
        await box.click({ count: 3 });
        await box.type(place);
        // Some filters are taken when one leaves them.
        await box.press('Tab');
        await page.waitForSelector('main .empty, main .refused');
        expect([screen, await page.$$eval('main tbody th', (rows) => rows.length)]).toEqual([screen, 0]);
        await box.click({ count: 3 });
        await box.press('Backspace');
        await box.press('Tab');
      }
    }
    const token = String(await page.evaluate("JSON.parse(localStorage.getItem('fixgate.session')).token"));
    for (const path of [
      '/v1/positions',
      '/v1/positions?bbox=18,59,19,60',
      '/v1/live?topics=positions',
      `/v1/devices/${STORED}/positions`,
      `/v1/devices/${STORED}/trace`,
      `/v1/devices/${STORED}/export`,
      '/v1/sinks/clickhouse/parked',
    ]) {
      const response = await fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${token}` } });
      expect([path, response.status]).toEqual([path, 403]);
      expectNothingOf(SPOT.stored, await response.text(), path);
    }
    expect(faults).toEqual([]);
  });
});

describe('a relayed device', () => {
  it('is shown without its places, whoever looks at it', { timeout: 600_000 }, async () => {
    const { page, faults } = await enter(server, browser, 'map', { records: true, ...SMALL });
    await reads(page, STORED);
    expect(await textOf(page)).not.toContain(RELAYED);
    const device = devices[1];
    await walk(page, [...SCREENS, ...tabsOf(RELAYED), `map?q=${RELAYED}`, `trace/${RELAYED}`], async () => {
      // It goes on reporting meanwhile.
      const before = device?.received.length ?? 0;
      device?.send(at(SPOT.relayed));
      await device?.until(({ received }) => received.length > before);
    });
    await reads(page, 'its data is not shown');
    await show(page, `device/${RELAYED}`);
    await reads(page, 'relay: nothing of it is stored or shown');
    const known = await knownTo(page);
    // The one that is stored is in what was looked through.
    expect(wordsOf(SPOT.stored).filter((word) => known.includes(word))).not.toEqual([]);
    expectNothingOf(SPOT.relayed, known, 'relayed');
    expect(faults).toEqual([]);
  });
});

describe('a device that is passed on to another account', () => {
  it('is refused, tab by tab, to who looked at it before, and says nothing of its new time', { timeout: 600_000 }, async () => {
    const scopes = ['read', 'locations', 'commands', 'devices', 'admin'];
    const made = await server.call('POST', '/v1/tokens', { name: 'desk', scopes, accounts: [A] });
    const { page, faults } = await enterWith(String(made.body['token']), server, browser, { records: true, ...SMALL });
    await show(page, 'map');
    await reads(page, PASSED);
    await show(page, `device/${PASSED}/frames`);
    await reads(page, 'Disconnect');
    await eventually(async () => expect(await page.$eval('main [role=status]', ({ textContent }) => textContent)).toBe('connected'));
    expect((await server.call('PATCH', `/v1/devices/${PASSED}`, { account: B })).status).toBe(200);
    await reads(page, 'The trace has ended.');
    // That ends its connection.
    await devices[2]?.until(({ ended }) => ended);
    const device = await TcpDevice.connect(await server.running.port('teltonika'));
    devices.push(device);
    device.send(handshake(PASSED));
    await eventually(async () => {
      device.send(at(SPOT.after));
      expect((await server.call('GET', `/v1/positions?device=${PASSED}`)).body['rows']).toEqual([expect.arrayContaining([SPOT.after.lat])]);
    });
    // As of a device that there is not.
    await walk(page, [...tabsOf(PASSED), `trace/${PASSED}`], async (screen) => {
      await eventually(async () => expect([screen, await textOf(page)]).toEqual([screen, expect.stringMatching(/not known/)]));
      expect(await textOf(page)).not.toContain('Disconnect');
    });
    await walk(page, ['events', 'plans']);
    await walk(page, ['devices', 'map'], () => eventually(async () => expect(await textOf(page)).not.toContain(PASSED)));
    expectNothingOf(SPOT.after, await knownTo(page), 'after');
    expect(await knownTo(page)).not.toContain(B);
    expect(faults).toEqual([]);
  });
});
