import { expect } from 'vitest';
import type { Fault } from '../../bench/torture/fault.ts';
import type { Rig } from '../../bench/torture/rig.ts';
import { wait } from '../../bench/torture/server.ts';
import { judge, kept, type Verdict } from '../../bench/torture/verdict.ts';
import { Random } from '../../src/simulate/random.ts';

/** Of a test: whole servers start in them, on machines that may have other things to do. */
export const LIMIT_MS = 600_000;
const CALM_MS = 500;
const GRACE_MS = 60_000;
const TIMEOUT_MS = 1000;
/** What a lasting fault gets here: more than a device's patience. */
const LASTS_MS = 2 * TIMEOUT_MS;
const INTERVAL_MS = 300;
let fleets = 0;

/**
 * A fleet reports, the fault is done to the server or its stores meanwhile, the devices finish; then everything that any
 * fleet ever got an answer for must be in both stores, once and in order. Returns what the fault said.
 */
export async function hurt(rig: Rig, fault: Fault, devices: number): Promise<string> {
  const seed = ++fleets;
  const fleet = rig.fleet({ devices, intervalMs: INTERVAL_MS, timeoutMs: TIMEOUT_MS, seed }, GRACE_MS);
  const running = fleet.run();
  await wait(CALM_MS);
  const said = await fault.run(rig, fault.lastsMs === 0 ? 0 : LASTS_MS, new Random(seed));
  await wait(CALM_MS);
  fleet.finish();
  await running;
  const total = fleet.total();
  expect(total.acknowledged).toBeGreaterThan(0);
  expect({ unacknowledged: total.sent - total.acknowledged, wrong: fleet.wrong }).toEqual({ unacknowledged: 0, wrong: [] });
  const verdict = await arrived(rig);
  expect(verdict.examples.join('\n')).toBe('');
  expect(verdict).toMatchObject({ lostInTable: 0, lostInStream: 0, outOfOrder: 0 });
  const { surprises } = rig.server;
  expect({ surprises, said: surprises === 0 ? '' : rig.lastWords() }).toEqual({ surprises: 0, said: '' });
  return said;
}

/** Waits for what is still on its way. The test's own time limit ends a wait for what never comes. */
async function arrived(rig: Rig): Promise<Verdict> {
  for (;;) {
    const verdict = judge(rig.ledger(), await rig.stored());
    if (verdict.lostInTable + verdict.lostInStream === 0) return verdict;
    await wait(250);
  }
}

/** Nothing comes late: once the sinks have nothing left, the stores are as they should be. */
export async function calm(rig: Rig): Promise<void> {
  expect(await rig.settled(GRACE_MS)).toBe(true);
  const verdict = judge(rig.ledger(), await rig.stored());
  expect(verdict.examples.join('\n')).toBe('');
  expect(kept(verdict)).toBe(true);
}
