import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MUTATIONS, type Mutation } from './mutations.ts';

const HELP = `npm run torture:mutations -- [--minutes n] [--seed n] [--only word]

Breaks one promise at a time on purpose, in a copy of the source, and runs torture against it: a run that does not notice
proves nothing. First the same run with nothing broken. Default: the two minutes, seed 1, that the checks run.

Exit code 0: the sound server passed and every broken one was caught.
`;

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const COPIED = ['src', 'codecs', 'bench', 'bin', 'package.json', 'tsconfig.json'];

interface Result {
  readonly code: number | null;
  readonly said: string;
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) process.stdout.write(HELP);
else process.exitCode = await prove();

async function prove(): Promise<number> {
  const command = `npm run torture -- --minutes ${values.minutes} --seed ${values.seed}`;
  let good = true;
  const report = (name: string, { code, said }: Result, expected: number): void => {
    const as = code === expected ? (expected === 0 ? 'passed' : 'caught') : expected === 0 ? 'FAILED' : 'NOT CAUGHT';
    good &&= code === expected;
    process.stdout.write(`${name.padEnd(50)}${as.padEnd(12)}${command}: ${said}\n`);
  };
  if (values.only === '') report('nothing broken', await run(undefined), 0);
  for (const mutation of MUTATIONS.filter(({ name }) => name.includes(values.only)))
    report(`${mutation.name} (promise ${mutation.promise})`, await run(mutation), 1);
  return good ? 0 : 1;
}

async function run(mutation: Mutation | undefined): Promise<Result> {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-mutation-'));
  try {
    for (const name of COPIED) cpSync(join(ROOT, name), join(directory, name), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
    for (const { file, find, put } of mutation?.edits ?? []) {
      const path = join(directory, file);
      const source = readFileSync(path, 'utf8');
      if (source.split(find).length !== 2) throw new Error(`${file} does not hold once what "${mutation?.name}" replaces`);
      writeFileSync(
        path,
        source.replace(find, () => put),
      );
    }
    return await torture(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
  }
}

function torture(directory: string): Promise<Result> {
  const args = ['bench/torture/run.ts', '--minutes', values.minutes, '--seed', values.seed, '--json'];
  const child = spawn(process.execPath, args, { cwd: directory, stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, said: summary(output) })));
}

function summary(output: string): string {
  try {
    const { verdict, broken, unacknowledged } = JSON.parse(output);
    const { acknowledged, lostInTable, lostInStream, extraInTable, twiceInStream, extraInStream, outOfOrder } = verdict;
    const numbers = `acknowledged ${acknowledged}, lost ${lostInTable} in ClickHouse and ${lostInStream} in Redis, extra rows ${extraInTable}, entries twice ${twiceInStream}, extra ${extraInStream}, out of order ${outOfOrder}, never acknowledged ${unacknowledged}`;
    return broken.length === 0 ? numbers : `${broken.join('; ')} (${numbers})`;
  } catch {
    return 'the run gave no result';
  }
}
