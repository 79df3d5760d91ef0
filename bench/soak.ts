import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { LoadFleet } from './load/fleet.ts';
import { type Server, SINKS, wait } from './load/server.ts';
import { type Role, rolesOf } from './machine.ts';
import { Rig } from './rig.ts';

/**
 * `npm run soak`: a server with both stores under a steady load, for long. Memory and descriptors of each of its processes are read every
 * few seconds; in the last third they may not be above what they were in the third before.
 *
 * The memory that counts is what the system cannot take back without swapping: anonymous pages and shared memory (`RssAnon` + `RssShmem`
 * of proc(5)). Pages of files (the code of the engine, the state store) are counted in `VmRSS` while the system has no better use for them:
 * their sum is printed beside it, and does not decide.
 *
 * Tables of fixed size are filled before anything is measured: the resend windows of the shipper take their last pages when more than
 * 524 288 records were delivered (src/out/ship/window.ts).
 *
 * The lag of a sink is what is on the disk and not delivered to it, over what comes in a second.
 */
const HELP = `npm run soak -- [--minutes 30] [--rate 500] [--fill 1200000] [--fill-rate 8000]

  --minutes <n>    how long it is measured, default 30
  --rate <n>       records per second meanwhile, default 500
  --fill <n>       records that are sent and delivered before, default 1200000; 0: none
  --fill-rate <n>  records per second of these, default 8000

Exit code 1 when the memory that a process holds (anonymous and shared) rises in the last third above 1.05 times its
highest in the second third, when its descriptors differ by more than 10, when the mean lag of a sink is half a second
longer than in the second third, or when a record was lost or doubled.
`;
const SAMPLE_MS = 5000;
const RECORDS = 10;
const DEVICES = 200;
const ATTRIBUTES = 14;
const GROWTH = 1.05;
const DESCRIPTORS = 10;
const LAG_S = 0.5;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string', default: '500' },
    fill: { type: 'string', default: '1200000' },
    'fill-rate': { type: 'string', default: '8000' },
    help: { type: 'boolean', default: false },
  },
});
const runMs = 60_000 * Number(values.minutes);
/** Packets per second. */
const rate = Number(values.rate) / RECORDS;
const fillRate = Number(values['fill-rate']) / RECORDS;
const fillRecords = Number(values.fill);

interface Sample {
  readonly at: number;
  /** Bytes that cannot be taken back; of the processes of each role, the largest. */
  readonly held: ReadonlyMap<Role, number>;
  /** The same with the pages of files. */
  readonly resident: ReadonlyMap<Role, number>;
  readonly descriptors: ReadonlyMap<Role, number>;
  /** Seconds, by sink. */
  readonly lag: ReadonlyMap<string, number>;
}

if (values.help || !(runMs > 0) || !(rate > 0) || !(fillRate > 0) || !(fillRecords >= 0)) process.stdout.write(HELP);
else process.exitCode = await soak();

async function soak(): Promise<number> {
  const rig = new Rig({ time: 1, processes: 1 });
  try {
    // Segments as on a server that has run for days: they are closed, kept for a while and removed.
    const journal = { keepMs: 60_000, segmentAgeMs: 60_000 };
    const subject = await rig.serve('both', { FIXGATE_WORKERS: '2' }, { journal, redis: { maxLength: 50_000 } });
    const fleet = await rig.fleet({ port: subject.port, devices: DEVICES, records: RECORDS, attributes: ATTRIBUTES });
    const filled = await fill(fleet);
    await rig.drained(subject);
    process.stderr.write(`filled with ${filled} records, all delivered; measured from here\n`);
    const samples: Sample[] = [];
    const began = performance.now();
    let over = false;
    const running = fleet.run(rate, runMs).finally(() => {
      over = true;
    });
    for (let next = SAMPLE_MS; !over; next += SAMPLE_MS) {
      await wait(Math.max(0, began + next - performance.now()));
      samples.push(await sample(subject.server, performance.now() - began));
      if (next % 60_000 === 0) say(samples);
    }
    const result = await running;
    await rig.drained(subject);
    const records = filled + result.records;
    const lost = records - (subject.redis?.added() ?? 0);
    await fleet.close();
    const differ = lost < 0 ? `${-lost} in the stream twice` : `${lost} not in the stream`;
    process.stdout.write(`${records} records acknowledged, ${differ}, ${result.unsent} packets not sent in time\n`);
    return verdict(samples) && lost === 0 ? 0 : 1;
  } finally {
    await rig.close();
  }
}

/** Sends records until so many are acknowledged as are to come before the measurement; returns how many. */
async function fill(fleet: LoadFleet): Promise<number> {
  let sent = 0;
  while (sent < fillRecords) {
    process.stderr.write(`fill: ${sent} of ${fillRecords} records\n`);
    const { records } = await fleet.run(fillRate, (1000 * (fillRecords - sent)) / RECORDS / fillRate + 1000);
    if (records === 0) throw new Error('nothing is acknowledged');
    sent += records;
  }
  return sent;
}

async function sample(server: Server, at: number): Promise<Sample> {
  const [held, resident, descriptors] = [new Map<Role, number>(), new Map<Role, number>(), new Map<Role, number>()];
  for (const [pid, role] of rolesOf(new Map([[server.pid, 'supervisor']]))) {
    const use = useOf(pid);
    if (use === undefined) continue;
    held.set(role, Math.max(held.get(role) ?? 0, use.held));
    resident.set(role, Math.max(resident.get(role) ?? 0, use.resident));
    descriptors.set(role, Math.max(descriptors.get(role) ?? 0, use.descriptors));
  }
  const behind = await Promise.all(SINKS.map((sink) => server.metric('fixgate_sink_undelivered_entries', `sink="${sink}"`)));
  return { at, held, resident, descriptors, lag: new Map(SINKS.map((sink, n) => [sink, (behind[n] ?? 0) / rate])) };
}

/** Bytes and descriptors of a process; undefined when it has ended meanwhile. */
function useOf(pid: number): { held: number; resident: number; descriptors: number } | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const bytes = (name: string): number => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
    const descriptors = readdirSync(`/proc/${pid}/fd`).length;
    return { held: bytes('RssAnon') + bytes('RssShmem'), resident: bytes('VmRSS'), descriptors };
  } catch {
    return undefined;
  }
}

function say(samples: readonly Sample[]): void {
  const last = samples.at(-1);
  if (last === undefined) return;
  const roles = [...last.held].map(([role, bytes]) => {
    const resident = megabytes(last.resident.get(role) ?? 0);
    return `${role} ${megabytes(bytes)} MB (${resident} with files), ${last.descriptors.get(role)} descriptors`;
  });
  const lag = [...last.lag].map(([sink, seconds]) => `${sink} ${seconds.toFixed(2)} s behind`);
  process.stderr.write(`${Math.round(last.at / 60_000)} min: ${[...roles, ...lag].join('; ')}\n`);
}

/** Prints a row for each role; true when none has grown. */
function verdict(samples: readonly Sample[]): boolean {
  const third = (n: number): Sample[] => samples.filter(({ at }) => at >= (n * runMs) / 3 && at < ((n + 1) * runMs) / 3);
  const [middle, last] = [third(1), third(2)];
  let flat = true;
  for (const role of samples.at(-1)?.held.keys() ?? []) {
    const highest = (what: 'held' | 'resident' | 'descriptors'): [number, number] => [
      Math.max(...middle.map((one) => one[what].get(role) ?? 0)),
      Math.max(...last.map((one) => one[what].get(role) ?? 0)),
    ];
    const [held, resident, descriptors] = [highest('held'), highest('resident'), highest('descriptors')];
    const fine = held[1] <= GROWTH * held[0] && Math.abs(descriptors[1] - descriptors[0]) <= DESCRIPTORS;
    flat &&= fine;
    const text = `${grown(held)}, with files ${grown(resident)}, ${descriptors.join(' → ')} descriptors`;
    process.stdout.write(`${role.padEnd(11)} ${text}${fine ? '' : '  GROWS'}\n`);
  }
  for (const sink of SINKS) {
    const [before = 0, after = 0] = [middle, last].map(
      (part) => part.reduce((sum, { lag }) => sum + (lag.get(sink) ?? 0), 0) / part.length,
    );
    const fine = after <= before + LAG_S;
    flat &&= fine;
    process.stdout.write(`${sink.padEnd(12)} ${before.toFixed(2)} → ${after.toFixed(2)} s behind, mean${fine ? '' : '  GROWS'}\n`);
  }
  return flat;
}

function grown([before, after]: readonly [number, number]): string {
  return `${megabytes(before)} → ${megabytes(after)} MB (× ${(after / before).toFixed(3)})`;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
