import { wait } from '../load/server.ts';
import { byRole, type ChartName, higher, lower, microseconds, plain, type Scenario } from './scenario.ts';

/** The way in alone: the stores are away, as in an outage, so that what is measured answers devices. */

const DEVICES = 1000;
const USUAL = 14;
const WARM_MS = 2500;
const RUN_MS = 6000;

/** All devices send as fast as they are answered; the do-nothing server before and after, on the same devices' frames. */
function saturated(records: number, goal: number): Scenario {
  const size = `${records} record${records === 1 ? '' : 's'} a packet`;
  return {
    name: `way-in-${records}`,
    about: `${DEVICES} devices send as fast as they are answered, ${size}, stores away, against the do-nothing server`,
    full: false,
    async run(rig) {
      const ceiling = await rig.ceiling();
      const { server, port } = await rig.serve('none');
      const measure = async (at: number) => {
        const fleet = await rig.fleet({ port: at, devices: DEVICES, records, attributes: USUAL });
        await fleet.run(0, rig.ms(WARM_MS));
        const { result, cpu } = await rig.cpuWhile(() => fleet.run(0, rig.ms(RUN_MS)));
        await fleet.close();
        return { result, cpu };
      };
      const least = await measure(ceiling);
      const ours = await measure(port);
      const most = microseconds(least.cpu, least.result.packets, 'ceiling');
      const cost = microseconds(ours.cpu, ours.result.packets);
      await server.stop();
      return [
        higher(`CPU of the do-nothing server over ours, ${size}`, most / cost, '', goal),
        plain(`do-nothing server, ${size}`, most, 'µs a packet'),
        plain(`our server, ${size}`, cost, 'µs a packet'),
        plain(`our server, ${size}, at saturation`, ours.result.packetsPerS, 'packets/s'),
        ...byRole(`way in, ${size}`, ours.cpu, ours.result.packets),
      ];
    },
  };
}

const MODERATE = 2000;

/** What busy fleets are: far from saturation, most commits hold one packet or two. */
const moderate: Scenario = {
  name: 'moderate',
  about: `${DEVICES} devices send ${MODERATE} packets/s in all, 1 record each, stores away`,
  full: false,
  async run(rig) {
    const { server, port } = await rig.serve('none');
    const fleet = await rig.fleet({ port, devices: DEVICES, records: 1, attributes: USUAL });
    await fleet.run(MODERATE, rig.ms(WARM_MS));
    const commits = await commitsOf(server);
    const { result, cpu } = await rig.cpuWhile(() => fleet.run(MODERATE, rig.ms(RUN_MS)));
    const syncs = (await commitsOf(server)) - commits;
    await fleet.close();
    await server.stop();
    return [
      {
        ...lower(`CPU at ${MODERATE} packets/s, stores away`, microseconds(cpu, result.packets), 'µs a packet', 60),
        dots: [
          { chart: 'load', at: MODERATE },
          { chart: 'devices', at: DEVICES },
        ],
      },
      lower(`syncs at ${MODERATE} packets/s`, (1000 * syncs) / result.tookMs, '/s', 250),
      plain(`answer at ${MODERATE} packets/s, p50`, result.latency.percentile(0.5), 'ms'),
      plain(`answer at ${MODERATE} packets/s, p99`, result.latency.percentile(0.99), 'ms'),
      ...byRole('moderate', cpu, result.packets),
    ];
  },
};

/** The counter is reported once a second. */
async function commitsOf(server: { metric(name: string): Promise<number> }): Promise<number> {
  await wait(1500);
  return server.metric('fixgate_journal_commits_total');
}

const udp: Scenario = {
  name: 'udp',
  about: `${DEVICES} devices send ${MODERATE} datagrams/s in all, 1 record each, stores away`,
  full: true,
  async run(rig) {
    const { server, port } = await rig.serve('none');
    const fleet = await rig.fleet({ port, transport: 'udp', devices: DEVICES, records: 1, attributes: USUAL });
    await fleet.run(MODERATE, rig.ms(WARM_MS));
    const { result, cpu } = await rig.cpuWhile(() => fleet.run(MODERATE, rig.ms(RUN_MS)));
    await fleet.close();
    await server.stop();
    return [
      plain(`UDP, CPU at ${MODERATE} datagrams/s`, microseconds(cpu, result.packets), 'µs a datagram'),
      plain('UDP, answer p99', result.latency.percentile(0.99), 'ms'),
      plain('UDP, datagrams without an answer', result.unsent, ''),
    ];
  },
};

const CHURN = 200;

const churn: Scenario = {
  name: 'churn',
  about: `${CHURN} connections/s that log in, send one packet and end, stores away`,
  full: true,
  async run(rig) {
    const { server, port } = await rig.serve('none');
    const fleet = await rig.fleet({ port, churn: true, devices: DEVICES, records: 1, attributes: USUAL });
    await fleet.run(CHURN, rig.ms(WARM_MS));
    const { result, cpu } = await rig.cpuWhile(() => fleet.run(CHURN, rig.ms(RUN_MS)));
    await fleet.close();
    await server.stop();
    return [
      plain(`CPU at ${CHURN} connections/s`, microseconds(cpu, result.packets), 'µs a connection'),
      plain('connections that were lost', result.lost, ''),
    ];
  },
};

/** What a packet costs: one rate for more and more devices, more and more packets from the same devices. */
function sweep(name: string, about: string, chart: ChartName, count: number, rate: number): Scenario {
  return {
    name,
    about,
    full: true,
    async run(rig) {
      // Twenty thousand connections are more than one process may have open on many systems.
      const { server, port } = await rig.serve('none', chart === 'devices' ? { FIXGATE_WORKERS: '2' } : {});
      const fleet = await rig.fleet({ port, devices: count, records: 1, attributes: USUAL });
      await fleet.run(rate, rig.ms(WARM_MS));
      const { result, cpu } = await rig.cpuWhile(() => fleet.run(rate, rig.ms(RUN_MS)));
      await fleet.close();
      await server.stop();
      const figure = plain(`CPU at ${rate} packets/s from ${count} devices`, microseconds(cpu, result.packets), 'µs a packet');
      return [{ ...figure, dots: [{ chart, at: chart === 'load' ? rate : count }] }];
    },
  };
}

function devices(count: number): Scenario {
  return sweep(
    `devices-${count}`,
    `${MODERATE} packets/s in all from ${count} devices, two workers, stores away`,
    'devices',
    count,
    MODERATE,
  );
}

function load(rate: number): Scenario {
  return sweep(`load-${rate}`, `${rate} packets/s in all from ${DEVICES} devices, stores away`, 'load', DEVICES, rate);
}

export const WAY_IN: readonly Scenario[] = [
  saturated(1, 0.75),
  saturated(10, 0.6),
  moderate,
  udp,
  churn,
  devices(100),
  devices(5000),
  devices(20_000),
  load(40),
  load(400),
  load(6000),
];
