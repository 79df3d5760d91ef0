import { Readable } from 'node:stream';
import { z } from 'zod';
import { type Device, deviceSchema } from '../fleet/registry/device.ts';
import type { DeviceRecords, PlanTexts, Upsert, UpsertCounts } from '../fleet/registry/device-records.ts';
import { textProblems } from '../fleet/registry/field-problem.ts';
import { CSV_HEAD, CsvReader, csvLine, type LineReader, MAX_LINE, NdjsonReader } from './device-lines.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

/**
 * Many devices at once, in and out.
 *
 * 1. What comes in is read as it comes: memory does not grow with the upload.
 * 2. A line that is wrong is named in the answer, and does not keep the others from being done.
 * 3. An upload that breaks off leaves done what was done; sent again it changes nothing twice.
 */
const NDJSON = 'application/x-ndjson';
const CSV = 'text/csv';
/** Largest upload. */
const MAX_BYTES = 268_435_456;
/** Lines done together. */
const GATHERED = 1_000;
/** Problems that the answer names; the others are counted. */
const MOST_NAMED = 1_000;
/** Devices of one piece of an export. */
const PIECE = 500;

const line = z.object({
  line: z.int().describe('counted from 1'),
  problems: z.array(z.object({ field: z.string(), problem: z.string() })),
});
const outcome = z.object({
  lines: z.int().describe('lines with a device'),
  created: z.int(),
  changed: z.int(),
  unchanged: z.int(),
  failed: z.int(),
  problems: z.array(line).describe(`of the first ${MOST_NAMED} lines that failed`),
});

class TooLong extends Error {}

export const BULK_ROUTES: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/devices/bulk',
    scope: 'devices',
    audits: 'change',
    about:
      'Create or change many devices, one per line: a field that is given replaces the stored one, `null` removes it. The first line of CSV names the columns.',
    params: NOTHING,
    query: NOTHING,
    body: NO_BODY,
    streams: [NDJSON, CSV],
    answers: {
      200: { about: 'the outcome', schema: outcome },
      413: { about: `larger than ${MAX_BYTES} bytes, or a line longer than ${MAX_LINE}; the lines before it were processed` },
      415: { about: 'neither NDJSON nor CSV' },
    },
    async run({ token, office, call, request, reply }) {
      const { body } = request;
      if (!(body instanceof Readable))
        return problem(reply, 400, 'missing body', [{ field: 'body', problem: `must be ${NDJSON} or ${CSV}` }]);
      const reader = request.headers['content-type']?.startsWith(CSV) === true ? new CsvReader() : new NdjsonReader();
      try {
        const each = (before: Device | undefined, after: Device): void => office.trail.part(call, after, before);
        const done = await upsert(body, reader, office.deviceRecords, token.name, each);
        call.new = { ...done, problems: done.problems.length };
        return done;
      } catch (error) {
        const status = error instanceof TooLong ? 413 : error instanceof RangeError ? 400 : 0;
        if (status === 0 || !(error instanceof Error)) throw error;
        // The rest is not read: the connection cannot go on.
        reply.header('connection', 'close');
        return problem(reply, status, 'invalid lines', [{ field: 'body', problem: error.message }]);
      }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/export',
    scope: 'read',
    audits: 'read',
    about: 'All devices, in the format of the bulk upload.',
    params: NOTHING,
    query: z.strictObject({ format: z.enum(['ndjson', 'csv']).default('ndjson') }),
    body: NO_BODY,
    answers: { 200: { about: 'one device per line', schema: deviceSchema, media: [NDJSON, CSV] } },
    run: async ({ query: { format }, office, reply }) =>
      reply.type(`${format === 'csv' ? CSV : NDJSON}; charset=utf-8`).send(Readable.from(exported(office.deviceRecords, format))),
  }),
];

async function upsert(
  body: Readable,
  reader: LineReader,
  deviceRecords: DeviceRecords,
  by: string,
  each: (before: Device | undefined, after: Device) => void,
): Promise<z.infer<typeof outcome>> {
  const counts: UpsertCounts = { created: 0, changed: 0, unchanged: 0 };
  const problems: z.infer<typeof line>[] = [];
  const plans: PlanTexts = new Map();
  let [number, lines, failed] = [0, 0, 0];
  let rows: Upsert[] = [];
  const fail = (at: number, what: z.infer<typeof line>['problems']): void => {
    failed++;
    if (problems.length < MOST_NAMED) problems.push({ line: at, problems: what });
  };
  const done = async (): Promise<void> => {
    const wrong = await deviceRecords.upsert(rows, by, counts, plans, each);
    rows = [];
    for (const { line: at, problems: what } of wrong) fail(at, [...what]);
  };
  for await (const text of linesOf(body)) {
    number++;
    const read = reader.read(text);
    if (read === undefined) continue;
    lines++;
    const texts = 'problem' in read ? [] : textProblems(read.patch);
    if ('problem' in read) fail(number, [{ field: 'line', problem: read.problem }]);
    else if (texts.length > 0) fail(number, texts);
    else rows.push({ line: number, ...read });
    if (rows.length >= GATHERED) await done();
  }
  await done();
  problems.sort((a, b) => a.line - b.line);
  return { lines, ...counts, failed, problems };
}

/** Throws TooLong. */
async function* linesOf(body: Readable): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let held = '';
  let bytes = 0;
  for await (const chunk of body) {
    if (!(chunk instanceof Uint8Array)) continue;
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new TooLong(`is larger than ${MAX_BYTES} bytes; send it in parts`);
    const parts = (held + decoder.decode(chunk, { stream: true })).split('\n');
    held = parts.pop() ?? '';
    if (held.length > MAX_LINE) throw new TooLong(`has a line longer than ${MAX_LINE} characters`);
    for (const part of parts) yield part.endsWith('\r') ? part.slice(0, -1) : part;
  }
  held += decoder.decode();
  if (held !== '') yield held;
}

async function* exported(deviceRecords: DeviceRecords, format: 'ndjson' | 'csv'): AsyncGenerator<string> {
  let piece = format === 'csv' ? CSV_HEAD : '';
  let count = 0;
  for await (const device of deviceRecords.all()) {
    piece += format === 'csv' ? csvLine(device) : `${JSON.stringify(device)}\n`;
    if (++count % PIECE !== 0) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}
