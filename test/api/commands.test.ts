import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { CRITICAL_SCOPES, CRITICAL_TYPES, isAllowed } from '../../src/fleet/command/critical.ts';
import { RedisServer } from '../ship/rig.ts';
import { Api } from './rig.ts';

let api: Api | undefined;
afterEach(async () => {
  await api?.stop();
  api = undefined;
});

/** One of each critical type that Teltonika encodes. */
const PARAMETERS: Readonly<Record<(typeof CRITICAL_TYPES)[number], object>> = {
  engine_stop: {},
  engine_resume: {},
  set_output: { on: true },
  set_server: { host: 'example.org', port: 5027 },
  custom: { text: 'getver' },
};
const PATH = '/v1/devices/356307042440001/commands';
const wanted = (type: keyof typeof PARAMETERS): object => ({ type, parameters: PARAMETERS[type], protocol: 'teltonika' });

describe('critical commands', () => {
  it.each([...new Set(Object.values(CRITICAL_SCOPES))])('need their scope: %s', async (scope) => {
    api = await Api.start(['read', 'commands']);
    const token = await api.token(['commands', scope]);
    for (const type of CRITICAL_TYPES.filter((one) => CRITICAL_SCOPES[one] === scope)) {
      const refused = await api.call('POST', PATH, wanted(type));
      expect([type, refused]).toMatchObject([type, { status: 403, body: { title: expect.stringContaining(`\`${scope}\``) } }]);
      const made = await api.call('POST', PATH, wanted(type), { authorization: `Bearer ${token}` });
      expect([type, made.status]).toEqual([type, 201]);
    }
  });

  it('are confirmed by a second request where that is configured', async () => {
    api = await Api.start(['admin'], {}, { confirm: true });
    for (const type of CRITICAL_TYPES) {
      const asked = await api.call('POST', PATH, wanted(type));
      expect([type, asked]).toMatchObject([type, { status: 428, body: { confirm: expect.any(String) } }]);
      const made = await api.call('POST', PATH, { ...wanted(type), confirm: asked.body['confirm'] });
      expect([type, made.status]).toEqual([type, 201]);
    }
    expect(await api.call('POST', PATH, { type: 'version', protocol: 'teltonika' })).toMatchObject({ status: 201 });
  });

  it('are cancelled, and said to have come out so, only with their scope', async () => {
    api = await Api.start();
    const { ledger } = api.office;
    const headers = { authorization: `Bearer ${await api.token(['commands'])}` };
    const { body } = await api.call('POST', PATH, wanted('engine_stop'));
    expect(await api.call('DELETE', `${PATH}/${body['id']}`, undefined, headers)).toMatchObject({ status: 403 });
    const queued = await ledger.get('356307042440001', String(body['id']));
    const sent = queued && (await ledger.sending(queued));
    if (sent === undefined) throw new Error('not sent');
    await ledger.unanswered(sent, 'no reply', true);
    const outcome = { outcome: 'failed', reason: 'x' };
    expect(await api.call('POST', `/v1/commands/${body['id']}/outcome`, outcome, headers)).toMatchObject({ status: 403 });
    expect(await api.call('POST', `/v1/commands/${body['id']}/outcome`, outcome)).toMatchObject({ status: 200 });
    const plain = await api.call('POST', PATH, { type: 'version', protocol: 'teltonika' });
    expect(await api.call('DELETE', `${PATH}/${plain.body['id']}`, undefined, headers)).toMatchObject({ status: 200 });
  });

  it('are also those that do the same in other words', async () => {
    api = await Api.start(['commands'], {}, { confirm: true });
    for (const [n, [protocol, type, parameters, scope]] of (
      [
        ['teltonika', 'set_parameter', { id: 2004, value: 'example.org' }, 'custom'],
        ['h02', 'reboot', {}, 'engine'],
      ] as const
    ).entries()) {
      const path = `/v1/devices/${4_000_000_000 + n}/commands`;
      const same = { type, parameters, protocol };
      expect(await api.call('POST', path, same)).toMatchObject({ status: 403, body: { title: expect.stringContaining(`\`${scope}\``) } });
      const headers = { authorization: `Bearer ${await api.token(['commands', scope])}` };
      const asked = await api.call('POST', path, same, headers);
      expect(asked).toMatchObject({ status: 428, body: { confirm: expect.any(String) } });
      const made = await api.call('POST', path, { ...same, confirm: asked.body['confirm'] }, headers);
      expect(made).toMatchObject({ status: 201, body: { type, critical: scope === 'custom' ? 'set_server' : 'engine_resume' } });
    }
    const plain = { type: 'set_parameter', parameters: { id: 10_050, value: '30' }, protocol: 'teltonika' };
    expect(await api.call('POST', PATH, plain)).toMatchObject({ status: 201, body: { critical: '' } });
  });

  it('come from the stream only where the configuration names them; who may stop may resume', () => {
    for (const type of CRITICAL_TYPES) expect([type, isAllowed(type, []), isAllowed(type, [type])]).toEqual([type, false, true]);
    expect([isAllowed('engine_resume', ['engine_stop']), isAllowed('engine_stop', ['engine_resume'])]).toEqual([true, false]);
  });
});

it('`commands.streamAllows` knows every critical type', () => {
  const streamAllows = (types: readonly string[]): unknown =>
    configSchema.safeParse({ commands: { streamAllows: types } }).data?.commands.streamAllows;
  expect(streamAllows(CRITICAL_TYPES)).toEqual(CRITICAL_TYPES);
  // As earlier versions had it.
  expect(streamAllows(['engine_stop', 'custom'])).toEqual(['engine_stop', 'custom']);
  expect(streamAllows(['version'])).toBeUndefined();
});

describe('a command that can keep a vehicle from driving', () => {
  const at = (device: string): string => `/v1/devices/${device}/commands`;

  it('waits until it stands, and not for long, whatever words it is said in', async () => {
    api = await Api.start();
    for (const [n, [protocol, type, parameters]] of (
      [
        ['teltonika', 'engine_stop', {}],
        ['teltonika', 'set_output', { on: true, output: 3 }],
        ['teltonika', 'custom', { text: 'setdigout ?1 5' }],
        ['teltonika', 'custom', { text: ' SetDigOut  1' }],
        ['gt06', 'engine_stop', {}],
        ['gt06', 'custom', { text: 'DYD#' }],
        ['gt06', 'custom', { text: 'dyd,000000' }],
        ['gt06', 'custom', { text: 'PRELAY,1#' }],
        ['gt06', 'custom', { text: 'Relay,666666,1' }],
        ['h02', 'engine_stop', {}],
        ['h02', 'custom', { text: 'S20,1,1' }],
        ['h02', 'custom', { text: 'S20,130305,1,1', timed: false }],
        ['h02', 'custom', { text: 'CMD,9400000' }],
      ] as const
    ).entries()) {
      const path = at(String(4_000_000_000 + n));
      const wanted = { type, parameters, protocol };
      const { body } = await api.call('POST', path, wanted);
      expect([wanted, body]).toMatchObject([wanted, { state: 'queued', when: 'stopped' }]);
      expect(Math.abs(Number(body['expires']) - Number(body['created']) - 600_000)).toBeLessThan(60_000);
      const anyhow = { ...wanted, when: 'any', again: true };
      expect(await api.call('POST', path, anyhow)).toMatchObject({ status: 422, body: { problems: [{ field: 'reason' }] } });
      expect(await api.call('POST', path, { ...anyhow, when: 'moving' })).toMatchObject({
        status: 422,
        body: { problems: [{ field: 'when' }] },
      });
      expect(await api.call('POST', path, { ...anyhow, reason: 'stolen' })).toMatchObject({ status: 201, body: { when: 'any' } });
    }
  });

  it('is not one that lets it drive, or that only asks', async () => {
    api = await Api.start();
    for (const [n, [protocol, type, parameters]] of (
      [
        ['teltonika', 'set_output', { on: false }],
        ['teltonika', 'custom', { text: 'setdigout 0?' }],
        ['teltonika', 'custom', { text: 'getver' }],
        ['gt06', 'custom', { text: 'HFYD#' }],
        ['gt06', 'custom', { text: 'RELAY#' }],
        ['gt06', 'engine_resume', {}],
        ['h02', 'custom', { text: 'S20,1,0' }],
        ['h02', 'custom', { text: 'CMD,9410000' }],
      ] as const
    ).entries()) {
      const wanted = { type, parameters, protocol };
      const { body } = await api.call('POST', at(String(4_000_000_000 + n)), wanted);
      expect([wanted, body]).toMatchObject([wanted, { state: 'queued', when: 'any' }]);
      expect(Math.abs(Number(body['expires']) - Number(body['created']) - 86_400_000)).toBeLessThan(60_000);
    }
  });

  it('is switching on the outputs that the configuration names', async () => {
    api = await Api.start(['admin'], {}, { yaml: 'codecs: { options: { teltonika: { engine_outputs: "1" } } }' });
    const whens: unknown[] = [];
    for (const output of [1, 2])
      whens.push(
        (await api.call('POST', at('d-01'), { type: 'set_output', parameters: { output, on: true }, protocol: 'teltonika' })).body['when'],
      );
    expect(whens).toEqual(['stopped', 'any']);
  });

  it('and the opposite of an earlier one: the earlier one is cancelled, both are in the answer, and each is an event', async () => {
    api = await Api.start();
    const { office, events } = api;
    const left = (await api.call('POST', at('d-01'), { type: 'engine_stop', protocol: 'gt06' })).body;
    const claimed = await office.ledger.get('d-01', String(left['id']));
    if (claimed !== undefined) await office.ledger.sending(claimed);
    const held = (await api.call('POST', at('d-01'), { type: 'custom', parameters: { text: 'DYD#' }, protocol: 'gt06' })).body;
    const answer = await api.call('POST', at('d-01'), { type: 'engine_resume', protocol: 'gt06' });
    const opposed = [
      { id: left['id'], type: 'engine_stop', state: 'sent' },
      { id: held['id'], type: 'custom', state: 'cancelled' },
    ];
    expect(answer).toMatchObject({ status: 201, body: { state: 'queued', opposed } });
    expect((await api.call('GET', `${at('d-01')}/${answer.body['id']}`)).body).toMatchObject({ opposed });
    expect(events.filter((event) => event['state'] === 'cancelled')).toMatchObject([
      { id: held['id'], note: `by engine_resume ${answer.body['id']}` },
    ]);
    const on = (await api.call('POST', at('d-02'), { type: 'set_output', parameters: { output: 2, on: true }, protocol: 'teltonika' }))
      .body;
    const off = await api.call('POST', at('d-02'), { type: 'custom', parameters: { text: 'setdigout ?0' }, protocol: 'teltonika' });
    expect(off.body['opposed']).toEqual([{ id: on['id'], type: 'set_output', state: 'cancelled' }]);
  });
});

describe('a command that is unknown', () => {
  it('stands among the open ones, is no reason to refuse another, and ends when a person says how it came out', async () => {
    api = await Api.start();
    const { ledger } = api.office;
    const { body } = await api.call('POST', PATH, wanted('engine_resume'));
    const queued = await ledger.get('356307042440001', String(body['id']));
    const sent = queued && (await ledger.sending(queued));
    if (sent === undefined) throw new Error('not sent');
    await ledger.unanswered(sent, 'no reply', true);
    expect(await api.call('GET', `${PATH}/${body['id']}?wait=60`)).toMatchObject({ body: { state: 'unknown', ended: 0 } });
    expect((await api.call('GET', PATH)).body).toMatchObject({ open: [{ id: body['id'], state: 'unknown' }], ended: [] });
    expect(await api.call('POST', PATH, wanted('engine_resume'))).toMatchObject({ status: 201 });
    const path = `/v1/commands/${body['id']}/outcome`;
    expect(await api.call('DELETE', `${PATH}/${body['id']}`)).toMatchObject({ status: 409 });
    expect(await api.call('POST', path, { outcome: 'perhaps', reason: 'x' })).toMatchObject({ status: 400 });
    expect(await api.call('POST', path, { outcome: 'done' })).toMatchObject({ status: 400 });
    const looking = await api.token(['read']);
    expect(await api.call('POST', path, { outcome: 'done', reason: 'x' }, { authorization: `Bearer ${looking}` })).toMatchObject({
      status: 403,
    });
    expect(await api.call('POST', path, { outcome: 'done', reason: 'it drives' })).toMatchObject({
      status: 200,
      body: { state: 'answered' },
    });
    expect(await api.call('POST', path, { outcome: 'failed', reason: 'it does not' })).toMatchObject({ status: 404 });
    expect(api.events.filter((event) => event['id'] === body['id']).at(-1)).toMatchObject({
      state: 'answered',
      final: true,
      note: 'by tester: it drives',
    });
  });
});

it.each(['lmdb', 'redis'] as const)('of ten of the same that are handed in at once, one is there: %s', async (kind) => {
  const redis = kind === 'redis' ? await RedisServer.start() : undefined;
  onTestFinished(() => redis?.stop());
  api = await Api.start(['admin'], redis === undefined ? {} : { FIXGATE_STATE_URL: redis.url });
  const { call } = api;
  const same = { type: 'locate', protocol: 'teltonika' };
  const answers = await Promise.all(Array.from({ length: 10 }, () => call.call(api, 'POST', PATH, same)));
  expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array.from({ length: 9 }, () => 409)]);
  expect((await api.call('GET', PATH)).body).toMatchObject({ open: { length: 1 } });
  // And of different ones, all.
  const others = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      call.call(api, 'POST', PATH, { type: 'get_parameter', parameters: { id: n + 1 }, protocol: 'teltonika' }),
    ),
  );
  expect(new Set(others.map(({ status }) => status))).toEqual(new Set([201]));
});

describe('the list of commands', () => {
  it('has those of all devices, in pages, by device, state and type', async () => {
    api = await Api.start();
    const ids: Record<string, string> = {};
    for (const [device, type] of [
      ['d-01', 'version'],
      ['d-02', 'version'],
      ['d-02', 'engine_stop'],
    ] as const) {
      const { body } = await api.call('POST', `/v1/devices/${device}/commands`, { type, protocol: 'teltonika' });
      ids[`${device} ${type}`] = String(body['id']);
    }
    const { ledger } = api.office;
    const stop = await ledger.get('d-02', ids['d-02 engine_stop'] ?? '');
    const sent = stop && (await ledger.sending(stop));
    if (sent === undefined) throw new Error('not sent');
    await ledger.unanswered(sent, 'no reply', true);
    await api.call('DELETE', `/v1/devices/d-01/commands/${ids['d-01 version']}`);

    const all = [ids['d-02 engine_stop'], ids['d-02 version'], ids['d-01 version']];
    const listed = async (query: string): Promise<unknown[]> => {
      const found: unknown[] = [];
      for (let after = ''; ; ) {
        const { status, body } = (await api?.call('GET', `/v1/commands?${query}${after}`)) ?? {};
        expect(status).toBe(200);
        found.push(...Object(body).commands.map(({ id }: { id: string }) => id));
        if (Object(body).next === undefined) return found;
        after = `&after=${encodeURIComponent(Object(body).next)}`;
      }
    };
    expect(await listed('')).toEqual(all);
    expect(await listed('limit=1')).toEqual(all);
    expect(await listed('device=d-02')).toEqual(all.slice(0, 2));
    expect(await listed('state=unknown,cancelled')).toEqual([all[0], all[2]]);
    expect(await listed('type=version&limit=1')).toEqual(all.slice(1));
    expect(await listed('device=d-03')).toEqual([]);
    expect(await api.call('GET', '/v1/commands?state=lost')).toMatchObject({ status: 400 });
    expect(await listed('after=nonsense')).toEqual(all);
  });

  it('leaves out replies that say where a device is, for a token that may not know', async () => {
    api = await Api.start();
    const { body } = await api.call('POST', PATH, { type: 'locate', protocol: 'gt06' });
    const { ledger } = api.office;
    const queued = await ledger.get('356307042440001', String(body['id']));
    const sent = queued && (await ledger.sending(queued));
    if (sent === undefined) throw new Error('not sent');
    await ledger.answered(sent, 'Lat:N59.3,Lon:E18.0', {});
    const headers = { authorization: `Bearer ${await api.token(['read'])}` };
    const seen = async (more?: Record<string, string>): Promise<unknown> => (await api?.call('GET', '/v1/commands', undefined, more))?.body;
    expect(await seen()).toMatchObject({ commands: [{ reply: 'Lat:N59.3,Lon:E18.0' }] });
    expect(await seen(headers)).toMatchObject({ commands: [{ reply: '', withheld: true }] });
    // Answered by a position, without a text.
    const again = (await api.call('POST', PATH, { type: 'locate', protocol: 'gt06' })).body;
    const waiting = await ledger.get('356307042440001', String(again['id']));
    const asked = waiting && (await ledger.sending(waiting));
    if (asked === undefined) throw new Error('not sent');
    await ledger.answered(asked, '', { lat: 59.3293, lon: 18.0686 });
    const path = `${PATH}/${String(again['id'])}`;
    expect((await api.call('GET', path)).body).toMatchObject({ values: { lat: 59.3293 } });
    expect((await api.call('GET', path, undefined, headers)).body).toMatchObject({ reply: '', values: {}, withheld: true });
    expect(JSON.stringify(await seen(headers))).not.toContain('59.3');
  });
});

it('what the plan of a device does not include is refused, naming the plan: commands and recovery, however they are asked for', async () => {
  api = await Api.start();
  await api.call('PUT', '/v1/plans/basic', { commands: ['version'], recovery: false, interval_s: 60 });
  await api.call('POST', '/v1/devices', { id: '356307042440001', plan: 'basic', protocol: 'teltonika', transport: 'tcp' });
  expect(await api.call('POST', PATH, wanted('engine_stop'))).toMatchObject({
    status: 403,
    body: { title: expect.stringMatching(/plan "basic".*engine_stop/), problems: [{ field: 'type' }] },
  });
  expect((await api.call('POST', PATH, { type: 'version' })).status).toBe(201);
  const recovery = { reason: 'stolen', interval_s: 10, until: Date.now() + 600_000 };
  const refused = { status: 409, body: { problems: [{ field: 'recovery', problem: expect.stringMatching(/"basic"/) }] } };
  expect(await api.call('POST', '/v1/devices/356307042440001/recovery', recovery)).toMatchObject(refused);
  const whole = { ...recovery, started: Date.now() };
  expect(await api.call('PATCH', '/v1/devices/356307042440001', { recovery: whole })).toMatchObject(refused);
  expect(await api.call('POST', '/v1/devices', { id: 'd-2', plan: 'basic', recovery: whole })).toMatchObject(refused);
  // Of a plan that includes it, it goes on when the device comes to one that does not.
  expect((await api.call('PATCH', '/v1/devices/356307042440001', { plan: 'default' })).status).toBe(200);
  expect((await api.call('POST', '/v1/devices/356307042440001/recovery', recovery)).status).toBe(200);
  expect(await api.call('PATCH', '/v1/devices/356307042440001', { plan: 'basic' })).toMatchObject({
    status: 200,
    body: { recovery: { reason: 'stolen' } },
  });
});
