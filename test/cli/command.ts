import { spawn } from 'node:child_process';
import { Readable, Writable } from 'node:stream';
import { run } from '../../src/cli/index.ts';
import { tested } from '../support/program.ts';

/** The real program in a process of its own, as a user runs it. */
export const BIN = tested();

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

type Arguments = [args: readonly string[], input?: string | Uint8Array, env?: Readonly<Record<string, string>>];

/** Runs a command in this process, on streams of its own. */
export async function fixgate(...[args, input = '', env = {}]: Arguments): Promise<Outcome> {
  const [out, error] = [new Written(), new Written()];
  const io = { input: Readable.from([Buffer.from(input)]), out, error, env: cleanEnvironment(env) };
  return outcome(await run([...args], io), out.text, error.text);
}

/** The same in a process of its own: for what belongs to the process, and to see that both are the same. */
export function fixgateProcess(...[args, input = '', env = {}]: Arguments): Promise<Outcome> {
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
    child.on('close', (code) => resolve(outcome(code, out, error)));
    child.stdin.end(input);
  });
}

class Written extends Writable {
  readonly #chunks: Buffer[] = [];

  get text(): string {
    return Buffer.concat(this.#chunks).toString('utf8');
  }

  override _write(chunk: Buffer, _encoding: string, written: () => void): void {
    this.#chunks.push(chunk);
    written();
  }
}

function outcome(code: number | null, out: string, error: string): Outcome {
  return { code, out, error, lines: out.split('\n').filter((line) => line !== '') };
}
