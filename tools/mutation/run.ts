import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '../../src/simulate/random.ts';

/**
 * Do the tests notice when the code changes? `npm run mutation -- [--mutants 600] [--seed 1] [--rooms src/journal,codecs/h02] [--minutes 60]`
 *
 * Takes a seeded sample of all mutants that Stryker knows of the core, and has Stryker run against each those tests that run the core in
 * their own process, which is where a mutant is active: the unit project, and what needs a real store beside it. What survives is in
 * `reports/mutation/survivors.txt`, by place; the last lines are the score of each room. A run that is ended before, by its minutes or by
 * the keyboard, tells both of the mutants that it has judged.
 */
const ROOT = join(import.meta.dirname, '../..');
/** Where its own packages are installed: too many for everyone who installs the project. They find vitest above them. */
const TOOLS = join(ROOT, 'node_modules/.cache/mutation');
const REPORTS = join(ROOT, 'reports/mutation');
const TOLD = join(REPORTS, 'told.jsonl');
const SANDBOX = join(ROOT, '.mutation');

/** The core: what decides about data. Not command lines, role programs, or tables of a codec. */
const CORE = [
  'src/base/**/*.ts',
  'src/codec/*.ts',
  'src/journal/*.ts',
  'src/state/*.ts',
  'src/fleet/**/*.ts',
  'src/in/**/*.ts',
  'src/out/**/*.ts',
  'codecs/*/*.ts',
];
/** Such a large piece of code that its removal says little. */
const MOST_WITHIN = 3;

interface Point {
  readonly line: number;
  readonly column: number;
}

interface Mutant {
  readonly fileName: string;
  readonly location: { readonly start: Point; readonly end: Point };
}

interface Options {
  readonly mutants: number;
  readonly seed: number;
  readonly rooms: readonly string[];
  readonly minutes: number;
}

const HELP = `npm run mutation -- [options]

  --mutants <n>      how many, picked at random over the core (default 600)
  --seed <n>         another choice (default 1)
  --rooms <a,b>      only files whose path begins with one of these, as src/journal
  --minutes <n>      end the run after this time (default: when all are judged)
`;

function optionsOf(): Options {
  const { values } = parseArgs({
    options: {
      mutants: { type: 'string' },
      seed: { type: 'string' },
      rooms: { type: 'string' },
      minutes: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  return {
    mutants: Number(values.mutants ?? 600),
    seed: Number(values.seed ?? 1),
    rooms: values.rooms?.split(',') ?? [''],
    // As long as a timer can be.
    minutes: Math.min(Number(values.minutes ?? Number.POSITIVE_INFINITY), 30_000),
  };
}

function install(): void {
  if (existsSync(join(TOOLS, 'node_modules/@stryker-mutator/core'))) return;
  mkdirSync(TOOLS, { recursive: true });
  for (const name of ['package.json', 'package-lock.json']) cpSync(join(import.meta.dirname, name), join(TOOLS, name));
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--legacy-peer-deps'], { cwd: TOOLS, stdio: 'inherit' });
  if (status !== 0) throw new Error('the packages of tools/mutation could not be installed');
}

async function allMutants(rooms: readonly string[]): Promise<readonly Mutant[]> {
  const { Instrumenter } = await import(join(TOOLS, 'node_modules/@stryker-mutator/instrumenter/dist/src/index.js'));
  const quiet = { isDebugEnabled: () => false, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const files = CORE.flatMap((pattern) => globSync(pattern, { cwd: ROOT }))
    .filter((name) => rooms.some((room) => name.startsWith(room)))
    .sort();
  const found = await new Instrumenter(quiet).instrument(
    files.map((name) => ({ name: join(ROOT, name), mutate: true, content: readFileSync(join(ROOT, name), 'utf8') })),
    { plugins: null, excludedMutations: ['StringLiteral'], ignorers: [] },
  );
  return found.mutants;
}

function contains(outer: Mutant, inner: Mutant): boolean {
  const from = (a: Point, b: Point): boolean => a.line < b.line || (a.line === b.line && a.column <= b.column);
  return from(outer.location.start, inner.location.start) && from(inner.location.end, outer.location.end);
}

/** Ranges as Stryker takes them, lines from 1 and columns from 0; it tells lines from 0. A range brings all mutants within it. */
function sampleOf(all: readonly Mutant[], { mutants: wanted, seed }: Options): string[] {
  const random = new Random(seed);
  const byFile = Map.groupBy(all, ({ fileName }) => fileName);
  const taken = new Set<string>();
  const left = [...all];
  let count = 0;
  while (count < wanted && left.length > 0) {
    const [picked] = left.splice(random.int(left.length), 1);
    if (picked === undefined) break;
    const within = (byFile.get(picked.fileName) ?? []).filter((other) => contains(picked, other)).length;
    const { start, end } = picked.location;
    const range = `${relative(ROOT, picked.fileName)}:${start.line + 1}:${start.column}-${end.line + 1}:${end.column}`;
    if (within > MOST_WITHIN || taken.has(range)) continue;
    taken.add(range);
    count += within;
  }
  return [...taken];
}

function settingsOf(mutate: readonly string[]): object {
  return {
    testRunner: 'vitest',
    tsconfigFile: 'none',
    plugins: [join(TOOLS, 'node_modules/@stryker-mutator/vitest-runner/dist/src/index.js'), join(import.meta.dirname, 'told.ts')],
    vitest: { configFile: 'tools/mutation/vitest.config.ts', related: false },
    mutate,
    mutator: { excludedMutations: ['StringLiteral'] },
    disableTypeChecks: false,
    ignoreStatic: true,
    coverageAnalysis: 'perTest',
    // The tests wait more than they compute.
    concurrency: 4,
    timeoutMS: 20_000,
    dryRunTimeoutMinutes: 60,
    tempDirName: relative(ROOT, SANDBOX),
    ignorePatterns: ['data', 'dist', 'reports'],
    reporters: ['told', 'progress-append-only'],
    allowEmpty: false,
  };
}

interface Verdict extends Mutant {
  readonly status: string;
  readonly mutatorName: string;
  readonly replacement?: string;
}

function report(): void {
  const lines = existsSync(TOLD) ? readFileSync(TOLD, 'utf8').split('\n') : [];
  const verdicts = lines.filter((line) => line !== '').map((line): Verdict => JSON.parse(line));
  const rooms = new Map<string, { killed: number; survived: number }>();
  const survivors: string[] = [];
  for (const { fileName, status, mutatorName, replacement, location } of verdicts) {
    const file = relative(ROOT, fileName);
    const room = file.split('/').slice(0, 2).join('/');
    const score = rooms.get(room) ?? { killed: 0, survived: 0 };
    rooms.set(room, score);
    if (status === 'Killed' || status === 'Timeout') score.killed++;
    if (status !== 'Survived' && status !== 'NoCoverage') continue;
    score.survived++;
    survivors.push(`${file}:${location.start.line}:${location.start.column} ${status} ${mutatorName} ${JSON.stringify(replacement)}`);
  }
  writeFileSync(join(REPORTS, 'survivors.txt'), `${survivors.sort().join('\n')}\n`);
  let [killed, all] = [0, 0];
  for (const [room, score] of [...rooms].sort()) {
    const both = score.killed + score.survived;
    if (both === 0) continue;
    killed += score.killed;
    all += both;
    process.stdout.write(`${room.padEnd(24)} ${score.killed} of ${both} killed, ${Math.round((100 * score.killed) / both)} %\n`);
  }
  if (all > 0) process.stdout.write(`${'all'.padEnd(24)} ${killed} of ${all} killed, ${Math.round((100 * killed) / all)} %\n`);
}

const options = optionsOf();
install();
mkdirSync(REPORTS, { recursive: true });
rmSync(SANDBOX, { recursive: true, force: true });
mkdirSync(SANDBOX);
// The tests look for frames beside the checkout; the copies that Stryker makes lie one level deeper.
const beside = join(ROOT, '../shared');
if (existsSync(beside)) symlinkSync(beside, join(SANDBOX, 'shared'));
const mutants = await allMutants(options.rooms);
const ranges = sampleOf(mutants, options);
process.stdout.write(`${mutants.length} mutants in the core, ${ranges.length} places taken, seed ${options.seed}\n`);
const settings = join(SANDBOX, 'stryker.json');
writeFileSync(settings, JSON.stringify(settingsOf(ranges)));
rmSync(TOLD, { force: true });
const running = spawn('node', [join(TOOLS, 'node_modules/@stryker-mutator/core/bin/stryker.js'), 'run', settings], {
  cwd: ROOT,
  stdio: 'inherit',
  env: { ...process.env, MUTANTS_TOLD: TOLD },
  detached: true,
});
let ended = false;
/** With all of its processes. */
function cut(): void {
  ended = true;
  if (running.pid !== undefined) process.kill(-running.pid, 'SIGKILL');
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, cut);
const timer = setTimeout(cut, options.minutes * 60_000);
const [status]: unknown[] = await once(running, 'exit');
clearTimeout(timer);
rmSync(SANDBOX, { recursive: true, force: true });
if (ended) process.stdout.write('ended before all mutants were judged\n');
if (ended || status === 0) report();
process.exitCode = status === 0 || ended ? 0 : 1;
