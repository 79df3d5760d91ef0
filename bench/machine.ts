import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { systemClock } from '../src/base/clock.ts';

/** Processor time and memory of processes, from /proc (Linux). */

const TICKS_PER_S = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

export type Role = 'supervisor' | 'worker' | 'shipper' | 'clickhouse' | 'redis' | 'ceiling' | 'devices' | 'bench';
/** What serves: its time is the result. The rest makes load, and is told apart. */
export const SERVING: readonly Role[] = ['supervisor', 'worker', 'shipper', 'clickhouse', 'redis'];

/** Roles by process; those that such a process has started are found by what they run. */
export type Roots = ReadonlyMap<number, Role>;

const SCRIPTS: readonly (readonly [RegExp, Role])[] = [
  // The second form is that of older revisions, for --compare.
  [/roles\/worker-process\.(ts|js)|cluster\/worker\.(ts|js)/, 'worker'],
  [/roles\/shipper-process\.(ts|js)|cluster\/shipper\.(ts|js)/, 'shipper'],
  [/embedded\/main\.(ts|js)/, 'clickhouse'],
];

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly cpuS: number;
}

/** All processes of the machine; those that end while they are read are left out. */
function processes(): Process[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      // The command's name may hold spaces and brackets: fields are counted behind it. Man page proc(5).
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return [{ pid: Number(name), parent: Number(fields[1]), cpuS: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S }];
    } catch {
      return [];
    }
  });
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** The roots and all that descends from them, with their roles. */
export function rolesOf(roots: Roots, all: readonly { pid: number; parent: number }[] = processes()): Map<number, Role> {
  const roles = new Map(roots);
  for (let grown = true; grown; ) {
    grown = false;
    for (const { pid, parent } of all) {
      const inherited = roles.get(parent);
      if (inherited === undefined || roles.has(pid)) continue;
      const command = commandOf(pid);
      roles.set(pid, SCRIPTS.find(([script]) => script.test(command))?.[1] ?? inherited);
      grown = true;
    }
  }
  return roles;
}

export interface CpuReading {
  readonly at: number;
  /** Seconds of all processors that were not idle. */
  readonly busyS: number;
  readonly byRole: ReadonlyMap<Role, number>;
}

export function readCpu(roots: Roots): CpuReading {
  const all = processes();
  const roles = rolesOf(roots, all);
  const byRole = new Map<Role, number>();
  for (const { pid, cpuS } of all) {
    const role = roles.get(pid);
    if (role !== undefined) byRole.set(role, (byRole.get(role) ?? 0) + cpuS);
  }
  const [, user = 0, nice = 0, system = 0] = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').split(/\s+/).map(Number);
  return { at: systemClock.elapsed(), busyS: (user + nice + system) / TICKS_PER_S, byRole };
}

export interface CpuUse {
  readonly wallS: number;
  readonly byRole: ReadonlyMap<Role, number>;
  /** Seconds of everything that serves. */
  readonly servingS: number;
  /** Cores that processes outside the measurement used. */
  readonly othersCores: number;
}

export function cpuBetween(before: CpuReading, after: CpuReading): CpuUse {
  const byRole = new Map<Role, number>();
  let servingS = 0;
  let ownS = 0;
  for (const [role, seconds] of after.byRole) {
    const used = Math.max(0, seconds - (before.byRole.get(role) ?? 0));
    byRole.set(role, used);
    ownS += used;
    if (SERVING.includes(role)) servingS += used;
  }
  const wallS = (after.at - before.at) / 1000;
  return { wallS, byRole, servingS, othersCores: Math.max(0, (after.busyS - before.busyS - ownS) / wallS) };
}

/** Proportional share of memory of each role, bytes: what the processes would give back together. */
export function memoryByRole(roots: Roots): Map<Role, number> {
  const bytes = new Map<Role, number>();
  for (const [pid, role] of rolesOf(roots)) {
    let text = '';
    try {
      text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    } catch {
      continue;
    }
    const pss = Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0);
    bytes.set(role, (bytes.get(role) ?? 0) + 1024 * pss);
  }
  return bytes;
}
