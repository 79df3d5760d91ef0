import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { wait } from './load/server.ts';
import { type Role, rolesOf } from './machine.ts';
import { Rig } from './rig.ts';

/**
 * `npm run soak`: a server with both stores under a steady load, for long. Memory and descriptors of each of its processes are read every
 * few seconds; in the last third they may not be above what they were in the third before.
 */
const HELP = `npm run soak -- [--minutes 30] [--rate 500]

  --minutes <n>   how long, default 30
  --rate <n>      records per second, default 500

Exit code 1 when the memory of a process in the last third rises above 1.05 times its highest in the second third,
when its descriptors differ by more than 10, or when a record was lost or doubled.
`;
const SAMPLE_MS = 5000;
const RECORDS = 10;
const DEVICES = 200;
const ATTRIBUTES = 14;
const GROWTH = 1.05;
const DESCRIPTORS = 10;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string', default: '500' },
    help: { type: 'boolean', default: false },
  },
});
const runMs = 60_000 * Number(values.minutes);
const rate = Number(values.rate) / RECORDS;

interface Sample {
  readonly at: number;
  /** Of the processes of each role, the largest. */
  readonly memory: ReadonlyMap<Role, number>;
  readonly descriptors: ReadonlyMap<Role, number>;
}

if (values.help || !(runMs > 0) || !(rate > 0)) process.stdout.write(HELP);
else process.exitCode = await soak();

async function soak(): Promise<number> {
  const rig = new Rig({ time: 1, processes: 1 });
  try {
    // Segments as on a server that has run for days: they are closed, kept for a while and removed.
    const journal = { keepMs: 60_000, segmentAgeMs: 60_000 };
    const subject = await rig.serve('both', { FIXGATE_WORKERS: '2' }, { journal, redis: { maxLength: 50_000 } });
    const fleet = await rig.fleet({ port: subject.port, devices: DEVICES, records: RECORDS, attributes: ATTRIBUTES });
    const samples: Sample[] = [];
    const began = performance.now();
    let over = false;
    const running = fleet.run(rate, runMs).finally(() => {
      over = true;
    });
    for (let next = SAMPLE_MS; !over; next += SAMPLE_MS) {
      await wait(Math.max(0, began + next - performance.now()));
      samples.push(sample(subject.server.pid, performance.now() - began));
      if (next % 60_000 === 0) say(samples);
    }
    const result = await running;
    await rig.drained(subject);
    const lost = result.records - (subject.redis?.added() ?? 0);
    await fleet.close();
    process.stdout.write(`${result.records} records acknowledged, ${lost} not in the stream, ${result.unsent} packets not sent in time\n`);
    return verdict(samples) && lost === 0 ? 0 : 1;
  } finally {
    await rig.close();
  }
}

function sample(server: number, at: number): Sample {
  const memory = new Map<Role, number>();
  const descriptors = new Map<Role, number>();
  for (const [pid, role] of rolesOf(new Map([[server, 'supervisor']]))) {
    const resident = 4096 * Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
    memory.set(role, Math.max(memory.get(role) ?? 0, resident));
    descriptors.set(role, Math.max(descriptors.get(role) ?? 0, readdirSync(`/proc/${pid}/fd`).length));
  }
  return { at, memory, descriptors };
}

function say(samples: readonly Sample[]): void {
  const last = samples.at(-1);
  if (last === undefined) return;
  const roles = [...last.memory].map(([role, bytes]) => `${role} ${megabytes(bytes)} MB, ${last.descriptors.get(role)} descriptors`);
  process.stderr.write(`${Math.round(last.at / 60_000)} min: ${roles.join('; ')}\n`);
}

/** Prints a row for each role; true when none has grown. */
function verdict(samples: readonly Sample[]): boolean {
  const third = (n: number): Sample[] => samples.filter(({ at }) => at >= (n * runMs) / 3 && at < ((n + 1) * runMs) / 3);
  const [middle, last] = [third(1), third(2)];
  let flat = true;
  for (const role of samples.at(-1)?.memory.keys() ?? []) {
    const highest = (some: readonly Sample[], what: 'memory' | 'descriptors'): number =>
      Math.max(...some.map((one) => one[what].get(role) ?? 0));
    const growth = highest(last, 'memory') / highest(middle, 'memory');
    const more = highest(last, 'descriptors') - highest(middle, 'descriptors');
    const fine = growth <= GROWTH && Math.abs(more) <= DESCRIPTORS;
    flat &&= fine;
    const memory = `${megabytes(highest(middle, 'memory'))} → ${megabytes(highest(last, 'memory'))} MB (× ${growth.toFixed(3)})`;
    const descriptors = `${highest(middle, 'descriptors')} → ${highest(last, 'descriptors')} descriptors`;
    process.stdout.write(`${role.padEnd(11)} ${memory}, ${descriptors}${fine ? '' : '  GROWS'}\n`);
  }
  return flat;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
