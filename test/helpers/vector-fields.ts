import { z } from 'zod';
import type { FrameSnapshot } from '../../src/codec/kit/feed.ts';

/**
 * `assert: fields`: every field that `expect` names must have the value given; a list gives the acceptable ones.
 *
 * | field | of |
 * |---|---|
 * | messages | number of frames, malformed ones included |
 * | type, name | the first frame |
 * | device | the connection behind the frames |
 * | records, fixes | number of records, of those with a place |
 * | answer | all answers of the frames in hex, as a regular expression; with `answerText` as text; null: none |
 * | time, lat, lon, …, event | the record with index `record`, else the first fix, else the first record |
 * | attrs, absent | names of that record's attributes with their values; names that must not be there |
 * | cell, cells, wifi | a cell with these values (null: none), how many cells, how many access points of that record |
 */

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const oneOrList = z.union([scalar, z.array(scalar)]);
const cell = z.union([z.record(z.string(), z.number()), z.null()]);

export const expectedFields = z.looseObject({
  messages: z.number().optional(),
  type: z.string().optional(),
  name: z.string().optional(),
  device: z.string().optional(),
  records: z.number().optional(),
  fixes: z.number().optional(),
  answer: z.string().nullable().optional(),
  answerText: z.boolean().optional(),
  record: z.number().optional(),
  time: z.string().optional(),
  event: oneOrList.optional(),
  attrs: z.record(z.string(), oneOrList).optional(),
  absent: z.array(z.string()).optional(),
  cell: z.union([cell, z.array(cell)]).optional(),
  cells: z.number().optional(),
  wifi: z.number().optional(),
});
export type ExpectedFields = z.infer<typeof expectedFields>;

/** Numbers of the record, and how far off they may be. */
const NUMBERS: Readonly<Record<string, number>> = {
  lat: 1e-5,
  lon: 1e-5,
  altitude_m: 1e-6,
  // Records have hundredths of it.
  speed_kmh: 6e-3,
  course_deg: 1e-6,
  satellites: 0,
  hdop: 1e-6,
};

type Rec = Readonly<Record<string, unknown>>;

/** What differs, a line each; empty when every field holds. */
export function fieldProblems(
  expected: ExpectedFields,
  frames: readonly FrameSnapshot[],
  records: readonly Rec[],
  device: string,
): string[] {
  const problems: string[] = [];
  const check = (what: string, actual: unknown, wanted: unknown, tolerance = 1e-6): void => {
    const accepted = Array.isArray(wanted) ? wanted : [wanted];
    if (accepted.some((value) => same(actual, value, tolerance))) return;
    problems.push(`${what}: got ${JSON.stringify(actual)}, expected ${JSON.stringify(wanted)}`);
  };
  const fixes = records.filter((record) => record['kind'] === 'fix');
  if (expected.messages !== undefined) check('messages', frames.length, expected.messages);
  if (expected.type !== undefined) check('type', frames[0]?.kind, expected.type);
  if (expected.name !== undefined) check('name', frames[0]?.name, expected.name);
  if (expected.device !== undefined) check('device', device, expected.device);
  if (expected.records !== undefined) check('records', records.length, expected.records);
  if (expected.fixes !== undefined) check('fixes', fixes.length, expected.fixes);
  if (expected.answer !== undefined) problems.push(...answerProblems(expected, frames));
  const record = expected.record === undefined ? (fixes[0] ?? records[0] ?? {}) : (records[expected.record] ?? {});
  if (expected.time !== undefined) check('time', record['time'], Date.parse(expected.time), 0);
  if (expected['valid'] !== undefined) check('valid', record['valid'], expected['valid']);
  for (const [name, tolerance] of Object.entries(NUMBERS)) {
    if (expected[name] !== undefined) check(name, record[name], expected[name], tolerance);
  }
  if (expected.event !== undefined) check('event', record['event'] ?? null, expected.event);
  const attrs = objectOf(record['attrs']);
  for (const [name, value] of Object.entries(expected.attrs ?? {})) check(`attrs.${name}`, attrs[name] ?? null, value);
  for (const name of expected.absent ?? []) check(`attrs.${name}`, attrs[name] ?? null, null);
  const cells = listOf(record['cells']);
  if (expected.cells !== undefined) check('cells', cells.length, expected.cells);
  if (expected.wifi !== undefined) check('wifi', listOf(record['wifi']).length, expected.wifi);
  if (expected.cell !== undefined && !cellHolds(cells, expected.cell))
    problems.push(`cell: got ${JSON.stringify(cells)}, expected ${JSON.stringify(expected.cell)}`);
  return problems;
}

function answerProblems(expected: ExpectedFields, frames: readonly FrameSnapshot[]): string[] {
  const answers = frames.map((frame) => frame.answer ?? '').join('');
  const actual = expected.answerText === true ? Buffer.from(answers, 'hex').toString('latin1') : answers;
  const wanted = expected.answer ?? null;
  const holds = wanted === null ? actual === '' : new RegExp(`^(?:${wanted})$`, 'i').test(actual);
  return holds ? [] : [`answer: got ${JSON.stringify(actual)}, expected ${JSON.stringify(wanted)}`];
}

function cellHolds(cells: readonly Rec[], wanted: NonNullable<ExpectedFields['cell']> | null): boolean {
  const accepted = Array.isArray(wanted) ? wanted : [wanted];
  return accepted.some((candidate) =>
    candidate === null
      ? cells.length === 0
      : cells.some((found) => Object.entries(candidate).every(([name, value]) => found[name] === value)),
  );
}

function same(actual: unknown, wanted: unknown, tolerance: number): boolean {
  if (typeof actual === 'number' && typeof wanted === 'number') return Math.abs(actual - wanted) <= tolerance;
  return actual === wanted;
}

function objectOf(value: unknown): Rec {
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}

function listOf(value: unknown): Rec[] {
  return Array.isArray(value) ? value.map(objectOf) : [];
}
