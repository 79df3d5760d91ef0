import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createToken } from '../../src/api/tokens.ts';
import { Api } from './rig.ts';

/** What each operation of `/openapi.json` leaves in the audit (docs/audit.md), and that no entry holds a secret. */

let api: Api;
let operations: { operation: string; path: string }[];
let caller = '';

beforeAll(async () => {
  api = await Api.start(['admin'], {}, { edge: { trustedProxies: ['127.0.0.1'] } });
  caller = await api.token(['admin']);
  const { paths }: { paths: Record<string, Record<string, unknown>> } = JSON.parse((await api.call('GET', '/openapi.json')).text);
  operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({ operation: `${method.toUpperCase()} ${path}`, path })),
  );
  // What the database would give, which is not there.
  Object.assign(api.office, {
    history: { used: async () => new Map() },
    statements: { list: async () => [] },
    past: { track: async () => ({ rows: [], total: 0 }), events: async () => [], rows: async function* () {} },
    audits: { list: async () => [], exposure: async () => [] },
    evidence: { instances: async () => [], hashes: async () => [] },
    export: async () => 'a zip',
    exportAccount: async () => 'a zip',
    parked: {
      list: async () => ({ entries: [{ id: '0.1', device: 'd-02', kind: 'frame', reason: 'x', tries: 0 }], total: 1 }),
      retry: async () => ({ delivered: 1, refused: 0 }),
    },
    replayer: {
      isBusy: false,
      check: () => ({ options: {}, problems: [] }),
      run: async function* () {
        yield '{"summary":{"frames":0}}\n';
      },
    },
    disclose: async () => 'a zip',
  });
});
afterAll(() => api.stop());

/** Leave no entry: they change nothing that is kept, and show nothing of a device. */
const NOTHING = [
  'DELETE /v1/session',
  'GET /v1/commands/catalog',
  'GET /v1/downloads/{ticket}',
  'GET /v1/maps',
  'GET /v1/plans',
  'GET /v1/plans/{name}',
  'GET /v1/plans/{name}/versions',
  'GET /v1/session',
  'GET /v1/status',
  'POST /v1/decode',
  'POST /v1/downloads',
  'POST /v1/session',
  // What a device says.
  'POST /v1/sms/inbound',
];

/** For each other operation a request that it takes, in this order. */
const REQUESTS: Readonly<Record<string, readonly [path: string, body?: unknown, object?: string | undefined, device?: string]>> = {
  'PUT /v1/plans/{name}': ['/v1/plans/gold', {}, 'plans/gold'],
  'POST /v1/devices': ['/v1/devices', { id: 'd-01', plan: 'gold' }, 'devices/d-01', 'd-01'],
  'PUT /v1/devices/{id}': ['/v1/devices/d-01', { account: 'acme' }, 'devices/d-01', 'd-01'],
  'PATCH /v1/devices/{id}': ['/v1/devices/d-01', { aliases: ['a-01'] }, 'devices/d-01', 'd-01'],
  'POST /v1/devices/bulk': ['/v1/devices/bulk', '{"id":"d-02"}\n{"id":"d-03"}\n', 'devices/bulk'],
  'GET /v1/devices': ['/v1/devices'],
  'GET /v1/devices/export': ['/v1/devices/export'],
  'GET /v1/devices/{id}': ['/v1/devices/a-01', undefined, 'devices/a-01', 'd-01'],
  'POST /v1/devices/{id}/recovery': [
    '/v1/devices/d-01/recovery',
    { until: 4e12, reason: 'stolen', interval_s: 10 },
    'devices/d-01',
    'd-01',
  ],
  'POST /v1/devices/{id}/replace': ['/v1/devices/d-03/replace', { unit: 'u-03' }, 'devices/d-03', 'd-03'],
  'GET /v1/devices/{id}/recoveries': ['/v1/devices/d-01/recoveries', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/recoveries/{case}': ['/v1/devices/d-01/recoveries/CASE', undefined, 'devices/d-01/recoveries/CASE', 'd-01'],
  'POST /v1/devices/{id}/recoveries/{case}/notes': [
    '/v1/devices/d-01/recoveries/CASE/notes',
    { text: 'seen' },
    'devices/d-01/recoveries/CASE',
    'd-01',
  ],
  'DELETE /v1/devices/{id}/recovery': ['/v1/devices/d-01/recovery', undefined, 'devices/d-01', 'd-01'],
  'POST /v1/devices/{id}/commands': ['/v1/devices/d-01/commands', { type: 'version', protocol: 'teltonika' }, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/commands': ['/v1/devices/d-01/commands', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/commands/{command}': ['/v1/devices/d-01/commands/COMMAND', undefined, 'devices/d-01/commands/COMMAND', 'd-01'],
  'DELETE /v1/devices/{id}/commands/{command}': ['/v1/devices/d-01/commands/COMMAND', undefined, 'devices/d-01/commands/COMMAND', 'd-01'],
  'POST /v1/commands/{command}/outcome': ['/v1/commands/none/outcome', { outcome: 'done', reason: 'seen' }, 'commands/none'],
  'POST /v1/devices/{id}/tests': ['/v1/devices/d-01/tests', { seconds: 5 }, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/tests': ['/v1/devices/d-01/tests', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/tests/{test}': ['/v1/devices/d-01/tests/TEST', undefined, 'devices/d-01/tests/TEST', 'd-01'],
  'GET /v1/devices/{id}/settings': ['/v1/devices/d-01/settings', undefined, 'devices/d-01', 'd-01'],
  'POST /v1/devices/{id}/identity': ['/v1/devices/d-01/identity', { address: '10.0.0.1' }, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/identity': ['/v1/devices/d-01/identity', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/service': ['/v1/devices/d-01/service', undefined, 'devices/d-01', 'd-01'],
  'POST /v1/accounts': ['/v1/accounts', { id: 'acme', name: 'Acme' }, 'accounts'],
  'GET /v1/accounts': ['/v1/accounts'],
  'GET /v1/accounts/{id}': ['/v1/accounts/acme', undefined, 'accounts/acme'],
  'GET /v1/accounts/{id}/statements/{cycle}': [
    `/v1/accounts/acme/statements/${new Date().toISOString().slice(0, 7)}`,
    undefined,
    `accounts/acme/statements/${new Date().toISOString().slice(0, 7)}`,
  ],
  'PATCH /v1/accounts/{id}': ['/v1/accounts/acme', { name: 'Acme Ltd' }, 'accounts/acme'],
  'POST /v1/accounts/{id}/suspend': ['/v1/accounts/acme/suspend', { reason: 'unpaid' }, 'accounts/acme'],
  'POST /v1/accounts/{id}/resume': ['/v1/accounts/acme/resume', { reason: 'paid' }, 'accounts/acme'],
  'PUT /v1/accounts/{id}/consents/{purpose}': ['/v1/accounts/acme/consents/insurer', { fields: ['all'] }, 'accounts/acme/consents/insurer'],
  'DELETE /v1/accounts/{id}/consents/{purpose}': ['/v1/accounts/acme/consents/insurer', undefined, 'accounts/acme/consents/insurer'],
  'GET /v1/recipients': ['/v1/recipients'],
  'PUT /v1/recipients/{id}': ['/v1/recipients/alpha', { purpose: 'insurer' }, 'recipients/alpha'],
  'DELETE /v1/recipients/{id}': ['/v1/recipients/alpha', undefined, 'recipients/alpha'],
  'POST /v1/accounts/{id}/close': ['/v1/accounts/acme/close', { reason: 'ended' }, 'accounts/acme'],
  'GET /v1/commands': ['/v1/commands'],
  'POST /v1/campaigns': ['/v1/campaigns', { type: 'version', reason: 'new', selection: { devices: ['d-02'] } }, 'campaigns'],
  'GET /v1/campaigns': ['/v1/campaigns'],
  'GET /v1/campaigns/{id}': ['/v1/campaigns/CAMPAIGN', undefined, 'campaigns/CAMPAIGN'],
  'GET /v1/campaigns/{id}/devices': ['/v1/campaigns/CAMPAIGN/devices', undefined, 'campaigns/CAMPAIGN'],
  'POST /v1/campaigns/{id}/pause': ['/v1/campaigns/CAMPAIGN/pause', undefined, 'campaigns/CAMPAIGN'],
  'POST /v1/campaigns/{id}/resume': ['/v1/campaigns/CAMPAIGN/resume', undefined, 'campaigns/CAMPAIGN'],
  'POST /v1/campaigns/{id}/cancel': ['/v1/campaigns/CAMPAIGN/cancel', undefined, 'campaigns/CAMPAIGN'],
  'GET /v1/devices/{id}/statements': ['/v1/devices/d-01/statements', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/statements/{cycle}': [
    `/v1/devices/d-01/statements/${new Date().toISOString().slice(0, 7)}`,
    undefined,
    undefined,
    'd-01',
  ],
  'GET /v1/devices/{id}/evidence': ['/v1/devices/d-01/evidence', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/owners': ['/v1/devices/d-01/owners', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/units': ['/v1/devices/d-01/units', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/usage': ['/v1/devices/d-01/usage', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/profile': ['/v1/devices/d-01/profile', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/state': ['/v1/devices/d-01/state', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/positions': ['/v1/devices/d-01/positions', undefined, 'devices/d-01', 'd-01'],
  'POST /v1/disclosures': [
    '/v1/disclosures',
    { device: 'a-01', from: 0, to: 5, authority: 'Police', reference: 'AZ 1', reason: 'court' },
    'disclosures',
    'd-01',
  ],
  'DELETE /v1/accounts/{id}/data': ['/v1/accounts/acme/data?wait=0', undefined, 'accounts/acme'],
  'GET /v1/accounts/{id}/data': ['/v1/accounts/acme/data', undefined, 'accounts/acme'],
  'GET /v1/accounts/{id}/export': ['/v1/accounts/acme/export', undefined, 'accounts/acme', 'd-01'],
  'GET /v1/devices/{id}/export': ['/v1/devices/d-01/export', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/trace': ['/v1/devices/d-01/trace', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/trace': ['/v1/trace?peer=10.0.0.1'],
  'GET /v1/positions': ['/v1/positions?device=d-02,d-03', undefined, 'devices/d-03', 'd-03'],
  'GET /v1/live': ['/v1/live?device=d-02', undefined, 'devices/d-02', 'd-02'],
  'GET /v1/sinks/{name}/parked': ['/v1/sinks/clickhouse/parked', undefined, 'devices/d-02', 'd-02'],
  'POST /v1/sinks/{name}/parked/retry': ['/v1/sinks/clickhouse/parked/retry', undefined, 'sinks/clickhouse'],
  'POST /v1/sinks/{name}/parked/{id}/retry': ['/v1/sinks/clickhouse/parked/0.1/retry', undefined, 'sinks/clickhouse/parked/0.1'],
  'POST /v1/replay/diff': ['/v1/replay/diff', { from: 0, to: 1, device: 'd-02' }, 'devices/d-02', 'd-02'],
  'POST /v1/replay/apply': ['/v1/replay/apply', { from: 0, to: 1, device: 'd-02' }, 'replay/apply', 'd-02'],
  'GET /v1/events': ['/v1/events?device=a-01', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/usage': ['/v1/usage'],
  'GET /v1/connections': ['/v1/connections'],
  'DELETE /v1/connections/{id}': ['/v1/connections/0-1', undefined, 'connections/0-1'],
  'POST /v1/devices/{id}/disconnect': ['/v1/devices/d-01/disconnect', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/quarantine': ['/v1/quarantine'],
  'POST /v1/quarantine/{id}/adopt': ['/v1/quarantine/q-01/adopt', {}, 'quarantine/q-01', 'q-01'],
  'DELETE /v1/quarantine/{id}': ['/v1/quarantine/q-01', undefined, 'quarantine/q-01', 'q-01'],
  'POST /v1/tokens': ['/v1/tokens', { name: 'made', scopes: ['read'] }, 'tokens/made'],
  'GET /v1/tokens': ['/v1/tokens'],
  'DELETE /v1/tokens/{name}': ['/v1/tokens/made', undefined, 'tokens/made'],
  'PUT /v1/devices/{id}/hold': ['/v1/devices/d-01/hold', { reference: 'AZ 1', reason: 'court' }, 'devices/d-01/hold', 'd-01'],
  'GET /v1/devices/{id}/hold': ['/v1/devices/d-01/hold', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/holds': ['/v1/holds'],
  'DELETE /v1/devices/{id}/hold': ['/v1/devices/d-01/hold', undefined, 'devices/d-01/hold', 'd-01'],
  'DELETE /v1/devices/{id}/data': ['/v1/devices/d-01/data', undefined, 'devices/d-01', 'd-01'],
  'GET /v1/devices/{id}/data': ['/v1/devices/d-01/data', undefined, 'devices/d-01', 'd-01'],
  'DELETE /v1/devices/{id}': ['/v1/devices/d-01', undefined, 'devices/d-01', 'd-01'],
  'DELETE /v1/plans/{name}': ['/v1/plans/gold', undefined, 'plans/gold'],
  'GET /v1/audit': ['/v1/audit?device=d-02', undefined, 'devices/d-02', 'd-02'],
  'GET /v1/audit/exposure': ['/v1/audit/exposure?token=tester', undefined, 'audit/exposure'],
};

/** What stands for the id of what it has made. */
const MAKES: Readonly<Record<string, string>> = {
  'POST /v1/devices/{id}/commands': 'COMMAND',
  'POST /v1/devices/{id}/tests': 'TEST',
  'POST /v1/campaigns': 'CAMPAIGN',
};

const ofOperation = (operation: string): Record<string, unknown>[] => api.audit.filter((entry) => entry['operation'] === operation);

describe('the audit', () => {
  it('has an entry of every operation that is not on the list', async () => {
    const told = new Set([...NOTHING, ...Object.keys(REQUESTS)]);
    const all = operations.map(({ operation }) => operation);
    expect(
      all.filter((operation) => !told.has(operation)),
      'add a request of it to REQUESTS, or its name to NOTHING',
    ).toEqual([]);
    expect([...told].sort()).toEqual(all.sort());
    const month = Date.parse(`${new Date().toISOString().slice(0, 7)}-01T00:00:00Z`);
    await api.office.state.write([{ table: 'usage', key: `d-01 ${month}`, put: '{"bytes_in":1}' }]);
    await api.office.state.write([{ table: 'standing', key: 'd-01', put: '{"networks":{},"transport":"tcp"}' }]);
    api.office.state.remember('d-01', { codec: 'teltonika', memo: 0, updated: 1 });
    const made = new Map<string, string>();
    const filled = (text: string): string => text.replace(/COMMAND|TEST|CASE|CAMPAIGN/, (name) => made.get(name) ?? '');
    for (const [operation, [path, body, object, device]] of Object.entries(REQUESTS)) {
      const [method = ''] = operation.split(' ');
      const type = operation.endsWith('/bulk') ? { 'content-type': 'application/x-ndjson' } : undefined;
      const answer = await api.call(method, filled(path), body, type);
      const makes = MAKES[operation];
      if (makes !== undefined) made.set(makes, String(answer.body['id']));
      const { started } = Object(answer.body['recovery']);
      if (started !== undefined) made.set('CASE', String(started));
      const isChange = method !== 'GET' && operation !== 'POST /v1/replay/diff';
      // One that came to nothing has an entry all the same, and a look that showed nothing has none.
      if (!isChange) expect([operation, answer.status]).toEqual([operation, 200]);
      else expect(answer.status, `${operation} ${answer.text}`).not.toBe(400);
      const expected = {
        type: isChange ? 'change' : 'read',
        by: 'tester',
        address: '127.0.0.1',
        status: answer.status,
        ...(object === undefined ? {} : { object: filled(object) }),
        device: device ?? '',
      };
      expect(ofOperation(operation)).toContainEqual(expect.objectContaining(expected));
      const [asked] = ofOperation(operation);
      if (!isChange) continue;
      expect(asked).toMatchObject({ type: 'change', status: 0 });
      expect(ofOperation(operation)).toContainEqual(expect.objectContaining({ id: asked?.['id'], status: answer.status }));
    }
  });

  it('says what was and what is', async () => {
    expect(ofOperation('PATCH /v1/devices/{id}').at(-1)).toMatchObject({
      account: 'acme',
      old: { aliases: [] },
      new: { aliases: ['a-01'] },
    });
    const put = ofOperation('PUT /v1/devices/{id}').at(-1);
    expect(put).toMatchObject({ old: { plan: 'gold' }, new: { plan: 'default', account: 'acme' } });
    expect(ofOperation('POST /v1/devices/bulk').map(({ object, new: now }) => [object, Object(now).id ?? Object(now).created])).toEqual([
      ['devices/bulk', undefined],
      ['devices/d-02', 'd-02'],
      ['devices/d-03', 'd-03'],
      ['devices/bulk', 2],
    ]);
  });

  it('counts further looks of ten minutes, and has them when the server stops', async () => {
    const path = '/v1/devices/d-02/positions';
    for (let i = 0; i < 5; i++) expect((await api.call('GET', path)).status).toBe(200);
    const looks = (): unknown[] =>
      ofOperation('GET /v1/devices/{id}/positions').flatMap(({ device, count }) => (device === 'd-02' ? [count] : []));
    expect(looks()).toEqual([1]);
    await api.office.trail.sweep(true);
    expect(looks()).toEqual([1, 4]);
  });

  it('has refused calls, with the token or the address, and the operations on the list leave none but those', async () => {
    const reader = await api.token(['read']);
    for (const [n, { operation, path }] of operations.entries()) {
      const [method = ''] = operation.split(' ');
      // One address may not try so many.
      const address = `10.0.0.${n}`;
      // So many new ones are not told of in one minute.
      await api.office.trail.sweep(true);
      const real = path.replaceAll(/\{\w+\}/g, 'd-02');
      const by = { authorization: `Bearer ${reader}` };
      const unknown = { authorization: 'Bearer fg_markedmarkedmarked', 'x-forwarded-for': address };
      const { status } = await api.call(method, real, undefined, unknown);
      if (status === 401)
        expect(ofOperation(operation)).toContainEqual(expect.objectContaining({ type: 'refused', status, by: '', address }));
      if (path === '/v1/tokens') {
        expect(await api.call(method, real, undefined, by)).toMatchObject({ status: 403 });
        expect(ofOperation(operation)).toContainEqual(expect.objectContaining({ type: 'refused', status: 403, by: 'read' }));
      }
    }
    for (const operation of NOTHING) expect(ofOperation(operation).filter(({ type }) => type !== 'refused')).toEqual([]);
  });

  it('has what a token that is limited to accounts was refused', async () => {
    const limited = await createToken(api.office.state, { name: 'desk', scopes: ['admin'], accounts: ['bolt'], created: Date.now() });
    const by = { authorization: `Bearer ${limited}` };
    await api.office.trail.sweep(true);
    await api.call('POST', '/v1/devices', { id: 'd-04', account: 'acme' });
    for (const [method, path, status] of [
      ['GET', '/v1/devices/d-04', 404],
      ['POST', '/v1/devices/d-04/commands', 404],
      ['GET', '/v1/audit', 403],
      ['GET', '/v1/audit/exposure?token=tester', 403],
      ['GET', '/v1/holds', 403],
      ['GET', '/v1/devices/d-04/hold', 403],
      ['PUT', '/v1/devices/d-04/hold', 403],
      ['DELETE', '/v1/devices/d-04/hold', 403],
      ['POST', '/v1/disclosures', 403],
    ] as const) {
      const body = path.endsWith('/commands') ? { type: 'version', protocol: 'teltonika' } : undefined;
      expect(await api.call(method, path, body, by), `${method} ${path}`).toMatchObject({ status });
      const [{ type, status: entered, operation } = {}] = api.audit.slice(-1);
      const pattern = String(operation).replace('{id}', 'd-04');
      expect({ type, entered, pattern }).toEqual({ type: 'refused', entered: status, pattern: `${method} ${path.split('?')[0]}` });
    }
    expect(api.audit.filter(({ by: name, type }) => name === 'desk' && type !== 'refused')).toEqual([]);
  });

  it('holds no secret, wherever one is sent', async () => {
    const MARK = 'fg_marked-Zb3mB0HqvP9yQ6u1h2KX5dM';
    const secrets = { code: 'marked-code', token: MARK, confirm: 'marked-confirm', password: 'marked-password', key: 'marked-key' };
    for (const { operation, path } of operations) {
      const [method = ''] = operation.split(' ');
      const bodies = method === 'GET' || method === 'DELETE' ? [undefined] : [secrets, { code: MARK }, { token: MARK }];
      for (const body of bodies)
        await api.call(method, `${path.replaceAll(/\{\w+\}/g, MARK)}?device=${MARK}`, body, { authorization: `Bearer ${caller}` });
    }
    await api.call('PATCH', '/v1/devices/d-02', { labels: { note: MARK }, account: MARK });
    for (const parameters of [{ text: 'marked,APN' }, { text: MARK, hex: false }])
      await api.call('POST', '/v1/devices/d-02/commands', {
        type: 'custom',
        parameters,
        protocol: 'teltonika',
        reason: `of ${MARK}`,
        confirm: 'marked-confirm',
      });
    await api.call('GET', '/v1/devices', undefined, { authorization: `Bearer ${MARK}` });
    await api.office.trail.sweep(true);
    const text = JSON.stringify(api.audit);
    expect(text).not.toContain('marked');
    expect(text).not.toContain(caller);
    expect(text).toContain('"parameters":{"text":"***"');
  });
});

it('nothing is changed that the audit cannot take', async () => {
  const full = await Api.start();
  try {
    full.refuses = 'the disk is full';
    expect(await full.call('POST', '/v1/devices', { id: 'd-01' })).toMatchObject({
      status: 503,
      body: { title: expect.stringContaining('the disk is full') },
    });
    // Looks go on, and are counted.
    expect((await full.call('GET', '/v1/devices')).status).toBe(200);
    full.refuses = '';
    expect((await full.call('GET', '/v1/devices/d-01')).status).toBe(404);
    await full.office.trail.sweep(true);
    expect(full.audit).toEqual([expect.objectContaining({ type: 'read', operation: 'GET /v1/devices', count: 1 })]);
  } finally {
    await full.stop();
  }
});
