import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixgate } from '../cli/command.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packetAt } from '../helpers/teltonika.ts';
import { objects, unzipped } from '../privacy/zip.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';
import { Caller, type Said } from './caller.ts';

/**
 * In a whole server: with a token of account B no operation says anything of what A owned, neither of a device that is A's nor
 * of the time in which a device that is B's now was A's; and A sees nothing of B's time.
 */

/** A's all the time; A's first and B's then; B's all the time; of no account and never there. */
const HIS = '356307042441013';
const PASSED = '356307042441021';
const OWN = '356307042441039';
const NONE = '356307042449990';
const [A, B] = ['acme-haulage', 'bolt-couriers'];
/** What of A's must be in no answer to B: its places as they are shown and its words. */
const PLACE_A = { lat: 48.1371, lon: 11.5754 };
const PLACE_B = { lat: 52.5163, lon: 13.3777 };
const WORDS = [HIS, '48.137', '11.575', A, 'Acme Haulage', 'tok-acme', 'ref-acme', 'alias-acme'];
const B_WORDS = ['52.516', 'bolt'];

let server: ApiServer;
let operator: Caller;
let a: Caller;
let b: Caller;
const devices: TcpDevice[] = [];
/** Commands of A: to its device, and to the one that was passed on. */
const commands: Record<string, string> = {};
let passedAt: number;
/** What there is of A's time, by device: its installation test and its case of recovery. */
const kept: Record<string, { readonly test: string; readonly case: string }> = {};
/** What of A's is not of one device. */
let campaign: string;
let connection: string;
const RECIPIENT = 'acme-insurer';

/** A record there and then. */
function at({ lat, lon }: typeof PLACE_A, time: number): Uint8Array {
  return packetAt(lat, lon, time);
}

async function connect(id: string): Promise<TcpDevice> {
  const device = await TcpDevice.connect(await server.running.port('teltonika'));
  devices.push(device);
  device.send(handshake(id));
  await device.until(({ received }) => received.length > 0);
  return device;
}

async function token(name: string, ...accounts: string[]): Promise<Caller> {
  const scopes = ['admin', 'read', 'locations', 'commands', 'engine', 'custom'].flatMap((scope) => ['--scope', scope]);
  const args = ['token', 'create', '--name', name, ...scopes, ...accounts.flatMap((account) => ['--account', account])];
  const { code, out, error } = await fixgate(args, '', { FIXGATE_DATA_DIR: server.running.dataDir });
  expect([code, error]).toEqual([0, '']);
  return new Caller(server.url, out.trim());
}

async function posted(caller: Caller, path: string, body: object): Promise<Record<string, unknown>> {
  const { status, text } = await caller.call('POST', path, body);
  expect([path, text, status]).toEqual([path, text, expect.toSatisfy((one: number) => one === 200 || one === 201)]);
  return JSON.parse(text);
}

/** The id of an installation test that A has begun. */
async function tested(id: string): Promise<string> {
  return String((await posted(a, `/v1/devices/${id}/tests`, { seconds: 20 }))['id']);
}

/** The id of a case of recovery that is over. */
async function recovered(id: string): Promise<string> {
  const path = `/v1/devices/${id}/recovery`;
  const { recovery } = await posted(operator, path, { reason: 'ref-acme', interval_s: 10, until: Date.now() + 60_000 });
  expect((await operator.call('DELETE', path)).status).toBe(200);
  return String(Object(recovery)['started']);
}

const rows = async (id: string): Promise<number> =>
  Number(await server.running.query(`SELECT count() FROM positions WHERE device = '${id}'`));

beforeAll(async () => {
  server = await ApiServer.start({ FIXGATE_WORKERS: '1' });
  operator = new Caller(server.url, server.token);
  for (const [id, account, aliases] of [
    [HIS, A, ['alias-acme']],
    [PASSED, A, []],
    [OWN, B, ['alias-bolt']],
  ] as const)
    expect((await operator.call('POST', '/v1/devices', { id, account, aliases, protocol: 'teltonika' })).status).toBe(201);
  for (const [id, name] of [
    [A, 'Acme Haulage'],
    [B, 'Bolt Couriers'],
  ])
    expect((await operator.call('POST', '/v1/accounts', { id, name })).status).toBe(201);
  [a, b] = [await token('tok-acme', A), await token('tok-bolt', B)];
  expect((await operator.call('PUT', `/v1/recipients/${RECIPIENT}`, { account: A })).status).toBe(201);
  expect((await operator.call('PUT', `/v1/accounts/${A}/consents/insurer`, { fields: ['time'] })).status).toBe(200);
  // A's time: places, commands and their events, one of which waits.
  for (const id of [HIS, PASSED]) {
    const queued = await a.call('POST', `/v1/devices/${id}/commands`, {
      type: 'version',
      ref: 'ref-acme',
      not_before: Date.now() + 3_600_000,
    });
    expect(queued.status).toBe(201);
    commands[id] = JSON.parse(queued.text).id;
    const device = await connect(id);
    kept[id] = { test: await tested(id), case: await recovered(id) };
    for (let n = 0; n < 3; n++) device.send(at(PLACE_A, Date.now() - 60_000 + 1000 * n));
    await device.until(({ received }) => received.length >= 13);
    await eventually(async () => expect(await rows(id)).toBe(3));
  }
  await eventually(async () => expect((await a.get(`/v1/positions`))['rows']).toHaveLength(2));
  await a.call('GET', `/v1/devices/${PASSED}/positions`);
  const { id } = await posted(operator, '/v1/campaigns', { type: 'engine_stop', reason: 'ref-acme', selection: { devices: [HIS] } });
  campaign = String(id);
  const connected: { id: string; device: string }[] = Object((await operator.get('/v1/connections'))['connections']);
  connection = connected.find(({ device }) => device === HIS)?.id ?? '';
  // It is passed on, which ends its connection.
  expect((await operator.call('PATCH', `/v1/devices/${PASSED}`, { account: B })).status).toBe(200);
  passedAt = Date.now();
  await devices[1]?.until(({ ended }) => ended);
  const passed = await connect(PASSED);
  // What comes before the worker has heard of it is shown to neither.
  await eventually(async () => {
    passed.send(at(PLACE_B, Date.now()));
    expect((await b.get(`/v1/devices/${PASSED}/positions`))['total']).toBeGreaterThan(0);
  });
  // The device has something of A's time left, and sends it in B's.
  const before = await rows(PASSED);
  passed.send(at(PLACE_A, passedAt - 5_000));
  const own = await connect(OWN);
  own.send(at(PLACE_B, Date.now() - 1000));
  await eventually(async () => expect([(await rows(PASSED)) > before, await rows(OWN)]).toEqual([true, 1]));
  await eventually(async () => expect((await b.get(`/v1/positions`))['rows']).toHaveLength(2));
});
afterAll(async () => {
  for (const device of devices) device.close();
  await server.running.stop();
});

/** Where a text says what it must not. */
function leaks(text: string, words: readonly string[] = WORDS): string[] {
  return words.flatMap((word) => {
    const at = text.indexOf(word);
    return at < 0 ? [] : [text.slice(Math.max(0, at - 200), at + 100)];
  });
}

/** Says nothing of A's. */
function isClean(said: Said, what: string): void {
  // What was asked for comes back in the answer to it.
  const words = WORDS.concat(...Object.values(commands)).filter((word) => !what.includes(word));
  const inBytes = words.filter((word) => said.bytes.includes(word) && !said.text.includes(word));
  expect([what, leaks(said.text, words), leaks(said.headers, words), inBytes]).toEqual([what, [], [], []]);
}

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly query: readonly string[];
}

async function operations(): Promise<Operation[]> {
  const document: { paths: Record<string, Record<string, { parameters: { name: string; in: string }[] }>> } = JSON.parse(
    (await operator.call('GET', '/openapi.json')).text,
  );
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters }]) => ({
      method: method.toUpperCase(),
      path,
      query: parameters.filter((one) => one.in === 'query').map(({ name }) => name),
    })),
  );
}

/** Bodies that operations take; of the others an empty one. */
const BODIES: Readonly<Record<string, (id: string) => object>> = {
  'POST /v1/devices/{id}/commands': () => ({ type: 'version', ref: 'ref-other' }),
  'POST /v1/commands/{command}/outcome': () => ({ outcome: 'done', reason: 'seen' }),
  'POST /v1/decode': (id) => ({ hex: ['000f333536333037303432343431303339'], device: id }),
  'POST /v1/disclosures': (id) => ({ device: id, account: A, from: 0, to: 5, authority: 'x', reference: 'x', reason: 'x' }),
  'POST /v1/downloads': (id) => ({ path: `/v1/devices/${id}/positions?format=csv` }),
  'POST /v1/devices': (id) => ({ id, account: A }),
  'PATCH /v1/devices/{id}': () => ({ account: B }),
  'POST /v1/tokens': () => ({ name: 'more', scopes: ['admin'] }),
  'POST /v1/accounts': () => ({ id: A }),
  'POST /v1/accounts/{id}/suspend': () => ({ reason: 'x' }),
  'POST /v1/accounts/{id}/close': () => ({ reason: 'x' }),
  'POST /v1/devices/{id}/recovery': () => ({ reason: 'stolen', interval_s: 10, until: Date.now() + 60_000 }),
  'POST /v1/devices/{id}/identity': () => ({ address: '127.0.0.1' }),
  'POST /v1/devices/{id}/recoveries/{case}/notes': () => ({ text: 'seen' }),
  'PUT /v1/accounts/{id}/consents/{purpose}': () => ({ fields: [] }),
  'PUT /v1/recipients/{id}': () => ({ account: B }),
};

const NO_CAMPAIGN = '1-00000000';

/** Requests of an operation about a device: in its path, its query and its body. */
function requests({ method, path, query }: Operation, id: string): { method: string; path: string; body: object | undefined }[] {
  const account = path.startsWith('/v1/accounts') ? (id === NONE ? 'nobody' : A) : id;
  const filled = path
    .replace('/v1/connections/{id}', `/v1/connections/${connection}`)
    .replace('/v1/campaigns/{id}', `/v1/campaigns/${id === NONE ? NO_CAMPAIGN : campaign}`)
    .replace('/v1/recipients/{id}', `/v1/recipients/${id === NONE ? 'nobody' : RECIPIENT}`)
    .replace('/v1/tokens/{name}', '/v1/tokens/tok-acme')
    .replace('{id}', encodeURIComponent(account))
    .replace('{command}', commands[id] ?? 'no-command')
    .replace('{test}', (kept[id] ?? kept[HIS])?.test ?? '')
    .replace('{case}', (kept[id] ?? kept[HIS])?.case ?? '')
    .replace('{name}', 'default')
    .replace('{purpose}', 'insurer')
    .replace('{ticket}', 'no-ticket')
    .replace('{cycle}', new Date(passedAt).toISOString().slice(0, 7));
  expect(filled).not.toContain('{');
  const given = BODIES[`${method} ${path}`]?.(id);
  const body = method === 'GET' || method === 'DELETE' ? undefined : (given ?? {});
  const queries = [
    '',
    ...(query.includes('device') ? [`device=${id}`] : []),
    ...(query.includes('account') ? [`account=${A}`] : []),
    ...(query.includes('q') ? [`q=${id.slice(0, 8)}&with=live`] : []),
    ...(query.includes('format') ? ['format=csv', 'format=ndjson', 'format=gpx', 'format=geojson'] : []),
    ...(query.includes('type') ? ['type=command,viewed,connected&limit=1000'] : []),
  ];
  return queries.map((one) => ({ method, path: one === '' ? filled : `${filled}?${one}`, body }));
}

describe('with a token of account B', () => {
  it('no operation says anything of what is A’s: it is answered as what is not known', async () => {
    const all = await operations();
    expect(all.length).toBeGreaterThan(60);
    for (const operation of all) {
      // It would end the token's own session, and it has none.
      for (const id of [HIS, 'alias-acme', PASSED]) {
        for (const { method, path, body } of requests(operation, id)) {
          if (path === `/v1/devices/${PASSED}/disconnect`) continue;
          const said = await b.call(method, path, body);
          isClean(said, `${method} ${path} ${JSON.stringify(body)}`);
          expect([path, said.status < 500]).toEqual([path, true]);
        }
      }
      const [foreign, unknown] = [requests(operation, HIS), requests(operation, NONE)];
      for (const [i, request] of foreign.entries()) {
        const other = unknown[i];
        if (other === undefined || !operation.path.includes('{id}') || operation.path.startsWith('/v1/connections')) continue;
        const [his, none] = [await b.call(request.method, request.path, request.body), await b.call(other.method, other.path, other.body)];
        expect([
          request.path,
          his.status,
          [HIS, A, campaign, RECIPIENT]
            .reduce((text, word) => text.replaceAll(word, 'ID'), his.text)
            .replaceAll(String(commands[HIS]), 'COMMAND'),
        ]).toEqual([
          request.path,
          none.status,
          [NONE, 'nobody', NO_CAMPAIGN].reduce((text, word) => text.replaceAll(word, 'ID'), none.text).replaceAll('no-command', 'COMMAND'),
        ]);
        expect([403, 404]).toContain(his.status);
      }
    }
    // Nothing of all that has done anything.
    expect(await operator.get(`/v1/devices/${HIS}`)).toMatchObject({ account: A, state: 'active' });
    const { open, finished } = await operator.get(`/v1/devices/${HIS}/commands`);
    expect(open).toContainEqual(expect.objectContaining({ id: commands[HIS] }));
    expect(JSON.stringify([open, finished])).not.toContain('tok-bolt');
    expect(await operator.get(`/v1/accounts/${A}`)).toMatchObject({ state: 'active', consents: { insurer: { fields: ['time'] } } });
    for (const id of [HIS, PASSED]) {
      const about = { id: kept[id]?.case, reason: 'ref-acme', notes: [] };
      expect(await operator.get(`/v1/devices/${id}/recoveries/${kept[id]?.case}`)).toMatchObject(about);
      expect(await operator.get(`/v1/devices/${id}/tests/${kept[id]?.test}`)).toMatchObject({ by: 'tok-acme' });
    }
    expect(await operator.get(`/v1/campaigns/${campaign}`)).toMatchObject({
      reason: 'ref-acme',
      state: expect.not.stringMatching('cancelled'),
    });
    expect((await operator.get('/v1/recipients'))['recipients']).toMatchObject([{ id: RECIPIENT, account: A }]);
  });

  it('its own is shown: of the device that was passed on what came and was measured since', async () => {
    const listed = await b.get('/v1/devices');
    expect(listed['devices']).toMatchObject([{ id: PASSED }, { id: OWN }]);
    const track = await b.call('GET', `/v1/devices/${PASSED}/positions`);
    expect(JSON.parse(track.text).rows[0]).toMatchObject([expect.any(Number), PLACE_B.lat, PLACE_B.lon, 40, 0, 0, '', []]);
    isClean(track, 'track');
    expect(await b.get(`/v1/devices/${PASSED}/state`)).toMatchObject({ place: PLACE_B, commands_open: 1 });
    expect((await b.get('/v1/accounts'))['accounts']).toMatchObject([{ id: B }]);
    expect(await b.get(`/v1/devices/${PASSED}/owners`)).toEqual({ device: PASSED, periods: [{ account: B, from: expect.any(Number) }] });
    const { events } = await b.get('/v1/events?type=connected');
    const of = new Set(Array.isArray(events) ? events.map(({ device }) => device) : []);
    expect([of.has(OWN), of.has(HIS)]).toEqual([true, false]);
    const connections = await b.get('/v1/connections');
    expect(connections['connections']).toHaveLength(2);
    const files = unzipped((await b.call('GET', `/v1/devices/${PASSED}/export`)).bytes);
    expect(objects(files.get('positions.ndjson'))[0]).toMatchObject(PLACE_B);
    expect(objects(files.get('commands.ndjson')).map(({ requester }) => requester)).toEqual(['tok-bolt']);
    for (const text of files.values()) expect(leaks(text)).toEqual([]);
  });

  it('the cycle in which the device was passed on is shown to each for its part', async () => {
    const path = `/v1/devices/${PASSED}`;
    const part = async (caller: Caller): Promise<unknown> => Object((await caller.get(`${path}/statements`))['statements']);
    // What came within the second after it was passed on counts for A.
    const some = (least: number) => expect.toSatisfy((n: number) => n >= least);
    await eventually(async () => expect(await part(a)).toMatchObject([{ account: A, records: some(3), provisional: true }]));
    await eventually(async () => expect(await part(b)).toMatchObject([{ account: B, records: some(1), provisional: true }]));
    isClean(await b.call('GET', `${path}/statements`), 'statements');
    isClean(await b.call('GET', `${path}/service`), 'service');
    expect((await b.get(`${path}/service`))['periods']).toMatchObject([{ account: B }]);
    expect((await b.get(`${path}/usage`))['cycles']).toMatchObject([{ records: expect.any(Number) }]);
    expect((await b.get('/v1/plans'))['plans']).toMatchObject([{ name: 'default' }]);
  });

  it('no stream says anything of what is A’s', async () => {
    const [live, named] = [await b.follow('/v1/live'), await b.follow(`/v1/live?device=${HIS},${OWN}`)];
    expect((await b.follow('/v1/live?topics=status')).status).toBe(403);
    expect((await b.follow(`/v1/devices/${HIS}/trace`)).status).toBe(404);
    const [his, own] = [await connect(HIS), await connect(OWN)];
    await eventually(() => {
      his.send(at(PLACE_A, Date.now()));
      own.send(at(PLACE_B, Date.now()));
      for (const stream of [live, named]) {
        expect(stream.text()).toMatch(/event: event\ndata: .*"connected"/);
        expect(stream.text().match(/event: positions/g)?.length).toBeGreaterThan(1);
      }
    });
    for (const stream of [live, named]) {
      expect(stream.text()).toContain(OWN);
      expect(leaks(stream.text())).toEqual([]);
      await stream.close();
    }
  });

  it('a link for a browser shows no more', async () => {
    const { url } = JSON.parse((await b.call('POST', '/v1/downloads', { path: `/v1/devices/${HIS}/positions?format=csv` })).text);
    const response = await fetch(`${server.url}${url}`);
    expect([response.status, await response.text()]).toEqual([404, expect.not.stringContaining('48.137')]);
  });
});

describe('with a token of account A', () => {
  it('the device that was passed on shows its own time, and nothing of B’s', async () => {
    expect(await a.get(`/v1/devices/${PASSED}/positions`)).toMatchObject({ total: 3 });
    const { text } = await a.call('GET', `/v1/devices/${PASSED}/positions?format=csv`);
    expect([text.includes('48.1371'), text.includes('52.5163')]).toEqual([true, false]);
    for (const path of ['', '/state', '/usage', '/commands', '/settings', '/trace'])
      expect((await a.call('GET', `/v1/devices/${PASSED}${path}`)).status).toBe(404);
    expect(await a.get(`/v1/devices/${PASSED}/owners`)).toMatchObject({ periods: [{ account: A, to: expect.any(Number) }] });
    const { events } = await a.get(`/v1/events?device=${PASSED}&limit=1000`);
    const said = JSON.stringify(events);
    expect([said.includes('"connected"'), said.includes('tok-bolt'), said.includes(B)]).toEqual([true, false, false]);
    const files = unzipped((await a.call('GET', `/v1/devices/${PASSED}/export`)).bytes);
    expect(objects(files.get('positions.ndjson'))).toHaveLength(3);
    expect(objects(files.get('device.ndjson'))).toEqual([]);
    for (const content of files.values()) expect(leaks(content, B_WORDS)).toEqual([]);
    expect((await a.get('/v1/devices'))['devices']).toMatchObject([{ id: HIS }]);
  });

  it('its command that waited was cancelled when the device was passed on', async () => {
    const ended = await operator.get(`/v1/devices/${PASSED}/commands/${commands[PASSED]}`);
    expect(ended).toMatchObject({ state: 'cancelled' });
  });
});

it('an export of an account has what is of its time with each device, whoever asks', async () => {
  const exported = async (caller: Caller, account: string): Promise<Map<string, string>> => {
    const { status, bytes, text } = await caller.call('GET', `/v1/accounts/${account}/export`);
    expect([status, status === 200 ? '' : text]).toEqual([200, '']);
    return unzipped(bytes);
  };
  expect((await b.call('GET', `/v1/accounts/${A}/export`)).status).toBe(404);
  for (const caller of [a, operator]) {
    const his = await exported(caller, A);
    expect(objects(his.get('account.ndjson'))).toMatchObject([{ id: A, name: 'Acme Haulage', steps: [] }]);
    expect(objects(his.get('device.ndjson'))).toMatchObject([{ id: HIS }]);
    expect(objects(his.get('owners.ndjson')).map(({ device, to }) => [device, typeof to])).toEqual([
      [HIS, 'undefined'],
      [PASSED, 'number'],
    ]);
    expect(objects(his.get('positions.ndjson')).filter(({ device }) => device === PASSED)).toMatchObject([PLACE_A, PLACE_A, PLACE_A]);
    expect(objects(his.get('commands.ndjson')).map(({ id }) => id)).toEqual(expect.arrayContaining(Object.values(commands)));
    const entries = objects(his.get('audit.ndjson'));
    expect(entries.some(({ by, operation }) => by === 'tok-acme' && operation === 'GET /v1/devices/{id}/positions')).toBe(true);
    expect(entries.filter((entry) => 'address' in entry || 'new' in entry)).toEqual([]);
    for (const [name, content] of his) expect([name, leaks(content, B_WORDS)]).toEqual([name, []]);
  }
  for (const caller of [b, operator]) {
    const hers = await exported(caller, B);
    expect(objects(hers.get('device.ndjson'))).toMatchObject([{ id: PASSED }, { id: OWN }]);
    expect(objects(hers.get('positions.ndjson'))[0]).toMatchObject({ device: PASSED, ...PLACE_B });
    for (const [name, content] of hers) expect([name, leaks(content)]).toEqual([name, []]);
  }
  const out = join(server.running.dataDir, 'acme.zip');
  const made = await fixgate(['export', '--account', A, '--out', out], '', server.env);
  expect([made.code, made.error]).toEqual([0, '']);
  expect(objects(unzipped(readFileSync(out)).get('account.ndjson'))).toHaveLength(1);
  const unknown = await fixgate(['export', '--account', 'nobody', '--out', `${out}.1`], '', server.env);
  expect([unknown.code, unknown.error, existsSync(`${out}.1`)]).toEqual([1, 'fixgate: account nobody is not known\n', false]);
});

it('a disclosure of an account has what was received and measured in its time, of the period only', async () => {
  const disclosed = async (asked: object): Promise<Map<string, string>> => {
    const given = { from: passedAt - 600_000, to: Date.now(), authority: 'Police', reference: 'AZ 1', reason: 'order', ...asked };
    const { status, bytes, text } = await operator.call('POST', '/v1/disclosures', given);
    expect([status, status === 200 ? '' : text]).toEqual([200, '']);
    return unzipped(bytes);
  };
  const his = await disclosed({ account: A });
  expect(objects(his.get('owners.ndjson'))).toEqual([
    { device: HIS, account: A, from: expect.any(Number) },
    { device: PASSED, account: A, from: expect.any(Number), to: expect.any(Number) },
  ]);
  const places = objects(his.get('positions.ndjson')).filter(({ device }) => device === PASSED);
  expect(places).toMatchObject([PLACE_A, PLACE_A, PLACE_A]);
  expect(objects(his.get('commands.ndjson')).map(({ requester }) => requester)).toContain('tok-acme');
  for (const content of his.values()) expect(leaks(content, B_WORDS)).toEqual([]);
  const hers = await disclosed({ account: B });
  expect(objects(hers.get('positions.ndjson'))[0]).toMatchObject({ device: PASSED, ...PLACE_B });
  for (const content of hers.values()) expect(leaks(content)).toEqual([]);
  const [, second, third] = places.map(({ time }) => Number(time));
  const part = await disclosed({ device: PASSED, from: second, to: third });
  expect(objects(part.get('positions.ndjson')).map(({ time }) => time)).toEqual([second]);
  const audit = JSON.parse(part.get('manifest.json') ?? '').audit;
  await eventually(async () => {
    const { entries } = await operator.get(`/v1/audit?device=${PASSED}&type=change`);
    expect(entries).toContainEqual(expect.objectContaining({ id: audit.id, status: 200, operation: 'POST /v1/disclosures' }));
    const { by } = Object(Array.isArray(entries) ? entries[0] : undefined);
    const exposed = JSON.stringify(await operator.get(`/v1/audit/exposure?token=${by}`));
    expect([exposed.includes(HIS), exposed.includes('POST /v1/disclosures')]).toEqual([true, true]);
  });
});

it('a token may end by itself, and a session from it ends with it and sees as little', async () => {
  const made = await operator.call('POST', '/v1/tokens', {
    name: 'short',
    scopes: ['read'],
    accounts: [B],
    expires: Date.now() + 3_600_000,
  });
  expect(JSON.parse(made.text)).toMatchObject({ accounts: [B], expires: expect.any(Number) });
  const signedIn = await operator.call('POST', '/v1/session', { token: JSON.parse(made.text).token });
  const session = new Caller(server.url, JSON.parse(signedIn.text).token);
  expect(await session.get('/v1/session')).toMatchObject({ name: 'short', accounts: [B] });
  expect((await session.get('/v1/devices'))['devices']).toHaveLength(2);
  expect((await session.call('GET', '/v1/status')).text).toContain('is limited to accounts');
  expect((await operator.call('POST', '/v1/tokens', { name: 'past', scopes: ['read'], expires: 5 })).status).toBe(422);
});
