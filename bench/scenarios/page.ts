import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { CDPSession } from 'puppeteer-core';
import { createCode } from '../../src/api/sessions.ts';
import { silentLog } from '../../src/base/log.ts';
import { linkOf } from '../../src/cli/console.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';
import { HERE, wait } from '../load/server.ts';
import { lower, plain, type Scenario } from './scenario.ts';

/**
 * What the console costs who looks, in a real Chromium: how soon its first page and its map are there, and what the map takes while all
 * devices report. Without a graphics processor the browser draws with the main one, in a process of its own; while that draws, the page's
 * waits, so that its tasks are long and take little processor time.
 */

const DEVICES = 10_000;
/** Packets/s: each device every five seconds. */
const RATE = 2000;
const WARM_MS = 6000;
const RUN_MS = 10_000;
/** Beyond every machine. */
const PATIENCE_MS = 120_000;
/** In the page: when a card is there, ms after the click, and the longest task. */
const WATCH = `{
  new MutationObserver((_, observer) => {
    if (document.querySelector('ul.cards') === null) return;
    window.usable = performance.now();
    observer.disconnect();
  }).observe(document, { childList: true, subtree: true });
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
    const inside = await browser.target().createCDPSession();
    const tab = await browser.newPage();
    tab.setDefaultTimeout(PATIENCE_MS);
    await tab.setViewport({ width: 1280, height: 800 });
    // A person's browser is up, and has shown something.
    await tab.goto(`http://127.0.0.1:${http}/healthz`);
    await tab.evaluateOnNewDocument(WATCH);
    await tab.goto(link);
    await tab.waitForSelector('ul.cards');
    const nowMs = Number(await tab.evaluate('window.usable'));

    const opened = performance.now();
    await tab.evaluate("location.hash = '#/map'");
    await tab.waitForSelector('.map[data-ready]');
    const mapMs = performance.now() - opened;

    const running = fleet.run(RATE, rig.ms(WARM_MS) + rig.ms(RUN_MS));
    await wait(rig.ms(WARM_MS));
    await tab.evaluate('window.longest = 0');
    const [from, since] = [await busy(inside), performance.now()];
    await wait(rig.ms(RUN_MS) - 1000);
    const [to, seconds] = [await busy(inside), (performance.now() - since) / 1000];
    const longest = Number(await tab.evaluate('window.longest'));
    await running;
    await browser.close();
    await fleet.close();
    await server.stop();
    return [
      lower('from the click on the link to the first page', nowMs, 'ms', 300),
      lower('from there to the map, drawn', mapMs, 'ms', 3000),
      lower(`process of the page, map of ${devices} devices`, (to.page - from.page) / seconds, 'cores', 0.3),
      plain('the process that draws for it', (to.drawing - from.drawing) / seconds, 'cores'),
      lower('its longest task', longest, 'ms', 250),
      plain('devices', devices, ''),
    ];
  },
};

/** Seconds of processor time: of the page with its worker, and of what draws. */
async function busy(inside: CDPSession): Promise<{ page: number; drawing: number }> {
  const { processInfo } = await inside.send('SystemInfo.getProcessInfo');
  const of = (type: string): number => processInfo.filter((one) => one.type === type).reduce((sum, { cpuTime }) => sum + cpuTime, 0);
  return { page: of('renderer'), drawing: of('GPU') };
}

export const PAGE: readonly Scenario[] = [page];
