import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isAlive, processOf } from '../../../src/base/lock/process.ts';
import { eventually } from '../../support/wait.ts';

const SRC = join(import.meta.dirname, '../../../src');

function script(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-ends-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'script.mjs');
  writeFileSync(path, text);
  return path;
}

describe('a child with exit handlers that hang, as those of a native library may', () => {
  /** A child process of the server without a role. */
  function child(more: string): ChildProcess {
    const path = script(`
      import { runChild } from ${JSON.stringify(join(SRC, 'cluster/child-process.ts'))};
      process.on('exit', () => { for (;;); });
      runChild(() => new Promise(() => {}));
      ${more}
    `);
    const started = fork(path, [], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    onTestFinished(() => void started.kill('SIGKILL'));
    return started;
  }

  it('ends when its parent is gone', async () => {
    const started = child(`process.send('up');`);
    await once(started, 'message');
    started.disconnect();
    expect(await once(started, 'exit')).toEqual([null, 'SIGKILL']);
  });

  it('ends when nothing catches an error, and says which', async () => {
    const started = child(`setImmediate(() => { throw new Error('out of order'); });`);
    const ended = once(started, 'exit');
    const [message] = await once(started, 'message');
    expect(message).toMatchObject({ type: 'failed', message: 'out of order' });
    expect(await ended).toEqual([null, 'SIGKILL']);
  });
});

describe('the watchdog', () => {
  /** A supervisor with two children, of which it has forgotten one. */
  const SUPERVISOR = `
    import { spawn } from 'node:child_process';
    import { Watchdog } from ${JSON.stringify(join(SRC, 'cluster/watchdog.ts'))};
    const watchdog = new Watchdog(100);
    const [watched, forgotten] = [1, 2].map(() => spawn('sleep', ['300'], { stdio: 'ignore' }).pid);
    watchdog.watch(watched);
    watchdog.watch(forgotten);
    watchdog.forget(forgotten);
    console.log(JSON.stringify({ watched, forgotten }));
    setInterval(() => {}, 1000);
  `;

  it('kills the children of a supervisor that was killed, a stopped one too, and nothing else', async () => {
    const supervisor = spawn(process.execPath, [script(SUPERVISOR)], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void supervisor.kill('SIGKILL'));
    const [line] = await once(createInterface({ input: supervisor.stdout }), 'line');
    const { watched, forgotten } = JSON.parse(String(line));
    const [one, other] = [processOf(watched), processOf(forgotten)];
    onTestFinished(() => void process.kill(other.pid, 'SIGKILL'));
    process.kill(one.pid, 'SIGSTOP');
    supervisor.kill('SIGKILL');
    await eventually(() => expect(isAlive(one)).toBe(false));
    expect(isAlive(other)).toBe(true);
  });

  it('does not hold the state store, also when it is started again while that is open', async () => {
    const path = script(`
      import { spawn } from 'node:child_process';
      import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
      import { open } from ${JSON.stringify(import.meta.resolve('lmdb'))};
      import { Watchdog } from ${JSON.stringify(join(SRC, 'cluster/watchdog.ts'))};
      open({ path: process.argv[2] });
      new Watchdog(100);
      const children = readdirSync('/proc').filter((pid) => {
        try {
          const stat = readFileSync('/proc/' + pid + '/stat', 'latin1');
          return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === process.pid;
        } catch {
          return false;
        }
      });
      console.log(JSON.stringify(children));
      setInterval(() => {}, 1000);
    `);
    const store = mkdtempSync(join(tmpdir(), 'fixgate-watched-'));
    onTestFinished(() => rmSync(store, { recursive: true }));
    const supervisor = spawn(process.execPath, [path, store], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void supervisor.kill('SIGKILL'));
    const [line] = await once(createInterface({ input: supervisor.stdout }), 'line');
    const [watchdog = ''] = JSON.parse(String(line));
    const held = (pid: string | number): string[] =>
      readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
        const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
        return target.startsWith(store) ? [target] : [];
      });
    expect(held(supervisor.pid ?? 0)).not.toEqual([]);
    await eventually(() => expect(held(watchdog)).toEqual([]));
  });
});
