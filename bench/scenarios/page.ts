import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { Page } from 'puppeteer-core';
import { createCode } from '../../src/api/sessions.ts';
import { silentLog } from '../../src/base/log.ts';
import { linkOf } from '../../src/cli/console.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';
import { HERE, wait } from '../load/server.ts';
import { lower, plain, type Scenario } from './scenario.ts';

/**
 * What the console costs who looks, in a real Chromium: how soon its first page and its map are there, and what the map takes while all
 * devices report. Without a graphics processor the browser draws with the main one.
 */

const DEVICES = 10_000;
/** Packets/s: each device every five seconds. */
const RATE = 2000;
const WARM_MS = 6000;
const RUN_MS = 10_000;
/** Beyond every machine. */
const PATIENCE_MS = 120_000;
const LONG_TASKS = `{
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
  }).observe({ type: 'longtask', buffered: true });
}`;

const page: Scenario = {
  name: 'page',
  about: `the console in Chromium: its start, and its map while ${DEVICES} devices send ${RATE} packets/s in all`,
  full: true,
  async run(rig) {
    const built = spawnSync(process.execPath, [join(HERE, 'web/build.ts')], { encoding: 'utf8' });
    if (built.status !== 0) throw new Error(`web/build.ts: ${built.stderr}`);
    const { server, port, http, dataDir } = await rig.serve('none', { FIXGATE_HTTP_CONSOLE: 'true' });
    const devices = Math.max(500, Math.round(DEVICES * Math.min(1, rig.scale.time)));
    const fleet = await rig.fleet({ port, devices, records: 1, attributes: 14 });
    await fleet.run(RATE, rig.ms(WARM_MS));

    const store = new LmdbStore({ directory: join(dataDir, 'state'), log: silentLog });
    const link = linkOf(`http://127.0.0.1:${http}`, await createCode(store, ['read', 'locations']));
    await store.close();
    const browser = await rig.browser();
    const tab = await browser.newPage();
    tab.setDefaultTimeout(PATIENCE_MS);
    await tab.setViewport({ width: 1280, height: 800 });
    await tab.evaluateOnNewDocument(LONG_TASKS);
    const clicked = performance.now();
    await tab.goto(link);
    await tab.waitForSelector('ul.cards');
    const nowMs = performance.now() - clicked;

    const opened = performance.now();
    await tab.evaluate("location.hash = '#/map'");
    await tab.waitForSelector('.map[data-ready]');
    const mapMs = performance.now() - opened;

    const running = fleet.run(RATE, rig.ms(WARM_MS) + rig.ms(RUN_MS));
    await wait(rig.ms(WARM_MS));
    await tab.evaluate('window.longest = 0');
    const [from, since] = [await busy(tab), performance.now()];
    await wait(rig.ms(RUN_MS) - 1000);
    const cores = ((await busy(tab)) - from) / ((performance.now() - since) / 1000);
    const longest = Number(await tab.evaluate('window.longest'));
    await running;
    await browser.close();
    await fleet.close();
    await server.stop();
    return [
      lower('from the link to the first page', nowMs, 'ms', 300),
      lower('from there to the map, drawn', mapMs, 'ms', 3000),
      lower(`main thread of the page, map of ${devices} devices`, cores, 'cores', 0.3),
      lower('its longest task', longest, 'ms', 250),
      plain('devices', devices, ''),
    ];
  },
};

/** Seconds that the main thread of the page has worked. */
async function busy(tab: Page): Promise<number> {
  return (await tab.metrics()).TaskDuration ?? 0;
}

export const PAGE: readonly Scenario[] = [page];
