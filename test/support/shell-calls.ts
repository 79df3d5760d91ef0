import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A program that a piece of shell would have run. */
export interface Call {
  readonly program: string;
  readonly args: readonly string[];
  /** Names of FIXGATE_* in its environment. */
  readonly variables: readonly string[];
}

/** Programs of which the call is noted, and which do nothing. */
const NOTED = ['npx', 'npm', 'node', 'fixgate', 'curl', 'nc', 'redis-cli', 'sudo', 'sleep', 'docker', 'kubectl', 'systemctl'];
/** Programs that run: they only compute. */
const REAL = ['date', 'openssl', 'sed', 'od', 'cat'];

/** One printf, which writes its whole line at once: calls of a pipe do not mix. */
const NOTE = `#!/bin/bash
printf '%s\\0' "\${0##*/}" "$#" "$@" "\${!FIXGATE_@}" $'\\1' >> "$CALLS"
`;
const UNKNOWN = `command_not_found_handle() { printf '%s\\0' "?$1" 0 $'\\1' >> "$CALLS"; return 127; }\n`;

/** What bash makes of a text: its calls in their order, and what it says of the syntax. */
export function callsOf(text: string): { readonly calls: readonly Call[]; readonly problem: string } {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-shell-'));
  try {
    const [bin, work] = [mkdtempSync(join(directory, 'bin-')), mkdtempSync(join(directory, 'work-'))];
    const [note, calls] = [join(directory, 'note'), join(directory, 'calls')];
    writeFileSync(note, NOTE);
    writeFileSync(calls, '');
    chmodSync(note, 0o755);
    for (const program of NOTED) symlinkSync(note, join(bin, program));
    for (const program of REAL) symlinkSync(join('/usr/bin', program), join(bin, program));
    const options = { cwd: work, encoding: 'utf8', input: '', env: { PATH: bin, CALLS: calls } } as const;
    const { status, stderr, error } = spawnSync('/bin/bash', ['--norc', '-n', '-c', text], options);
    if (status !== 0) return { calls: [], problem: error?.message ?? stderr };
    spawnSync('/bin/bash', ['--norc', '-c', `${UNKNOWN}${text}`], options);
    return { calls: readFileSync(calls, 'utf8').split('\0\u0001\0').slice(0, -1).map(callOf), problem: '' };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function callOf(noted: string): Call {
  const [program = '', count = '', ...rest] = noted.split('\0');
  return { program, args: rest.slice(0, Number(count)), variables: rest.slice(Number(count)) };
}
