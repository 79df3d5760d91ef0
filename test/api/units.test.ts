import { afterAll, beforeAll, expect, it } from 'vitest';
import { fixgate } from '../cli/command.ts';
import { eventually } from '../support/wait.ts';
import { Api, fieldsOf } from './rig.ts';

/** Replacing the unit of a device, over HTTP and with `fixgate devices`. */

let api: Api;
let token: string;
beforeAll(async () => {
  api = await Api.start();
  token = await api.token(['read', 'devices']);
});
afterAll(() => api.stop());

const said = (): string[] => api.events.map(({ type }) => String(type));
const run = (...args: string[]) => fixgate(['devices', ...args], '', { FIXGATE_URL: api.url, FIXGATE_TOKEN: token });

it('puts a unit of another protocol in: commands that wait are cancelled, and the settings are asked of it when it comes', async () => {
  const { office } = api;
  await api.call('POST', '/v1/devices', { id: '356307042441013', account: 'acme', protocol: 'gt06', transport: 'tcp' });
  expect(
    await api.call('POST', '/v1/devices/356307042441013/commands', { type: 'set_interval', parameters: { seconds: 30 } }),
  ).toMatchObject({
    status: 201,
  });
  expect((await api.call('POST', '/v1/devices/356307042441013/replace', { unit: '4106011660', options: { colour: 'red' } })).status).toBe(
    422,
  );
  api.audit.length = 0;
  expect(await api.call('POST', '/v1/devices/356307042441013/replace', { unit: '4106011660', reason: 'antenna broken' })).toMatchObject({
    status: 200,
    body: { id: '356307042441013', unit: '4106011660', account: 'acme' },
  });
  expect(api.audit).toMatchObject([
    { operation: 'POST /v1/devices/{id}/replace', status: 0 },
    { object: 'devices/356307042441013', account: 'acme', status: 200, new: { unit: '4106011660' } },
  ]);
  expect(await office.ledger.open('356307042441013')).toEqual([]);
  expect((await api.call('GET', '/v1/devices/4106011660/units')).body).toMatchObject({
    device: '356307042441013',
    periods: [{ unit: '356307042441013' }, { unit: '4106011660', by: 'tester', reason: 'antenna broken' }],
    settings: { waiting: true },
  });
  expect(await api.call('POST', '/v1/devices/356307042441013/replace', { unit: '4106011660' })).toMatchObject({ status: 409 });
  expect(fieldsOf(await api.call('PATCH', '/v1/devices/356307042441013', { unit: '4106011661' }))).toEqual(['unit']);
  // The first contact of the unit.
  expect(await api.call('PATCH', '/v1/devices/356307042441013', { protocol: 'h02', transport: 'tcp' })).toMatchObject({ status: 200 });
  await eventually(() => expect(said()).toContain('unit_settled'));
  expect(api.events.find(({ type }) => type === 'unit_settled')).toMatchObject({ unit: '4106011660', protocol: 'h02', sent: ['interval'] });
  expect(await office.ledger.open('356307042441013')).toMatchObject([
    { type: 'set_interval', parameters: { seconds: 30 }, requester: 'replacement' },
  ]);
});

it('on the command line', async () => {
  await run('add', 'van-1', 'account=acme');
  const replaced = await run('replace', 'van-1', 'unit-7', 'since=2026-12-01T08:00', 'protocol=h02', '--zone', 'Europe/Berlin', '--json');
  expect([replaced.code, replaced.error]).toEqual([0, '']);
  expect(JSON.parse(replaced.out)).toMatchObject({ id: 'van-1', unit: 'unit-7', unit_since: Date.UTC(2026, 11, 1, 7), protocol: 'h02' });
  expect((await run('units', 'van-1')).out).toMatch(/unit-7/);
  expect(await run('replace', 'van-1', 'unit-7')).toMatchObject({ code: 2, error: expect.stringMatching(/unit is in the device already/) });
  expect(await run('replace', 'van-2', 'unit-8')).toMatchObject({ code: 1, error: 'fixgate: device van-2 is not known\n' });
  expect(await run('replace', 'van-1')).toMatchObject({ error: expect.stringMatching(/usage: fixgate devices replace/) });
});
