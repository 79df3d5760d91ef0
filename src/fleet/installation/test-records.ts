import { z } from 'zod';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import type { StateStore } from '../../state/store.ts';
import { rowsOf, TypedTable } from '../../state/table.ts';
import { unheld } from '../registry/hold.ts';
import { isPassedOn, type Noted, stillOf } from '../registry/owners.ts';
import { ITEM_STATES, ITEMS, PROFILES, type Profile } from './checklist.ts';

/** Installation tests as they are kept: the table `tests`, by device and id. Times in epoch ms. */
const TEST_STATES = ['running', 'passed', 'failed', 'interrupted'] as const;

const PROFILE_NAMES = Object.keys(PROFILES).filter((name): name is Profile => name in PROFILES);
const profile = z.enum(PROFILE_NAMES);
const spot = z.strictObject({
  lat: z.number().min(-90).max(90),
  lon: z.number().min(-180).max(180),
  radius_m: z.int().min(1).max(100_000).default(200),
});

/** What is asked for. */
export const wantedSchema = z.strictObject({
  profile: profile.default('basic'),
  at: spot.optional().describe('where the vehicle stands; absent: the place is not tested'),
  interval_s: z
    .int()
    .min(1)
    .max(86_400)
    .optional()
    .describe("programmed interval; absent: the device's or its plan's, else any that is kept"),
  seconds: z.int().min(5).max(3_600).optional().describe('how long at most; absent: 60, or six intervals if that is longer'),
  consent: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .describe('of `immobiliser`: the person at the vehicle who agrees that its engine is stopped'),
});
export type TestWanted = z.infer<typeof wantedSchema>;

export const testSchema = z.object({
  id: z.string(),
  device: z.string(),
  by: z.string().describe('the token that asked'),
  ...wantedSchema.shape,
  profile,
  seconds: z.int(),
  started: z.int(),
  ended: z.int().describe('0 while it runs'),
  state: z.enum(TEST_STATES),
  items: z.array(z.object({ name: z.enum(ITEMS), state: z.enum(ITEM_STATES), measured: z.string() })),
});
export type InstallationTest = z.infer<typeof testSchema>;

const rowSchema = testSchema.extend({
  /** The server that runs it. */
  server: z.string(),
  /** Who had the device when it began, '' for none; absent in rows of a version that did not know. */
  account: z.string().optional(),
  /** Ids of the stop and of the resume of the relay, as far as they were handed in. */
  relay: z.array(z.string()),
});
export type TestRow = z.infer<typeof rowSchema>;

export const TESTS = new TypedTable<TestRow, [device: string, id: string]>({
  name: 'tests',
  key: (device, id) => `${device} ${id}`,
  parse: rowsOf(rowSchema),
});

/** Tests that are kept of a device, but for one under a hold. */
const KEPT = 20;
/** A test that has not ended so long after its time was of a server that has ended. */
const GRACE_MS = 60_000;

/** Those of a device, oldest first. */
export async function testsOf(store: Pick<StateStore, 'list'>, device: string): Promise<TestRow[]> {
  const found: TestRow[] = [];
  for await (const [, row] of TESTS.entries(store, { prefix: `${device} ` })) found.push(row);
  return found;
}

/** Puts a new one, in place of the oldest where there are many; false when the device was passed on since `owners` was read. */
export async function putTest(store: Pick<StateStore, 'get' | 'list' | 'write'>, row: TestRow, owners?: Noted): Promise<boolean> {
  const { device, id } = row;
  return attempt(`the tests of device ${device}`, async () => {
    if (await isPassedOn(store, device, owners)) return false;
    const known = await testsOf(store, device);
    const old = known.slice(0, Math.max(0, known.length + 1 - KEPT)).map((one) => TESTS.remove(device, one.id));
    const isUnheld = old.length === 0 ? undefined : await unheld(store, device, row.started);
    const gone = isUnheld === undefined ? [] : [isUnheld, ...old];
    return (await store.write([...stillOf(device, owners), ...gone, TESTS.put(row, device, id)])) || CONTENDED;
  });
}

export function isRunning({ state, started, seconds }: TestRow, now: number): boolean {
  return state === 'running' && now < started + 1000 * seconds + GRACE_MS;
}

/** As it is shown. */
export function shownTest(row: TestRow, now: number): InstallationTest {
  const { server: _, relay: __, account: ___, ...test } = row;
  return row.state === 'running' && !isRunning(row, now) ? { ...test, state: 'interrupted' } : test;
}
