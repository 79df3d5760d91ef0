import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const LOCK = join(import.meta.dirname, '../../src/base/lock/lock.ts');

export function freshDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'fixgate-lock-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export interface Holder {
  readonly process: ChildProcess;
  /** What it printed. */
  readonly said: string;
  readonly stderr: () => string;
}

/** A process that locks the directory, prints `held` or why not, and stays. `before` is put in front of the command. */
export async function hold(directory: string, before: readonly string[] = [], flags: readonly string[] = []): Promise<Holder> {
  const script = `
    const { lockDirectory } = await import(${JSON.stringify(LOCK)});
    await lockDirectory(${JSON.stringify(directory)}, 0).then(() => 'held', (error) => error.message).then(console.log);
    globalThis.gc?.();
    setInterval(() => {}, 1000);
  `;
  const [command = '', ...args] = [...before, process.execPath, ...flags, '--input-type=module', '-e', script];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const [said] = await once(child.stdout, 'data');
  return { process: child, said: String(said).trim(), stderr: () => stderr };
}

/** A process that is there and holds nothing; its pid. */
export function bystander(): number {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child.pid ?? 0;
}
