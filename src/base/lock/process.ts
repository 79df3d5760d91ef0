import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { systemCode } from '../errors.ts';

/** A process of this machine, told from a later one that got the same number. */
export interface ProcessId {
  readonly pid: number;
  /** When it was started, in the kernel's ticks since boot; 0 where the system does not say. */
  readonly started: number;
}

/** Where the line of `/proc/<pid>/stat` holds what is asked for, counted behind the name. */
const STATE = 0;
const PARENT = 1;
const STARTED = 19;

/** Names this life of the machine; '' where the system does not. Containers of one machine share it, as they share its locks. */
export const BOOT_ID = readBootId();

export function thisProcess(): ProcessId {
  return processOf(process.pid);
}

/** The process that has this number now. */
export function processOf(pid: number): ProcessId {
  return { pid, started: Number(statOf(pid)?.[STARTED] ?? 0) };
}

/** Null when it is not known. */
export function parentOf(pid: number): number | null {
  const parent = statOf(pid)?.[PARENT] ?? ps(pid, 'ppid=');
  return parent === '' ? null : Number(parent);
}

/** Command line of a process, by argument; none when it is not known. */
export function commandOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return ps(pid, 'command=').split(' ');
  }
}

/** Whether the process still runs. One that has ended and was not collected by its parent does not. */
export function isAlive({ pid, started }: ProcessId): boolean {
  if (pid <= 0) return false;
  const stat = statOf(pid);
  if (stat !== null) return stat[STATE] !== 'Z' && stat[STATE] !== 'X' && (started === 0 || Number(stat[STARTED]) === started);
  if (process.platform === 'linux') return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}

function statOf(pid: number): string[] | null {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name stands in parentheses and may hold anything.
    return line.slice(line.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

/** For systems without /proc. */
function ps(pid: number, column: string): string {
  if (process.platform === 'linux') return '';
  try {
    return execFileSync('ps', ['-o', column, '-p', String(pid)], { encoding: 'utf8' }).trim();
  } catch {
    return '';
  }
}

function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return '';
  }
}
