import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { ENTRY_TYPES } from '../fleet/privacy/trail.ts';
import { deviceId } from '../fleet/registry/device.ts';
import { newestFirst } from './list-of.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const time = z.coerce.number().int().min(0).max(8.64e15);
const entry = z.looseObject({
  id: z.string(),
  time: z.int().describe('epoch ms'),
  type: z.enum(ENTRY_TYPES),
  device: z.string().describe('whose data it is about; empty: of none in particular'),
  account: z.string(),
  by: z.string().describe('name of the token; empty: none that is known'),
  address: z.string(),
  request: z.string().describe('the header `x-request-id` of the answer'),
  operation: z.string(),
  object: z.string(),
  status: z.int().describe('of the answer; 0: the server ended before there was one'),
  count: z.int().describe('how many calls it stands for'),
  old: z.unknown().optional().describe('what differs, as it was'),
  new: z.unknown().optional().describe('what differs, as it is; secrets are masked'),
});
const entries = z
  .object({ entries: z.array(entry).describe('newest first'), next: z.string().optional().describe('pass as `before` for older ones') })
  .meta({ id: 'audit' });
const example = {
  entries: [
    {
      id: '5f0c8a1e9b7d2c43',
      time: 1_796_083_199_000,
      type: 'change',
      device: '356307042441013',
      account: 'acme',
      by: 'dispatch',
      address: '192.0.2.7',
      request: '5f0c8a1e9b7d2c43',
      operation: 'PATCH /v1/devices/{id}',
      object: 'devices/356307042441013',
      status: 200,
      count: 1,
      old: { plan: 'default' },
      new: { plan: 'gold' },
    },
  ],
};
const exposed = z.object({
  operations: z.array(z.string()),
  first: z.int().describe('epoch ms'),
  last: z.int(),
  count: z.int().describe('calls'),
});
const exposure = z
  .object({
    token: z.string(),
    devices: z.array(exposed.extend({ device: z.string(), accounts: z.array(z.string()) })).describe('read one by one'),
    all: exposed.optional().describe('read as a list or a map of all devices: then every device that was there may have been seen'),
  })
  .meta({ id: 'exposure' });
const seen = { operations: ['GET /v1/devices/{id}/positions'], first: 1_796_083_199_000, last: 1_796_083_999_000, count: 3 };

/** Who changed what, and who saw what (docs/audit.md). */
export const AUDIT_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/audit',
    scope: 'admin',
    audits: 'read',
    about: 'Changes, looks at personal data and refused calls, newest first, from ClickHouse.',
    params: NOTHING,
    query: z.strictObject({
      device: deviceId.optional(),
      account: z.string().max(64).optional(),
      by: z.string().max(64).optional().describe('name of a token'),
      type: z.enum(ENTRY_TYPES).optional(),
      from: time.default(0).describe('epoch ms'),
      to: time.optional().describe('epoch ms; default: now'),
      before: newestFirst,
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
    body: NO_BODY,
    answers: { 200: { about: 'the entries', schema: entries, example }, 503: { about: 'ClickHouse does not answer' } },
    async run({ query: { device, to = systemClock.now(), before, ...rest }, office, call }) {
      const id = device === undefined ? undefined : await office.deviceRecords.idOf(device);
      call.devices = id === undefined ? [] : [id];
      const [at = '', of = ''] = before?.split('-') ?? [];
      const found = await office.audits.list({
        ...rest,
        device: id,
        to,
        before: before === undefined ? undefined : { time: Number(at), id: of },
      });
      const last = found.at(-1);
      return { entries: found, ...(last === undefined || found.length < rest.limit ? {} : { next: `${last.time}-${last.id}` }) };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/audit/exposure',
    scope: 'admin',
    audits: 'read',
    about: 'Devices whose data a token has read in a period: what a breach notice has to name.',
    params: NOTHING,
    query: z.strictObject({
      token: z.string().min(1).max(64).describe('its name'),
      from: time.default(0).describe('epoch ms'),
      to: time.optional().describe('epoch ms; default: now'),
    }),
    body: NO_BODY,
    answers: {
      200: {
        about: 'the devices',
        schema: exposure,
        example: { token: 'dispatch', devices: [{ device: '356307042441013', accounts: ['acme'], ...seen }] },
      },
      503: { about: 'ClickHouse does not answer' },
    },
    async run({ query: { token, from, to = systemClock.now() }, office }) {
      const found = await office.audits.exposure(token, from, to);
      const all = found.find(({ device }) => device === '');
      const { device: _, accounts: __, ...rest } = all ?? {};
      return { token, devices: found.filter(({ device }) => device !== ''), ...(all === undefined ? {} : { all: rest }) };
    },
  }),
];
