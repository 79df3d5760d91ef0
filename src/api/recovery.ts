import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { addNote, CASES, caseSchema, casesOf } from '../fleet/registry/cases.ts';
import { deviceId, deviceSchema } from '../fleet/registry/device.ts';
import { changed } from './devices.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const ofDevice = z.strictObject({ id: deviceId });
const ofCase = z.strictObject({ id: deviceId, case: z.string().regex(/^\d{1,15}$/, 'must be the id of a case') });
const wanted = deviceSchema.shape.recovery
  .unwrap()
  .omit({ started: true })
  .extend({ reactivate: z.boolean().default(false).describe('a terminated device becomes active') });
const note = z.strictObject({ text: z.string().min(1).max(2_000) });
const kept = caseSchema.meta({ id: 'recovery_case' });
const example = {
  ...{ id: '1796083199000', device: '356307042441013', account: 'acme', reason: 'stolen', interval_s: 10, started: 1_796_083_199_000 },
  ...{ until: 1_796_342_400_000, by: 'dispatch', ended: 1_796_101_200_000, ended_by: 'dispatch' },
  notes: [{ time: 1_796_100_000_000, by: 'dispatch', text: 'seen by the police' }],
};
const device = { about: 'the device', schema: deviceSchema };
const unknown = { about: 'unknown device' };
const none = { about: 'no such case' };

/** Recovery of stolen vehicles, and its cases (docs/plans.md). */
export const RECOVERY_ROUTES: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/devices/{id}/recovery',
    scope: 'devices',
    audits: 'change',
    about: 'Start recovery mode for a stolen vehicle, or change it: no caps until it ends. Its `started` is the id of the case.',
    params: ofDevice,
    query: NOTHING,
    body: wanted,
    answers: {
      200: device,
      404: unknown,
      409: { about: 'the device is terminated, or its account is closed' },
      422: { about: '`until` has passed' },
    },
    async run({ params: { id }, body: { reactivate, ...asked }, token, office, call, reply }) {
      const now = systemClock.now();
      if (asked.until <= now) return problem(reply, 422, 'invalid device', [{ field: 'until', problem: 'must be epoch ms in the future' }]);
      const before = await office.deviceRecords.get(id);
      const isTerminated = before?.state === 'terminated';
      const why = before?.reason === undefined ? '' : `: ${before.reason}`;
      const remedy = 'is terminated and not served; activate it first, or give `reactivate: true`';
      if (isTerminated && !reactivate)
        return problem(reply, 409, `device ${id} is terminated${why}`, [{ field: 'state', problem: remedy }]);
      const account = before?.account === undefined ? undefined : await office.accounts.get(before.account);
      if (account?.state === 'closed') {
        const closed = `"${account.id}" is closed, and its devices are not served; move the device to another account first`;
        return problem(reply, 409, `the account of device ${id} is closed: ${account.reason ?? ''}`, [
          { field: 'account', problem: closed },
        ]);
      }
      const running = before?.recovery !== undefined && before.recovery.until > now ? before.recovery.started : now;
      const again = isTerminated ? { state: 'active', reason: `recovery: ${asked.reason}`.slice(0, 200) } : {};
      const change = await office.deviceRecords.patch(id, { ...again, recovery: { ...asked, started: running } }, token.name);
      return changed(reply, id, change, call);
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/devices/{id}/recovery',
    scope: 'devices',
    audits: 'change',
    about: 'End recovery mode.',
    params: ofDevice,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: device, 404: unknown },
    run: async ({ params: { id }, token, office, call, reply }) =>
      changed(reply, id, await office.deviceRecords.patch(id, { recovery: null }, token.name), call),
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/recoveries',
    scope: 'read',
    limits: 'owner',
    audits: 'read',
    about: 'Cases of recovery of a device, newest first.',
    params: ofDevice,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the cases', schema: z.object({ cases: z.array(kept) }), example: { cases: [example] } } },
    async run({ params, share, office }) {
      const cases = await casesOf(office.state, await office.deviceRecords.idOf(params.id));
      return { cases: cases.filter(({ started }) => started >= (share?.since ?? 0)) };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/recoveries/{case}',
    scope: 'read',
    limits: 'owner',
    audits: 'read',
    about: 'A case of recovery, with its notes.',
    params: ofCase,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the case', schema: kept, example }, 404: none },
    async run({ params, share, office, reply }) {
      const found = await CASES.get(office.state, await office.deviceRecords.idOf(params.id), params.case);
      const isSeen = found !== undefined && found.started >= (share?.since ?? 0);
      return isSeen ? found : problem(reply, 404, `device ${params.id} has no case ${params.case}`);
    },
  }),
  route({
    method: 'POST',
    path: '/v1/devices/{id}/recoveries/{case}/notes',
    scope: 'devices',
    audits: 'change',
    about: 'Add a note to a case. Notes are not changed or removed.',
    params: ofCase,
    query: NOTHING,
    body: note,
    answers: { 201: { about: 'the case', schema: kept, example }, 404: none, 409: { about: 'it has 200 notes' } },
    async run({ params, body: { text }, token, office, reply }) {
      const id = await office.deviceRecords.idOf(params.id);
      const noted = await addNote(office.state, [id, params.case], { time: systemClock.now(), by: token.name, text });
      if (noted === undefined) return problem(reply, 404, `device ${id} has no case ${params.case}`);
      return noted === 'full' ? problem(reply, 409, 'the case has 200 notes; no more are taken') : reply.code(201).send(noted);
    },
  }),
];
