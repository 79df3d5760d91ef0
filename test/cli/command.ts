import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The real program in a process of its own, as a user runs it. */
export const BIN = fileURLToPath(new URL('../../bin/fixgate.js', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly lines: readonly string[];
  readonly error: string;
}

/** Environment without the settings of whoever runs the tests. */
export function cleanEnvironment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const env: Record<string, string> = { ...more };
  for (const [name, value] of Object.entries(process.env)) if (!name.startsWith('FIXGATE_') && value !== undefined) env[name] ??= value;
  return env;
}

export function fixgate(
  args: readonly string[],
  input: string | Uint8Array = '',
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [BIN, ...args], { env: cleanEnvironment(env) });
    let out = '';
    let error = '';
    child.stdout.on('data', (chunk) => {
      out += String(chunk);
    });
    child.stderr.on('data', (chunk) => {
      error += String(chunk);
    });
    child.stdin.on('error', () => {});
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, error, lines: out.split('\n').filter((line) => line !== '') }));
    child.stdin.end(input);
  });
}
