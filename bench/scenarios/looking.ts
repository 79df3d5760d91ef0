import { join } from 'node:path';
import { createToken } from '../../src/api/tokens.ts';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';
import { wait } from '../load/server.ts';
import { lower, microseconds, plain, RATIO, type Scenario } from './scenario.ts';

/**
 * What it costs to look: the same devices and the same load without a client, then with the requests that the map of a console
 * makes and two programs on the feed, then without again. No browser: it would take the processors that the server needs.
 */

const DEVICES = 10_000;
const PROGRAMS = 2;
/** Packets/s: each device every five seconds. */
const RATE = 2000;
const WARM_MS = 6000;
const RUN_MS = 10_000;
/** The feed goes on for so long after the last client, for it to come back. */
const LINGER_MS = 62_000;

const looking: Scenario = {
  name: 'looking',
  about: `${DEVICES} devices send ${RATE} packets/s in all; a console's map and ${PROGRAMS} programs on the feed, and no client`,
  full: true,
  async run(rig) {
    const { server, port, http, dataDir } = await rig.serve('none');
    const store = new LmdbStore({ directory: join(dataDir, 'state'), log: silentLog });
    const token = await createToken(store, { name: 'bench', scopes: ['read', 'locations'], created: systemClock.now() });
    await store.close();
    const devices = Math.max(500, Math.round(DEVICES * Math.min(1, rig.scale.time)));
    const fleet = await rig.fleet({ port, devices, records: 1, attributes: 14 });
    await fleet.run(RATE, rig.ms(WARM_MS));
    const measure = async () => {
      const { result, cpu } = await rig.cpuWhile(() => fleet.run(RATE, rig.ms(RUN_MS)));
      return {
        p99: result.latency.percentile(0.99),
        supervisor: (cpu.byRole.get('supervisor') ?? 0) / cpu.wallS,
        worker: microseconds(cpu, result.packets, 'worker'),
      };
    };
    const before = await measure();
    const lookers = await rig.lookers(http, token, PROGRAMS);
    const during = await measure();
    const looked = await lookers.stop();
    await wait(rig.ms(LINGER_MS));
    const after = await measure();
    await fleet.close();
    await server.stop();
    const alone = (of: (one: typeof before) => number): number => (of(before) + of(after)) / 2;
    const supervisor = alone((one) => one.supervisor);
    return [
      lower('supervisor, what looking adds', during.supervisor - supervisor, 'cores', 0.02),
      plain('supervisor, no client', supervisor, 'cores'),
      lower('worker, CPU a packet, looked at over not', during.worker / alone((one) => one.worker), RATIO, 1.02),
      plain(
        'worker, no client',
        alone((one) => one.worker),
        'µs a packet',
      ),
      plain('answer p99, no client, before', before.p99, 'ms'),
      plain('answer p99, looked at', during.p99, 'ms'),
      plain('answer p99, no client, after', after.p99, 'ms'),
      plain('rows to all that look', looked.rows, ''),
      plain('times a client was told to begin anew', looked.resets, ''),
      lower('newest places that a client lacks without being told', looked.lacking, '', 0),
    ];
  },
};

export const LOOKING: readonly Scenario[] = [looking];
