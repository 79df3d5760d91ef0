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
    ['', { id: 'x', time_zone: 'Mars' }, ['time_zone']],
    ['', { id: 'x', consents: {} }, ['consents']],
    ['', { id: 'x', state: 'closed' }, ['state']],
    ['/acme/suspend', {}, ['reason']],
  ] as const) {
    const answer = await api.call('POST', `/v1/accounts${path}`, body);
    expect([answer.status, fieldsOf(answer)]).toEqual([400, fields]);
  }
});

it('consent and withdraw; recipients are made, listed and removed', async () => {
  await api.call('POST', '/v1/accounts', { id: 'beta' });
  const path = '/v1/accounts/beta/consents/insurer';
  expect(await api.call('PUT', path, { fields: ['speed_kmh', 'event'] })).toMatchObject({
    status: 200,
    body: { consents: { insurer: { fields: ['speed_kmh', 'event'] } } },
  });
  expect((await api.call('DELETE', path)).body).toMatchObject({ id: 'beta', consents: {} });
  expect((await api.call('DELETE', path)).status).toBe(404);
  expect((await api.call('PUT', '/v1/accounts/none/consents/insurer', { fields: ['all'] })).status).toBe(404);
  for (const [body, fields] of [
    [{ fields: ['lat'] }, ['fields.0']],
    [{ fields: [] }, ['fields']],
    [{}, ['fields']],
  ] as const) {
    const answer = await api.call('PUT', path, body);
    expect([answer.status, fieldsOf(answer)]).toEqual([400, fields]);
  }
  expect(api.events.map(({ type }) => type)).toEqual(expect.arrayContaining(['consent_given', 'consent_withdrawn']));
  expect(api.audit.find(({ object, new: now }) => object === 'accounts/beta/consents/insurer' && now !== undefined)).toMatchObject({
    new: { fields: ['speed_kmh', 'event'] },
  });

  expect(await api.call('PUT', '/v1/recipients/alpha', { purpose: 'insurer' })).toMatchObject({ status: 201, body: { id: 'alpha' } });
  expect((await api.call('PUT', '/v1/recipients/alpha', { purpose: 'insurer', name: 'Alpha' })).status).toBe(200);
  expect((await api.call('GET', '/v1/recipients')).body).toMatchObject({ recipients: [{ id: 'alpha', name: 'Alpha' }] });
  expect(fieldsOf(await api.call('PUT', '/v1/recipients/alpha', {}))).toEqual(['purpose']);
  expect((await api.call('DELETE', '/v1/recipients/alpha')).status).toBe(204);
  expect((await api.call('DELETE', '/v1/recipients/alpha')).status).toBe(404);
});
