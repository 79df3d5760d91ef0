import { commandOf, isAlive, type ProcessId, parentOf, processOf } from '../base/lock/process.ts';

/**
 * npm and npx run a command through a shell, and do not pass a signal on through it: when they end, the command stays behind
 * without anyone to stop it. So a server that npm has started ends with npm.
 *
 * Only then: a shell, nohup, setsid, a service manager or a container may end or let go of what they have started. The variable
 * alone says little, since everything that is started from a script of npm inherits it.
 */
const LOOK_MS = 500;

/** npm, and the shell between, if npm has started this process; otherwise none. */
export function startedByNpm(env: NodeJS.ProcessEnv): ProcessId[] {
  if (env['npm_command'] === undefined) return [];
  const parent = process.ppid;
  const command = commandOf(parent);
  if (isNpm(command, env)) return [processOf(parent)];
  // `sh -c 'fixgate serve'`, whatever the shell.
  const above = command[1] === '-c' ? parentOf(parent) : null;
  return above !== null && isNpm(commandOf(above), env) ? [processOf(parent), processOf(above)] : [];
}

/** Calls `ended` once, when one of the processes is gone. */
export function whenEnded(processes: readonly ProcessId[], ended: () => void): void {
  if (processes.length === 0) return;
  const looking = setInterval(() => {
    if (processes.every(isAlive)) return;
    clearInterval(looking);
    ended();
  }, LOOK_MS);
  looking.unref();
}

/** npm shows itself as `npm start`; before it does, as node with its own script. */
function isNpm(command: readonly string[], env: NodeJS.ProcessEnv): boolean {
  const script = env['npm_execpath'];
  return /^npm( |$)/.test(command[0] ?? '') || (script !== undefined && command[1] === script);
}
