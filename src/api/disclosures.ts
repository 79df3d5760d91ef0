import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { subjectsOf } from '../fleet/privacy/subjects.ts';
import { accountId } from '../fleet/registry/account.ts';
import { deviceId } from '../fleet/registry/device.ts';
import { problem } from './problem.ts';
import { NOTHING, type Route, route } from './route.ts';

const time = z.int().min(0).max(8.64e15);
const body = z.strictObject({
  device: deviceId.optional().describe('with `account`: only what is of its time with that account'),
  account: accountId.optional().describe('without `device`: all devices that it had in the period'),
  from: time.describe('epoch ms'),
  to: time.describe('epoch ms, not itself; has passed'),
  authority: z.string().min(1).max(200).describe('who gets it'),
  reference: z.string().min(1).max(200).describe('number of the case'),
  reason: z.string().min(1).max(1000),
});

/** What an authority gets of a period (docs/audit.md). */
export const DISCLOSURE_ROUTES: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/disclosures',
    scope: 'admin',
    audits: 'change',
    about:
      'Disclose a period of a device or an account to an authority: owners, records, events, commands and raw frames, and a manifest with their hashes and the entry of the audit.',
    params: NOTHING,
    query: NOTHING,
    body,
    answers: {
      200: { about: 'a zip', media: ['application/zip'] },
      404: { about: 'nothing of this device is kept, or the account had no device in the period' },
      422: { about: 'neither device nor account, or not a period that has passed' },
      503: { about: 'ClickHouse does not answer' },
    },
    async run({ body: asked, token, office, call, reply }) {
      const { device: named, account, from, to } = asked;
      const wrong = [
        ...(named === undefined && account === undefined ? [{ field: 'device', problem: 'give a device, an account or both' }] : []),
        ...(to <= from || to > systemClock.now() ? [{ field: 'to', problem: 'must be epoch ms after `from` and not in the future' }] : []),
      ];
      if (wrong.length > 0) return problem(reply, 422, 'invalid disclosure', wrong);
      const record = named === undefined ? undefined : await office.deviceRecords.get(named);
      const device = record?.id ?? named;
      call.account = account ?? record?.account ?? '';
      call.devices = device === undefined ? [] : [device];
      if (device !== undefined && !(await office.isKept(device, record))) return problem(reply, 404, `no data of device ${device} is kept`);
      const subjects = await subjectsOf(office.state, { device, account }, { from, to });
      if (subjects.length === 0)
        return problem(
          reply,
          404,
          `account ${account} did not have ${device === undefined ? 'a device' : `device ${device}`} in the period`,
        );
      const { id, request, operation, address } = call;
      const zip = await office.disclose(
        subjects,
        { from, to },
        {
          ...asked,
          ...(device === undefined ? {} : { device }),
          by: token.name,
          audit: { id, time: call.time, request, operation, address },
        },
      );
      // Who asks the audit for one of them finds it.
      if (device === undefined) for (const one of subjects) office.trail.part(call, { id: one.id, account, disclosure: id }, undefined);
      return reply.type('application/zip').header('content-disposition', `attachment; filename="disclosure-${id}.zip"`).send(zip);
    },
  }),
];
