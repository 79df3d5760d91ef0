import type { Random } from '../../src/simulate/random.ts';
import type { Fault } from './fault.ts';
import type { ProxyMode, StoreProxy } from './proxy.ts';
import type { Rig } from './rig.ts';
import { type Role, wait } from './server.ts';
import type { Store } from './store.ts';

/** Every fault there is. On each side one happens at a time; the two sides overlap as they will. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;

function killChild(role: Role): Fault {
  return {
    name: `kill -9 ${role}`,
    side: 'server',
    lastsMs: 0,
    async run(rig, _lastsMs, random) {
      process.kill(await child(rig, role, random), 'SIGKILL');
      return '';
    },
  };
}

/** The processes of one kind are all stopped, or one of them is: devices of the others must not notice. */
function stopChild(role: Role): Fault {
  return {
    name: `SIGSTOP ${role}`,
    side: 'server',
    lastsMs: 20 * SECOND,
    async run(rig, lastsMs, random) {
      const pid = await child(rig, role, random);
      process.kill(pid, 'SIGSTOP');
      await wait(lastsMs);
      process.kill(pid, 'SIGCONT');
      return '';
    },
  };
}

async function child(rig: Rig, role: Role, random: Random): Promise<number> {
  for (;;) {
    const pids = rig.server.children(role);
    const pid = pids[random.int(pids.length)];
    if (pid !== undefined) return pid;
    await wait(50);
  }
}

const killSupervisor: Fault = {
  name: 'kill -9 supervisor',
  side: 'server',
  lastsMs: 0,
  async run(rig) {
    await rig.server.killSupervisor();
    await rig.server.ready();
    return 'started again by the service manager';
  },
};

function killStore(name: string, of: (rig: Rig) => Store): Fault {
  return {
    name: `kill -9 ${name}`,
    side: 'stores',
    lastsMs: 2 * SECOND,
    async run(rig, lastsMs) {
      await of(rig).kill();
      await wait(lastsMs);
      await of(rig).start();
      return '';
    },
  };
}

function stopStore(name: string, of: (rig: Rig) => Store): Fault {
  return {
    name: `SIGSTOP ${name}`,
    side: 'stores',
    lastsMs: 20 * SECOND,
    async run(rig, lastsMs) {
      of(rig).signal('SIGSTOP');
      await wait(lastsMs);
      of(rig).signal('SIGCONT');
      return '';
    },
  };
}

function proxied(name: string, mode: ProxyMode, lastsMs: number, of: (rig: Rig) => StoreProxy): Fault {
  return {
    name,
    side: 'stores',
    lastsMs,
    async run(rig, forMs) {
      const proxy = of(rig);
      const before = proxy.cuts;
      await proxy.set(mode);
      await wait(forMs);
      await proxy.set('through');
      return mode === 'cut' ? `${proxy.cuts - before} answers cut` : '';
    },
  };
}

const clickHouse = (rig: Rig): StoreProxy => rig.clickHouseProxy;
const redis = (rig: Rig): StoreProxy => rig.redisProxy;

export const FAULTS: readonly Fault[] = [
  killChild('worker'),
  killChild('shipper'),
  killSupervisor,
  stopChild('worker'),
  stopChild('shipper'),
  killStore('ClickHouse', (rig) => rig.clickHouse),
  killStore('Redis', (rig) => rig.redis),
  stopStore('ClickHouse', (rig) => rig.clickHouse),
  stopStore('Redis', (rig) => rig.redis),
  proxied('ClickHouse away', 'refuse', 3 * MINUTE, clickHouse),
  proxied('Redis away', 'refuse', 3 * MINUTE, redis),
  proxied('ClickHouse silent', 'stall', MINUTE, clickHouse),
  proxied('Redis silent', 'stall', MINUTE, redis),
  proxied('ClickHouse answers cut', 'cut', 20 * SECOND, clickHouse),
  proxied('Redis answers cut', 'cut', 20 * SECOND, redis),
];

export function faultNamed(name: string): Fault {
  const fault = FAULTS.find((one) => one.name === name);
  if (fault === undefined) throw new Error(`no fault is called "${name}"`);
  return fault;
}
