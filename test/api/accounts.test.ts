import { afterAll, beforeAll, expect, it } from 'vitest';
import { Api, fieldsOf } from './rig.ts';

/** Accounts over HTTP. */

let api: Api;
beforeAll(async () => {
  api = await Api.start();
});
afterAll(() => api.stop());

it('are made, shown, changed, listed, suspended, resumed and closed', async () => {
  const made = await api.call('POST', '/v1/accounts', { id: 'acme', name: 'Acme', retention: { keep_days: 30 } });
  expect(made).toMatchObject({ status: 201, body: { id: 'acme', state: 'active', retention: { keep_days: 30 }, time_zone: 'UTC' } });
  expect((await api.call('POST', '/v1/accounts', { id: 'acme' })).status).toBe(409);
  expect((await api.call('PATCH', '/v1/accounts/acme', { retention: null })).body).not.toHaveProperty('retention');
  expect(await api.call('POST', '/v1/accounts/acme/suspend', { reason: 'unpaid' })).toMatchObject({
    status: 200,
    body: { reason: 'unpaid' },
  });
  await api.call('POST', '/v1/accounts', { id: 'Smith, Sons' });
  expect((await api.call('GET', '/v1/accounts?state=suspended')).body).toMatchObject({ accounts: [{ id: 'acme' }] });
  expect((await api.call('GET', '/v1/accounts?limit=1')).body).toMatchObject({ accounts: [{ id: 'Smith, Sons' }], next: 'Smith, Sons' });
  expect((await api.call('GET', '/v1/accounts/Smith%2C%20Sons')).body).toMatchObject({ id: 'Smith, Sons' });
  expect(await api.call('POST', '/v1/accounts/acme/resume', {})).toMatchObject({ status: 200, body: { state: 'active' } });
  expect(await api.call('POST', '/v1/accounts/acme/close', { reason: 'moved', at: 'cycle_end' })).toMatchObject({
    body: { state: 'active' },
  });
  expect(await api.call('POST', '/v1/accounts/acme/close', { reason: 'moved' })).toMatchObject({ body: { state: 'closed' } });
  expect(await api.call('POST', '/v1/accounts/acme/resume', {})).toMatchObject({ status: 409 });
  expect(await api.call('POST', '/v1/accounts/acme/resume', { reopen: true })).toMatchObject({ status: 200 });
  for (const path of ['', '/suspend', '/resume', '/close'])
    expect(
      (await api.call(path === '' ? 'GET' : 'POST', `/v1/accounts/none${path}`, path === '' ? undefined : { reason: 'x' })).status,
    ).toBe(404);
});

it('say what is wrong, by field', async () => {
  for (const [path, body, fields] of [
    ['', { id: ' x' }, ['id']],
    ['', { id: 'x', time_zone: 'Mars', consents: { 'A B': [] } }, ['time_zone', 'consents.A B']],
    ['', { id: 'x', state: 'closed' }, ['state']],
    ['/acme/suspend', {}, ['reason']],
  ] as const) {
    const answer = await api.call('POST', `/v1/accounts${path}`, body);
    expect([answer.status, fieldsOf(answer)]).toEqual([400, fields]);
  }
});
