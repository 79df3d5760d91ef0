import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { Random } from '../../src/simulate/random.ts';
import { openState } from '../../src/state/open.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { rounds } from '../support/thorough.ts';
import { eventually, moment, pause, remains, until } from '../support/wait.ts';
import { HOME, Unit } from './month-unit.ts';
import { type Counted, type Place, type Row, World } from './month-world.ts';

/**
 * Two months of two accounts in minutes, on a clock that the test moves: activation, steps at a cap, a scheduled change of a plan, roaming,
 * suspension of an account, cancellation at the end of the cycle, replacement of a unit, the end of summer time, a cycle that ends on the 31st,
 * reactivation; and statements that are what the units counted at their sockets, whatever is killed, changed or rebuilt.
 */
/** Each protocol over UDP, too. */
const DEVICES = rounds(15, 200);
const IS_LONG = DEVICES > 15;
const RECORDS_CAP = 400;
const MIB = 1_048_576;
const OVERHEAD = { segment_bytes: 40, datagram_bytes: 28, round_bytes: 100 };
/** The 31st begins the cycles of acme, the 1st those of bolt. */
const ACME = { anchor_day: 31, time_zone: 'Europe/Berlin', interval_s: 300, records_cap: RECORDS_CAP, overhead: OVERHEAD };
const STEPS = [
  { action: 'notify', at_pct: 50 },
  { action: 'slow', at_pct: 80, interval_s: 600 },
  { action: 'decimate', at_pct: 100, keep_every_s: 3600 },
];
const BOLT = { anchor_day: 1, time_zone: 'Europe/Berlin', bytes_cap: 50 * MIB };
const SERVICE = 'service_|device_activated|device_expired';

/** Berlin's clocks: an hour less ahead of UTC from 25 October, 03:00 on. */
function berlin(date: string, time = '12:00'): number {
  return Date.parse(`${date}T${time}:00${`${date} ${time}` < '2026-10-25 03:00' ? '+02:00' : '+01:00'}`);
}
const FIRST_END = berlin('2026-10-31', '00:00');
const SECOND_END = berlin('2026-11-30', '00:00');

describe.skipIf(!chdbInstalled)('the months of two accounts', () => {
  let world: World;
  /** The parts of some: numbers of devices of acme, and of bolt. */
  const [DATED, CANCELLED, HEAVY, REPLACED, PLAIN] = [8, 4, 6, 12, 0];
  const ROAMING = [1, 3, 5];
  /** What was counted when a cycle ended. */
  const counts: Record<string, Map<string, Counted>> = {};
  let first: readonly Row[] = [];
  const random = new Random(31);

  const day = async (date: string, time?: string): Promise<void> => {
    await world.at(berlin(date, time));
    await world.report();
  };
  /** Every day of those in the long form; `from` and `to` are the days of a month. */
  const days = async (month: string, from: number, to: number): Promise<void> => {
    for (let n = from; IS_LONG && n <= to; n++) await day(`${month}-${String(n).padStart(2, '0')}`);
  };
  const serviceOf = (place: Place): Promise<string[]> => world.events(place.id, SERVICE);
  const servicesOf = (places: readonly Place[]): Promise<string[][]> =>
    world.eventsOf(
      places.map(({ id }) => id),
      SERVICE,
    );
  const others = (account: Place['account'], ...but: number[]): readonly Place[] =>
    world.of(account).filter(({ number }) => !but.includes(number));

  /** Each statement has what passed the sockets of its device, and what follows from that. */
  function agree(rows: readonly Row[], from: Map<string, Counted> | undefined, to: Map<string, Counted> | undefined): void {
    for (const row of rows) {
      const [before, after] = [from?.get(row.device) ?? { bytes_in: 0, bytes_out: 0 }, to?.get(row.device)];
      expect([row.device, row.bytes_in, row.bytes_out]).toEqual([
        row.device,
        Number(after?.bytes_in) - before.bytes_in,
        Number(after?.bytes_out) - before.bytes_out,
      ]);
      const { segment_bytes, datagram_bytes, round_bytes }: typeof OVERHEAD = Object(row['overhead']);
      const bytes = row.bytes_in + row.bytes_out + segment_bytes * row.segments + datagram_bytes * row.datagrams;
      expect(row['billed_bytes']).toBe(round_bytes * Math.ceil(bytes / round_bytes));
      const networks: readonly Row[] = Object(row['networks']);
      expect(networks.reduce((sum, one) => sum + one.bytes_in, 0)).toBe(row.bytes_in);
    }
  }

  beforeAll(async () => {
    world = await World.start(DEVICES, berlin('2026-09-30', '06:00'), OWN_ENGINE);
    await world.call('PUT', '/v1/plans/acme', { ...ACME, steps: STEPS }, 201);
    await world.call('PUT', '/v1/plans/bolt', BOLT, 201);
    for (const id of ['acme', 'bolt']) await world.call('POST', '/v1/accounts', { id }, 201);
    for (const { id, number, account, unit } of world.places) {
      const home_networks = ROAMING.includes(number) ? HOME[unit.protocol] : [];
      await world.call('POST', '/v1/devices', { id, account, plan: account, home_networks }, 201);
      if (number === DATED) await world.call('PATCH', `/v1/devices/${id}`, { starts: '2026-10-02' });
    }
  });
  afterAll(() => world.close());

  it('a service starts with the first contact', async () => {
    await day('2026-09-30');
    await world.quiet();
    await eventually(async () => {
      for (const service of await servicesOf(others('acme', DATED))) expect(service).toEqual(['service_started first_contact']);
    });
    expect(await serviceOf(world.place(DATED))).toEqual([]);
  });

  it('no statement is made of usage that is still under way, whatever stands still', async () => {
    const { running } = world.server;
    const [clickhouse = 0] = running.children('clickhouse');
    const [shipper = 0] = running.children('shipper');
    await world.at(berlin('2026-09-30', '15:00'));
    process.kill(clickhouse, 'SIGSTOP');
    await world.report(world.of('bolt').map(({ unit }) => unit));
    await eventually(async () => {
      for (const place of world.of('bolt'))
        expect((await world.call('GET', `/v1/devices/${place.id}/usage`))['cycles']).toMatchObject([world.counted(place)]);
    });
    process.kill(shipper, 'SIGSTOP');
    process.kill(clickhouse, 'SIGCONT');
    const counted = world.counts();
    await world.at(berlin('2026-10-01', '06:00'));
    const looked: unknown[] = [];
    await remains(async () => {
      const { statements } = await world.call('GET', '/v1/accounts/bolt/statements/2026-09');
      for (const row of Object(statements)) expect(row.provisional).toBe(true);
      looked.push(statements);
      await pause(500);
    }, 5_000);
    expect(looked.length).toBeGreaterThan(1);
    process.kill(shipper, 'SIGCONT');
    counts['bolt 09'] = counted;
    const rows = await world.frozen('bolt', '2026-09');
    expect(rows).toHaveLength(world.of('bolt').length);
    agree(rows, undefined, counted);
  });

  it('a service starts on its day', async () => {
    await day('2026-10-01');
    await day('2026-10-02');
    await eventually(async () => expect(await serviceOf(world.place(DATED))).toEqual(['service_started activates_at', 'device_activated']));
    const [{ effective } = { effective: 0 }] = await world.select<{ effective: number }>(
      `SELECT toUInt64(JSONExtractInt(data, 'effective')) AS effective FROM events WHERE device = '${world.place(DATED).id}' AND type = 'service_started'`,
    );
    expect(Number(effective)).toBe(berlin('2026-10-02', '00:00'));
    await days('2026-10', 3, 4);
  });

  it('a plan is changed from its next cycle on, and a heavy device meets the steps of the one that holds', async () => {
    await day('2026-10-05');
    await world.call('PUT', '/v1/plans/acme', { ...ACME, records_cap: 2 * RECORDS_CAP, steps: STEPS });
    await days('2026-10', 6, 7);
    const { id, unit } = world.place(HEAVY);
    for (const [date, records] of [
      ['2026-10-07', 200],
      ['2026-10-08', 130],
      ['2026-10-09', 100],
    ] as const) {
      await world.at(berlin(date, '13:00'));
      await world.report([unit], records, 20 * 3_600_000);
      const step = { 200: 'notify', 130: 'slow', 100: 'decimate' }[records];
      await eventually(async () => expect(await world.events(id, 'plan_step')).toContain(`plan_step ${step}`));
    }
    // It has taken the interval that it was asked for.
    await until(() => unit.look() && unit.tally.replies === 1);
    await eventually(async () => {
      const { desired, reported } = await world.call('GET', `/v1/devices/${id}/settings`);
      expect([desired, reported]).toMatchObject([{ interval: 600 }, { interval: 600 }]);
    });
  });

  it('roaming begins and ends on every protocol', async () => {
    const places = ROAMING.map((number) => world.place(number));
    for (const [date, abroad] of [
      ['2026-10-10', true],
      ['2026-10-12', false],
    ] as const) {
      await world.at(berlin(date));
      for (const { unit } of places) unit.track.abroad = abroad;
      await world.report(undefined, 5, 400_000);
      // A worker that sees a device for the first time learns meanwhile where it was.
      await world.at(berlin(date, '12:15'));
      await world.report(
        places.map(({ unit }) => unit),
        5,
        400_000,
      );
    }
    await eventually(async () => {
      const roamed = await world.eventsOf(
        places.map(({ id }) => id),
        'roaming',
      );
      for (const events of roamed) expect(events).toEqual(['roaming_started', 'roaming_ended']);
    });
    expect(await world.events(world.place(7).id, 'roaming')).toEqual([]);
    await days('2026-10', 13, 13);
  });

  it('an account is suspended and resumed', async () => {
    await day('2026-10-14');
    await world.call('POST', '/v1/accounts/bolt/suspend', { reason: 'not paid' });
    await eventually(async () => {
      for (const service of await servicesOf(world.of('bolt')))
        expect(service).toEqual(['service_started first_contact', 'service_suspended not paid']);
    });
    await day('2026-10-15');
    await day('2026-10-16');
    await world.quiet();
    const stored = async (account: string): Promise<number> => {
      const [{ days = 0 } = {}] = await world.select<{ days: number }>(
        `SELECT uniqExact(toDate(received)) AS days FROM positions WHERE account = '${account}' AND event != 'sos'
        AND received >= '2026-10-15 00:00:00' AND received < '2026-10-17 00:00:00'`,
      );
      return Number(days);
    };
    await eventually(async () => expect(await stored('acme')).toBe(2));
    expect(await stored('bolt')).toBe(0);
    await world.at(berlin('2026-10-17'));
    await world.call('POST', '/v1/accounts/bolt/resume', { reason: 'paid' });
    await eventually(async () => {
      for (const service of await servicesOf(world.of('bolt'))) expect(service.at(-1)).toBe('service_resumed paid');
    });
    await world.report();
  });

  it('a service is cancelled to the end of its cycle, a unit replaced, and clocks are set back', async () => {
    await day('2026-10-18');
    const cancelled = world.place(CANCELLED);
    await world.call('PATCH', `/v1/devices/${cancelled.id}`, { ends: 'cycle' });
    await days('2026-10', 19, 19);
    await world.at(berlin('2026-10-20'));
    const place = world.place(REPLACED);
    await world.report([place.unit]);
    place.unit.off();
    const [before, unit] = [place.unit, new Unit(DEVICES + 1, 'gt06', 'tcp', world.clock)];
    await world.call('POST', `/v1/devices/${place.id}/replace`, { unit: unit.id, reason: 'broken' });
    place.before.in += before.tally.bytesSent;
    place.before.out += before.tally.bytesReceived;
    place.unit = unit;
    await world.report();
    // The one that was taken out goes on speaking, and is a stranger.
    await world.refused(place, before);
    await world.quiet();
    expect(await world.events(place.id, 'unit_replaced')).toEqual(['unit_replaced broken']);
    await days('2026-10', 21, 23);
    await day('2026-10-24');
    await eventually(async () =>
      expect(await serviceOf(cancelled)).toEqual(['service_started first_contact', 'service_ending expires_at']),
    );
    // Half past two comes twice.
    for (const time of ['00:30', '01:30']) {
      await world.at(Date.parse(`2026-10-25T${time}:00Z`));
      await world.report();
    }
    await days('2026-10', 25, 29);
  });

  it('a cycle ends with the 30th, and its statements are frozen once though the server is killed meanwhile', async () => {
    await day('2026-10-30');
    counts['acme 10'] = await world.quiet();
    world.off();
    await world.at(berlin('2026-10-31', '00:20'));
    await moment(random, 200, 2_500);
    await world.killed();
    first = await world.frozen('acme', '2026-09');
    expect(first.map(({ device }) => device).sort()).toEqual(
      world
        .of('acme')
        .map(({ id }) => id)
        .sort(),
    );
    agree(first, undefined, counts['acme 10']);
    for (const row of first)
      expect(row).toMatchObject({ start: berlin('2026-09-30', '00:00'), end: FIRST_END, plan_version: 1, records_cap: RECORDS_CAP });
    const row = (number: number): Row | undefined => first.find(({ device }) => device === world.place(number).id);
    expect(row(PLAIN)?.records).toBe(world.place(PLAIN).unit.tally.sent);
    const heavy = row(HEAVY);
    expect(heavy?.['over_records']).toBe(Number(heavy?.records) - RECORDS_CAP);
    expect(heavy).toMatchObject({ commands: { set_interval: 1 }, steps: STEPS.map(({ action, at_pct }) => ({ action, at_pct })) });
    // With the hour that comes twice.
    expect(Object(row(DATED)?.['days'])).toMatchObject({ active: 29.042 });
    expect(row(CANCELLED)).toMatchObject({ steps: [], commands: {} });
    expect((await world.verify()).code).toBe(0);
    await eventually(async () => {
      expect((await serviceOf(world.place(CANCELLED))).slice(1)).toEqual([
        'service_ending expires_at',
        'service_ended expired',
        'device_expired',
      ]);
      expect((await world.events(world.place(HEAVY).id, 'plan_step_ended')).sort()).toEqual(
        ['decimate', 'notify', 'slow'].map((action) => `plan_step_ended ${action}`),
      );
      expect(await world.events('', 'plan_in_force')).toEqual(['plan_in_force 2']);
    });
  });

  it('what has ended is reactivated, and no kill, change of a plan or rebuild changes a statement', async () => {
    await day('2026-10-31');
    counts['bolt 10'] = await world.quiet();
    await world.at(berlin('2026-11-01'));
    agree(await world.frozen('bolt', '2026-10'), counts['bolt 09'], counts['bolt 10']);
    const roaming = (await world.frozen('bolt', '2026-10')).filter(({ networks }) =>
      Object(networks).some((one: { roaming: boolean; mcc?: number }) => one.roaming && one.mcc === 262),
    );
    expect(roaming.map(({ device }) => device).sort()).toEqual(ROAMING.map((number) => world.place(number).id).sort());
    await days('2026-11', 2, 2);
    await day('2026-11-03');
    await world.call('PATCH', `/v1/devices/${world.place(CANCELLED).id}`, { expires_at: null, reason: 'back' });
    await eventually(async () =>
      expect((await serviceOf(world.place(CANCELLED))).slice(-2)).toEqual(['service_reactivated back', 'device_activated']),
    );
    const said = await world.verify();
    expect(said.code).toBe(0);
    await world.call('PUT', '/v1/plans/bolt?effective=now', { ...BOLT, bytes_cap: MIB });
    await world.quiet();
    world.off();
    for (const role of ['worker', 'shipper', 'clickhouse'] as const) await world.killedEach(role);
    await day('2026-11-05');
    await world.quiet();
    await rebuilt();
    await eventually(async () => expect(await world.verify()).toEqual(said));
    expect(await world.frozen('acme', '2026-09')).toEqual(first);
  });

  /** The sums of a cycle that is over are lost, and computed again from ClickHouse. */
  async function rebuilt(): Promise<void> {
    const store = await openState({ url: undefined, prefix: '', directory: `${world.dataDir}/state`, log: silentLog });
    const keys = world.of('acme').map(({ id }) => `${id} ${berlin('2026-09-30', '00:00')}`);
    const sums = await Promise.all(keys.map((key) => store.get('usage', key)));
    await store.write(keys.map((key) => ({ table: 'usage', key, remove: true }) as const));
    const { code, error } = await world.fixgate('usage', 'rebuild', '--all', '--cycle', '2026-10-15');
    expect([code, error]).toEqual([0, expect.stringContaining(`${keys.length} were corrected`)]);
    expect((await Promise.all(keys.map((key) => store.get('usage', key)))).map((text) => JSON.parse(text ?? ''))).toEqual(
      sums.map((text) => JSON.parse(text ?? '')),
    );
    await store.close();
  }

  it('the next cycle is priced by the plan that was scheduled', async () => {
    await days('2026-11', 6, 28);
    await day('2026-11-29');
    counts['acme 11'] = await world.quiet();
    await world.at(berlin('2026-11-30', '01:00'));
    const rows = await world.frozen('acme', '2026-10');
    expect(rows).toHaveLength(world.of('acme').length);
    agree(rows, counts['acme 10'], counts['acme 11']);
    for (const row of rows) expect(row).toMatchObject({ start: FIRST_END, end: SECOND_END, plan_version: 2, records_cap: 2 * RECORDS_CAP });
    const { hash } = await world.call('GET', '/v1/accounts/acme/statements/2026-10');
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    for (const service of await servicesOf(others('acme', DATED, CANCELLED))) expect(service).toEqual(['service_started first_contact']);
    for (const { unit } of world.places) expect([unit.wrong, unit.tally.sent - unit.tally.acknowledged]).toEqual([[], 0]);
  });

  it('one usage row that is changed is found', async () => {
    const said = await world.verify();
    expect(said.code).toBe(0);
    const { id } = world.place(PLAIN);
    const [{ sequence } = { sequence: 0 }] = await world.select<{ sequence: string }>(
      `SELECT toString(min(sequence)) AS sequence FROM usage FINAL WHERE device = '${id}'`,
    );
    const change = (by: string): Promise<string> =>
      world.server.running.query(
        `ALTER TABLE usage UPDATE bytes_in = bytes_in ${by} WHERE device = '${id}' AND sequence = ${sequence} SETTINGS mutations_sync = 2`,
      );
    await change('+ 1');
    const found = await world.verify();
    expect([found.code, found.out]).toEqual([1, expect.stringMatching(new RegExp(`acme +\\d+ +${id} +usage`))]);
    expect(found.out).toContain(', 1 findings');
    await change('- 1');
    expect(await world.verify()).toEqual(said);
  });
});
