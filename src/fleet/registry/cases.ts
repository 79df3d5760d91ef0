import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { rowsOf, TypedTable } from '../../state/table.ts';
import type { Device } from './device.ts';

/**
 * Cases of recovery (docs/plans.md): who asked for a stolen vehicle to be looked for, why, what was noted, and who ended it. The table
 * `cases`, by device and by the time at which it began, which is the id. Times in epoch ms.
 *
 * 1. A case begins, changes and ends in the same write as the field `recovery` of the device.
 * 2. Notes are added and never changed, also to a case that has ended.
 */
const MOST_NOTES = 200;

export const noteSchema = z.object({ time: z.int(), by: z.string(), text: z.string() });
export const caseSchema = z.object({
  id: z.string(),
  device: z.string(),
  account: z.string().describe("whose the device was when it began; '' for none"),
  reason: z.string(),
  interval_s: z.int(),
  started: z.int(),
  until: z.int(),
  by: z.string().describe("the token that began it; '' where that was not noted"),
  ended: z.int().describe('0 while it goes on'),
  ended_by: z.string().describe('the token, or `time`'),
  notes: z.array(noteSchema),
});
export type Case = z.infer<typeof caseSchema>;

export const CASES = new TypedTable<Case, [device: string, id: string]>({
  name: 'cases',
  key: (device, id) => `${device} ${id}`,
  parse: rowsOf(caseSchema),
});

/** Invariant 1: what a change of a device means for its cases, as steps of the same write. */
export async function caseOps(
  store: Pick<StateStore, 'get'>,
  now: number,
  [before, after]: readonly [Device | undefined, Device | undefined],
  by: string,
): Promise<readonly Op[]> {
  const [old, next] = [before?.recovery, after?.recovery];
  const ops: Op[] = [];
  if (before !== undefined && old !== undefined && next?.started !== old.started) {
    const { text, row } = await readCase(store, before, '');
    ops.push(...putOps(text, { ...row, ended: now, ended_by: by }));
  }
  if (after !== undefined && next !== undefined && !isDeepStrictEqual(old, next)) {
    const { text, row } = await readCase(store, after, by);
    ops.push(...putOps(text, { ...row, reason: next.reason, interval_s: next.interval_s, until: next.until }));
  }
  return ops;
}

/** All of a device, newest first. */
export async function casesOf(store: Pick<StateStore, 'list'>, device: string): Promise<Case[]> {
  const found = await store.list('cases', { prefix: `${device} `, limit: 10_000 });
  return found.flatMap(({ value }) => CASES.read(value) ?? []).toReversed();
}

/** Invariant 2. Undefined: there is no such case; `full`: it has too many notes. */
export async function addNote(
  store: Pick<StateStore, 'get' | 'write'>,
  [device, id]: readonly [device: string, id: string],
  note: z.infer<typeof noteSchema>,
): Promise<Case | 'full' | undefined> {
  return attempt(`the case ${id} of device ${device}`, async () => {
    const text = await store.get('cases', CASES.key(device, id));
    const row = CASES.parse(id, text);
    if (row === undefined) return undefined;
    if (row.notes.length >= MOST_NOTES) return 'full';
    const noted = { ...row, notes: [...row.notes, note] };
    return (await store.write(putOps(text, noted))) ? noted : CONTENDED;
  });
}

/** The case that the device is in; of an earlier version there is no row. */
async function readCase(
  store: Pick<StateStore, 'get'>,
  { id: device, account = '', recovery }: Device,
  by: string,
): Promise<{ text: string | undefined; row: Case }> {
  const { reason = '', interval_s = 0, started = 0, until = 0 } = recovery ?? {};
  const id = String(started);
  const text = await store.get('cases', CASES.key(device, id));
  const row = CASES.parse(CASES.key(device, id), text) ?? {
    ...{ id, device, account, reason, interval_s, started, until, by },
    ...{ ended: 0, ended_by: '', notes: [] },
  };
  return { text, row };
}

function putOps(text: string | undefined, row: Case): Op[] {
  return [CASES.expect(text, row.device, row.id), CASES.put(row, row.device, row.id)];
}
