import { join } from 'node:path';
import { createToken } from '../../src/api/tokens.ts';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';
import { type Figure, plain, type Scenario } from './scenario.ts';

/** The HTTP API beside connected devices. */

const PATHS = ['/metrics', '/readyz', '/v1/devices?limit=100'];
const DEVICES = 1000;

/** The part of autocannon's JSON that is used. */
interface Shots {
  readonly requests: { readonly average: number };
  readonly latency: { readonly p99: number };
  readonly non2xx: number;
  readonly errors: number;
}

const api: Scenario = {
  name: 'api',
  about: `requests to ${PATHS.join(', ')} over 10 connections, ${DEVICES} devices connected`,
  full: true,
  async run(rig) {
    const { server, port, http, dataDir } = await rig.serve('none');
    const fleet = await rig.fleet({ port, devices: DEVICES, records: 1, attributes: 14 });
    const store = new LmdbStore({ directory: join(dataDir, 'state'), log: silentLog });
    const token = await createToken(store, { name: 'bench', scopes: ['admin'], created: systemClock.now() });
    await store.close();
    const figures: Figure[] = [];
    for (const path of PATHS) {
      const seconds = String(Math.ceil(rig.ms(3000) / 1000));
      const headers = ['--headers', `authorization=Bearer ${token}`];
      const said = await rig.output('autocannon', ['--json', '-c', '10', '-d', seconds, ...headers, `http://127.0.0.1:${http}${path}`]);
      const shots: Shots = JSON.parse(said);
      figures.push(
        plain(`GET ${path}`, shots.requests.average, 'requests/s'),
        plain(`GET ${path}, p99`, shots.latency.p99, 'ms'),
        plain(`GET ${path}, not answered with 2xx`, shots.non2xx + shots.errors, ''),
      );
    }
    await fleet.close();
    await server.stop();
    return figures;
  },
};

export const API: readonly Scenario[] = [api];
