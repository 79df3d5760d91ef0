import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { erase, exportData } from '../../src/cli/data.ts';
import { devices } from '../../src/cli/devices.ts';
import { fieldsOf, sizeOf, timeOf, zoneOf } from '../../src/cli/fields.ts';
import { plans } from '../../src/cli/plans.ts';
import { token } from '../../src/cli/token.ts';
import { usage } from '../../src/cli/usage.ts';
import { planSchema } from '../../src/fleet/plan/plan.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import { Api } from '../api/rig.ts';

/** What a command line gives is read as the type that the schema has. In this process: `command.ts` has the real program. */

const SCHEMAS = { device: deviceSchema, plan: planSchema };

describe('fields of a command line', () => {
  it.each([
    ['device', 'aliases=352093701000019', { aliases: ['352093701000019'] }],
    ['device', 'aliases=352093701000019,true', { aliases: ['352093701000019', 'true'] }],
    ['device', 'aliases=', { aliases: [] }],
    ['device', 'account=12345', { account: '12345' }],
    ['device', 'account=true', { account: 'true' }],
    ['device', 'account={x', { account: '{x' }],
    ['device', 'account=', { account: null }],
    ['device', 'plan=2024', { plan: '2024' }],
    ['device', 'interval_s=30', { interval_s: 30 }],
    ['device', 'home_networks=262,208', { home_networks: [262, 208] }],
    ['device', 'networks=10.0.0.0/8,2001:db8::/32', { networks: ['10.0.0.0/8', '2001:db8::/32'] }],
    ['device', 'expires_at=1793491200000', { expires_at: 1_793_491_200_000 }],
    ['device', 'expires_at=2027-01-01', { expires_at: Date.UTC(2026, 11, 31, 23) }],
    ['device', 'expires_at=2027-01-01T08:00:30+05:30', { expires_at: Date.UTC(2027, 0, 1, 2, 30, 30) }],
    ['device', 'options.timeOffset=480', { options: { timeOffset: '480' } }],
    ['device', 'options.answers=', { options: { answers: null } }],
    ['device', 'options=', { options: null }],
    ['device', 'account.name=x', { 'account.name': 'x' }],
    ['device', 'colour=12', { colour: '12' }],
    ['plan', 'bytes_cap=20MB', { bytes_cap: 20_000_000 }],
    ['plan', 'bytes_cap=20MiB', { bytes_cap: 20_971_520 }],
    ['plan', 'prorate=true', { prorate: true }],
    ['plan', 'exempt_events=sos,1', { exempt_events: ['sos', '1'] }],
    ['plan', 'steps=[{"action":"notify","at_pct":80}]', { steps: [{ action: 'notify', at_pct: 80 }] }],
    ['plan', 'overhead={"round_bytes":1024}', { overhead: { round_bytes: 1024 } }],
    ['plan', 'hysteresis_pct=2.5', { hysteresis_pct: 2.5 }],
  ] as const)('of a %s are read by its schema: %s', (record, pair, fields) => {
    expect(fieldsOf([pair], SCHEMAS[record], 'Europe/Berlin')).toEqual(fields);
  });

  it.each([
    ['device', 'interval_s=often', 'interval_s="often" is not a number'],
    ['device', 'expires_at=2027-02-30', 'expires_at="2027-02-30" is not a time: 2027-01-01'],
    ['device', 'expires_at=tomorrow', 'is not a time'],
    ['plan', 'bytes_cap=20 pounds', 'bytes_cap="20 pounds" is not a size'],
    ['plan', 'prorate=perhaps', 'is not true or false'],
    ['plan', 'steps=notify', 'steps="notify" is not JSON'],
    ['plan', 'steps', 'invalid field "steps"; expected name=value'],
  ] as const)('of a %s are refused: %s', (record, pair, problem) => {
    expect(() => fieldsOf([pair], SCHEMAS[record])).toThrow(problem);
  });

  it('know times, sizes and zones', () => {
    expect(timeOf('2027-03-28', 'Europe/Berlin')).toBe(Date.UTC(2027, 2, 27, 23));
    expect(timeOf('2027-03-29', 'Europe/Berlin')).toBe(Date.UTC(2027, 2, 28, 22));
    expect(timeOf('60', 'UTC')).toBeUndefined();
    expect([sizeOf('1kB'), sizeOf('1.5 GB'), sizeOf('2TiB'), sizeOf('7b'), sizeOf('20')]).toEqual([1000, 1.5e9, 2 ** 41, 7, undefined]);
    expect(() => zoneOf('Mars/Base')).toThrow('--zone "Mars/Base" is not an IANA time zone');
  });
});

describe('commands in this process', () => {
  let api: Api;
  let directory: string;
  let out: string[] = [];
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'fixgate-fields-'));
    api = await Api.start();
    vi.stubEnv('FIXGATE_URL', api.url);
    vi.stubEnv('FIXGATE_TOKEN', await api.token(['read', 'locations', 'devices', 'plans', 'erase']));
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await api.stop();
    rmSync(directory, { recursive: true });
  });
  beforeEach(() => {
    out = [];
    const keep = (text: unknown): boolean => out.push(String(text)) > 0;
    vi.spyOn(process.stdout, 'write').mockImplementation(keep);
    vi.spyOn(process.stderr, 'write').mockImplementation(keep);
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
  const said = (): string => out.join('');

  it('devices take what looks like a number as the text that it is, and dates in a zone', async () => {
    await plans(['set', '2024', 'bytes_cap=20MB', 'time_zone=Europe/Berlin', 'records_cap=100']);
    const args = ['aliases=352093701000019', 'account=12345', 'plan=2024', 'expires_at=2027-01-01', '--zone', 'Europe/Berlin'];
    expect(await devices(['add', '356307042441013', ...args])).toBe(0);
    const { body } = await api.call('GET', '/v1/devices/356307042441013');
    const expires_at = Date.UTC(2026, 11, 31, 23);
    expect(body).toMatchObject({ aliases: ['352093701000019'], account: '12345', plan: '2024', expires_at });
    expect((await api.call('GET', '/v1/plans/2024')).body).toMatchObject({ bytes_cap: 20_000_000 });
    await expect(devices(['set', 'x', 'account=1', '--zone', 'Nowhere'])).rejects.toMatchObject({ code: 'USAGE' });
  });

  it('usage says in which zone its times are', async () => {
    await api.office.state.write([{ table: 'usage', key: '356307042441013 1793487600000', add: { bytes_in: 71, records: 3 } }]);
    expect(await usage(['356307042441013'])).toBe(0);
    expect(said()).toMatch(/^start \(Europe\/Berlin\) +end \(Europe\/Berlin\) +bytes_in/);
    expect(said()).toMatch(/\n2026-11-01 00:00:00 +2026-12-01 00:00:00 +71 /);
  });

  it('erase and export of a device of which nothing is kept fail', async () => {
    vi.spyOn(api.office, 'isKept').mockResolvedValue(false);
    expect(await erase(['nosuch'])).toBe(1);
    const zip = join(directory, 'nosuch.zip');
    expect(await exportData(['nosuch', '--out', zip])).toBe(1);
    expect(said()).toBe('fixgate: no data of device nosuch is kept\n'.repeat(2));
    expect(readdirSync(directory)).toEqual([]);
    expect(await api.office.state.list('erasures', { limit: 10 })).toEqual([]);
  });

  it('a token is not made where no server has run', async () => {
    vi.stubEnv('FIXGATE_DATA_DIR', join(directory, 'nowhere'));
    for (const args of [['create', '--name', 'me'], ['ls'], ['revoke', '--name', 'me']])
      await expect(token(args)).rejects.toMatchObject({
        code: 'DATA_DIR_UNUSABLE',
        message: expect.stringContaining('no server data in'),
      });
    expect(readdirSync(directory)).toEqual([]);
  });
});
