import { expect } from 'vitest';
import { isAlive, type ProcessId, processOf } from '../../src/base/lock/process.ts';
import { Random } from '../../src/simulate/random.ts';
import { Server } from '../helpers/server.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { eventually } from '../support/wait.ts';

/** Moments in the life of a server, in their order. */
const MOMENTS: readonly ((server: Server) => boolean)[] = [
  (server) => server.children('clickhouse').length > 0,
  (server) => server.children('shipper').length > 0,
  (server) => server.log.some(({ msg }) => msg === 'listening'),
  (server) => server.log.some(({ msg, sink }) => msg === 'sink is up' && sink === 'clickhouse'),
];

/** The processes of a server besides its supervisor. */
export function processesOf(server: Server): ProcessId[] {
  return (['worker', 'shipper', 'clickhouse'] as const).flatMap((role) => server.children(role)).map(processOf);
}

/** Kills supervisors of one data directory, at different moments. Each next one must start, and nothing of the earlier ones stay. */
export async function killedSupervisor(dataDir: string, times: number, track: (server: Server) => Server): Promise<Server> {
  const random = new Random(1);
  const env = { ...OWN_ENGINE, FIXGATE_WORKERS: '1', FIXGATE_LISTEN: 'teltonika@127.0.0.1:0' };
  for (let round = 0; round < times; round++) {
    const server = Server.spawn(env, dataDir);
    const moment = MOMENTS[round < MOMENTS.length ? round : random.int(MOMENTS.length)] ?? (() => true);
    await eventually(() => expect([moment(server), server.stderr]).toEqual([true, '']));
    const children = processesOf(server);
    server.signal('SIGKILL');
    await server.exited;
    // A process that hangs is killed by the watchdog after its time, or by the next server.
    await eventually(() => expect(children.filter(isAlive)).toEqual([]));
  }
  const last = track(Server.spawn(env, dataDir));
  await last.logged('listening');
  return last;
}
