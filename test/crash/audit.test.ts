import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/simulate/random.ts';
import { fixgate } from '../cli/command.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { RedisServer } from '../ship/rig.ts';
import { ApiServer } from '../support/api-server.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { rounds } from '../support/thorough.ts';
import { eventually, moment } from '../support/wait.ts';

/** The audit of a whole server, over `kill -9` and an erasure: docs/audit.md. */

/** Each of them starts the server once more. */
const KILLS = rounds(1, 3);

let redis: RedisServer;
let dataDir = '';
let api: ApiServer;

beforeAll(async () => {
  if (!chdbInstalled) return;
  redis = await RedisServer.start('--appendonly', 'yes');
  dataDir = mkdtempSync(join(tmpdir(), 'fixgate-audit-'));
  api = await start();
});
afterAll(async () => {
  if (!chdbInstalled) return;
  await api.running.stop();
  await redis.stop();
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

/** What is audited is written by the supervisor. */
function start(known?: string): Promise<ApiServer> {
  const env = { ...OWN_ENGINE, FIXGATE_REDIS_URL: redis.url, FIXGATE_WORKERS: '1' };
  return ApiServer.start(env, { dataDir, ...(known === undefined ? {} : { known }) });
}

async function entriesOf(query: string): Promise<Record<string, unknown>[]> {
  const { status, body } = await api.call('GET', `/v1/audit?limit=1000&${query}`);
  expect(status).toBe(200);
  return Array.isArray(body['entries']) ? body['entries'] : [];
}

describe.skipIf(!chdbInstalled)('the audit of a server', () => {
  it('no change is without its entry, whenever the server is killed', async () => {
    const random = new Random(18);
    const answered: string[] = [];
    for (let round = 0; round < KILLS; round++) {
      const running = api;
      let killed = false;
      const change = async (lane: number): Promise<void> => {
        for (let i = 0; !killed; i++) {
          const name = `p-${round}-${lane}-${i}`;
          const answer = await running.call('PUT', `/v1/plans/${name}`, {}).catch(() => undefined);
          if (answer?.status === 201) answered.push(name);
        }
      };
      const lanes = [0, 1, 2, 3].map(change);
      await moment(random, 200, 900);
      killed = true;
      api.running.signal('SIGKILL');
      await Promise.all(lanes);
      await api.running.exited;
      api = await start(api.token);
    }
    const { plans } = (await api.call('GET', '/v1/plans')).body;
    const made = (Array.isArray(plans) ? plans : []).map(({ name }) => `plans/${name}`).filter((name) => name !== 'plans/default');
    expect(made.length).toBeGreaterThanOrEqual(answered.length);
    const entries = new Map<string, unknown>();
    await eventually(async () => {
      const text = await api.running.query("SELECT object, status FROM audit FINAL WHERE operation = 'PUT /v1/plans/{name}'");
      for (const [object = '', status] of text.split('\n').map((line) => line.split('\t'))) entries.set(object, status);
      expect(made.filter((name) => !entries.has(name))).toEqual([]);
      // What was answered has its outcome.
      expect(answered.filter((name) => entries.get(`plans/${name}`) !== '201')).toEqual([]);
    });
    const client = redis.client();
    await eventually(async () => {
      const streamed = (await client.xrange('fixgate:audit', '-', '+')).map(([, fields]) =>
        JSON.parse(fields[fields.indexOf('data') + 1] ?? ''),
      );
      const objects = new Set(streamed.map(({ kind, data }) => `${kind} ${data.object}`));
      expect(made.filter((name) => !objects.has(`audit ${name}`))).toEqual([]);
    });
  });

  it('stays when a device is erased, and says whose data a token has read', async () => {
    await api.call('POST', '/v1/devices', { id: 'd-01', account: 'acme' });
    await api.call('POST', '/v1/devices', { id: 'd-02' });
    const reader = await api.as('read', 'locations');
    // ClickHouse may still be starting.
    for (const id of ['d-01', 'd-02'])
      await eventually(async () => expect((await reader.call('GET', `/v1/devices/${id}/positions`)).status).toBe(200));
    await reader.call('GET', '/v1/positions');
    expect((await reader.call('GET', '/v1/audit')).status).toBe(403);
    const by = String((await reader.call('GET', '/v1/session')).body['name']);
    await eventually(async () => {
      const erased = await api.call('DELETE', '/v1/devices/d-01/data?wait=60&registry=remove');
      expect(erased.status).toBe(200);
    });
    await eventually(async () => {
      const kinds = (await entriesOf('device=d-01')).map(({ operation, by: of }) => `${operation} ${of === by}`);
      expect(kinds).toContain('GET /v1/devices/{id}/positions true');
      expect(kinds).toContain('POST /v1/devices false');
      expect(kinds).toContain('DELETE /v1/devices/{id}/data false');
      expect(await entriesOf('account=acme&type=change')).toContainEqual(expect.objectContaining({ object: 'devices/d-01', status: 201 }));
      expect(await entriesOf(`by=${by}&type=refused`)).toMatchObject([{ operation: 'GET /v1/audit', status: 403 }]);
      const { body } = await api.call('GET', `/v1/audit/exposure?token=${by}`);
      expect(body['devices']).toMatchObject([
        { device: 'd-01', accounts: ['acme'], operations: ['GET /v1/devices/{id}/positions'], count: 1 },
        { device: 'd-02', count: 1 },
      ]);
      expect(body['all']).toMatchObject({ operations: ['GET /v1/positions'], count: 1 });
    });
    const listed = await fixgate(['audit', '--device', 'd-01', '--json'], '', api.env);
    expect([listed.code, listed.out]).toEqual([0, expect.stringContaining('"POST /v1/devices"')]);
    const exposed = await fixgate(['audit', 'exposure', '--token', by], '', api.env);
    expect([exposed.code, exposed.out]).toEqual([0, expect.stringContaining('d-02')]);
    expect(exposed.error).toContain('all devices');
  });
});
