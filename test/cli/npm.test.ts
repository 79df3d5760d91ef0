import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';

const NPM = join(import.meta.dirname, '../../src/cli/npm.ts');

/** What a server does about npm, without the server: prints how many processes it watches, its pid, and that npm has ended. */
function script(): string {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-npm-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'watching.mjs');
  writeFileSync(
    path,
    `import { startedByNpm, whenEnded } from ${JSON.stringify(NPM)};
     const watched = startedByNpm(process.env);
     console.log(JSON.stringify({ watched: watched.length, pid: process.pid }));
     const timer = setInterval(() => {}, 1000);
     whenEnded(watched, () => { console.log('{"ended":true}'); clearInterval(timer); });`,
  );
  return path;
}

interface Started {
  readonly child: ChildProcess;
  next(): Promise<{ watched?: number; pid?: number; ended?: boolean }>;
}

function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = { PATH: process.env['PATH'] }): Started {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    async next() {
      for (;;) {
        const { value } = await lines.next();
        // npm says what it runs, too.
        if (String(value).startsWith('{')) return JSON.parse(String(value));
      }
    },
  };
}

/** A variable that a script of npm leaves to everything that it starts. */
const INHERITED = { PATH: process.env['PATH'], npm_command: 'run', npm_execpath: '/nowhere/npm-cli.js' };

it.each([
  ['npx', ['npx', '-c']],
  ['npm exec', ['npm', 'exec', '-c']],
])('a server that %s has started ends when that ends', async (_, [command = '', ...args]) => {
  const started = start(command, [...args, `"${process.execPath}" "${script()}"`]);
  expect((await started.next()).watched).toBeGreaterThan(0);
  started.child.kill('SIGTERM');
  expect(await started.next()).toEqual({ ended: true });
});

it('a server whose npm was killed ends, too', async () => {
  const started = start('npx', ['-c', `"${process.execPath}" "${script()}"; echo over`]);
  expect((await started.next()).watched).toBe(2);
  started.child.kill('SIGKILL');
  expect(await started.next()).toEqual({ ended: true });
});

describe('a server goes on when what has started it ends', () => {
  async function staysAfter(command: string, args: readonly string[]): Promise<void> {
    const started = start(command, args, INHERITED);
    const { watched, pid = 0 } = await started.next();
    onTestFinished(() => void process.kill(pid, 'SIGKILL'));
    expect(watched).toBe(0);
    if (started.child.exitCode === null) await once(started.child, 'exit');
    process.kill(pid, 0);
  }

  it('a shell', () => staysAfter('sh', ['-c', `"${process.execPath}" "${script()}" &`]));
  it('a shell with -c that does nothing else', () => staysAfter('sh', ['-c', `sh -c '"${process.execPath}" "${script()}" &'`]));
  it('nohup', () => staysAfter('sh', ['-c', `nohup "${process.execPath}" "${script()}" &`]));
  it('setsid', () => staysAfter('setsid', ['--fork', process.execPath, script()]));
});

describe('a server watches nothing', () => {
  async function watchesNothing(command: string, args: readonly string[]): Promise<void> {
    expect((await start(command, args, INHERITED).next()).watched).toBe(0);
  }
  const space = ['--map-root-user', '--pid', '--fork', '--mount-proc', '--kill-child'];

  // The shell is the first process of its own space, as systemd is of the machine, and an init of a container.
  it('below a service manager', () => watchesNothing('unshare', [...space, 'sh', '-c', `"${process.execPath}" "${script()}" & wait`]));
  it('as the only process of a container', () => watchesNothing('unshare', [...space, process.execPath, script()]));
  it('below a shell that npm has started, and a person works in', async () => {
    const inner = script();
    const path = `${inner}.sh`;
    writeFileSync(path, `"${process.execPath}" "${inner}" & wait\n`);
    const { watched, pid = 0 } = await start('npx', ['-c', `sh "${path}"`]).next();
    onTestFinished(() => void process.kill(pid, 'SIGKILL'));
    expect(watched).toBe(0);
  });
});
