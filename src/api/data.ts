import type { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Eraser } from '../fleet/privacy/eraser.ts';
import { ERASURES, type Erasure, erasureSchema } from '../fleet/privacy/erasure.ts';
import { heldText } from '../fleet/privacy/hold.ts';
import { ALWAYS, subjectsOf } from '../fleet/privacy/subjects.ts';
import { accountId, accountSteps } from '../fleet/registry/account.ts';
import { deviceId } from '../fleet/registry/device.ts';
import type { FieldProblem } from '../fleet/registry/field-problem.ts';
import { OWNERS, periodsOf } from '../fleet/registry/owners.ts';
import type { ApiOffice } from './office.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

/** How often a request that waits looks at the erasure. */
const LOOK_MS = 50;
const LONGEST_WAIT_S = 120;

const params = z.strictObject({ id: deviceId });
const accountParams = z.strictObject({ id: accountId });
const wait = z.coerce.number().min(0).max(LONGEST_WAIT_S).describe('seconds to wait for completion');
const erasure = erasureSchema
  .omit({ instances: true })
  .extend({
    state: z.enum(['running', 'erased']),
    erased: z.int().describe('when it was completed, epoch ms; 0 while it runs'),
    removed: z.record(z.string(), z.record(z.string(), z.int())).describe('removed items, by part and kind'),
    waiting: z.array(z.string()).describe('parts that are not complete yet'),
  })
  .describe('the erasure');
const accountErasure = z
  .object({
    account: z.string(),
    state: z.enum(['running', 'erased']),
    devices: z.int().describe('that are or were its own and were erased, or are being erased'),
    done: z.int().describe('how many of them are complete'),
    removed: z.record(z.string(), z.record(z.string(), z.int())).describe('removed items, by part and kind'),
    waiting: z.array(z.string()).describe('parts that are not complete yet'),
  })
  .meta({ id: 'account_erasure' });
const accountExample = {
  account: 'acme',
  state: 'erased',
  devices: 2,
  done: 2,
  removed: { journal: { entries: 40 }, clickhouse: { positions: 2100, events: 14 }, state: { commands: 3 } },
  waiting: [],
};
const accountFinished = { about: 'complete', schema: accountErasure };
const finished = { about: 'complete', schema: erasure };
const running = { about: 'running; stores that are unreachable are waited for', schema: erasure };

/** What devices have sent: taken along, and erased (docs/privacy.md). */
export const DATA_ROUTES: readonly Route[] = [
  route({
    method: 'DELETE',
    path: '/v1/devices/{id}/data',
    scope: 'erase',
    audits: 'change',
    about:
      'Erase everything that a device has sent and that was recorded about it up to now, from every store. Later data is kept as usual.',
    params,
    query: z.strictObject({
      registry: z.enum(['keep', 'remove']).default('keep').describe('whether its record is kept or removed'),
      wait: wait.default(30),
    }),
    body: NO_BODY,
    answers: {
      200: finished,
      202: running,
      404: { about: 'no data of this device is kept' },
      409: { about: 'the device is under a hold' },
    },
    async run({ params: { id }, query, token, office, reply }) {
      const { eraser } = office;
      // A ClickHouse that is away may have something of it: the erasure waits for it.
      const isKept = await office.isKept(id, await office.deviceRecords.get(id)).catch((error: unknown) => {
        if (error instanceof AppError) return true;
        throw error;
      });
      if (!isKept) return problem(reply, 404, `no data of device ${id} is kept`);
      const asked = await eraser.request(id, token.name, query.registry);
      const found = (await settled(eraser, asked.device, asked.before, query.wait)) ?? asked;
      const answer = shown(eraser, found);
      return reply
        .code(answer.state === 'erased' ? 200 : 202)
        .header('location', `/v1/devices/${asked.device}/data`)
        .send(answer);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/data',
    scope: 'erase',
    audits: 'read',
    about: 'State of the last erasure of a device.',
    params,
    query: z.strictObject({ wait: wait.default(0) }),
    body: NO_BODY,
    answers: { 200: { about: 'its state', schema: erasure }, 404: { about: 'no erasure was requested' } },
    async run({ params: { id }, query, office: { eraser }, reply }) {
      const found = await settled(eraser, id, 0, query.wait);
      return found === undefined ? problem(reply, 404, `no erasure of device ${id} was requested`) : shown(eraser, found);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/export',
    scope: 'locations',
    limits: 'periods',
    audits: 'read',
    about: 'Export everything that is kept of a device: its record, its data, usage, commands and settings, each as a file of NDJSON.',
    params,
    query: NOTHING,
    body: NO_BODY,
    answers: {
      200: { about: 'a zip', media: ['application/zip'] },
      404: { about: 'no data of this device is kept' },
      503: { about: 'the server is starting, or ClickHouse does not answer' },
    },
    async run({ params: { id }, token, share, office, reply }) {
      const device = await office.deviceRecords.get(id);
      if (!(await office.isKept(id, device))) return problem(reply, 404, `no data of device ${id} is kept`);
      const own = device?.id ?? id;
      const periods = periodsOf(await OWNERS.get(office.state, own), device);
      office.views.note(own, 'export', token.name, token.accounts?.[0]);
      const zip = await office.export({ id: own, ids: [own, ...(device?.aliases ?? [])], device, share, periods });
      return download(reply, own, zip);
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/accounts/{id}/data',
    scope: 'erase',
    audits: 'change',
    about:
      'Erase what is kept of the devices of an account from its time with them, up to now, from every store: what another account had stays. None is erased while one of them is under a hold.',
    params: accountParams,
    query: z.strictObject({ wait: wait.default(30) }),
    body: NO_BODY,
    answers: {
      200: { ...accountFinished, example: accountExample },
      202: {
        about: 'running; stores that are unreachable are waited for',
        schema: accountErasure,
        example: { ...accountExample, state: 'running' },
      },
      404: { about: 'the account is not known, and has had no device' },
      409: { about: 'a device is under a hold; `problems` names those that are' },
    },
    async run({ params: { id }, query, token, office, call, reply }) {
      const subjects = await subjectsOf(office.state, { account: id }, ALWAYS);
      if (subjects.length === 0 && (await office.accounts.get(id)) === undefined) return problem(reply, 404, `account ${id} is not known`);
      const held: FieldProblem[] = [];
      for (const subject of subjects) {
        const hold = await office.holds.get(subject.id);
        if (hold !== undefined) held.push({ field: subject.id, problem: heldText(hold) });
      }
      if (held.length > 0) return problem(reply, 409, `account ${id}: ${held[0]?.problem}`, held);
      for (const subject of subjects) {
        await office.eraser.requestPart(subject, token.name);
        office.trail.part(call, { id: subject.id, account: id }, undefined);
      }
      const answer = await settledAll(office, id, query.wait);
      return reply
        .code(answer.state === 'erased' ? 200 : 202)
        .header('location', `/v1/accounts/${encodeURIComponent(id)}/data`)
        .send(answer);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/accounts/{id}/data',
    scope: 'erase',
    audits: 'read',
    about: 'State of the last erasure of an account.',
    params: accountParams,
    query: z.strictObject({ wait: wait.default(0) }),
    body: NO_BODY,
    answers: { 200: { about: 'its state', schema: accountErasure, example: accountExample }, 404: { about: 'no erasure was requested' } },
    async run({ params: { id }, query, office, reply }) {
      const answer = await settledAll(office, id, query.wait);
      return answer.devices === 0 ? problem(reply, 404, `no erasure of account ${id} was requested`) : answer;
    },
  }),
  route({
    method: 'GET',
    path: '/v1/accounts/{id}/export',
    scope: 'locations',
    limits: 'rows',
    audits: 'read',
    about:
      'Export everything that is kept of an account: its record, and of each device that is or was its own what is of its time; each as a file of NDJSON.',
    params: accountParams,
    query: NOTHING,
    body: NO_BODY,
    answers: {
      200: { about: 'a zip', media: ['application/zip'] },
      404: { about: 'the account is not known, and has had no device' },
      503: { about: 'the server is starting, or ClickHouse does not answer' },
    },
    async run({ params: { id }, token, reach, office, call, reply }) {
      const isSeen = reach?.accounts.has(id) !== false;
      const account = isSeen ? await office.accounts.get(id) : undefined;
      const subjects = isSeen ? await subjectsOf(office.state, { account: id }, ALWAYS) : [];
      if (account === undefined && subjects.length === 0) return problem(reply, 404, `account ${id} is not known`);
      call.devices = subjects.map((subject) => subject.id);
      for (const subject of subjects) office.views.note(subject.id, 'export', token.name, id);
      const steps = await accountSteps(office.state, id);
      return download(reply, id, await office.exportAccount({ id, ...account, steps }, subjects));
    },
  }),
];

function download(reply: FastifyReply, name: string, zip: Readable): FastifyReply {
  const file = name.replace(/[^\w.-]/g, '-');
  return reply.type('application/zip').header('content-disposition', `attachment; filename="${file}.zip"`).send(zip);
}

/** The erasure when it has come to its end, or as it is after `waitS` seconds. */
async function settled(eraser: Eraser, id: string, before: number, waitS: number): Promise<Erasure | undefined> {
  const until = systemClock.elapsed() + waitS * 1000;
  for (;;) {
    const found = await eraser.get(id);
    const isOver = found === undefined || (found.before >= before && eraser.progress(found).waiting.length === 0);
    if (isOver || systemClock.elapsed() >= until) return found;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** The erasures of the account's devices when all have come to their end, or as they are after `waitS` seconds. */
async function settledAll(office: ApiOffice, account: string, waitS: number): Promise<z.infer<typeof accountErasure>> {
  const until = systemClock.elapsed() + waitS * 1000;
  for (;;) {
    const answer = await together(office, account);
    if (answer.state === 'erased' || systemClock.elapsed() >= until) return answer;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function together({ state, eraser }: ApiOffice, account: string): Promise<z.infer<typeof accountErasure>> {
  const removed: Record<string, Record<string, number>> = {};
  const waiting = new Set<string>();
  let [devices, done] = [0, 0];
  for (const { id } of await subjectsOf(state, { account }, ALWAYS)) {
    const found = await ERASURES.get(state, id);
    if (found?.account !== account) continue;
    const progress = eraser.progress(found);
    devices++;
    if (progress.waiting.length === 0) done++;
    for (const part of progress.waiting) waiting.add(part);
    for (const [part, counts] of Object.entries(progress.removed)) {
      const sums = (removed[part] ??= {});
      for (const [kind, count] of Object.entries(counts)) sums[kind] = (sums[kind] ?? 0) + count;
    }
  }
  return { account, state: waiting.size === 0 ? 'erased' : 'running', devices, done, removed, waiting: [...waiting].sort() };
}

function shown(eraser: Eraser, { instances: _, ...found }: Erasure): z.infer<typeof erasure> {
  const { removed, waiting, erased } = eraser.progress({ ...found, instances: _ });
  return { ...found, state: waiting.length === 0 ? 'erased' : 'running', erased, removed, waiting };
}
