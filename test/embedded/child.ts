/** Runs `src/embedded/main.ts` as the supervisor does, on free ports and temporary directories. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Secret, SecretUrl } from '../../src/base/secret.ts';

export const MAIN = fileURLToPath(new URL('../../src/embedded/main.ts', import.meta.url));

function installed(): boolean {
  try {
    createRequire(import.meta.url).resolve('chdb');
    return true;
  } catch {
    console.warn('skipped: the optional dependency chdb is not installed');
    return false;
  }
}

export const chdbInstalled = installed();

export interface Running {
  readonly url: string;
  readonly process: ChildProcess;
  /** Ends it, with a signal or by letting go of it, and returns the exit code, or the signal that ended it. */
  end(signal?: NodeJS.Signals): Promise<number | string>;
}

export type Outcome =
  | { readonly type: 'ready'; readonly running: Running }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };

const started = new Set<ChildProcess>();
/** Of the engines started here, by URL. */
const secrets = new Map<string, string>();

/** What may ask an engine that was started here; anything else is asked without a password. */
export function accessOf(url: string): { url: SecretUrl; username: string; password: Secret } {
  return { url: new SecretUrl(url), username: 'default', password: new Secret(secrets.get(url) ?? '') };
}

/** The same for `createClient`. */
export function clientOf(url: string): { url: string; username: string; password: string } {
  return { url, username: 'default', password: secrets.get(url) ?? '' };
}

/** The same as a header. */
export function keyOf(url: string): { 'x-clickhouse-key': string } {
  return { 'x-clickhouse-key': secrets.get(url) ?? '' };
}

/** Starts a child and waits until it is ready or says why not. */
export async function launch(
  directory: string,
  options: { port?: number; host?: string; main?: string; stdin?: number } = {},
): Promise<Outcome> {
  const args = ['--directory', directory, '--port', String(options.port ?? 0), '--host', options.host ?? '127.0.0.1'];
  const child = fork(options.main ?? MAIN, args, { stdio: [options.stdin ?? 'ignore', 'ignore', 'ignore', 'ipc'], execArgv: [] });
  started.add(child);
  const exit = once(child, 'exit');
  exit.then(
    () => started.delete(child),
    () => started.delete(child),
  );
  const message: unknown = await Promise.race([once(child, 'message').then(([first]) => first), exit.then(() => null)]);
  if (typeof message !== 'object' || message === null || !('type' in message)) throw new Error('the child ended without a word');
  if (message.type === 'ready' && 'url' in message) {
    secrets.set(String(message.url), readFileSync(join(directory, 'secret'), 'utf8').trim());
    const end = async (signal?: NodeJS.Signals): Promise<number | string> => {
      if (signal === undefined) child.disconnect();
      else child.kill(signal);
      const [code, by] = await exit;
      return code ?? by;
    };
    return { type: 'ready', running: { url: String(message.url), process: child, end } };
  }
  await exit;
  return {
    type: 'failed',
    code: 'code' in message ? String(message.code) : '',
    message: 'message' in message ? String(message.message) : '',
  };
}

export async function start(directory: string, port = 0): Promise<Running> {
  const outcome = await launch(directory, { port });
  if (outcome.type === 'failed') throw new Error(`${outcome.code}: ${outcome.message}`);
  return outcome.running;
}

const directories: string[] = [];

export async function freshDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'fixgate-embedded-'));
  directories.push(directory);
  return directory;
}

/** For afterAll: nothing stays behind, also after a failed test. */
export async function cleanUp(): Promise<void> {
  for (const child of started) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
}

/** One statement over plain HTTP. */
export async function ask(
  url: string,
  statement: string,
  params: Record<string, string> = {},
  init: RequestInit = {},
): Promise<{ status: number; text: string; headers: Headers }> {
  const target = `${url}/?${new URLSearchParams(params).toString()}`;
  const headers = new Headers(init.headers);
  if (!headers.has('authorization') && !headers.has('x-clickhouse-key')) headers.set('x-clickhouse-key', keyOf(url)['x-clickhouse-key']);
  const response = await fetch(target, { method: 'POST', body: statement, ...init, headers });
  return { status: response.status, text: await response.text(), headers: response.headers };
}
