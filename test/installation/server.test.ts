import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Fleet, type FleetSettings, type Protocol } from '../../src/simulate/fleet.ts';
import { TeltonikaDevice } from '../../src/simulate/teltonika.ts';
import { WORKSHOP } from '../../src/simulate/workshop.ts';
import { fixgate } from '../cli/command.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';

/** Installation tests of simulated units on a whole server: a good one, and one for each fault. */

let server: ApiServer;
const fleets: { readonly fleet: Fleet; readonly ended: Promise<void> }[] = [];
beforeAll(async () => {
  server = await ApiServer.start({ FIXGATE_WORKERS: '1' });
});
afterAll(async () => {
  for (const { fleet } of fleets) fleet.finish();
  for (const { ended } of fleets) await ended;
  await server.running.stop();
});

const [PLACE, ELSEWHERE] = [`${WORKSHOP.latitude},${WORKSHOP.longitude}`, `${WORKSHOP.latitude + 0.1},${WORKSHOP.longitude}`];

/** One unit that reports every second until the tests are over. Returns its id. */
async function unit(seed: number, more: Partial<FleetSettings> = {}): Promise<string> {
  const port = await server.running.port('teltonika');
  const ports: Record<Protocol, number> = { teltonika: port, gt06: port, h02: port, queclink: port, jt808: port };
  const fleet = new Fleet({
    ...{ protocols: ['teltonika'], transports: ['tcp'], target: { host: '127.0.0.1', ports }, devices: 1, intervalMs: 1_000 },
    ...{ durationMs: Number.POSITIVE_INFINITY, graceMs: 10_000, timeoutMs: 60_000, window: 1, records: 1, ledger: undefined },
    ...{ workshop: 'none', clock: systemClock, seed },
    ...more,
  });
  fleets.push({ fleet, ended: fleet.run() });
  return new TeltonikaDevice(seed * 100_000, 0x08, 'tcp', 1).device;
}

const run = (device: string, ...args: string[]): ReturnType<typeof fixgate> =>
  fixgate(['test', device, '--at', PLACE, '--interval', '1', ...args], '', server.env);

/** The last line says what has failed. */
const failed = (lines: readonly string[]): readonly string[] =>
  (/^result {5}failed: (.*)$/.exec(lines.at(-1) ?? '')?.[1] ?? '').split(', ');

it('passes a good unit, whose relay is tried with the consent of the person at the vehicle', async () => {
  const device = await unit(1);
  const refused = await server.call('POST', `/v1/devices/${device}/tests`, { profile: 'immobiliser' });
  expect(refused).toMatchObject({ status: 422, body: { problems: [{ field: 'consent' }] } });
  // In less than the 60 s that a test takes by default.
  const passed = await run(device, '--profile', 'immobiliser', '--consent', 'Jo');
  expect([passed.error, passed.lines.at(-1), passed.code]).toEqual(['', 'result     passed', 0]);
  expect(passed.out).toContain('consent    Jo');
  const { tests } = (await server.call('GET', `/v1/devices/${device}/tests`)).body;
  const [{ id, items }] = Array.isArray(tests) ? tests : [];
  expect(items).toHaveLength(11);
  expect(items.every(({ state }: { state: string }) => state === 'passed')).toBe(true);
  expect(items[1].measured).toBe('firmware 03.27.07_00');
  const page = await server.fetch(`/v1/devices/${device}/tests/${id}?as=text`);
  expect([page.headers.get('content-type'), await page.text()]).toEqual([
    'text/plain; charset=utf-8',
    expect.stringContaining('result     passed'),
  ]);
  expect((await fixgate(['test', device, '--show', id], '', server.env)).lines.at(-1)).toBe('result     passed');
  expect((await fixgate(['test', device, '--list'], '', server.env)).lines.at(-1)).toContain('immobiliser  tester');
  await eventually(async () => {
    const { events } = (await server.call('GET', `/v1/events?device=${device}&type=installation_tested`)).body;
    expect(events).toMatchObject([{ data: { test: id, state: 'passed', failed: [], by: 'tester' } }]);
    expect(await (await server.fetch('/metrics')).text()).toContain('fixgate_installation_tests_total{state="passed"} 1');
  });
});

const FAULTY = [
  ['time', 2, { workshop: 'wrong_zone' }, PLACE],
  ['ignition', 3, { workshop: 'no_ignition' }, PLACE],
  ['power', 4, { workshop: 'low_supply' }, PLACE],
  ['place', 5, {}, ELSEWHERE],
  ['command', 6, { obedience: 'silent' }, PLACE],
  ['interval', 7, { workshop: 'unstable_interval' }, PLACE],
] as const;

it('fails a unit, and names the item: wrong zone, no ignition, 9 V, another place, deaf, an interval that is not kept', async () => {
  const ran = FAULTY.map(async ([item, seed, fault, at]) => {
    const { code, lines, error } = await run(await unit(seed, fault), '--at', at, '--seconds', '15');
    expect([item, error, code]).toEqual([item, '', 1]);
    expect(failed(lines)).toContain(item);
  });
  await Promise.all(ran);
});
