import { request } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RedisServer } from '../ship/rig.ts';
import { rounds } from '../support/thorough.ts';
import { eventually } from '../support/wait.ts';
import { Api, fieldsOf } from './rig.ts';

let api: Api;
let redis: RedisServer;
beforeAll(async () => {
  redis = await RedisServer.start('--appendonly', 'yes', '--appendfsync', 'no');
});
afterAll(() => redis.stop());

const MANY = rounds(2000, 100_000);
const NDJSON = { 'content-type': 'application/x-ndjson' };
const CSV = { 'content-type': 'text/csv' };
const bulk = (lines: readonly unknown[]) =>
  api.call('POST', '/v1/devices/bulk', lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'), NDJSON);
const device = async (id: string) => (await api.call('GET', `/v1/devices/${id}`)).body;

describe.each(['lmdb', 'redis'].slice(0, rounds(1, 2)))('many devices at once, in %s', (store) => {
  beforeEach(async () => {
    api = await Api.start(['admin'], store === 'redis' ? { FIXGATE_STATE_URL: redis.url } : {});
  });
  afterEach(async () => {
    await api.stop();
    const client = redis.client();
    await client.flushall();
    client.disconnect();
  });

  it('are made, changed or left as they are, and what is wrong is named by line', async () => {
    await api.call('PUT', '/v1/plans/gold', {});
    await api.call('POST', '/v1/devices', { id: 'd-01', account: 'old', interval_s: 5 });
    await api.call('POST', '/v1/devices', { id: 'd-02', account: 'same' });
    const answer = await bulk([
      { id: 'd-01', account: 'new', interval_s: null },
      { id: 'd-02', account: 'same' },
      '',
      { id: 'd-03', plan: 'gold', aliases: ['a-03'] },
      { id: 'd-04', plan: 'silver' },
      '{"id":',
      '[]',
      { account: 'nobody' },
      { id: 'd-05', colour: 'red', state: 'gone' },
      { id: 'a-03' },
      { id: 'd 1' },
      { id: 'd-06', account: 'first' },
      { id: 'd-06', state: 'suspended' },
    ]);
    expect(answer.body).toMatchObject({ lines: 12, created: 2, changed: 2, unchanged: 1, failed: 7 });
    const problems = Object(answer.body['problems']);
    expect(
      problems.map((one: { line: number; problems: { field: string }[] }) => [one.line, one.problems.map(({ field }) => field)]),
    ).toEqual([
      [5, ['plan']],
      [6, ['line']],
      [7, ['line']],
      [8, ['line']],
      [9, ['state', 'colour']],
      [10, ['id']],
      [11, ['id']],
    ]);
    expect(await device('d-01')).toMatchObject({ account: 'new' });
    expect(await device('d-01')).not.toHaveProperty('interval_s');
    expect(await device('a-03')).toMatchObject({ id: 'd-03', plan: 'gold' });
    expect(await device('d-06')).toMatchObject({ account: 'first', state: 'suspended' });
    expect(api.events.filter((event) => event['type'] === 'device_created').map((event) => event.device)).toEqual([
      'd-01',
      'd-02',
      'd-03',
      'd-06',
    ]);
  });

  it('come as CSV, with quotes and lists', async () => {
    const text =
      'id,aliases,account,networks,home_networks,interval_s,state\r\n' +
      'd-01,a-01 a-02,"Smith, ""Sons""",10.0.0.0/8 2001:db8::/32,262 310,30,\r\n' +
      'd-02,,,,,,suspended\r\n' +
      'd-03,,"open,,,,\r\n' +
      'd-04,x\r\n' +
      ',,,,,,\r\n' +
      'd-05,,,,,soon,\r\n';
    const answer = await api.call('POST', '/v1/devices/bulk', text, CSV);
    expect(answer.body).toMatchObject({ lines: 6, created: 2, failed: 4 });
    expect(Object(answer.body['problems']).map(({ line }: { line: number }) => line)).toEqual([4, 5, 6, 7]);
    expect(await device('d-01')).toMatchObject({
      aliases: ['a-01', 'a-02'],
      account: 'Smith, "Sons"',
      networks: ['10.0.0.0/8', '2001:db8::/32'],
      home_networks: [262, 310],
      interval_s: 30,
      state: 'active',
    });
    expect((await api.call('POST', '/v1/devices/bulk', 'id,account\nd-07,a\u0007\nd-08,\u202eok\n', CSV)).body).toMatchObject({
      created: 1,
      problems: [{ line: 2, problems: [{ field: 'account' }] }],
    });
    // An empty field says nothing.
    await api.call('POST', '/v1/devices/bulk', 'id,account,state\nd-02,acme,\n', CSV);
    expect(await device('d-02')).toMatchObject({ account: 'acme', state: 'suspended' });
    for (const head of ['id,colour', 'account', 'id,id', '"id'])
      expect([head, fieldsOf(await api.call('POST', '/v1/devices/bulk', `${head}\nd-09,x\n`, CSV))]).toEqual([head, ['body']]);
  });

  it.each([
    ['ndjson', NDJSON],
    ['csv', CSV],
  ])('go out as %s and come in again as they were', async (format, headers) => {
    await api.call('PUT', '/v1/plans/gold', {});
    await bulk([
      { id: 'd-01', aliases: ['a-01', 'a-02'], account: 'Smith, "Sons"', plan: 'gold', networks: ['10.0.0.0/8'], home_networks: [262] },
      {
        id: 'd-02',
        state: 'pending',
        activates_at: 1_800_000_000_000,
        privacy: 'relay',
        interval_s: 60,
        protocol: 'h02',
        transport: 'udp',
        options: { answers: 'none', timeOffset: -300 },
      },
      ...Array.from({ length: 1200 }, (_, n) => ({ id: `e-${n}` })),
    ]);
    const before = await api.call('GET', '/v1/devices?limit=2');
    const out = await api.call('GET', `/v1/devices/export?format=${format}`);
    expect(out.type).toContain(headers['content-type']);
    expect(out.text.trim().split('\n')).toHaveLength(1202 + (format === 'csv' ? 1 : 0));
    for (const id of ['d-01', 'd-02']) await api.call('DELETE', `/v1/devices/${id}`);
    expect((await api.call('POST', '/v1/devices/bulk', out.text, headers)).body).toMatchObject({ created: 2, unchanged: 1200, failed: 0 });
    expect((await api.call('GET', '/v1/devices?limit=2')).body).toEqual(before.body);
  });

  it('thousands of them', async () => {
    const text = Array.from({ length: MANY }, (_, n) => `{"id":"d-${n}","account":"a${n % 100}","aliases":["a-${n}"]}`).join('\n');
    const answer = await api.call('POST', '/v1/devices/bulk', text, NDJSON);
    expect(answer.body).toEqual({ lines: MANY, created: MANY, changed: 0, unchanged: 0, failed: 0, problems: [] });
    expect(api.events).toHaveLength(MANY);
    expect(await device('a-1777')).toMatchObject({ id: 'd-1777', account: 'a77' });
    expect((await api.call('GET', '/v1/devices/export?format=csv')).text.split('\n')).toHaveLength(MANY + 2);
  });

  it('one device moved to another id in one upload, and two that want one alias', async () => {
    await bulk([{ id: 'd-01', aliases: ['a-01'] }]);
    const answer = await bulk([
      { id: 'd-01', aliases: [] },
      { id: 'd-02', aliases: ['a-01'] },
      { id: 'd-03', aliases: ['a-01'] },
      { id: 'd-04', aliases: ['a-04'] },
      { id: 'a-04' },
    ]);
    expect(answer.body).toMatchObject({ created: 2, changed: 1, failed: 2, problems: [{ line: 3 }, { line: 5 }] });
    expect(await device('a-01')).toMatchObject({ id: 'd-02' });
  });

  it('with as many aliases as there may be', async () => {
    const devices = Array.from({ length: 450 }, (_, n) => ({ id: `d-${n}`, aliases: Array.from({ length: 8 }, (_, a) => `a-${n}-${a}`) }));
    expect((await bulk(devices)).body).toMatchObject({ created: 450, failed: 0 });
    expect((await bulk(devices)).body).toMatchObject({ unchanged: 450, failed: 0 });
    expect(await device('a-449-7')).toMatchObject({ id: 'd-449' });
  });

  it('while the records change under it', async () => {
    const ids = Array.from({ length: 300 }, (_, n) => `d-${n}`);
    const others = ids.filter((_, n) => n % 10 === 0).map((id) => api.call('PUT', `/v1/devices/${id}`, { interval_s: 7 }));
    const answer = await bulk(ids.map((id) => ({ id, account: 'acme' })));
    await Promise.all(others);
    expect(answer.body).toMatchObject({ lines: 300, failed: 0 });
    expect((await api.call('GET', '/v1/devices?limit=1000')).body['devices']).toHaveLength(300);
  });

  it('too long a line, the wrong type, or no body are said so', async () => {
    const long = await bulk([{ id: 'd-01' }, `{"id":"d-02","account":"${'x'.repeat(70_000)}`]);
    expect([long.status, fieldsOf(long)]).toEqual([413, ['body']]);
    const json = await api.call('POST', '/v1/devices/bulk', { id: 'd-01' });
    expect([json.status, fieldsOf(json)]).toEqual([415, ['content-type']]);
    expect((await api.call('POST', '/v1/devices/bulk')).status).toBe(400);
    // The other operations do not take them.
    expect((await api.call('POST', '/v1/devices', 'id\nd-01\n', CSV)).status).toBe(415);
  });

  it('an upload that breaks off leaves done what was done', async () => {
    const lines = Array.from({ length: 1500 }, (_, n) => `{"id":"d-${n}"}\n`).join('');
    const token = await api.token(['devices']);
    const out = request(`${api.url}/v1/devices/bulk`, { method: 'POST', headers: { ...NDJSON, authorization: `Bearer ${token}` } });
    const over = new Promise<void>((resolve) => out.on('error', () => resolve()));
    out.write(lines);
    await eventually(async () => expect(await device('d-5')).toMatchObject({ id: 'd-5' }));
    out.destroy();
    await over;
    expect(await device('d-5')).toMatchObject({ id: 'd-5' });
    expect((await api.call('GET', '/v1/devices?limit=1')).status).toBe(200);
  });
});
