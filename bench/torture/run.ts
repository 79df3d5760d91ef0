import { parseArgs } from 'node:util';
import { systemClock } from '../../src/base/clock.ts';
import { messageOf } from '../../src/base/errors.ts';
import type { Fleet } from '../../src/simulate/fleet.ts';
import { Random } from '../../src/simulate/random.ts';
import { FAULTS } from './faults.ts';
import { Memory } from './memory.ts';
import { type Happened, type Outcome, print } from './report.ts';
import { Rig } from './rig.ts';
import { CALM_MS, type Planned, schedule } from './schedule.ts';
import { wait } from './server.ts';
import { judge } from './verdict.ts';
import { AFTER_MS, Watch } from './watch.ts';

const HELP = `npm run torture -- [options]

Simulated devices of every protocol talk to a whole server with real Redis and ClickHouse while one fault after another
is done to it. At the end everything that was acknowledged must be in both stores, once, and in order.

  --minutes <n>    length of the run, default 5; the longer, the longer each fault lasts and the more often it comes
  --seed <n>       another order of faults and other devices, default 1
  --devices <n>    default 60
  --interval <ms>  between a device's reports, default 1000
  --faults <list>  only those whose name contains one of these words (with commas)
  --keep           leave the directory with data, stores and log
  --json           the result as one JSON line

Exit code 0: every promise was kept. 1: one was not. docs/durability.md explains.
`;

/** After the last fault: for devices to get rid of what they hold, and for the sinks to catch up. */
const GRACE_MS = 90_000;
/** A device's patience. */
const TIMEOUT_MS = 3000;
const SETTLE_MS = 120_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
    devices: { type: 'string', default: '60' },
    interval: { type: 'string', default: '1000' },
    faults: { type: 'string', default: '' },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) process.stdout.write(HELP);
else process.exitCode = await torture();

async function torture(): Promise<number> {
  const seed = Number(values.seed);
  const lengthMs = Number(values.minutes) * 60_000;
  const wanted = values.faults.split(',').filter((word) => word !== '');
  const faults = FAULTS.filter(({ name }) => wanted.length === 0 || wanted.some((word) => name.includes(word)));
  const plan = schedule(faults, lengthMs, seed);
  const say = (text: string): void => void (values.json ? process.stderr : process.stdout).write(`${text}\n`);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130));

  const rig = await Rig.start(seed, values.keep);
  say(`server, stores and log in ${rig.directory}`);
  say(`seed ${seed}, ${plan.length} faults in ${values.minutes} minutes:`);
  for (const { fault, atMs, lastsMs } of plan)
    say(`  ${clock(atMs)}  ${fault.name}${lastsMs > 0 ? `, ${(lastsMs / 1000).toFixed(1)} s` : ''}`);
  const fleet = rig.fleet({ devices: Number(values.devices), intervalMs: Number(values.interval), timeoutMs: TIMEOUT_MS, seed }, GRACE_MS);
  const running = fleet.run();
  const memory = new Memory(rig.server);
  const begun = systemClock.elapsed();
  const watch = new Watch(() => heard(fleet));
  await wait(CALM_MS);
  memory.baseline();
  const happened = await Promise.all(
    (['server', 'stores'] as const).map((side) =>
      hurt(
        rig,
        plan.filter(({ fault }) => fault.side === side),
        watch,
        begun,
        lengthMs,
        say,
      ),
    ),
  );
  await wait(Math.max(0, begun + lengthMs - systemClock.elapsed()));
  say(`${clock(systemClock.elapsed() - begun)}  no more faults: the devices finish`);
  fleet.finish();
  await running;
  watch.close();
  const settled = await rig.settled(SETTLE_MS);
  const total = fleet.total();
  const outcome: Outcome = {
    seed,
    minutes: Number(values.minutes),
    happened: happened.flat().sort((a, b) => a.atMs - b.atMs),
    verdict: judge(rig.ledger(), await rig.stored()),
    sent: total.sent,
    unacknowledged: total.sent - total.acknowledged,
    resent: total.resent,
    stored: total.stored,
    wrongAnswers: total.wrongAnswers,
    wrong: fleet.wrong,
    settled,
    surprises: rig.server.surprises,
    memory: await memory.result(),
    exitCode: await rig.close(),
  };
  return print(outcome, values.json) ? 0 : 1;
}

/**
 * Does what is planned on one side, one after another. On a busy machine it takes longer than planned: then every fault
 * still comes once, and what would come again is left out when the time is over.
 */
async function hurt(
  rig: Rig,
  plan: readonly Planned[],
  watch: Watch,
  begun: number,
  lengthMs: number,
  say: (text: string) => void,
): Promise<Happened[]> {
  const happened: Happened[] = [];
  for (const { fault, atMs, lastsMs } of plan) {
    await wait(Math.max(0, begun + atMs - systemClock.elapsed()));
    const at = systemClock.elapsed() - begun;
    if (at > lengthMs - CALM_MS && happened.some((one) => one.fault === fault.name)) continue;
    const unsupported = fault.unsupported?.(rig) ?? '';
    if (unsupported !== '') {
      say(`${clock(at)}  ${fault.name}: not supported, ${unsupported}`);
      happened.push({ fault: fault.name, atMs: at, lastedMs: 0, said: `not supported: ${unsupported}`, failure: '', noticed: undefined });
      continue;
    }
    const account = watch.begin();
    let said = '';
    let failure = '';
    try {
      said = await fault.run(rig, lastsMs, new Random(Math.round(atMs)));
    } catch (error) {
      failure = messageOf(error);
    }
    const lastedMs = systemClock.elapsed() - begun - at;
    account.over();
    await wait(AFTER_MS);
    const noticed = account.close();
    say(`${clock(at)}  ${fault.name}: ${(lastedMs / 1000).toFixed(1)} s, silence ${(noticed.longestSilenceMs / 1000).toFixed(1)} s`);
    happened.push({ fault: fault.name, atMs: at, lastedMs, said, failure, noticed });
  }
  return happened;
}

function heard(fleet: Fleet): { acknowledged: number; reconnects: number } {
  let acknowledged = 0;
  let reconnects = 0;
  for (const tally of fleet.tallies.values()) {
    acknowledged += tally.acknowledged;
    reconnects += tally.reconnects;
  }
  return { acknowledged, reconnects };
}

function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
}
