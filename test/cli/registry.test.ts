import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Api } from '../api/rig.ts';
import { fixgate, type Outcome } from './command.ts';

/** `fixgate devices|plans|quarantine|usage` against the API of a running server. */

const directory = mkdtempSync(join(tmpdir(), 'fixgate-cli-'));
let api: Api;
let token: string;

beforeAll(async () => {
  api = await Api.start();
  token = await api.token(['read', 'devices', 'plans']);
});
afterAll(async () => {
  await api.stop();
  rmSync(directory, { recursive: true });
});
beforeEach(async () => {
  for (const table of ['devices', 'aliases', 'accounts', 'plans', 'quarantine', 'usage'] as const)
    for (const { key } of await api.office.state.list(table, { limit: 1000 })) await api.office.state.write([{ table, key, remove: true }]);
});

const run = (args: readonly string[], input = ''): Promise<Outcome> => fixgate(args, input, { FIXGATE_URL: api.url, FIXGATE_TOKEN: token });
/** The last of several. */
async function all(...commands: readonly (readonly string[])[]): Promise<Outcome> {
  let outcome: Outcome | undefined;
  for (const args of commands) outcome = await run(args);
  if (outcome === undefined) throw new Error('nothing was run');
  return outcome;
}
const ok = (out: string) => ({ code: 0, out, error: '' });

describe('fixgate devices', () => {
  it('adds, shows, changes, lists and removes', async () => {
    const added = await run([
      'devices',
      'add',
      'd-01',
      'account=acme',
      'aliases=a-01,a-02',
      'interval_s=30',
      'networks=10.0.0.0/8',
      '--json',
    ]);
    expect([added.code, added.error]).toEqual([0, '']);
    expect(JSON.parse(added.out)).toMatchObject({ id: 'd-01', aliases: ['a-01', 'a-02'], interval_s: 30, networks: ['10.0.0.0/8'] });
    const set = await run(['devices', 'set', 'd-01', 'interval_s=', 'state=suspended', '--json']);
    expect(JSON.parse(set.out)).toMatchObject({ id: 'd-01', state: 'suspended' });
    expect(JSON.parse(set.out)).not.toHaveProperty('interval_s');
    expect((await run(['devices', 'get', 'a-02'])).out).toMatch(/^id +d-01\naliases +a-01 a-02\nnetworks|^account/m);
    await run(['devices', 'add', 'd-02']);
    const listed = await run(['devices', 'list']);
    expect(listed.lines.map((line) => line.split(/ +/).slice(0, 2))).toEqual([
      ['id', 'account'],
      ['d-01', 'acme'],
      ['d-02', 'default'],
    ]);
    expect((await run(['devices', 'list', '--state', 'suspended', '--json'])).lines.map((line) => JSON.parse(line).id)).toEqual(['d-01']);
    expect(await run(['devices', 'remove', 'd-01'])).toMatchObject(ok(''));
    for (const action of ['get', 'remove'])
      expect(await run(['devices', action, 'd-01'])).toMatchObject({ code: 1, error: 'fixgate: device d-01 is not known\n' });
    expect(await run(['devices', 'set', 'd-01', 'state=active'])).toMatchObject({ code: 1 });
  });

  it('imports and exports', async () => {
    const csv = join(directory, 'in.csv');
    writeFileSync(csv, 'id,account,aliases\nd-01,acme,a-01 a-02\nd-02,"x, y",\nd 3,,\n');
    const first = await run(['devices', 'import', csv]);
    expect(first).toMatchObject({ code: 1, out: '2 created, 0 changed, 0 unchanged, 1 failed\n' });
    expect(first.error).toMatch(/^line 4: id must be a device id/);
    const out = join(directory, 'out.ndjson');
    expect(await run(['devices', 'export', '--output', out])).toMatchObject(ok(''));
    expect((await run(['devices', 'import', '-', '--json'], readFileSync(out, 'utf8'))).out).toBe(
      '{"lines":2,"created":0,"changed":0,"unchanged":2,"failed":0,"problems":[]}\n',
    );
    expect((await run(['devices', 'export', '--format', 'csv'])).lines.slice(1).map((line) => line.split(',')[0])).toEqual([
      'd-01',
      'd-02',
    ]);
  });

  it('says what is wrong, and with its exit code', async () => {
    for (const [args, code, error] of [
      [['devices'], 2, 'expected list, get, add, set, remove, replace, units, identity, import or export'],
      [['devices', 'get'], 2, 'usage: fixgate devices get <id>'],
      [['devices', 'add', 'd-01', 'account'], 2, 'invalid field "account"; expected name=value'],
      [['devices', 'add', 'd-01', 'colour=red'], 2, 'colour is an unknown field'],
      [['devices', 'add', 'd-01', 'plan=gold'], 2, 'plan "gold" does not exist'],
      [['devices', 'import', '/nowhere.csv'], 2, 'cannot read /nowhere.csv'],
      [['devices', 'import', '-', '--format', 'xml'], 2, '--format "xml" is not ndjson or csv'],
      [['devices', 'list', '--url', 'http://127.0.0.1:1'], 69, 'no server answers at http://127.0.0.1:1'],
      [['devices', 'lst', '--stat', 'x'], 2, 'unknown option --stat; did you mean --state?'],
    ] as const) {
      const outcome = await run(args);
      expect([args, outcome.code, outcome.error]).toEqual([args, code, expect.stringContaining(error)]);
    }
    const nobody = await fixgate(['devices', 'list'], '', { FIXGATE_URL: api.url });
    expect(nobody).toMatchObject({ code: 2, error: expect.stringContaining('bearer token required') });
  });
});

describe('fixgate plans', () => {
  it('sets, changes, shows and removes', async () => {
    const made = await run([
      'plans',
      'set',
      'gold',
      'bytes_cap=50000',
      'steps=[{"action":"notify","at_pct":80}]',
      'exempt_events=sos,tamper',
      '--json',
    ]);
    expect(JSON.parse(made.out)).toMatchObject({
      name: 'gold',
      bytes_cap: 50_000,
      steps: [{ action: 'notify' }],
      exempt_events: ['sos', 'tamper'],
    });
    const changed = await run(['plans', 'set', 'gold', 'bytes_cap=', 'anchor_day=15', '--json']);
    expect(JSON.parse(changed.out)).toMatchObject({ anchor_day: 15, steps: [{ action: 'notify', at_pct: 80 }] });
    expect(JSON.parse(changed.out)).not.toHaveProperty('bytes_cap');
    const file = join(directory, 'plan.yaml');
    writeFileSync(file, 'time_zone: Europe/Berlin\nrecords_cap: 7\n');
    expect(JSON.parse((await run(['plans', 'set', 'gold', '--file', file, '--json'])).out)).toMatchObject({
      records_cap: 7,
      steps: [],
      anchor_day: 1,
    });
    expect((await run(['plans', 'list'])).lines.map((line) => line.split(/ +/)[0])).toEqual(['name', 'default', 'gold']);
    expect((await run(['plans', 'get', 'gold'])).out).toContain('Europe/Berlin');
    await run(['devices', 'add', 'd-01', 'plan=gold']);
    // A device is on it: the next cycle, and the next change is made to what will be then.
    await run(['plans', 'set', 'gold', 'records_cap=8']);
    await run(['plans', 'set', 'gold', 'bytes_cap=9']);
    expect((await run(['plans', 'get', 'gold'])).out).toContain('7');
    const { versions } = JSON.parse((await run(['plans', 'versions', 'gold', '--json'])).out);
    expect(versions.at(-1)).toMatchObject({ records_cap: 8, bytes_cap: 9, in_force: false });
    expect((await run(['plans', 'versions', 'gold'])).lines).toHaveLength(versions.length + 1);
    expect(JSON.parse((await run(['plans', 'set', 'gold', 'records_cap=6', '--effective', 'now', '--json'])).out)).toMatchObject({
      records_cap: 6,
    });
    expect(await run(['plans', 'set', 'gold', 'records_cap=5', '--effective', 'soon'])).toMatchObject({ code: 2 });
    expect(await run(['plans', 'set', 'gold', 'records_cap=5', '--effective', '2020-01-01'])).toMatchObject({
      code: 2,
      error: expect.stringContaining('2020-01-01 has begun'),
    });
    expect(await run(['plans', 'remove', 'gold'])).toMatchObject({
      code: 2,
      error: expect.stringContaining('devices are on the plan "gold"'),
    });
    await run(['devices', 'remove', 'd-01']);
    expect(await all(['plans', 'remove', 'gold'], ['plans', 'remove', 'gold'])).toMatchObject({
      code: 1,
      error: 'fixgate: unknown plan "gold"\n',
    });
    expect(await run(['plans', 'set', 'gold', 'anchor_day=40'])).toMatchObject({ code: 2, error: expect.stringContaining('anchor_day') });
  });
});

describe('fixgate quarantine and usage', () => {
  it('show unknown devices, adopt and forget them', async () => {
    const unknownDevice = { first_seen: 5, last_seen: 1_793_491_200_000, count: 3, protocol: 'h02', transport: 'tcp', frames: [] };
    await api.office.state.write(['s-01', 's-02'].map((key) => ({ table: 'quarantine', key, put: JSON.stringify(unknownDevice) })));
    expect((await run(['quarantine', 'list'])).lines[1]).toMatch(/^s-01 +h02 +tcp +3 +2026-11-01 /);
    expect((await run(['quarantine', 'list', '--json'])).lines.map((line) => JSON.parse(line).id)).toEqual(['s-01', 's-02']);
    expect(JSON.parse((await run(['quarantine', 'adopt', 's-01', 'account=acme', '--json'])).out)).toMatchObject({
      id: 's-01',
      account: 'acme',
    });
    expect(await run(['quarantine', 'remove', 's-02'])).toMatchObject(ok(''));
    expect(await run(['quarantine', 'remove', 's-02'])).toMatchObject({ code: 1, error: 'fixgate: device s-02 is not in quarantine\n' });
  });

  it('shows what was counted', async () => {
    await run(['devices', 'add', 'd-01']);
    expect((await run(['usage', 'd-01'])).out).toBe('nothing counted yet\n');
    await api.office.state.write([{ table: 'usage', key: 'd-01 1793491200000', add: { bytes_in: 71, records: 3 } }]);
    expect((await run(['usage', 'd-01'])).lines[1]).toMatch(/^2026-11-01 00:00:00 +2026-12-01 00:00:00 +71 /);
    expect(JSON.parse((await run(['usage', 'd-01', '--json'])).out)).toMatchObject({ cycles: [{ bytes_in: 71, records: 3 }] });
    expect(await run(['usage', 'd-02'])).toMatchObject({ code: 1 });
    expect(await run(['usage', 'd-01', '--cycles', 'x'])).toMatchObject({ code: 2, error: expect.stringContaining('limit') });
  });
});

describe('fixgate accounts', () => {
  it('adds, shows, changes, suspends, resumes, closes and lists', async () => {
    const added = await run(['accounts', 'add', 'acme', 'name=Acme Ltd', 'labels.tariff=fleet', 'retention={"keep_days":30}', '--json']);
    expect([added.code, added.error]).toEqual([0, '']);
    expect(JSON.parse(added.out)).toMatchObject({
      id: 'acme',
      name: 'Acme Ltd',
      labels: { tariff: 'fleet' },
      retention: { keep_days: 30 },
    });
    const set = await run(['accounts', 'set', 'acme', 'name=', 'time_zone=Europe/Berlin', '--json']);
    expect(JSON.parse(set.out)).toMatchObject({ name: '', time_zone: 'Europe/Berlin' });
    const consented = await run(['accounts', 'consent', 'acme', 'insurer', 'fields=speed_kmh,odometer_m', '--json']);
    expect(JSON.parse(consented.out)).toMatchObject({ consents: { insurer: { fields: ['speed_kmh', 'odometer_m'] } } });
    expect((await run(['accounts', 'withdraw', 'acme', 'insurer'])).code).toBe(0);
    expect(await run(['accounts', 'withdraw', 'acme', 'insurer'])).toMatchObject({
      code: 1,
      error: expect.stringContaining('has not consented to insurer'),
    });
    expect((await run(['accounts', 'withdraw', 'acme'])).error).toContain('usage: fixgate accounts withdraw <id> <purpose>');
    const suspended = await run(['accounts', 'suspend', 'acme', '--reason', 'unpaid', '--json']);
    expect(JSON.parse(suspended.out)).toMatchObject({ state: 'suspended', reason: 'unpaid' });
    expect((await run(['accounts', 'list'])).out).toMatch(/acme +suspended/);
    expect((await run(['accounts', 'resume', 'acme'])).out).toMatch(/state +active/);
    expect((await run(['accounts', 'close', 'acme', '--reason', 'moved', '--cycle-end'])).out).toMatch(/ending_since/);
    expect((await run(['accounts', 'close', 'acme', '--reason', 'moved'])).out).toMatch(/state +closed/);
    expect((await run(['accounts', 'resume', 'acme', '--reopen'])).out).toMatch(/state +active/);
    expect(await run(['accounts', 'get', 'none'])).toMatchObject({ code: 1, error: 'fixgate: account none is not known\n' });
    expect((await run(['accounts', 'melt', 'acme'])).error).toContain('expected list, get, add, set, suspend, resume, close');
    expect((await run(['accounts', 'suspend', 'acme'])).error).toContain('reason');
    expect((await run(['accounts', 'get'])).error).toContain('usage: fixgate accounts get <id>');
  });
});

describe('fixgate recipients', () => {
  it('makes, lists and removes', async () => {
    const env = { FIXGATE_URL: api.url, FIXGATE_TOKEN: await api.token(['admin']) };
    const asAdmin = (...args: string[]): Promise<Outcome> => fixgate(['recipients', ...args], '', env);
    const made = await asAdmin('set', 'alpha', 'purpose=insurer', 'name=Alpha plc', '--json');
    expect(JSON.parse(made.out)).toMatchObject({ id: 'alpha', purpose: 'insurer', name: 'Alpha plc' });
    expect((await asAdmin('list')).out).toMatch(/alpha +insurer/);
    expect((await asAdmin('set', 'alpha')).error).toContain('purpose');
    expect((await asAdmin('remove', 'alpha')).code).toBe(0);
    expect(await asAdmin('remove', 'alpha')).toMatchObject({ code: 1, error: 'fixgate: recipient alpha is not known\n' });
    expect((await asAdmin('remove')).error).toContain('usage: fixgate recipients');
  });
});
