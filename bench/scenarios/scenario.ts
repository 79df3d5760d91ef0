import type { CpuUse, Role } from '../machine.ts';
import { SERVING } from '../machine.ts';
import type { Rig } from '../rig.ts';

/** One measured value of a round. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What is aimed at; a figure without one explains another. */
  readonly goal?: { readonly at: number; readonly better: 'lower' | 'higher' };
  /** Where it stands in charts (bench/chart.ts). */
  readonly dots?: readonly { readonly chart: ChartName; readonly at: number }[];
}

export type ChartName = 'load' | 'devices';

/** Unit of a figure that is the ratio of a pair: its spread is printed as the 95 % interval over the rounds. */
export const RATIO = 'ratio, 95 % interval';

/** A figure that two revisions are compared by carries `compared`. */
export interface Scenario {
  readonly name: string;
  readonly about: string;
  /** Only in `--full`. */
  readonly full: boolean;
  /** One round, on servers of its own; rounds of two revisions alternate. */
  run(rig: Rig): Promise<Figure[]>;
}

export function lower(name: string, value: number, unit: string, at: number): Figure {
  return { name, value, unit, goal: { at, better: 'lower' } };
}

export function higher(name: string, value: number, unit: string, at: number): Figure {
  return { name, value, unit, goal: { at, better: 'higher' } };
}

export function plain(name: string, value: number, unit: string): Figure {
  return { name, value, unit };
}

/** Microseconds of processor time for each of `count`, of one role or of all that serves. */
export function microseconds(cpu: CpuUse, count: number, role?: Role): number {
  const seconds = role === undefined ? cpu.servingS : (cpu.byRole.get(role) ?? 0);
  return (1e6 * seconds) / count;
}

/** The share of each role that serves, and of the devices. */
export function byRole(what: string, cpu: CpuUse, count: number): Figure[] {
  const roles: readonly Role[] = [...SERVING, 'devices'];
  return roles.filter((role) => cpu.byRole.has(role)).map((role) => plain(`${what}: ${role}`, microseconds(cpu, count, role), 'µs'));
}
