import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Api, fieldsOf } from './rig.ts';

let api: Api;
beforeEach(async () => {
  api = await Api.start();
});
afterEach(() => api.stop());

const typesOf = (device: string): unknown[] =>
  // Whether the step keeper comes to ask the device for an interval in the time of a test is no matter here.
  api.events.filter(({ device: of, type }) => of === device && type !== 'plan_command_refused').map(({ type }) => type);

describe('a device over HTTP', () => {
  it('is made, read, changed, replaced and removed; every change is an event with its author', async () => {
    expect(await api.call('GET', '/v1/devices/d-01')).toMatchObject({ status: 404, body: { title: 'device d-01 is not known' } });
    const made = await api.call('POST', '/v1/devices', { id: 'd-01', account: 'acme', aliases: ['a-01'] });
    expect(made).toMatchObject({ status: 201, body: { id: 'd-01', plan: 'default', state: 'active', privacy: 'store' } });
    expect(await api.call('POST', '/v1/devices', { id: 'd-01' })).toMatchObject({ status: 409 });
    expect((await api.call('GET', '/v1/devices/a-01')).body).toEqual(made.body);
    const patched = await api.call('PATCH', '/v1/devices/d-01', { account: null, state: 'suspended', aliases: ['a-02'] });
    expect(patched.body).toMatchObject({ state: 'suspended', aliases: ['a-02'] });
    expect(patched.body).not.toHaveProperty('account');
    expect((await api.call('GET', '/v1/devices/a-01')).status).toBe(404);
    await api.call('PATCH', '/v1/devices/d-01', { protocol: 'h02', state: 'suspended' });
    const replaced = await api.call('PUT', '/v1/devices/d-01', { account: 'other' });
    expect(replaced).toMatchObject({ status: 200, body: { id: 'd-01', account: 'other', state: 'active', aliases: [], protocol: 'h02' } });
    expect(await api.call('PUT', '/v1/devices/d-01', { account: 'other' })).toMatchObject({ status: 200 });
    expect(await api.call('PUT', '/v1/devices/d-02', {})).toMatchObject({ status: 201, body: { id: 'd-02' } });
    expect((await api.call('DELETE', '/v1/devices/d-01')).status).toBe(204);
    expect((await api.call('DELETE', '/v1/devices/d-01')).status).toBe(404);
    expect(api.events.filter(({ device }) => device === 'd-01')).toEqual([
      { device: 'd-01', type: 'device_created', plan: 'default', by: 'tester' },
      { device: 'd-01', type: 'device_changed', fields: ['aliases', 'account', 'state'], by: 'tester' },
      { device: 'd-01', type: 'device_changed', fields: ['protocol'], by: 'tester' },
      { device: 'd-01', type: 'device_changed', fields: ['aliases', 'state', 'account'], by: 'tester' },
      { device: 'd-01', type: 'device_removed', by: 'tester' },
    ]);
  });

  it('has options of its codec: PATCH changes those that it names, and the event says which hold then', async () => {
    await api.call('POST', '/v1/devices', { id: 'd-01', protocol: 'h02', options: { answers: 'none', timeOffset: '480' } });
    const patched = await api.call('PATCH', '/v1/devices/d-01', { options: { timeOffset: -300, answers: null, status: 'sinotrack' } });
    expect(patched.body['options']).toEqual({ timeOffset: -300, status: 'sinotrack' });
    const wrong = await api.call('PATCH', '/v1/devices/d-01', { options: { timeOffset: 9000, status: 'x', zone: '+08:00' } });
    expect([wrong.status, fieldsOf(wrong)]).toEqual([422, ['options.timeOffset', 'options.status', 'options.zone']]);
    expect((await api.call('PATCH', '/v1/devices/d-01', { options: null })).body).not.toHaveProperty('options');
    expect((await api.call('PATCH', '/v1/devices/d-01', { options: { answers: null } })).body).not.toHaveProperty('options');
    expect(api.events.filter(({ type }) => type === 'device_changed')).toEqual([
      { device: 'd-01', type: 'device_changed', fields: ['options'], options: { timeOffset: -300, status: 'sinotrack' }, by: 'tester' },
      { device: 'd-01', type: 'device_changed', fields: ['options'], options: {}, by: 'tester' },
    ]);
  });

  it('has an id that stands for it alone', async () => {
    await api.call('POST', '/v1/devices', { id: 'd-01', aliases: ['a-01'] });
    await api.call('POST', '/v1/devices', { id: 'd-02' });
    for (const [method, path, body, field] of [
      ['POST', '/v1/devices', { id: 'a-01' }, 'id'],
      ['PUT', '/v1/devices/a-01', {}, 'id'],
      ['POST', '/v1/devices', { id: 'd-03', aliases: ['a-01'] }, 'aliases.0'],
      ['PATCH', '/v1/devices/d-02', { aliases: ['b-01', 'd-01'] }, 'aliases.1'],
      ['PATCH', '/v1/devices/d-02', { aliases: ['d-02'] }, 'aliases.0'],
      ['PATCH', '/v1/devices/d-02', { aliases: ['b-01', 'b-01'] }, 'aliases.1'],
    ] as const) {
      const answer = await api.call(method, path, body);
      expect([method, path, answer.status, fieldsOf(answer)]).toEqual([method, path, 409, [field]]);
    }
    expect((await api.call('PATCH', '/v1/devices/a-01', { account: 'x' })).status).toBe(404);
    // An alias is free again when its device goes.
    await api.call('DELETE', '/v1/devices/d-01');
    expect((await api.call('POST', '/v1/devices', { id: 'a-01' })).status).toBe(201);
  });

  it('comes to one record when many ask at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => api.call('POST', '/v1/devices', { id: 'd-01', account: `a${n}` })),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(19);
    await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        api.call('PATCH', '/v1/devices/d-01', n % 2 === 0 ? { interval_s: n + 1 } : { aliases: [`a-${n}`] }),
      ),
    );
    const { body } = await api.call('GET', '/v1/devices/d-01');
    expect(await api.office.state.list('aliases', { limit: 100 })).toEqual([{ key: Object(body['aliases'])[0], value: 'd-01' }]);
  });

  it('is listed by page and filter', async () => {
    await api.call('PUT', '/v1/plans/gold', {});
    for (let n = 10; n < 30; n++)
      await api.call('POST', '/v1/devices', {
        id: `d-${n}`,
        account: n % 2 === 0 ? 'even' : 'odd',
        ...(n % 5 === 0 ? { plan: 'gold' } : {}),
      });
    const ids: unknown[] = [];
    let next: unknown = '';
    for (let after = ''; next !== undefined; after = `&after=${next}`) {
      const page = await api.call('GET', `/v1/devices?limit=6&account=even${after}`);
      const { devices } = page.body;
      if (Array.isArray(devices)) ids.push(...devices.map((one: unknown) => Reflect.get(Object(one), 'id')));
      next = page.body['next'];
    }
    expect(ids).toEqual(['d-10', 'd-12', 'd-14', 'd-16', 'd-18', 'd-20', 'd-22', 'd-24', 'd-26', 'd-28']);
    expect((await api.call('GET', '/v1/devices?account=even&plan=gold')).body).toMatchObject({ devices: [{ id: 'd-10' }, { id: 'd-20' }] });
    expect((await api.call('GET', '/v1/devices?state=terminated')).body).toEqual({ devices: [] });
  });

  it('says what is wrong, by field', async () => {
    await api.call('POST', '/v1/devices', { id: 'd-01' });
    for (const [method, path, body, status, fields] of [
      ['POST', '/v1/devices', {}, 400, ['id']],
      ['POST', '/v1/devices', { id: 'd 1' }, 400, ['id']],
      ['POST', '/v1/devices', { id: 'd-02', colour: 'red', state: 'gone' }, 400, ['state', 'colour']],
      ['POST', '/v1/devices', { id: 'd-02', networks: ['10.0.0.0'] }, 400, ['networks.0']],
      ['POST', '/v1/devices', { id: 'd-02', account: 'a\ud800' }, 400, ['account']],
      ['POST', '/v1/devices', { id: 'd-02', account: 'a\u001b[31m' }, 400, ['account']],
      ['POST', '/v1/devices', { id: 'd-02', home_networks: [99] }, 400, ['home_networks.0']],
      ['POST', '/v1/devices', { id: 'd-02', plan: 'gold' }, 422, ['plan']],
      ['PATCH', '/v1/devices/d-01', { plan: 'gold' }, 422, ['plan']],
      ['PATCH', '/v1/devices/d-01', { state: 7 }, 400, ['state']],
      ['PATCH', '/v1/devices/d-01', { id: 'd-02' }, 400, ['id']],
      ['PUT', '/v1/devices/d-01', { id: 'd-02' }, 400, ['id']],
      ['POST', '/v1/devices', '{"id":', 400, ['body']],
      ['POST', '/v1/devices', '[]', 400, ['body']],
      ['GET', '/v1/devices?limit=0&colour=red', undefined, 400, ['limit', 'colour']],
      ['GET', '/v1/devices/a%20b', undefined, 400, ['id']],
      ['GET', '/v1/devices/%ZZ', undefined, 400, ['path']],
      ['GET', `/v1/devices/${'x'.repeat(300)}`, undefined, 414, ['path']],
      ['POST', '/v1/devices/d-01/recovery', { reason: 'stolen', interval_s: 10, until: 5 }, 422, ['until']],
      ['POST', '/v1/devices/d-01/recovery', { interval_s: 1 }, 400, ['reason', 'interval_s', 'until']],
    ] as const) {
      const answer = await api.call(method, path, body);
      expect([method, path, body, answer.status, fieldsOf(answer)]).toEqual([method, path, body, status, fields]);
      expect(answer.type).toBe('application/problem+json; charset=utf-8');
    }
    expect(fieldsOf(await api.call('POST', '/v1/devices', 'id=d-02', { 'content-type': 'application/x-www-form-urlencoded' }))).toEqual([
      'content-type',
    ]);
  });

  it('takes a token of the right scope', async () => {
    const authorization = `Bearer ${await api.token(['read', 'commands', 'plans'])}`;
    expect((await api.call('GET', '/v1/devices', undefined, { authorization })).status).toBe(200);
    for (const [method, path, body] of [
      ['POST', '/v1/devices', { id: 'd-01' }],
      ['PUT', '/v1/devices/d-01', {}],
      ['PATCH', '/v1/devices/d-01', {}],
      ['DELETE', '/v1/devices/d-01', undefined],
      ['POST', '/v1/quarantine/d-01/adopt', {}],
    ] as const)
      expect((await api.call(method, path, body, { authorization })).status).toBe(403);
    expect((await api.call('PUT', '/v1/plans/gold', {}, { authorization })).status).toBe(201);
    expect((await api.call('GET', '/v1/devices', undefined, { authorization: 'Bearer fg_none' })).status).toBe(401);
  });
});

describe('recovery over HTTP', () => {
  it('begins and ends, each an event', async () => {
    await api.call('POST', '/v1/devices', { id: 'd-01' });
    const until = Date.now() + 3_600_000;
    const begun = await api.call('POST', '/v1/devices/d-01/recovery', { reason: 'stolen', interval_s: 10, until });
    expect(begun).toMatchObject({
      status: 200,
      body: { recovery: { reason: 'stolen', interval_s: 10, until, started: expect.any(Number) } },
    });
    // A replacement of the record does not end the search.
    expect((await api.call('PUT', '/v1/devices/d-01', { account: 'acme' })).body).toHaveProperty('recovery');
    expect((await api.call('DELETE', '/v1/devices/d-01/recovery')).body).not.toHaveProperty('recovery');
    expect((await api.call('DELETE', '/v1/devices/d-02/recovery')).status).toBe(404);
    expect(typesOf('d-01')).toEqual([
      'device_created',
      'device_changed',
      'recovery_started',
      'device_changed',
      'device_changed',
      'recovery_ended',
    ]);
  });
});

describe('recovery of a terminated device', () => {
  it('is refused by every way with the reason, and ends with the service', async () => {
    const recovery = { reason: 'stolen', interval_s: 10, until: Date.now() + 3_600_000 };
    await api.call('POST', '/v1/devices', { id: 'd-01', state: 'terminated' });
    const whole = { ...recovery, started: Date.now() };
    for (const [method, path, body] of [
      ['POST', '/v1/devices/d-01/recovery', recovery],
      ['PATCH', '/v1/devices/d-01', { recovery: whole }],
      ['PUT', '/v1/devices/d-01', { state: 'terminated', recovery: whole }],
      ['POST', '/v1/devices', { id: 'd-09', state: 'terminated', recovery: whole }],
    ] as const) {
      const refused = await api.call(method, path, body);
      expect([path, refused.status, fieldsOf(refused)]).toEqual([path, 409, ['state']]);
      expect(refused.text).toContain('activate it first');
    }
    const again = await api.call('POST', '/v1/devices/d-01/recovery', { ...recovery, reactivate: true });
    expect(again).toMatchObject({ status: 200, body: { state: 'active', reason: 'recovery: stolen', recovery } });
    expect(again.body['recovery']).not.toHaveProperty('reactivate');
    expect((await api.call('PATCH', '/v1/devices/d-01', { state: 'terminated' })).body).not.toHaveProperty('recovery');
    expect(typesOf('d-01').at(-1)).toBe('recovery_ended');
  });
});

describe('a case of recovery', () => {
  it('tells who began, changed, noted and ended it', async () => {
    const until = Date.now() + 3_600_000;
    await api.call('POST', '/v1/devices', { id: 'd-01', account: 'acme', aliases: ['a-01'] });
    const begun = await api.call('POST', '/v1/devices/d-01/recovery', { reason: 'stolen', interval_s: 10, until });
    const { started } = Object(begun.body['recovery']);
    // Changed: it is the same case.
    await api.call('POST', '/v1/devices/d-01/recovery', { reason: 'stolen, AZ 12', interval_s: 20, until: until + 1 });
    const notes = `/v1/devices/a-01/recoveries/${started}/notes`;
    await Promise.all(['seen', 'found'].map((text) => api.call('POST', notes, { text })));
    const row = {
      id: String(started),
      device: 'd-01',
      account: 'acme',
      reason: 'stolen, AZ 12',
      interval_s: 20,
      started,
      until: until + 1,
    };
    const noted = ['seen', 'found'].map((text) => ({ text, by: 'tester', time: expect.any(Number) }));
    expect((await api.call('GET', `/v1/devices/d-01/recoveries/${started}`)).body).toEqual({
      ...{ ...row, by: 'tester', ended: 0, ended_by: '' },
      notes: expect.arrayContaining(noted),
    });
    await api.call('DELETE', '/v1/devices/d-01/recovery');
    expect((await api.call('POST', notes, { text: 'the end' })).status).toBe(201);
    const { cases } = (await api.call('GET', '/v1/devices/d-01/recoveries')).body;
    expect(cases).toMatchObject([{ ...row, ended: expect.any(Number), ended_by: 'tester', notes: [{}, {}, { text: 'the end' }] }]);
    expect(api.events.filter(({ case: of }) => of === String(started)).map(({ type }) => type)).toEqual([
      'recovery_started',
      'recovery_ended',
    ]);
    for (const [method, path] of [
      ['GET', '/v1/devices/d-01/recoveries/5'],
      ['POST', '/v1/devices/d-01/recoveries/5/notes'],
    ] as const)
      expect((await api.call(method, path, method === 'POST' ? { text: 'x' } : undefined)).status).toBe(404);
  });

  it('ends with the state terminated and with the removal of the device, and is kept', async () => {
    const recovery = { reason: 'stolen', interval_s: 10, until: Date.now() + 3_600_000 };
    await api.call('POST', '/v1/devices', { id: 'd-01' });
    await api.call('POST', '/v1/devices/d-01/recovery', recovery);
    await api.call('PATCH', '/v1/devices/d-01', { state: 'terminated', reason: 'not paid' });
    const refused = await api.call('POST', '/v1/devices/d-01/recovery', recovery);
    expect(refused.body).toMatchObject({ status: 409, title: 'device d-01 is terminated: not paid' });
    await api.call('POST', '/v1/devices/d-01/recovery', { ...recovery, reactivate: true });
    await api.call('DELETE', '/v1/devices/d-01');
    const { cases } = (await api.call('GET', '/v1/devices/d-01/recoveries')).body;
    expect(cases).toMatchObject([{ ended_by: 'tester' }, { ended_by: 'tester' }]);
  });

  it('of an account that is closed is refused with the reason', async () => {
    await api.call('POST', '/v1/accounts', { id: 'acme' });
    await api.call('POST', '/v1/devices', { id: 'd-01', account: 'acme' });
    await api.call('POST', '/v1/accounts/acme/close', { reason: 'left us' });
    const account = await api.office.accounts.get('acme');
    await api.office.state.write([{ table: 'accounts', key: 'acme', put: JSON.stringify({ ...account, state: 'closed' }) }]);
    const refused = await api.call('POST', '/v1/devices/d-01/recovery', { reason: 'stolen', interval_s: 10, until: Date.now() + 60_000 });
    expect([refused.status, fieldsOf(refused)]).toEqual([409, ['account']]);
    expect(refused.text).toContain('left us');
  });
});

describe('what is known about a device over HTTP', () => {
  it('usage by billing cycle, the newest first', async () => {
    const { state } = api.office;
    await api.call('POST', '/v1/devices', { id: 'd-01', aliases: ['a-01'] });
    for (const start of [1_790_000_000_000, 1_792_000_000_000, 1_791_000_000_000])
      await state.write([{ table: 'usage', key: `d-01 ${start}`, add: { bytes_in: start / 1e12, records: 7 } }]);
    await state.write([{ table: 'usage', key: 'd-011 1790000000000', add: { bytes_in: 1 } }]);
    const { body } = await api.call('GET', '/v1/devices/a-01/usage?limit=2');
    expect(body).toMatchObject({
      device: 'd-01',
      plan: 'default',
      cycles: [{ start: 1_792_000_000_000, records: 7 }, { start: 1_791_000_000_000 }],
    });
    expect((await api.call('GET', '/v1/devices/d-02/usage')).status).toBe(404);
  });

  it('profile, under the names of the options', async () => {
    expect((await api.call('GET', '/v1/devices/d-01/profile')).status).toBe(404);
    api.office.state.remember('d-01', { codec: 'gt06', memo: 0, clock: -300, updated: 5 });
    const { body } = await api.call('GET', '/v1/devices/d-01/profile');
    expect(body).toMatchObject({ device: 'd-01', protocol: 'gt06', learned: { clock_offset: '-300 min' }, updated: 5 });
  });

  it('commands and settings, by an alias, too', async () => {
    await api.call('POST', '/v1/devices', { id: '356307042441013', aliases: ['a-01'], protocol: 'teltonika' });
    const queued = await api.call('POST', '/v1/devices/a-01/commands', { type: 'version' });
    expect(queued).toMatchObject({ status: 201, body: { device: '356307042441013', state: 'queued' } });
    expect((await api.call('GET', '/v1/devices/a-01/commands')).body).toMatchObject({ open: [{ id: queued.body['id'] }] });
    expect((await api.call('GET', `/v1/devices/a-01/commands/${queued.body['id']}`)).body).toMatchObject({ state: 'queued' });
    expect((await api.call('DELETE', `/v1/devices/a-01/commands/${queued.body['id']}`)).body).toMatchObject({ state: 'cancelled' });
    expect((await api.call('GET', '/v1/commands/catalog?device=a-01')).body).toMatchObject({ codecs: [{ protocol: 'teltonika' }] });
  });
});

describe('plans over HTTP', () => {
  it('are made, replaced, listed and removed, unless devices are on them', async () => {
    expect((await api.call('GET', '/v1/plans')).body).toMatchObject({ plans: [{ name: 'default', steps: [] }] });
    const gold = { bytes_cap: 1_000_000, steps: [{ action: 'notify', at_pct: 80 }] };
    expect(await api.call('PUT', '/v1/plans/gold', gold)).toMatchObject({ status: 201, body: { name: 'gold', anchor_day: 1, ...gold } });
    expect(await api.call('PUT', '/v1/plans/gold', { ...gold, anchor_day: 15 })).toMatchObject({ status: 200, body: { anchor_day: 15 } });
    expect((await api.call('GET', '/v1/plans')).body).toMatchObject({ plans: [{ name: 'default' }, { name: 'gold' }] });
    await api.call('POST', '/v1/devices', { id: 'd-01', plan: 'gold', account: '"plan":"silver"' });
    await api.call('PUT', '/v1/plans/silver', {});
    expect(await api.call('DELETE', '/v1/plans/gold')).toMatchObject({ status: 409 });
    expect((await api.call('DELETE', '/v1/plans/silver')).status).toBe(204);
    await api.call('PATCH', '/v1/devices/d-01', { plan: null });
    expect((await api.call('DELETE', '/v1/plans/gold')).status).toBe(204);
    expect((await api.call('DELETE', '/v1/plans/gold')).status).toBe(404);
    expect((await api.call('GET', '/v1/plans/gold')).status).toBe(404);
    expect((await api.call('GET', '/v1/plans/default')).status).toBe(200);
    const events = api.events.filter(({ device }) => device === '').map(({ type, plan }) => `${type} ${plan}`);
    expect(events).toEqual(['plan_changed gold', 'plan_changed gold', 'plan_changed silver', 'plan_removed silver', 'plan_removed gold']);
    expect(api.events.find(({ fields }) => Array.isArray(fields) && fields.length === 1 && fields[0] === 'anchor_day')).toBeDefined();
  });

  it('say what is wrong, by field', async () => {
    for (const [body, fields] of [
      [{ anchor_day: 32, time_zone: 'Berlin' }, ['anchor_day', 'time_zone']],
      [{ steps: [{ action: 'slow', at_pct: 90 }] }, ['steps.0.interval_s']],
      [{ steps: [{ action: 'explode', at_pct: 90 }] }, ['steps.0.action']],
      [{ name: 'silver' }, ['name']],
      [{ overhead: { segment: 4 } }, ['overhead.segment']],
    ] as const)
      expect([body, fieldsOf(await api.call('PUT', '/v1/plans/gold', body))]).toEqual([body, fields]);
    expect(fieldsOf(await api.call('PUT', '/v1/plans/G%20old', {}))).toEqual(['name']);
  });
});

describe('quarantine over HTTP', () => {
  it('is listed, adopted from and cleared', async () => {
    const unknownDevice = { first_seen: 5, last_seen: 9, count: 3, protocol: 'h02', transport: 'tcp', frames: ['2a'] };
    await api.office.state.write(['s-01', 's-02', 's-03'].map((key) => ({ table: 'quarantine', key, put: JSON.stringify(unknownDevice) })));
    expect((await api.call('GET', '/v1/quarantine?limit=2')).body).toEqual({
      devices: [
        { id: 's-01', ...unknownDevice },
        { id: 's-02', ...unknownDevice },
      ],
      next: 's-02',
    });
    expect((await api.call('GET', '/v1/quarantine?after=s-02')).body).toMatchObject({ devices: [{ id: 's-03' }] });
    expect(fieldsOf(await api.call('POST', '/v1/quarantine/s-01/adopt', { plan: 'gold' }))).toEqual(['plan']);
    const adopted = await api.call('POST', '/v1/quarantine/s-01/adopt', { account: 'acme' });
    expect(adopted).toMatchObject({ status: 201, body: { id: 's-01', account: 'acme', protocol: 'h02', transport: 'tcp', first_seen: 5 } });
    expect((await api.call('POST', '/v1/quarantine/s-01/adopt', {})).status).toBe(404);
    expect(typesOf('s-01')).toEqual(['device_adopted']);
    expect((await api.call('DELETE', '/v1/quarantine/s-02')).status).toBe(204);
    expect((await api.call('DELETE', '/v1/quarantine/s-02')).status).toBe(404);
    // A device that is made by other means is not an unknown device any more.
    await api.call('POST', '/v1/devices', { id: 'd-01', aliases: ['s-03'] });
    expect((await api.call('GET', '/v1/quarantine')).body).toEqual({ devices: [] });
  });
});
