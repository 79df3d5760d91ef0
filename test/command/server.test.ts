import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Fleet } from '../../src/simulate/fleet.ts';
import { fixgate } from '../cli/command.ts';
import type { Server } from '../helpers/server.ts';
import { strictJson } from '../helpers/strict-json.ts';
import { RedisServer } from '../ship/rig.ts';
import { type Answer, ApiServer } from '../support/api-server.ts';
import { rounds } from '../support/thorough.ts';
import { eventually, remains } from '../support/wait.ts';
import { ObedientDevice } from './device.ts';

const devices: ObedientDevice[] = [];
const ENVELOPE = ['version', 'id', 'kind', 'device', 'account', 'time', 'received', 'protocol', 'type', 'data'];

afterEach(() => {
  for (const device of devices.splice(0)) device.stop();
});

/** One server for all tests, each with devices of its own. It has a Redis stream of commands, and grave ones are confirmed. */
let common: ApiServer;
let redis: RedisServer;
/** What is in the stream before it starts. */
const STREAMED = 501;
beforeAll(async () => {
  redis = await RedisServer.start('--appendonly', 'yes');
  await stream('device', imei(STREAMED), 'type', 'get_parameter', 'parameters', '{"id":7}', 'ref', 'a1', 'protocol', 'teltonika');
  await stream('device', imei(STREAMED), 'type', 'get_parameter', 'parameters', '[7]', 'ref', 'a2');
  await stream('device', imei(STREAMED), 'type', 'engine_stop', 'ref', 'a3', 'protocol', 'teltonika');
  const bell = ['device', imei(STREAMED), 'type', 'get_parameter', 'parameters', '{"id":8}', 'reason', 'bell\u0007', 'ref', 'a4'];
  await stream(...bell, 'protocol', 'teltonika');
  await stream('colour', 'red');
  const config = join(redis.directory, 'confirm.yaml');
  writeFileSync(config, 'commands:\n  confirm: true\n');
  common = await ApiServer.start({ FIXGATE_CONFIG: config, FIXGATE_REDIS_URL: redis.url });
});
afterAll(async () => {
  await common.running.stop();
  await redis.stop();
});

async function stream(...fields: readonly string[]): Promise<void> {
  await redis.client().xadd('fixgate:commands', '*', ...fields);
}

interface Started {
  readonly running: Server;
  readonly api: ApiServer;
  readonly port: number;
}

async function shared(scopes = ['read', 'commands']): Promise<Started> {
  const { running } = common;
  return { running, api: await common.as(...scopes), port: await running.port('teltonika') };
}

/** A multiple of eight. */
const FLEET = rounds(16, 200);
const imei = (n: number): string => String(356307042000000 + n);
const parameter = (text: string): string => (text.startsWith('setdigout') ? 'DOUT1:0' : `Param ID:${text.split(' ')[1]} Value:1`);

function device(port: number, n: number, replyMs = 0): ObedientDevice {
  const made = new ObedientDevice(port, imei(n), parameter, replyMs);
  devices.push(made);
  return made;
}

describe('commands over HTTP', () => {
  it('wait for the device, reach it when it comes, and come back with its reply; every step is an event', async () => {
    const { running, api, port } = await shared();
    const path = `/v1/devices/${imei(1)}/commands`;
    const wanted = { type: 'get_parameter', parameters: { id: 10_050 } };
    expect(await api.call('POST', path, wanted)).toMatchObject({ status: 404, body: { problems: [{ field: 'device' }] } });
    const queued = await api.call('POST', path, { ...wanted, protocol: 'teltonika', ref: 'r1' });
    expect(queued).toMatchObject({ status: 201, body: { state: 'queued', requester: expect.stringMatching(/^tester/) } });
    expect(await api.call('POST', path, { ...wanted, protocol: 'teltonika' })).toMatchObject({
      status: 409,
      body: { command: queued.body['id'] },
    });
    const short = await api.call('POST', path, { type: 'version', protocol: 'teltonika', expires: Date.now() + 1000 });
    const gone = await api.call('POST', path, { type: 'status', protocol: 'teltonika' });
    expect(await api.call('DELETE', `${path}/${gone.body['id']}`)).toMatchObject({ status: 200, body: { state: 'cancelled' } });
    expect(await api.call('GET', `${path}/${short.body['id']}?wait=20`)).toMatchObject({ body: { state: 'expired', attempts: 0 } });
    device(port, 1);
    expect(await api.call('GET', `${path}/${queued.body['id']}?wait=20`)).toMatchObject({
      body: { state: 'answered', reply: 'Param ID:10050 Value:1', values: { interval: 1 }, attempts: 1 },
    });
    expect(await api.call('DELETE', `${path}/${queued.body['id']}`)).toMatchObject({ status: 409 });
    // Connected, and without `protocol`.
    expect(await api.call('POST', `${path}?wait=20`, { ...wanted, parameters: { id: 7 } })).toMatchObject({
      status: 201,
      body: { state: 'answered' },
    });
    const all = await api.call('GET', path);
    expect(all.body).toMatchObject({
      open: [],
      ended: [{ state: 'answered' }, { state: 'expired' }, { state: 'cancelled' }, { state: 'answered' }],
    });
    const sql =
      "SELECT JSONExtractString(data, 'state') FROM events FINAL WHERE type = 'command' AND JSONExtractString(data, 'ref') = 'r1' ORDER BY time, id";
    await eventually(async () => expect((await running.query(sql)).trim().split('\n').sort()).toEqual(['answered', 'queued', 'sent']));
  });

  it('give the reply of a relayed device to who waits for it, and keep it nowhere', async () => {
    const { running, api, port } = await shared(['read', 'commands', 'devices']);
    const path = `/v1/devices/${imei(990)}/commands`;
    expect((await api.call('PUT', `/v1/devices/${imei(990)}`, { protocol: 'teltonika', privacy: 'relay' })).status).toBe(201);
    const text = 'GPS:1 Sat:9 Lat:5.125 Long:6.375 Alt:0 Speed:0 Dir:0 Date: 2027/8/24 Time: 13:4:36';
    const made = new ObedientDevice(port, imei(990), () => text);
    devices.push(made);
    const answered = { state: 'answered', reply: text, values: { lat: 5.125, lon: 6.375 } };
    const first = await api.call('POST', `${path}?wait=20`, { type: 'locate' });
    expect(first).toMatchObject({ status: 201, body: answered });
    // Nor to who does not wait.
    expect(await api.call('GET', `${path}/${first.body['id']}`)).toMatchObject({ body: { state: 'answered', reply: '', values: {} } });
    const [several, sent] = await Promise.all([
      Promise.all([1, 2].map(() => api.call('GET', `${path}/${first.body['id']}?wait=20`))),
      fixgate(['send', imei(990), 'locate'], '', {
        FIXGATE_URL: String((await running.logged('metrics and health'))['http']),
        FIXGATE_TOKEN: api.token,
      }),
    ]);
    for (const each of several) expect(each).toMatchObject({ body: answered });
    expect(sent.out).toContain(text);
    // A token that can neither see places nor ask for one does not see the reply.
    const reader = await api.as('read');
    const withheld = { body: { state: 'answered', reply: '', values: {}, withheld: true } };
    const [seen, theirs] = await Promise.all([api, reader].map((one) => one.call('GET', `${path}/${first.body['id']}?wait=20`)));
    expect([seen, theirs]).toMatchObject([{ body: answered }, withheld]);
    const ended = await api.call('GET', path);
    expect(JSON.stringify(ended.body)).not.toContain('5.125');
    const stored = await fixgate(['state', 'dump'], '', { FIXGATE_DATA_DIR: running.dataDir });
    expect(stored.out).toContain(imei(990));
    expect(stored.out).not.toContain('5.125');
  });

  it('say what is wrong with a request, by field', async () => {
    const { api, port } = await shared(['read', 'commands', 'custom']);
    device(port, 201);
    const path = `/v1/devices/${imei(201)}/commands`;
    await eventually(async () => expect((await api.call('GET', `/v1/commands/catalog?device=${imei(201)}`)).status).toBe(200));
    const catalog = await api.call('GET', `/v1/commands/catalog?device=${imei(201)}`);
    expect(JSON.stringify(catalog.body)).toContain('set_interval');
    for (const [body, status, field] of [
      [{}, 400, 'type'],
      ['{"type":', 400, undefined],
      [{ type: 'fly' }, 422, 'type'],
      [{ type: 'set_interval' }, 422, 'parameters.seconds'],
      [{ type: 'set_interval', parameters: { seconds: 'x' } }, 422, 'parameters.seconds'],
      [{ type: 'set_interval', parameters: { seconds: 0 } }, 422, 'parameters.seconds'],
      [{ type: 'set_interval', parameters: { seconds: 5, more: 1 } }, 422, 'parameters.more'],
      [{ type: 'set_server', parameters: { host: 'a;2005:1', port: 1 } }, 422, 'parameters.host'],
      [{ type: 'set_server', parameters: { host: 'a\r\nb', port: 1 } }, 400, 'parameters.host'],
      [{ type: 'version', priority: 10 }, 400, 'priority'],
      [{ type: 'version', expires: 1 }, 422, 'expires'],
      [{ type: 'version', not_before: Date.now() + 1e12 }, 422, 'not_before'],
      [{ type: 'version', when: 'flying' }, 400, 'when'],
      [{ type: 'version', colour: 'red' }, 400, 'colour'],
      [{ type: 'engine_stop' }, 403, undefined],
    ] as const) {
      const answer = await api.call('POST', path, body);
      const fields = Array.isArray(answer.body['problems'])
        ? answer.body['problems'].map((one: unknown) => Reflect.get(Object(one), 'field'))
        : [];
      expect([body, answer.status, fields.includes(field) || field === undefined]).toEqual([body, status, true]);
      expect(answer.body).toMatchObject({ status, title: expect.any(String) });
    }
    expect((await api.call('GET', '/v1/devices/a%20b/commands')).status).toBe(400);
    expect((await api.call('GET', `${path}/none`)).status).toBe(404);
    expect((await api.call('GET', '/v1/nothing')).status).toBe(404);
    const nobody = await common.running.http(path);
    expect([nobody?.status, nobody?.headers.get('content-type')]).toEqual([401, 'application/problem+json; charset=utf-8']);
    expect(devices[0]?.got).toEqual([]);
  });
});

describe('an engine stop', () => {
  it('needs a scope, and a second request', async () => {
    const { api, port } = await shared(['read', 'commands', 'engine']);
    const obedient = device(port, 402);
    const path = `/v1/devices/${imei(402)}/commands`;
    const wanted = { type: 'engine_stop', parameters: { output: 1 }, protocol: 'teltonika', when: 'any', reason: 'a test' };
    const asked = await api.call('POST', path, wanted);
    expect(asked).toMatchObject({ status: 428, body: { confirm: expect.any(String) } });
    expect(await api.call('POST', path, { ...wanted, parameters: { output: 2 }, confirm: asked.body['confirm'] })).toMatchObject({
      status: 428,
    });
    const again = await api.call('POST', path, wanted);
    expect(await api.call('POST', path, { ...wanted, confirm: again.body['confirm'] })).toMatchObject({ status: 201 });
    await eventually(() => expect(obedient.got.map(({ text }) => text)).toEqual(['setdigout 1 ? 10']));
    expect(await api.call('POST', path, { type: 'custom', parameters: { text: 'getver' } })).toMatchObject({ status: 403 });
  });

  it('waits until the vehicle stands, leaves once, is unknown when the worker is killed, and ends by a word of a person', async () => {
    const { running, api, port } = await shared(['read', 'commands', 'engine']);
    const obedient = device(port, 401);
    obedient.mute = true;
    const path = `/v1/devices/${imei(401)}/commands`;
    const states = async (): Promise<unknown> => (await api.call('GET', path)).body;
    await eventually(() => expect(obedient.greeted).toBe(true));
    obedient.report(60);
    const confirmed = async (query: string, wanted: object): Promise<Answer> => {
      const { confirm } = (await api.call('POST', path, wanted)).body;
      return api.call('POST', `${path}${query}`, { ...wanted, confirm });
    };
    const stop = await confirmed('', { type: 'engine_stop', protocol: 'teltonika' });
    expect(stop).toMatchObject({ status: 201, body: { state: 'queued', when: 'stopped' } });
    // What goes behind it has been answered, so that it was looked at.
    obedient.mute = false;
    expect(
      await api.call('POST', `${path}?wait=20`, { type: 'get_parameter', parameters: { id: 1 }, protocol: 'teltonika' }),
    ).toMatchObject({
      body: { state: 'answered' },
    });
    obedient.mute = true;
    expect(obedient.got.map(({ text }) => text)).toEqual(['getparam 1']);
    obedient.report(3);
    await eventually(() => expect(obedient.got.at(-1)?.text).toBe('setdigout 1 ? 10'));
    expect(await states()).toMatchObject({ open: [{ state: 'sent' }] });
    for (const worker of running.children('worker')) process.kill(worker, 'SIGKILL');
    await eventually(async () => expect(await states()).toMatchObject({ open: [{ state: 'unknown', attempts: 1 }] }));
    obedient.mute = false;
    const resume = await confirmed('?wait=30', { type: 'engine_resume' });
    expect(resume).toMatchObject({
      body: { state: 'answered', opposed: [{ id: stop.body['id'], type: 'engine_stop', state: 'unknown' }] },
    });
    const args = ['outcome', String(stop.body['id']), 'done', '--reason', 'the driver says so'];
    const said = await fixgate(args, '', api.env);
    expect([said.code, said.out]).toEqual([0, `${stop.body['id']}  answered\n`]);
    expect(await states()).toMatchObject({ open: [], ended: { length: 3 } });
    expect(obedient.got.map(({ text }) => text)).toEqual(['getparam 1', 'setdigout 1 ? 10', 'setdigout 0']);
  });
});

describe('fixgate send', () => {
  it('shows every step and the reply, and says with its exit code how it came out', async () => {
    const { api, port } = await shared();
    device(port, 301);
    const { env } = api;
    const sent = await fixgate(['send', imei(301), 'get_parameter', 'id=10050', '--protocol', 'teltonika', '--wait', '30'], '', env);
    expect([sent.code, sent.error]).toEqual([0, '']);
    expect(sent.out).toMatch(/queued\n.*sent\n.*answered\n\nParam ID:10050 Value:1\n$/);
    const refused = await fixgate(['send', imei(301), 'set_interval', 'seconds=0'], '', env);
    expect([refused.code, refused.error]).toEqual([2, expect.stringContaining('parameters.seconds')]);
    const away = await fixgate(['send', imei(302), 'version', '--protocol', 'teltonika', '--wait', '0.2', '--json'], '', env);
    expect([away.code, JSON.parse(away.out)]).toMatchObject([1, { state: 'queued' }]);
    expect((await fixgate(['send', imei(301), 'version'], '', { ...env, FIXGATE_TOKEN: 'fg_none' })).error).toContain(
      'unknown bearer token',
    );
  });
});

describe('commands of a Redis stream', () => {
  it('are queued once, echo their reference, and what is malformed is an event and acknowledged', async () => {
    const { port } = await shared();
    const client = redis.client();
    const obedient = device(port, STREAMED);
    const events = async (): Promise<string[]> =>
      (await client.xrange('fixgate:events', '-', '+')).flatMap(([, fields]) => {
        const event = Object(strictJson(fields[fields.indexOf('data') + 1] ?? '{}'));
        expect(Object.keys(event)).toEqual(ENVELOPE);
        const { type, data } = event;
        const { state = '', ref = '', problems = [] } = data;
        return type === 'command_refused' || (type === 'command' && event.device === imei(STREAMED))
          ? [`${type} ${ref} ${state}${problems.map((one: { field: string }) => one.field).join(',')}`]
          : [];
      });
    await eventually(async () =>
      expect((await events()).sort()).toEqual(
        [
          'command a1 queued',
          'command a1 sent',
          'command a1 answered',
          'command_refused a2 parameters',
          'command_refused a3 type',
          'command_refused a4 reason',
          'command_refused  colour,device,type',
        ].sort(),
      ),
    );
    expect(obedient.got.map(({ text }) => text)).toEqual(['getparam 7']);
    expect((await client.xpending('fixgate:commands', 'fixgate'))[0]).toBe(0);
  });
});

describe('simulated devices of every protocol', () => {
  it.concurrent.for(['teltonika', 'gt06', 'h02', 'queclink', 'jt808'] as const)(
    '%s: set_interval changes the reporting, the shadow goes from pending to reported, and locate returns a new position',
    async (protocol, { onTestFinished }) => {
      const { running, api } = await shared();
      const fleet = new Fleet({
        protocols: [protocol],
        transports: ['tcp'],
        target: {
          host: '127.0.0.1',
          ports: {
            teltonika: await running.port('teltonika'),
            gt06: await running.port('gt06'),
            h02: await running.port('h02'),
            queclink: await running.port('queclink'),
            jt808: await running.port('jt808'),
          },
        },
        devices: 1,
        intervalMs: 200,
        durationMs: 600_000,
        graceMs: 100,
        timeoutMs: 10_000,
        window: 1,
        records: 1,
        seed: 5,
        ledger: undefined,
        clock: systemClock,
        // One that reports once an hour would be without coverage for days.
        steady: true,
      });
      const reporting = fleet.run();
      onTestFinished(async () => {
        fleet.finish();
        await reporting;
      });
      const known = async (): Promise<string> => {
        // The others are the ones that this file plays by hand.
        const sql = `SELECT any(device) FROM events WHERE type = 'connected' AND protocol = '${protocol}' AND device NOT LIKE '${imei(0).slice(0, 9)}%' FORMAT TSV`;
        return (await running.query(sql)).trim();
      };
      const id = await eventually(async () => {
        const found = await known();
        expect(found).not.toBe('');
        return found;
      });
      const sent = await api.call('POST', `/v1/devices/${id}/commands`, { type: 'set_interval', parameters: { seconds: 3600 } });
      expect(sent).toMatchObject({ status: 201 });
      expect((await api.call('GET', `/v1/devices/${id}/settings`)).body).toMatchObject({ desired: { interval: 3600 } });
      const done = await api.call('GET', `/v1/devices/${id}/commands/${sent.body['id']}?wait=60`);
      expect(done.body).toMatchObject({ state: 'answered' });
      expect((await api.call('GET', `/v1/devices/${id}/settings`)).body).toEqual({
        desired: { interval: 3600 },
        reported: { interval: 3600 },
        pending: {},
      });
      // It reported five times a second; now it does not within two seconds.
      const before = fleet.total().sent;
      await remains(() => expect(fleet.total().sent - before).toBeLessThan(3), 2000);
      // Nothing else would make it report within an hour.
      const asked = Date.now();
      const ask = () => api.call('POST', `/v1/devices/${id}/commands`, { type: 'locate' });
      let asking = await ask();
      // Its place may be lost just then.
      const located = await eventually(async () => {
        const answer = await api.call('GET', `/v1/devices/${id}/commands/${asking.body['id']}?wait=60`);
        const isPlaceless = answer.body['state'] === 'answered' && Reflect.get(Object(answer.body['values']), 'lat') === undefined;
        if (isPlaceless) asking = await ask();
        expect(answer.body).toMatchObject({ state: 'answered', values: { lat: expect.any(Number), lon: expect.any(Number) } });
        return answer;
      });
      expect(Reflect.get(Object(located.body['values']), 'time')).toBeGreaterThan(asked - 1000);
      const { commands, replies, wrongAnswers } = fleet.total();
      expect([commands >= 2, replies >= 1, wrongAnswers]).toEqual([true, true, 0]);
    },
  );
});

describe('five commands to each of many devices', () => {
  const FIRST = 2000;

  it('over two workers, with reconnects and a worker that is killed: each ends in its true state, in order, none lost', async () => {
    const { running, api, port } = await shared();
    const fleet = Array.from({ length: FLEET }, (_, n) => device(port, FIRST + n, 5 + (n % 20)));
    const wanted = Array.from({ length: 5 }, (_, round) => fleet.map((_, n) => ({ n, id: 1000 + round * FLEET + n }))).flat();
    let killed = 0;
    const submit = async (from: number): Promise<void> => {
      for (let i = from; i < wanted.length; i += 8) {
        const { n, id } = wanted[i] ?? { n: 0, id: 0 };
        const { status } = await api.call('POST', `/v1/devices/${imei(FIRST + n)}/commands`, {
          type: 'get_parameter',
          parameters: { id },
          protocol: 'teltonika',
        });
        expect(status).toBe(201);
        if (i % 7 === 0) fleet[(i * 13) % fleet.length]?.reconnect();
        if (i === wanted.length / 2) {
          killed = performance.now();
          process.kill(running.children('worker')[0] ?? 0, 'SIGKILL');
        }
      }
    };
    // Each device's commands are submitted by one of them, in order: their number is a multiple of 8.
    await Promise.all(Array.from({ length: 8 }, (_, from) => submit(from)));
    expect(killed).toBeGreaterThan(0);
    for (const [n, obedient] of fleet.entries()) {
      const ids = wanted.filter((one) => one.n === n).map(({ id }) => id);
      const path = `/v1/devices/${imei(FIRST + n)}/commands`;
      await eventually(async () => expect((await api.call('GET', path)).body).toMatchObject({ open: [], ended: { length: 5 } }));
      const { ended } = (await api.call('GET', path)).body;
      const states = Array.isArray(ended)
        ? ended.map((one: unknown) => `${Reflect.get(Object(one), 'state')} ${Reflect.get(Object(one), 'reply')}`)
        : [];
      expect(states.sort()).toEqual(ids.map((id) => `answered Param ID:${id} Value:1`).sort());
      // In order, and each one once; again only where the answer may have died with the worker.
      const firsts = [...new Set(obedient.got.map(({ text }) => text))];
      expect(firsts).toEqual(ids.map((id) => `getparam ${id}`));
      for (const [at, again] of obedient.got.entries()) {
        const earlier = obedient.got.slice(0, at).filter((one) => one.text === again.text && one.answered > 0);
        // Its connection was there when the worker was killed, and ended by that; or the device had left so shortly before that
        // the worker had not written its last answer down. Many answers were durable before that one; ten seconds cover a machine
        // that stands still.
        for (const { connection, answered } of earlier) {
          const { at = 0, left = false } = obedient.ended.get(connection) ?? {};
          expect(at, `connection ${connection} of ${obedient.imei}, left: ${left}`).toBeGreaterThan(left ? killed - 10_000 : killed);
          expect(answered).toBeGreaterThan(killed - 10_000);
        }
      }
    }
    expect(fleet.reduce((sum, one) => sum + one.connections, 0)).toBeGreaterThan(1.5 * FLEET);
  });
});
