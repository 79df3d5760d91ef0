import { z } from 'zod';
import { deviceId, deviceSchema } from '../fleet/registry/device.ts';
import { learnedOf, UNIT_FIELDS } from '../fleet/registry/unit-facts.ts';
import { UNITS, unitPeriodSchema, unitsOf, wantedUnitSchema } from '../fleet/registry/units.ts';
import { changed } from './devices.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const ofDevice = z.strictObject({ id: deviceId });
const unknown = { about: 'unknown device' };
const units = z.object({
  device: z.string(),
  periods: z.array(unitPeriodSchema),
  learned: z
    .partialRecord(z.enum(UNIT_FIELDS), z.string())
    .describe('what the unit has said of itself: may differ from what the record says'),
  settings: z
    .object({ waiting: z.boolean(), sent: z.array(z.string()), refused: z.array(z.object({ field: z.string(), problem: z.string() })) })
    .optional()
    .describe('that the unit before had been sent, and what became of them; waiting: until the unit reports for the first time'),
});

/** The hardware of devices (docs/registry.md). */
export const UNIT_ROUTES: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/devices/{id}/replace',
    scope: 'devices',
    audits: 'change',
    about: 'Put another unit into a device. It keeps its id, account, plan and history; the unit before is a stranger from then on.',
    params: ofDevice,
    query: NOTHING,
    body: wantedUnitSchema,
    answers: {
      200: { about: 'the device', schema: deviceSchema },
      404: unknown,
      409: { about: 'the unit is in the device already, or is that of another one' },
      422: { about: 'the options are not of its codec' },
    },
    async run({ params, body, token, office, call, reply }) {
      const id = await office.deviceRecords.idOf(params.id);
      return changed(reply, id, await office.deviceRecords.swap(id, body, token.name), call);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/units',
    scope: 'read',
    limits: 'owner',
    audits: 'read',
    about: 'Which units were in the device, and when; oldest first.',
    params: ofDevice,
    query: NOTHING,
    body: NO_BODY,
    answers: {
      200: {
        about: 'the units',
        schema: units,
        example: {
          device: '356307042441013',
          periods: [
            { unit: '356307042441013', from: 1_764_460_800_000, to: 1_796_083_200_000 },
            { unit: '865413050012345', from: 1_796_083_200_000, by: 'workshop', reason: 'antenna broken' },
          ],
          learned: { firmware: '03.28.07', iccid: '8946012345678901234' },
          settings: { waiting: false, sent: ['interval'], refused: [] },
        },
      },
      404: unknown,
    },
    async run({ params: { id }, share, office, reply }) {
      const device = await office.deviceRecords.get(id);
      if (device === undefined) return problem(reply, 404, `device ${id} is not known`);
      const row = await UNITS.get(office.state, device.id);
      const since = share?.since ?? 0;
      const periods = unitsOf(row, device).filter(({ to }) => to === undefined || to > since);
      const told = row?.fresh === true || row?.settled !== undefined;
      const settings = { waiting: row?.fresh === true, ...(row?.settled ?? { sent: [], refused: [] }) };
      return { device: device.id, periods, learned: await learnedOf(office.state, device.id), ...(told ? { settings } : {}) };
    },
  }),
];
