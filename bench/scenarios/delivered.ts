import { freePort, SINKS, wait } from '../load/server.ts';
import type { Rig, Subject } from '../rig.ts';
import { byRole, higher, lower, microseconds, plain, type Scenario } from './scenario.ts';

/**
 * To the disk and to both stores. A round sends at a fixed rate (open loop) and then waits until everything is delivered:
 * every record that is counted has been paid for.
 */

const DEVICES = 1000;
const USUAL = 14;
const WARM_MS = 4000;
const RUN_MS = 8000;

interface Cost {
  readonly name: string;
  readonly records: number;
  readonly attributes: number;
  /** Records per second. */
  readonly rate: number;
  readonly goal: number;
  readonly full: boolean;
}

function cost({ name, records, attributes, rate, goal, full }: Cost): Scenario {
  const what = `${records} record${records === 1 ? '' : 's'} a packet, ${attributes} attributes`;
  return {
    name,
    about: `${rate} records/s to disk, ClickHouse and Redis: ${what}`,
    full,
    async run(rig) {
      const subject = await rig.serve('both');
      const fleet = await rig.fleet({ port: subject.port, devices: DEVICES, records, attributes });
      const warm = await fleet.run(rate / records, rig.ms(WARM_MS));
      await rig.drained(subject);
      const { result, cpu } = await rig.cpuWhile(async () => {
        const sent = await fleet.run(rate / records, rig.ms(RUN_MS));
        await rig.drained(subject);
        return sent;
      });
      await fleet.close();
      const missing = await lost(subject, warm.records + result.records);
      await subject.server.stop();
      return [
        lower(`CPU to disk and both stores, ${what}`, microseconds(cpu, result.records), 'µs a record', goal),
        ...byRole(what, cpu, result.records),
        plain(`answer p99, ${what}, ${rate} records/s`, result.latency.percentile(0.99), 'ms'),
        lower(`acknowledged and not in the stream, or twice, ${what}`, missing, 'records', 0),
      ];
    },
  };
}

/** Acknowledged records that are not in the stream exactly once. */
async function lost({ redis }: Subject, acknowledged: number): Promise<number> {
  return redis === undefined ? 0 : Math.abs(acknowledged - redis.added());
}

const SMALL_FLEET = 40;
const SMALL_MS = 10_000;
/** V8 optimises what has run often: with few packets that takes its time. */
const SMALL_WARM_MS = 60_000;

const smallFleet: Scenario = {
  name: 'small-fleet',
  about: `${DEVICES} devices send ${SMALL_FLEET} packets/s in all, 10 records each, to both stores`,
  full: false,
  async run(rig) {
    const subject = await rig.serve('both');
    const fleet = await rig.fleet({ port: subject.port, devices: DEVICES, records: 10, attributes: USUAL });
    await fleet.run(SMALL_FLEET, rig.ms(SMALL_WARM_MS));
    const { cpu } = await rig.cpuWhile(() => fleet.run(SMALL_FLEET, rig.ms(SMALL_MS)));
    await fleet.close();
    await subject.server.stop();
    return [
      lower(`cores at ${SMALL_FLEET} packets/s × 10 records, all processes`, cpu.servingS / cpu.wallS, 'cores', 0.12),
      ...byRole('small fleet', cpu, cpu.wallS * SMALL_FLEET),
    ];
  },
};

/** Offered until the stores cannot follow: what arrives in them meanwhile. */
async function sustainedRate(rig: Rig, subject: Subject): Promise<number> {
  const fleet = await rig.fleet({ port: subject.port, devices: DEVICES, records: 10, attributes: USUAL });
  const running = fleet.run(0, rig.ms(20_000));
  await wait(rig.ms(6000));
  const rows = (): Promise<number>[] => SINKS.map((sink) => subject.server.metric('fixgate_sink_rows_total', `sink="${sink}"`));
  const from = performance.now();
  const before = await Promise.all(rows());
  await wait(rig.ms(12_000));
  const after = await Promise.all(rows());
  const seconds = (performance.now() - from) / 1000;
  await running;
  await fleet.close();
  return Math.min(...after.map((value, k) => (value - (before[k] ?? 0)) / seconds));
}

const sustained: Scenario = {
  name: 'sustained',
  about: 'delivered to both stores while devices send as fast as they are answered; then half of that, and a backlog under it',
  full: true,
  async run(rig) {
    const subject = await rig.serve('both');
    const rate = await sustainedRate(rig, subject);
    const backlog = await subject.server.metric('fixgate_sink_undelivered_entries');
    const from = performance.now();
    await rig.drained(subject);
    const drainS = (performance.now() - from) / 1000;
    const fleet = await rig.fleet({ port: subject.port, devices: DEVICES, records: 10, attributes: USUAL });
    const half = rate / 20;
    await fleet.run(half, rig.ms(3000));
    const reader = subject.redis === undefined ? undefined : await rig.streamReader(subject.redis);
    const { result, cpu } = await rig.cpuWhile(async () => {
      const sent = await fleet.run(half, rig.ms(15_000));
      await rig.drained(subject);
      return sent;
    });
    const { latency, records } = result;
    const stream = await reader?.stop();
    const caughtUp = await catchUp(rig, subject, half, () => fleet.run(half, rig.ms(20_000)));
    await fleet.close();
    await subject.server.stop();
    return [
      higher('delivered to both stores, sustained', rate, 'records/s', 75_000),
      plain('backlog out while nothing comes in', (10 * backlog) / drainS, 'records/s'),
      lower('answer p99 at half of the sustained rate, open loop', latency.percentile(0.99), 'ms', 10),
      plain('answer p50 at half of the sustained rate, open loop', latency.percentile(0.5), 'ms'),
      lower('device → stream p99 at half of the sustained rate', stream?.percentile(0.99) ?? Number.NaN, 'ms', 30),
      plain('CPU at half of the sustained rate, after a million rows', microseconds(cpu, records), 'µs a record'),
      higher('catch-up under half load, over the sustained rate', caughtUp / rate, '', 2),
    ];
  },
};

/** Redis stops for a while under load, and comes back: records per second that it takes until it has followed. */
async function catchUp(rig: Rig, subject: Subject, packetsPerS: number, load: () => Promise<unknown>): Promise<number> {
  const { redis, server } = subject;
  if (redis === undefined) return Number.NaN;
  const running = load();
  process.kill(redis.pid, 'SIGSTOP');
  await wait(rig.ms(8000));
  const before = await server.metric('fixgate_sink_rows_total', 'sink="redis"');
  process.kill(redis.pid, 'SIGCONT');
  const from = performance.now();
  const behind = (): Promise<number> => server.metric('fixgate_sink_undelivered_entries', 'sink="redis"');
  await wait(1500);
  while ((await behind()) > 2 * packetsPerS) await wait(100);
  const rate = (1000 * ((await server.metric('fixgate_sink_rows_total', 'sink="redis"')) - before)) / (performance.now() - from);
  await running;
  await rig.drained(subject);
  return rate;
}

const MIXED = ['teltonika', 'gt06', 'h02'] as const;

const mixed: Scenario = {
  name: 'mixed',
  about: '300 simulated devices each of three protocols, a report a second, to both stores',
  full: true,
  async run(rig) {
    const ports = await Promise.all(MIXED.map(async (protocol) => ({ protocol, port: await freePort() })));
    const listen = ports.map(({ protocol, port }) => `${protocol}/tcp:${port}`).join(',');
    const subject = await rig.serve('both', { FIXGATE_LISTEN: listen });
    const seconds = Math.ceil(rig.ms(12_000) / 1000);
    const over = ports.map(({ protocol, port }) => {
      const target = `--protocol ${protocol} --target 127.0.0.1:${port}`;
      return rig.output(
        'fixgate',
        `simulate --json --transport tcp ${target} --devices 300 --interval 1s --duration ${seconds}s`.split(' '),
      );
    });
    await wait(3000);
    const records = (): Promise<number> => subject.server.metric('fixgate_records_total');
    const before = await records();
    const { cpu } = await rig.cpuWhile(() => wait(rig.ms(8000)));
    const count = (await records()) - before;
    await Promise.all(over);
    await subject.server.stop();
    return [plain('mixed protocols, CPU to disk and both stores', microseconds(cpu, count), 'µs a record'), ...byRole('mixed', cpu, count)];
  },
};

export const DELIVERED: readonly Scenario[] = [
  cost({ name: 'delivered-10', records: 10, attributes: USUAL, rate: 10_000, goal: 18, full: false }),
  cost({ name: 'delivered-1', records: 1, attributes: USUAL, rate: 3000, goal: 40, full: false }),
  cost({ name: 'attributes-5', records: 10, attributes: 5, rate: 10_000, goal: Number.NaN, full: true }),
  cost({ name: 'attributes-60', records: 10, attributes: 60, rate: 4000, goal: Number.NaN, full: true }),
  smallFleet,
  sustained,
  mixed,
];
