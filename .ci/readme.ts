import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { blocksOf } from '../tools/docs/code-blocks.ts';

/**
 * Runs the shell commands of README.md as they stand there, in a clean clone: the first starts the server, the ones up
 * to "With real stores" are what a new user types next, and each must print what the text promises. The test command is
 * left to the caller, who has just run it.
 */
const readme = readFileSync('README.md', 'utf8');
const part = readme.slice(0, readme.indexOf('## With real stores'));
const commands = blocksOf('README.md', part).flatMap(({ language, text, noRun }) =>
  language === 'sh' && noRun === undefined ? [text] : [],
);
const EXPECTED: readonly (readonly [string, RegExp])[] = [
  ['nc -q', /01 00 00 00 01/],
  [
    'fixgate sql',
    /device:\s+356307042441013\ntime:\s+2025-06-01 12:00:00.000\nlat:\s+59\.3293\nlon:\s+18\.0686\nspeed_kmh:\s+54\nignition:\s+(1|true)\nexternal_v:\s+13\.8/,
  ],
  ['fixgate decode', /356307042441013/],
];
const START_MS = 240_000;

function shell(command: string, cwd: string): ChildProcess {
  return spawn('bash', ['-c', command], { cwd, detached: true, stdio: ['ignore', 'inherit', 'inherit'] });
}

async function ready(running: ChildProcess): Promise<void> {
  for (const until = Date.now() + START_MS; Date.now() < until; await new Promise((resolve) => setTimeout(resolve, 250))) {
    if (running.exitCode !== null) throw new Error(`"npm ci && npm start" ended with ${running.exitCode}`);
    const answer = await fetch('http://127.0.0.1:8080/readyz').catch(() => undefined);
    if (answer?.ok) return;
  }
  throw new Error('the server was not ready in time');
}

const directory = mkdtempSync(join(tmpdir(), 'fixgate-readme-'));
const clone = join(directory, 'clone');
let server: ChildProcess | undefined;
try {
  if (spawnSync('nc', ['-h']).error !== undefined) spawnSync('apt-get', ['install', '-y', 'netcat-openbsd'], { stdio: 'ignore' });
  spawnSync('git', ['clone', '-q', '.', clone], { stdio: 'inherit' });
  const [start, ...rest] = commands.filter((command) => !command.includes('npm test'));
  if (start === undefined || !start.includes('npm start') || rest.length !== EXPECTED.length)
    throw new Error('README.md does not have the commands that this script knows');
  server = shell(start, clone);
  await ready(server);
  for (const [index, command] of rest.entries()) {
    const [name, expected] = EXPECTED[index] ?? ['', /$^/];
    if (!command.includes(name)) throw new Error(`expected the command with ${name}, found: ${command}`);
    let output = '';
    for (let tries = 0; tries < 10 && !expected.test(output); tries++) {
      if (tries > 0) await new Promise((resolve) => setTimeout(resolve, 500));
      output = spawnSync('bash', ['-c', command], { cwd: clone, encoding: 'utf8' }).stdout;
    }
    if (!expected.test(output)) throw new Error(`${name}: expected ${expected}, got:\n${output}`);
    console.log(`README: ${name} prints what it promises`);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  if (server?.pid !== undefined && server.exitCode === null) {
    const ended = new Promise((resolve) => server?.once('exit', resolve));
    process.kill(-server.pid, 'SIGTERM');
    await ended;
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 });
}
