import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchCodecs, codecTable } from './codec.ts';
import { HERE } from './load/server.ts';
import { compare, comparison, OTHERS_CORES, type ResultFile, type Row, tableOf } from './report.ts';
import { deviceProcesses, Rig } from './rig.ts';
import { API } from './scenarios/api.ts';
import { DELIVERED } from './scenarios/delivered.ts';
import { IDLE } from './scenarios/idle.ts';
import { LOOKING } from './scenarios/looking.ts';
import { PAGE } from './scenarios/page.ts';
import type { Figure, Scenario } from './scenarios/scenario.ts';
import { WAY_IN } from './scenarios/way-in.ts';

/**
 * `npm run bench`: what the server costs, in processor time, and how soon it answers.
 *
 * 1. Processor time of a process is user and system time from /proc; that of the devices is told apart from the server's.
 * 2. Each scenario runs in several rounds, each on a new server; the rounds of all scenarios alternate, and those of two
 *    revisions alternate too. A figure is the median of its rounds, beside the lowest and the highest.
 * 3. A figure is marked when other programs used the machine meanwhile.
 * 4. Goals are printed beside, not enforced. A comparison fails when a figure with a goal is worse beyond doubt.
 */
const SCENARIOS: readonly Scenario[] = [...WAY_IN, ...DELIVERED, ...IDLE, ...API, ...LOOKING, ...PAGE];
/** What a comparison measures when nothing is named. */
const COMPARED = ['way-in-1', 'way-in-10', 'moderate', 'delivered-1', 'delivered-10'];

const HELP = `npm run bench -- [codec] [options]

  codec               only the codecs, by kind of message: frames and records per second on one thread
  --full              all scenarios (default: those marked + below)
  --scenario <names>  only these, with commas between
  --rounds <n>        rounds of each scenario (default 3; 10 pairs with --compare)
  --compare <rev>     measures a git revision and this checkout alternately; exit code 1 when this one is worse
  --quick             one short round each: shows that everything works, not how fast it is
  --out <file>        writes the results as JSON, for bench/report.ts; with --compare also <file>.before
  --processes <n>     device processes (default: processors - 1, at most 4)

${SCENARIOS.map(({ name, about, full }) => `  ${full ? ' ' : '+'} ${name.padEnd(16)} ${about}`).join('\n')}
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    full: { type: 'boolean', default: false },
    scenario: { type: 'string' },
    rounds: { type: 'string' },
    compare: { type: 'string' },
    quick: { type: 'boolean', default: false },
    out: { type: 'string' },
    processes: { type: 'string', default: String(deviceProcesses()) },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) process.stdout.write(HELP);
else if (positionals[0] === 'codec') process.stdout.write(codecTable(benchCodecs(values.quick ? 0.3 : 2)));
else process.exitCode = await bench();

type Scale = ConstructorParameters<typeof Rig>[0];

/** A revision under test, and what its rounds gave. */
interface Revision {
  readonly checkout: string;
  readonly commit: string;
  readonly rows: Map<string, Row>;
}

async function bench(): Promise<number> {
  const processes = Number(values.processes);
  const scenarios = chosen();
  if (scenarios === undefined || !(processes >= 1)) {
    process.stderr.write(HELP);
    return 64;
  }
  const rounds = Number(values.rounds ?? (values.quick ? 1 : values.compare === undefined ? 3 : 10));
  const scale = { time: values.quick ? 0.2 : 1, processes };
  const began = { began: new Date().toISOString(), loadAverage: loadavg()[0] ?? 0 };
  const here: Revision = { checkout: HERE, commit: commitOf(HERE), rows: new Map() };
  const there = values.compare === undefined ? undefined : checkOut(values.compare);
  const revisions = there === undefined ? [here] : [there, here];
  try {
    for (let round = 1; round <= rounds; round++) await measureAll(round, rounds, scenarios, revisions, scale);
  } finally {
    if (there !== undefined) remove(there);
  }
  return report(here, there, began);
}

/** The first of a pair meets another machine than the second: they take turns. */
async function measureAll(
  round: number,
  rounds: number,
  scenarios: readonly Scenario[],
  revisions: readonly Revision[],
  scale: Scale,
): Promise<void> {
  for (const scenario of scenarios)
    for (const revision of round % 2 === 1 ? revisions : revisions.toReversed()) {
      say(`round ${round} of ${rounds}, ${scenario.name}${revisions.length === 1 ? '' : `, ${revision.commit}`}`);
      await measure(revision, scenario, scale);
    }
}

async function measure(revision: Revision, scenario: Scenario, scale: Scale): Promise<void> {
  const rig = new Rig(scale, revision.checkout);
  try {
    const figures = await scenario.run(rig);
    if (rig.othersCores > OTHERS_CORES) say(`  other programs used ${rig.othersCores.toFixed(2)} cores meanwhile`);
    for (const figure of figures) add(revision, scenario, figure, rig.othersCores);
  } finally {
    await rig.close();
  }
}

function chosen(): readonly Scenario[] | undefined {
  const names = values.scenario?.split(',') ?? (values.compare === undefined ? undefined : COMPARED);
  if (names === undefined) return SCENARIOS.filter(({ full }) => values.full || !full);
  const found = names.map((name) => SCENARIOS.find((scenario) => scenario.name === name));
  const missing = names.filter((_, k) => found[k] === undefined);
  if (missing.length > 0) process.stderr.write(`no such scenario: ${missing.join(', ')}\n\n`);
  return missing.length > 0 ? undefined : found.flatMap((scenario) => scenario ?? []);
}

function add({ rows }: Revision, scenario: Scenario, { value, ...figure }: Figure, othersCores: number): void {
  const row = rows.get(figure.name);
  rows.set(figure.name, {
    ...figure,
    scenario: scenario.name,
    values: [...(row?.values ?? []), value],
    othersCores: [...(row?.othersCores ?? []), othersCores],
  });
  say(`  ${figure.name}: ${Number(value.toPrecision(3))} ${figure.unit}`);
}

function report(here: Revision, there: Revision | undefined, began: Pick<ResultFile, 'began' | 'loadAverage'>): number {
  const after = resultFile(here, began);
  if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(after, undefined, 2)}\n`);
  if (there === undefined) {
    process.stdout.write(`\n${tableOf(after)}`);
    return 0;
  }
  const before = resultFile(there, began);
  if (values.out !== undefined) writeFileSync(`${values.out}.before`, `${JSON.stringify(before, undefined, 2)}\n`);
  process.stdout.write(`\n${comparison(before, after)}`);
  return compare(before, after).some(({ worse }) => worse) ? 1 : 0;
}

function resultFile({ commit, rows }: Revision, began: Pick<ResultFile, 'began' | 'loadAverage'>): ResultFile {
  const [cpu] = cpus();
  return {
    commit,
    node: process.versions.node,
    machine: `${availableParallelism()} × ${cpu?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`,
    ...began,
    quick: values.quick,
    rows: [...rows.values()],
  };
}

/** Another revision in a directory of its own, with the packages that it wants. */
function checkOut(revision: string): Revision {
  const checkout = mkdtempSync(join(tmpdir(), 'fixgate-revision-'));
  git(HERE, 'worktree', 'add', '--force', '--detach', checkout, revision);
  const lock = (root: string): string => readFileSync(join(root, 'package-lock.json'), 'utf8');
  if (lock(checkout) === lock(HERE) && existsSync(join(HERE, 'node_modules')))
    symlinkSync(join(HERE, 'node_modules'), join(checkout, 'node_modules'));
  else execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: checkout, stdio: ['ignore', 'ignore', 'inherit'] });
  return { checkout, commit: commitOf(checkout), rows: new Map() };
}

function remove({ checkout }: Revision): void {
  rmSync(checkout, { recursive: true, force: true });
  git(HERE, 'worktree', 'prune');
}

function commitOf(checkout: string): string {
  const head = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', cwd: checkout });
  const changed = spawnSync('git', ['status', '--porcelain', '--untracked-files=no'], { encoding: 'utf8', cwd: checkout });
  return head.status === 0 ? `${head.stdout.trim()}${changed.stdout.trim() === '' ? '' : ' with changes'}` : 'unknown';
}

function git(cwd: string, ...args: string[]): void {
  execFileSync('git', args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
