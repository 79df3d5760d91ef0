import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiRoutes } from '../../src/api/server.ts';
import { silentLog } from '../../src/base/log.ts';
import { Random } from '../../src/simulate/random.ts';
import { rounds } from '../support/thorough.ts';
import { type Answer, Api, fieldsOf } from './rig.ts';

/** What `/openapi.json` says is what the server does; and whatever is sent to it, it is the request that is wrong. */

interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
}

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly required: boolean; readonly schema: Schema }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}

let api: Api;
let operations: Operation[];

beforeAll(async () => {
  api = await Api.start();
  const document: { paths: Record<string, Record<string, Omit<Operation, 'method' | 'path'>>> } = JSON.parse(
    (await api.call('GET', '/openapi.json')).text,
  );
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, rest]) => ({ ...rest, method: method.toUpperCase(), path })),
  );
});
afterAll(() => api.stop());

const IDS = ['d-01', 'd-02', 'd-03', '356307042441013', 'a-01', 's-01'];
const WRONG = [
  '',
  ' ',
  'ab',
  'x'.repeat(33),
  'x'.repeat(90),
  '..',
  '../..',
  '%00',
  'a b',
  'ä€𝄞',
  "1';--",
  '{}',
  '[]',
  'null',
  'NaN',
  '-1',
  '1e99',
  '0x10',
  '99999999999999999999',
  'true',
  '__proto__',
  'constructor',
  '\u0000',
  '\n',
];
const VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  '',
  'x',
  'd-01',
  'x'.repeat(5000),
  '\u0000',
  '𝄞',
  [],
  [[]],
  {},
  { a: { b: [1] } },
  '10.0.0.0/8',
  ['10.0.0.0/8', 7],
];

/** A value that the schema takes, mostly. */
function sample(schema: Schema | undefined, random: Random, depth = 0): unknown {
  if (schema === undefined || depth > 6 || random.int(12) === 0) return pick(VALUES, random);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return pick(schema.enum, random);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return sample(pick(choices, random), random, depth + 1);
  if (schema.type === 'object') {
    const value: Record<string, unknown> = {};
    for (const [name, of] of Object.entries(schema.properties ?? {}))
      if (schema.required?.includes(name) === true || random.int(3) === 0) value[name] = sample(of, random, depth + 1);
    if (random.int(10) === 0) value[pick(['colour', '__proto__', ''], random)] = pick(VALUES, random);
    return value;
  }
  if (schema.type === 'array') return Array.from({ length: random.int(4) }, () => sample(schema.items, random, depth + 1));
  if (schema.type === 'integer' || schema.type === 'number') {
    const { minimum = -10, maximum = 2e12 } = schema;
    return pick([minimum, maximum, Math.min(maximum, minimum + random.int(1000)), Date.now() + 60_000, minimum - 1], random);
  }
  if (schema.type === 'boolean') return random.int(2) === 0;
  return pick([...IDS, 'gold', 'version', 'teltonika', 'UTC', '10.0.0.0/8', 'stolen'], random);
}

function pick<T>(from: readonly T[], random: Random): T {
  const [first] = from.slice(random.int(from.length));
  if (first === undefined) throw new RangeError('nothing to pick from');
  return first;
}

function pathOf(operation: Operation, random: Random): string {
  let path = operation.path;
  const query: string[] = [];
  for (const { name, in: where, schema } of operation.parameters) {
    const text = random.int(3) === 0 ? pick(WRONG, random) : name === 'id' ? pick(IDS, random) : String(sample(schema, random));
    if (where === 'path') path = path.replace(`{${name}}`, random.int(40) === 0 ? '%ZZ' : encodeURIComponent(text));
    // One that waits would only take time.
    else if (name !== 'wait' && random.int(2) === 0) query.push(`${name}=${encodeURIComponent(text)}`);
  }
  if (random.int(12) === 0) query.push(pick(['colour=red', 'limit=1&limit=2', '%', '=', 'after'], random));
  return query.length === 0 ? path : `${path}?${query.join('&')}`;
}

function bodyOf(operation: Operation, random: Random): { body?: unknown; headers?: Record<string, string> } {
  const content = operation.requestBody?.content;
  if (content === undefined) return random.int(10) === 0 ? { body: pick(VALUES, random) } : {};
  const [media = '', { schema }] = pick(Object.entries(content), random);
  if (random.int(15) === 0)
    return {
      body: pick(['{"a":', '\u0000\u0001', 'id\nd-01', '{"__proto__":1}', '"text"', '['.repeat(2000)], random),
      headers: { 'content-type': media },
    };
  if (random.int(20) === 0) return { body: '{}', headers: { 'content-type': pick(['text/plain', 'application/xml', 'x', ''], random) } };
  if (media === 'application/json') return { body: sample(schema, random) };
  const line = (): string =>
    media === 'text/csv'
      ? Array.from({ length: 1 + random.int(3) }, () => pick([...IDS, ...WRONG], random)).join(',')
      : JSON.stringify(pick([{ id: pick(IDS, random), account: pick(VALUES, random) }, ...VALUES], random));
  return {
    body: [...(media === 'text/csv' ? ['id,account'] : []), ...Array.from({ length: 5 }, line)].join('\n'),
    headers: { 'content-type': media },
  };
}

/** Does its description say that it needs ClickHouse? */
const isStored = ({ responses }: Operation): boolean => responses['503']?.description.includes('ClickHouse') === true;

/** Why the answer is not one that a client may get; '' when it is. */
function complaint(operation: Operation, answer: Answer): string {
  // There is no ClickHouse behind these tests.
  const isAway = answer.status === 503 && answer.text.includes('ClickHouse');
  if (isAway && isStored(operation)) return '';
  if (isAway) return "reads ClickHouse: say so in the route's answers, `503: { about: 'ClickHouse does not answer' }`";
  if (answer.status >= 500) return `status ${answer.status}: ${answer.text}`;
  if (!(String(answer.status) in operation.responses) && ![413, 414, 415].includes(answer.status))
    return `status ${answer.status} is not in the description: ${answer.text}`;
  if (answer.status < 400) return '';
  if (!answer.type.startsWith('application/problem+json')) return `no problem document: ${answer.type}`;
  if (answer.body['status'] !== answer.status || typeof answer.body['title'] !== 'string') return `a bad problem document: ${answer.text}`;
  if ([400, 413, 414, 415, 422].includes(answer.status) && fieldsOf(answer).length === 0) return `names no field: ${answer.text}`;
  return '';
}

const REQUESTS = rounds(1200, 4000);

describe('the description of the API', () => {
  it('names every operation once, with all its parameters', async () => {
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    expect(operations.map(({ method, path }) => `${method} ${path}`).sort(), 'a new operation: add it to this list').toEqual([
      'DELETE /v1/accounts/{id}/consents/{purpose}',
      'DELETE /v1/accounts/{id}/data',
      'DELETE /v1/connections/{id}',
      'DELETE /v1/devices/{id}',
      'DELETE /v1/devices/{id}/commands/{command}',
      'DELETE /v1/devices/{id}/data',
      'DELETE /v1/devices/{id}/hold',
      'DELETE /v1/devices/{id}/recovery',
      'DELETE /v1/plans/{name}',
      'DELETE /v1/quarantine/{id}',
      'DELETE /v1/recipients/{id}',
      'DELETE /v1/session',
      'DELETE /v1/tokens/{name}',
      'GET /v1/accounts',
      'GET /v1/accounts/{id}',
      'GET /v1/accounts/{id}/data',
      'GET /v1/accounts/{id}/export',
      'GET /v1/accounts/{id}/statements/{cycle}',
      'GET /v1/audit',
      'GET /v1/audit/exposure',
      'GET /v1/campaigns',
      'GET /v1/campaigns/{id}',
      'GET /v1/campaigns/{id}/devices',
      'GET /v1/commands',
      'GET /v1/commands/catalog',
      'GET /v1/connections',
      'GET /v1/devices',
      'GET /v1/devices/export',
      'GET /v1/devices/{id}',
      'GET /v1/devices/{id}/commands',
      'GET /v1/devices/{id}/commands/{command}',
      'GET /v1/devices/{id}/data',
      'GET /v1/devices/{id}/evidence',
      'GET /v1/devices/{id}/export',
      'GET /v1/devices/{id}/hold',
      'GET /v1/devices/{id}/identity',
      'GET /v1/devices/{id}/owners',
      'GET /v1/devices/{id}/positions',
      'GET /v1/devices/{id}/profile',
      'GET /v1/devices/{id}/recoveries',
      'GET /v1/devices/{id}/recoveries/{case}',
      'GET /v1/devices/{id}/service',
      'GET /v1/devices/{id}/settings',
      'GET /v1/devices/{id}/state',
      'GET /v1/devices/{id}/statements',
      'GET /v1/devices/{id}/statements/{cycle}',
      'GET /v1/devices/{id}/tests',
      'GET /v1/devices/{id}/tests/{test}',
      'GET /v1/devices/{id}/trace',
      'GET /v1/devices/{id}/units',
      'GET /v1/devices/{id}/usage',
      'GET /v1/downloads/{ticket}',
      'GET /v1/events',
      'GET /v1/holds',
      'GET /v1/live',
      'GET /v1/maps',
      'GET /v1/plans',
      'GET /v1/plans/{name}',
      'GET /v1/plans/{name}/versions',
      'GET /v1/positions',
      'GET /v1/quarantine',
      'GET /v1/recipients',
      'GET /v1/session',
      'GET /v1/sinks/{name}/parked',
      'GET /v1/status',
      'GET /v1/tokens',
      'GET /v1/trace',
      'GET /v1/usage',
      'PATCH /v1/accounts/{id}',
      'PATCH /v1/devices/{id}',
      'POST /v1/accounts',
      'POST /v1/accounts/{id}/close',
      'POST /v1/accounts/{id}/resume',
      'POST /v1/accounts/{id}/suspend',
      'POST /v1/campaigns',
      'POST /v1/campaigns/{id}/cancel',
      'POST /v1/campaigns/{id}/pause',
      'POST /v1/campaigns/{id}/resume',
      'POST /v1/commands/{command}/outcome',
      'POST /v1/decode',
      'POST /v1/devices',
      'POST /v1/devices/bulk',
      'POST /v1/devices/{id}/commands',
      'POST /v1/devices/{id}/disconnect',
      'POST /v1/devices/{id}/identity',
      'POST /v1/devices/{id}/recoveries/{case}/notes',
      'POST /v1/devices/{id}/recovery',
      'POST /v1/devices/{id}/replace',
      'POST /v1/devices/{id}/tests',
      'POST /v1/disclosures',
      'POST /v1/downloads',
      'POST /v1/quarantine/{id}/adopt',
      'POST /v1/replay/apply',
      'POST /v1/replay/diff',
      'POST /v1/session',
      'POST /v1/sinks/{name}/parked/retry',
      'POST /v1/sinks/{name}/parked/{id}/retry',
      'POST /v1/sms/inbound',
      'POST /v1/tokens',
      'PUT /v1/accounts/{id}/consents/{purpose}',
      'PUT /v1/devices/{id}',
      'PUT /v1/devices/{id}/hold',
      'PUT /v1/plans/{name}',
      'PUT /v1/recipients/{id}',
    ]);
    for (const { path, parameters } of operations)
      expect(parameters.filter((one) => one.in === 'path').map(({ name }) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
    const create = operations.find(({ operationId }) => operationId === 'postDevices')?.requestBody?.content['application/json']?.schema;
    expect(create?.required).toEqual(['id']);
    expect(Object.keys(create?.properties ?? {})).toContain('home_networks');
  });

  it('has examples that are as their schemas say', () => {
    const answers = apiRoutes({ confirm: false, log: silentLog, publicUrl: '' }).flatMap(({ path, answers: all }) =>
      Object.values(all).flatMap(({ schema, example }) => (example === undefined ? [] : [{ path, schema, example }])),
    );
    expect(answers.length).toBeGreaterThan(0);
    for (const { path, schema, example } of answers)
      expect([path, schema?.safeParse(example)]).toEqual([path, { success: true, data: example }]);
  });

  it('is there for people, too, without anything from elsewhere', async () => {
    const page = await api.call('GET', '/docs');
    expect(page.type).toContain('text/html');
    for (const { path } of operations) expect(page.text).toContain(path);
    expect(page.text).not.toMatch(/https?:\/\//);
  });

  it('holds for whatever is sent: no defect shows, what is wrong is named', async () => {
    const random = new Random(20_261_101);
    await api.call('PUT', '/v1/plans/gold', {});
    await api.call('POST', '/v1/devices', { id: '356307042441013', protocol: 'teltonika', aliases: ['a-01'] });
    for (const id of ['d-01', 'a-01', 's-01']) await api.call('POST', '/v1/accounts', { id });
    const statuses = new Map<number, number>();
    const reached = new Set<string>();
    for (let request = 0; request < REQUESTS; request++) {
      const operation = pick(operations, random);
      const path = pathOf(operation, random);
      const { body, headers = {} } = bodyOf(operation, random);
      const answer = await api.call(operation.method, path, operation.method === 'GET' ? undefined : body, headers);
      // A path with an empty or dotted part is another path.
      const known = answer.status !== 405 && (answer.status !== 404 || !/^not found:/.test(String(answer.body['title'])));
      if (known) expect([operation.method, path, body, complaint(operation, answer)]).toEqual([operation.method, path, body, '']);
      if (answer.status < 300) reached.add(operation.operationId);
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    }
    // Random as it is, it gets through to the operations themselves.
    expect(reached.size).toBeGreaterThan((operations.length - operations.filter(isStored).length) / 2);
    for (const status of [200, 201, 204, 400, 404, 409, 415, 422]) expect([status, statuses.get(status) ?? 0]).not.toEqual([status, 0]);
  });

  it('would not hold for a defect', () => {
    const [operation] = operations;
    if (operation === undefined) throw new Error('no operations');
    const answer = (status: number, type: string, body: Record<string, unknown>): Answer => ({ status, type, body, text: '' });
    const json = 'application/problem+json; charset=utf-8';
    for (const wrong of [
      answer(500, json, { status: 500, title: 'x' }),
      answer(418, json, { status: 418, title: 'x', problems: [{ field: 'a' }] }),
      answer(400, 'application/json', { status: 400, title: 'x' }),
      answer(400, json, { status: 400, title: 'x' }),
      answer(404, json, {}),
    ])
      expect(complaint(operation, wrong)).not.toBe('');
    expect(complaint(operation, answer(400, json, { status: 400, title: 'x', problems: [{ field: 'a' }] }))).toBe('');
  });
});
