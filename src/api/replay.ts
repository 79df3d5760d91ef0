import { Readable } from 'node:stream';
import { z } from 'zod';
import { AppError, messageOf } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import { type Call, newId } from '../fleet/privacy/trail.ts';
import { deviceId } from '../fleet/registry/device.ts';
import type { ApiOffice, ReplayRequest } from './office.ts';
import { problem } from './problem.ts';
import { NOTHING, type Route, route } from './route.ts';

const NDJSON = 'application/x-ndjson';
const time = z.int().min(0).max(8.64e15);
const body = z.strictObject({
  from: time.describe('when the frames were received, epoch ms'),
  to: time.describe('included'),
  device: deviceId.optional().describe('frames of this one only, by its id or an alias'),
  options: z
    .record(z.string().max(64), z.union([z.string().max(256), z.number(), z.boolean()]))
    .default({})
    .describe('of codecs, in place of those that the frames were stored with'),
});
const shown = body.extend({ limit: z.int().min(0).max(1_000_000).default(1_000).describe('so many lines with changes') });

const fields = z.record(z.string(), z.unknown());
const count = z.int();
const summary = z.object({
  frames: count,
  same: count.describe('rows that stay as they are'),
  added: count,
  changed: count,
  removed: count,
  resent: count.describe('rows that are stored by the frame in which the record came first'),
  unreadable: count.describe('frames that are not read any more: their rows stay'),
  erased: count.describe('frames or records from before their device was erased'),
  held: count.describe('frames of devices under a hold: untouched'),
  closed: count.describe('frames of a cycle with a statement: untouched'),
  kept: count.describe('rows not removed because the journal is damaged beside them'),
  applied: z.boolean(),
});
const line = z
  .union([
    z.object({
      change: z.enum(['added', 'changed', 'removed', 'unreadable']),
      device: z.string(),
      received: count.describe('epoch ms'),
      slot: z.string().describe('with `sequence`: where the frame is in the journal'),
      sequence: count,
      id: z.string().optional().describe('of the record'),
      time: count.optional().describe('as it is stored, epoch ms'),
      was: fields.optional().describe('what differs, as it is stored; of what is removed, all'),
      now: fields.optional().describe('as it is read now; of what is added, all'),
      reason: z.string().optional().describe('why the frame is not read'),
    }),
    z.object({ progress: z.object({ received: count.describe('so far, epoch ms'), frames: count }) }),
    z.object({ summary }),
    z.object({ error: z.object({ code: z.string(), title: z.string() }) }),
  ])
  .meta({ id: 'replayed' });
const example = {
  change: 'changed',
  device: '356307042441013',
  received: 1_796_083_199_000,
  slot: '0',
  sequence: 41,
  id: '00f1c2d3e4a5b697',
  time: 1_796_083_198_000,
  was: { speed_kmh: 4.4 },
  now: { speed_kmh: 44 },
};
const refusals = { 409: { about: 'another replay is under way' }, 503: { about: 'ClickHouse does not answer' } };

/** Stored frames read anew with today's code (docs/operations.md). */
export const REPLAY_ROUTES: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/replay/diff',
    scope: 'locations',
    audits: 'read',
    about:
      'What would change in ClickHouse if frames of the journal were read anew, a line each; the last one is the summary. Nothing is changed.',
    params: NOTHING,
    query: NOTHING,
    body: shown,
    answers: { 200: { about: 'changes, how far it is, and the summary', schema: line, example, media: [NDJSON] }, ...refusals },
    async run({ body: { limit, ...given }, token, office, call, reply }) {
      const request = await requestOf(office, { ...given, apply: false, limit });
      if ('problems' in request) return problem(reply, 400, 'invalid request', request.problems);
      if (office.replayer.isBusy) return problem(reply, 409, BUSY);
      if (request.device !== '') {
        call.devices = [request.device];
        office.views.note(request.device, 'track', token.name);
      }
      return reply.type(NDJSON).send(Readable.from(await begun(office.replayer.run(request), async () => {})));
    },
  }),
  route({
    method: 'POST',
    path: '/v1/replay/apply',
    scope: 'admin',
    audits: 'change',
    about:
      'Read frames of the journal anew and write what differs to ClickHouse: the new reading in place of the old one. It ends with the connection; what was written by then stays, and repeating it goes on.',
    params: NOTHING,
    query: NOTHING,
    body,
    answers: {
      200: { about: 'how far it is, and the summary', schema: line, example: { progress: { received: 1, frames: 1 } }, media: [NDJSON] },
      ...refusals,
    },
    async run({ body: given, office, call, reply }) {
      const request = await requestOf(office, { ...given, apply: true, limit: 0 });
      if ('problems' in request) return problem(reply, 400, 'invalid request', request.problems);
      if (office.replayer.isBusy) return problem(reply, 409, BUSY);
      if (request.device !== '') call.devices = [request.device];
      return reply.type(NDJSON).send(Readable.from(await begun(office.replayer.run(request), (last) => outcome(office, call, last))));
    },
  }),
];

const BUSY = 'another replay is under way; wait for its end';

interface Given extends Omit<ReplayRequest, 'device'> {
  readonly device?: string | undefined;
}

async function requestOf(
  office: ApiOffice,
  { device, options, ...rest }: Given,
): Promise<ReplayRequest | { problems: { field: string; problem: string }[] }> {
  const checked = office.replayer.check(options);
  const problems = checked.problems.map(({ name, problem: what }) => ({ field: `options.${name}`, problem: what }));
  if (rest.from > rest.to) problems.push({ field: 'from', problem: 'must not be behind `to`' });
  if (problems.length > 0) return { problems };
  return { ...rest, options: checked.options, device: device === undefined ? '' : await office.deviceRecords.idOf(device) };
}

/** Lines from the first on, which is waited for: a database that is away is 503. `ended` gets the last one. */
async function begun(lines: AsyncGenerator<string>, ended: (last: string) => Promise<void>): Promise<AsyncGenerator<string>> {
  const first = await lines.next();
  return (async function* () {
    let last = '';
    try {
      if (first.done !== true) yield (last = first.value);
      for await (const text of lines) yield (last = text);
    } catch (error) {
      last = `${JSON.stringify({ error: { code: error instanceof AppError ? error.code : '', title: messageOf(error) } })}\n`;
      yield last;
    } finally {
      await lines.return(undefined);
      await ended(last);
    }
  })();
}

/** The audit has two entries of the request when it begins, and this one when it has ended, with what was done. */
async function outcome(office: ApiOffice, call: Call, last: string): Promise<void> {
  const said: unknown = jsonOf(last.trimEnd().split('\n').at(-1) ?? '');
  const isDone = Object.hasOwn(Object(said), 'summary');
  await office.trail.done({ ...call, id: newId(), new: said }, isDone ? 200 : 500);
}
