import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { SERVICE_STATES } from '../fleet/plan/service.ts';
import { readService } from '../fleet/plan/service-keeper.ts';
import { deviceId } from '../fleet/registry/device.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const period = z.object({
  state: z.enum(SERVICE_STATES),
  from: z.int().describe('epoch ms'),
  to: z.int().optional().describe('absent: it lasts'),
  plan: z.string(),
  account: z.string(),
  by: z.string().describe('token that changed it; `time`: a date, `device`: its first contact'),
  reason: z.string(),
});
const service = z.object({ device: z.string(), state: z.enum(SERVICE_STATES), periods: z.array(period) }).meta({ id: 'service' });
const example = {
  device: '356307042441013',
  state: 'active' as const,
  periods: [
    {
      state: 'pending' as const,
      from: 1764460800000,
      to: 1764547200000,
      plan: 'basic',
      account: 'acme',
      by: 'desk',
      reason: 'activates_at',
    },
    { state: 'active' as const, from: 1764547200000, plan: 'basic', account: 'acme', by: 'time', reason: 'activates_at' },
  ],
};

/** Life of a service (docs/plans.md). */
export const SERVICE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/devices/{id}/service',
    scope: 'read',
    limits: 'periods',
    audits: 'read',
    about: 'In which state a device was from when to when, on which plan and whose, oldest first; also of one that was removed.',
    params: z.strictObject({ id: deviceId }),
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the periods', schema: service, example }, 404: { about: 'unknown device' } },
    async run({ params, share, office, reply }) {
      const id = await office.deviceRecords.idOf(params.id);
      const periods = (await readService(office.state, id, systemClock.now()))?.periods ?? [];
      const shown = periods
        .map((one, at) => {
          const to = periods[at + 1]?.from;
          return to === undefined ? one : { ...one, to };
        })
        .filter(({ account }) => share?.accounts.has(account) !== false);
      const last = shown.at(-1);
      if (last === undefined) return problem(reply, 404, `device ${id} is not known`);
      return { device: id, state: last.state, periods: shown };
    },
  }),
];
