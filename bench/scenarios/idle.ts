import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Memory } from '../load/collect.ts';
import { wait } from '../load/server.ts';
import { memoryByRole, rolesOf } from '../machine.ts';
import type { Rig, Stores } from '../rig.ts';
import { lower, plain, type Scenario } from './scenario.ts';

/** What a server costs that does nothing yet, or whose devices are silent. */

const MEGABYTE = 1e6;
const QUIET_MS = 10_000;

function atRest(name: string, stores: Stores, readyGoal: number, memoryGoal: number): Scenario {
  const what = stores === 'none' ? 'without the embedded engine' : 'with the embedded engine';
  return {
    name,
    about: `start and memory of an idle server with two workers, ${what}`,
    full: true,
    async run(rig) {
      const first = await rig.serve(stores, { FIXGATE_WORKERS: '2' });
      await first.server.stop();
      const from = performance.now();
      const { server } = await rig.again(first, 'none');
      const readyS = (performance.now() - from) / 1000;
      await wait(rig.ms(QUIET_MS));
      const memory = memoryByRole(new Map([[server.pid, 'supervisor']]));
      const { cpu } = await rig.cpuWhile(() => wait(rig.ms(QUIET_MS)));
      await server.stop();
      const total = [...memory.values()].reduce((sum, bytes) => sum + bytes, 0);
      return [
        lower(`ready after a second start, ${what}`, readyS, 's', readyGoal),
        lower(`idle memory (PSS), two workers, ${what}`, total / MEGABYTE, 'MB', memoryGoal),
        ...[...memory].map(([role, bytes]) => plain(`idle memory, ${what}: ${role}`, bytes / MEGABYTE, 'MB')),
        plain(`idle server without devices, ${what}`, cpu.servingS / cpu.wallS, 'cores'),
      ];
    },
  };
}

const SILENT = 20_000;
const WARM = 1000;
/** What logins leave to be written is written by then. */
const SETTLE_MS = 10_000;

const silent: Scenario = {
  name: 'silent',
  about: `${SILENT} logged-in connections over two workers that send nothing`,
  full: true,
  async run(rig) {
    const reports = join(rig.directory, 'memory');
    mkdirSync(reports);
    const hook = `--import=${new URL('../load/collect.ts', import.meta.url).href}`;
    const { server, port } = await rig.serve('none', { FIXGATE_WORKERS: '2', NODE_OPTIONS: hook, BENCH_MEMORY: reports });
    const workers = (): number[] =>
      [...rolesOf(new Map([[server.pid, 'supervisor']]))].flatMap(([pid, role]) => (role === 'worker' ? [pid] : []));
    const count = Math.max(2 * WARM, Math.round(SILENT * Math.min(1, rig.scale.time)));
    const connect = (devices: number) => rig.fleet({ port, devices, records: 1, attributes: 14 });
    // The first ones make the process grow for other reasons: code that is compiled, buffers of the runtime.
    await connect(WARM);
    const before = await collected(rig, workers(), reports);
    await connect(count - WARM);
    const after = await collected(rig, workers(), reports);
    await wait(rig.ms(SETTLE_MS));
    const { cpu } = await rig.cpuWhile(() => wait(rig.ms(QUIET_MS)));
    await server.stop();
    const each = (take: (memory: Memory) => number): number => (take(after) - take(before)) / (count - WARM) / 1000;
    return [
      lower(
        'silent connection, live heap',
        each(({ heapBytes }) => heapBytes),
        'kB',
        4,
      ),
      lower(
        'silent connection, resident after a collection',
        each(({ residentBytes }) => residentBytes),
        'kB',
        9,
      ),
      lower(`idle server with ${SILENT} silent devices`, cpu.servingS / cpu.wallS, 'cores', 0.02),
    ];
  },
};

/** Sum over the processes, after a collection in each. */
async function collected(rig: Rig, pids: readonly number[], reports: string): Promise<Memory> {
  await wait(rig.ms(3000));
  let [heapBytes, residentBytes] = [0, 0];
  for (const pid of pids) {
    const file = join(reports, `${pid}.json`);
    rmSync(file, { force: true });
    process.kill(pid, 'SIGUSR2');
    for (;;) {
      await wait(100);
      try {
        const memory: Memory = JSON.parse(readFileSync(file, 'utf8'));
        heapBytes += memory.heapBytes;
        residentBytes += memory.residentBytes;
        break;
      } catch {}
    }
  }
  return { heapBytes, residentBytes };
}

/** All devices of a server come back at once, after it was started again. */
function storm(devices: number, goalS: number): Scenario {
  return {
    name: `storm-${devices}`,
    about: `${devices} known devices connect, log in and send at once after a restart; two workers`,
    full: true,
    async run(rig) {
      const count = Math.max(500, Math.round(devices * Math.min(1, rig.scale.time)));
      const first = await rig.serve('none', { FIXGATE_WORKERS: '2' });
      const before = await rig.fleet({ port: first.port, devices: count, records: 1, attributes: 14 });
      await before.close();
      await first.server.stop();
      const { server, port } = await rig.again(first, 'none');
      const back = { port, first: before.first, devices: count, records: 1, attributes: 14 };
      const from = performance.now();
      const { result, cpu } = await rig.cpuWhile(async () => {
        const fleet = await rig.fleet(back);
        const { lost, unsent } = await fleet.run(count, 1000);
        return { lost: fleet.lost + lost, unsent };
      });
      const tookS = (performance.now() - from) / 1000;
      await server.stop();
      return [
        lower(`${devices} devices back after a restart, all served`, tookS, 's', goalS),
        lower(`${devices} devices back: refused, reset or not served`, result.lost + result.unsent, '', 0),
        lower(`${devices} devices back, worker CPU`, (1000 * (cpu.byRole.get('worker') ?? 0)) / count, 'ms a device', 0.4),
      ];
    },
  };
}

export const IDLE: readonly Scenario[] = [
  atRest('rest', 'clickhouse', 2, 420),
  atRest('rest-bare', 'none', 2, 180),
  silent,
  storm(5000, Number.NaN),
  storm(20_000, 12),
];
