import { spawnSync } from 'node:child_process';
import { systemClock } from '../../src/base/clock.ts';
import type { Random } from '../../src/simulate/random.ts';
import { flipBit, takeBackUnsynced, tearTails } from './damage.ts';
import type { Fault, Side } from './fault.ts';
import type { ProxyMode, StoreProxy } from './proxy.ts';
import type { Rig } from './rig.ts';
import { type Role, signalTo, wait } from './server.ts';
import type { Store } from './store.ts';

/** Every fault there is. On each side one happens at a time; the two sides overlap as they will. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const SIGHUP = 1;
/** No device sends again what it sent so long ago. */
const SETTLED_MS = 20 * SECOND;

function killChild(role: Role): Fault {
  return {
    name: `kill -9 ${role}`,
    side: 'server',
    lastsMs: 0,
    async run(rig, _lastsMs, random) {
      signalTo(await child(rig, role, random), 'SIGKILL');
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
      signalTo(pid, 'SIGSTOP');
      await wait(lastsMs);
      signalTo(pid, 'SIGCONT');
      return '';
    },
  };
}

async function child(rig: Rig, role: Role, random: Random): Promise<number> {
  for (let waited = 0; waited <= MINUTE; waited += 50) {
    const pids = rig.server.children(role);
    const pid = pids[random.int(pids.length)];
    if (pid !== undefined) return pid;
    await wait(50);
  }
  throw new Error(`the server had no ${role} process for a minute`);
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

const restart: Fault = {
  name: 'SIGTERM',
  side: 'server',
  lastsMs: 0,
  async run(rig) {
    await rig.server.restart();
    return 'ended with code 0, started again by the service manager';
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

/** Every write to the data directory fails, with a part of it written. */
const diskFull: Fault = {
  name: 'disk full',
  side: 'server',
  lastsMs: 15 * SECOND,
  async run(rig, lastsMs) {
    rig.control('no-space', '');
    await wait(lastsMs);
    rig.control('no-space', null);
    return '';
  },
};

/** Now and then, and for longer as it goes on, the disk does not synchronise. */
const syncFails: Fault = {
  name: 'fsync fails',
  side: 'server',
  lastsMs: 15 * SECOND,
  async run(rig, lastsMs, random) {
    const until = systemClock.elapsed() + lastsMs;
    for (let failMs = 5; systemClock.elapsed() < until; failMs *= 2) {
      rig.control('no-sync', '');
      await wait(Math.min(failMs, until - systemClock.elapsed()));
      rig.control('no-sync', null);
      await wait(300 + random.int(700));
    }
    return '';
  },
};

/** Something done to the files of a server that is down, and what happened. */
type Damage = (rig: Rig, random: Random) => Promise<string>;

const tear: Damage = async (rig, random) => `${await tearTails(rig, random)} bytes behind the last entries`;
const flip: Damage = async (rig, random) => `${await flipBit(rig, random, systemClock.now() - SETTLED_MS)} in a delivered entry`;
const cut: Damage = async (rig) => `${await takeBackUnsynced(rig)} bytes lost`;

/** Everything dies at once; then the damages are done, in this order. */
function damaged(name: string, ...damages: readonly Damage[]): Fault {
  return {
    name,
    side: 'server',
    lastsMs: 0,
    async run(rig, _lastsMs, random) {
      const said: string[] = [];
      await rig.server.down(async () => {
        for (const damage of damages) said.push(await damage(rig, random));
      });
      return said.join(', ');
    },
  };
}

const tornEntry = damaged('torn last entry', tear);
const flippedBit = damaged('flipped bit', flip);
/** What was not synchronised is gone. */
const powerCut = damaged('power cut', cut);
/** Both with one start of the server, which is what costs. */
export const wreck = damaged('power cut, torn last entry', cut, tear);
export const DAMAGES: readonly Fault[] = [tornEntry, flippedBit, powerCut];

/** Ahead or back, and then right again: one of the two is a step back. */
const clockStep: Fault = {
  name: 'clock stepped',
  side: 'server',
  lastsMs: 20 * SECOND,
  async run(rig, lastsMs, random) {
    // Devices take a clock that is off by five minutes for a wrong answer.
    const stepMs = (random.next() < 0.5 ? -1 : 1) * Math.round(random.between(60, 240)) * SECOND;
    rig.control('clock', String(stepMs));
    await wait(lastsMs);
    rig.control('clock', null);
    return `${stepMs / SECOND} s`;
  },
};

/** Another server tries to start on the same data directory, where the network of the first one cannot be seen. */
const secondServer: Fault = {
  name: 'second server',
  side: 'server',
  lastsMs: 0,
  unsupported: () => (run('unshare', '--map-root-user', '--net', 'true') ? '' : 'there are no network namespaces for this user'),
  async run(rig) {
    const { pid } = rig.server;
    const { code, said } = await rig.server.second();
    if (code !== 73 || !said.includes(`process ${pid} on host`)) throw new Error(`the second server ended with ${code}: ${said}`);
    return 'refused with code 73, the holder named';
  },
};

/** Fewer descriptors than are open: nothing more can be opened, in one worker. */
const noDescriptors: Fault = {
  name: 'descriptors run out',
  side: 'server',
  lastsMs: 15 * SECOND,
  unsupported: () => (run('prlimit', '--version') ? '' : 'there is no prlimit'),
  async run(rig, lastsMs, random) {
    const pid = await child(rig, 'worker', random);
    const limits = ['--pid', String(pid), '--nofile', '--output', 'SOFT', '--noheadings', '--raw'];
    const before = spawnSync('prlimit', limits, { encoding: 'utf8' }).stdout.trim();
    if (!run('prlimit', '--pid', String(pid), '--nofile=16:')) throw new Error('the limit cannot be set');
    await wait(lastsMs);
    run('prlimit', '--pid', String(pid), `--nofile=${before}:`);
    return '';
  },
};

function run(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

const rollingRestart: Fault = {
  name: 'rolling restart',
  side: 'server',
  lastsMs: 0,
  unsupported: (rig) => (rig.server.catches(SIGHUP) ? '' : 'this server does nothing on SIGHUP'),
  async run(rig) {
    const before = rig.server.children('worker');
    if (before.length === 0) throw new Error('the server has no worker process');
    rig.server.signal('SIGHUP');
    const renewed = (): boolean => {
      const now = rig.server.children('worker');
      return now.length === before.length && !now.some((pid) => before.includes(pid));
    };
    for (let waited = 0; !renewed(); waited += 50) {
      if (waited > MINUTE) throw new Error('the workers were not replaced within a minute of SIGHUP');
      await wait(50);
    }
    await rig.server.ready();
    return '';
  },
};

const clickHouse = (rig: Rig): StoreProxy => rig.clickHouseProxy;
const redis = (rig: Rig): StoreProxy => rig.redisProxy;

export const FAULTS: readonly Fault[] = [
  killChild('worker'),
  killChild('shipper'),
  killSupervisor,
  restart,
  stopChild('worker'),
  stopChild('shipper'),
  diskFull,
  syncFails,
  ...DAMAGES,
  clockStep,
  secondServer,
  noDescriptors,
  rollingRestart,
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

export function faultsOf(side: Side): Fault[] {
  return FAULTS.filter((fault) => fault.side === side);
}

/** Faults that begin at once. */
export function together(...faults: readonly Fault[]): Fault {
  return {
    name: faults.map(({ name }) => name).join(', '),
    side: 'server',
    lastsMs: Math.max(...faults.map(({ lastsMs }) => lastsMs)),
    async run(rig, lastsMs, random) {
      const said = await Promise.all(faults.map((one) => one.run(rig, one.lastsMs === 0 ? 0 : lastsMs, random)));
      return said.filter((text) => text !== '').join(', ');
    },
  };
}
