import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { cycleOf } from '../../src/fleet/plan/cycle.ts';
import { UNLIMITED } from '../../src/fleet/plan/plan.ts';
import { eventually } from '../support/wait.ts';
import { Api } from './rig.ts';

let api: Api;
beforeAll(async () => {
  api = await Api.start();
});
afterAll(async () => {
  vi.restoreAllMocks();
  await api.stop();
});

it('GET /v1/usage lists devices by their share of the cap, with a forecast', async () => {
  const cycle = cycleOf(UNLIMITED, Date.now());
  // Half of the cycle has passed.
  let now = (cycle.start + cycle.end) / 2;
  vi.spyOn(systemClock, 'now').mockImplementation(() => now);
  await api.call('PUT', '/v1/plans/small', { records_cap: 100 });
  for (const [id, plan, account] of [
    ['d-01', 'small', 'a'],
    ['d-02', 'small', 'b'],
    ['d-03', 'default', 'a'],
    ['d-04', 'small', 'a'],
  ])
    await api.call('PUT', `/v1/devices/${id}`, { plan, account });
  const use = (id: string, records: number, bytes_in = 0) =>
    api.office.state.write([{ table: 'usage', key: `${id} ${cycle.start}`, add: { records, bytes_in } }]);
  await use('d-01', 20, 9000);
  await use('d-02', 80, 4000);
  await use('d-03', 999, 5000);
  const list = async (query = ''): Promise<Record<string, unknown>[]> =>
    Object((await api.call('GET', `/v1/usage?${query}`)).body['devices']);
  expect(await list()).toEqual([
    { device: 'd-02', plan: 'small', billed_bytes: 4000, records: 80, records_pct: 80, forecast_pct: 160, held: [] },
    { device: 'd-01', plan: 'small', billed_bytes: 9000, records: 20, records_pct: 20, forecast_pct: 40, held: [] },
    { device: 'd-04', plan: 'small', billed_bytes: 0, records: 0, records_pct: 0, forecast_pct: 0, held: [] },
  ]);
  const ids = async (query: string): Promise<unknown[]> => (await list(query)).map(({ device }) => device);
  expect([await ids('over_pct=50'), await ids('account=a'), await ids('plan=default'), await ids('limit=1')]).toEqual([
    ['d-02'],
    ['d-01', 'd-04'],
    [],
    ['d-02'],
  ]);
  // The accounts of devices are noticed in the store.
  const { roster } = api.office.live;
  await eventually(() => expect(['d-01', 'd-02', 'd-03'].map((id) => roster.accountOf(id))).toEqual(['a', 'b', 'a']));
  // The loudest, with a cap or without; one that has used nothing is not among them.
  expect([
    await ids('order=bytes'),
    await ids('order=records&limit=2'),
    await ids('order=bytes&plan=default'),
    await ids('order=bytes&account=a'),
    await ids('order=records&over_pct=50'),
  ]).toEqual([['d-01', 'd-03', 'd-02'], ['d-03', 'd-02'], ['d-03'], ['d-01', 'd-03'], ['d-02']]);
  expect((await api.call('GET', '/v1/usage?order=name')).status).toBe(400);
  // Kept for a minute.
  await use('d-04', 90);
  expect(await ids('limit=1')).toEqual(['d-02']);
  now += 60_001;
  expect(await ids('limit=1')).toEqual(['d-04']);
});
