import { z } from 'zod';
import { jsonOf } from '../../base/json.ts';
import { byId, TypedTable } from '../../state/table.ts';
import { phoneNumber } from './phone.ts';

/** A device as the registry knows it: the table `devices`, by id. Times in epoch ms. */
const time = z.int().min(0).max(253_402_300_799_999).meta({ format: 'epoch-ms' });
export const deviceId = z.string().regex(/^[A-Za-z0-9:_-]{3,32}$/, 'must be a device id: 3 to 32 letters, digits, -, _ or :');
export const MOST_ALIASES = 8;
const mcc = z.int().min(200).max(799);
const cidr = z.union([z.cidrv4(), z.cidrv6()]);

export const DEVICE_STATES = ['pending', 'active', 'suspended', 'terminated'] as const;

export const deviceSchema = z
  .strictObject({
    id: deviceId.describe('IMEI or id of the protocol, as normalised'),
    aliases: z.array(deviceId).max(MOST_ALIASES).default([]).describe('other ids under which it reports'),
    unit: deviceId.optional().describe('its hardware, where the id of that is not its own; `POST …/replace` puts another one in'),
    unit_since: time.optional().describe('what its unit measured before this is of another device, and is not stored'),
    phone: phoneNumber.optional().describe('its telephone number, E.164: text messages from there are its own'),
    name: z.string().max(200).optional().describe('for people, such as the plate; goes when the device leaves its account'),
    labels: z
      .record(z.string().min(1).max(64), z.string().max(200))
      .refine((labels) => Object.keys(labels).length <= 32, 'must have at most 32 entries')
      .optional()
      .describe('for programs; PATCH replaces all; they go when the device leaves its account'),
    model: z.string().max(64).optional().describe('of its unit'),
    serial: z.string().max(64).optional().describe('of its unit'),
    iccid: z
      .string()
      .regex(/^\d{18,22}$/, 'must be the 18 to 22 digits of a SIM card')
      .optional()
      .describe('number of its SIM card'),
    account: z.string().max(64).optional(),
    plan: z.string().max(64).default('default'),
    state: z.enum(DEVICE_STATES).default('active').describe('pending becomes active at activates_at or first contact'),
    reason: z.string().max(200).optional().describe('why it is in this state; goes when the state changes without a new one'),
    activates_at: time.optional().describe('before this it is served like a suspended one'),
    suspends_at: time.optional().describe('from then on it is served like a suspended one; activating it takes that back'),
    expires_at: time.optional().describe('from then on it is served like a suspended one'),
    privacy: z.enum(['store', 'relay']).default('store').describe('relay: to the stream only, never to ClickHouse'),
    recovery: z
      .strictObject({ reason: z.string().min(1).max(200), interval_s: z.int().min(5).max(86_400), started: time, until: time })
      .optional()
      .describe('a stolen vehicle is being looked for: no caps until then'),
    home_networks: z.array(mcc).max(64).default([]).describe('mobile country codes where it is at home; empty: everywhere'),
    networks: z.array(cidr).max(32).default([]).describe('addresses it may connect from; empty: any'),
    interval_s: z.int().min(1).max(86_400).optional().describe("programmed interval, where it is not the plan's"),
    options: z
      .record(z.string().max(64), z.union([z.string().max(200), z.number(), z.boolean()]))
      .optional()
      .describe('of its codec (`fixgate codecs <codec>`), before what the configuration says; PATCH changes those named, null removes one'),
    protocol: z.string().max(32).optional().describe('codec that it spoke last'),
    transport: z.enum(['tcp', 'udp', 'sms']).optional().describe('that it spoke last'),
    first_seen: time.optional(),
    provisional: z
      .boolean()
      .optional()
      .describe('made by a first contact; the device has not come back and the record was not changed: it may be removed'),
  })
  .describe('device');
export type Device = z.infer<typeof deviceSchema>;

/** Is the hardware that reports under this id out of the device, which has another unit? */
export function isOut({ unit, aliases, phone }: Device, reported: string): boolean {
  return unit !== undefined && reported !== unit && reported !== phone && !aliases.includes(reported);
}

/** A change of a device: what is given replaces what is there, null removes it. */
export const devicePatchSchema = z
  .strictObject(Object.fromEntries(Object.entries(deviceSchema.shape).map(([name, field]) => [name, z.optional(z.nullable(bare(field)))])))
  .extend({
    options: z
      .record(z.string().max(64), z.union([z.string().max(200), z.number(), z.boolean(), z.null()]))
      .nullable()
      .optional(),
  })
  .describe('fields of a device; null removes one');

/** Without the default: a field that is not given stays as it is. */
function bare(field: z.core.$ZodType): z.core.$ZodType {
  return field instanceof z.ZodDefault ? field.unwrap() : field;
}

/** The device when a person or a program has changed it. */
export function settled(device: Device): Device {
  const { provisional, ...rest } = device;
  return provisional === undefined ? device : rest;
}

/** The reason that it had for another state is none for this one. */
export function reasoned(before: Device | undefined, after: Device): Device {
  if (before === undefined || before.state === after.state || before.reason !== after.reason) return after;
  const { reason: _, ...rest } = after;
  return rest;
}

/** The device with the change made; what it then is must still be checked. Who activates it at `now` takes back a suspension by date. */
export function patched(device: Device | undefined, patch: Readonly<Record<string, unknown>>, now = 0): Record<string, unknown> {
  const { options } = patch;
  // What an account has said of a device is not the next one's.
  if (device?.account !== undefined && patch['account'] !== undefined && patch['account'] !== device.account)
    return patched({ ...device, account: undefined, name: undefined, labels: undefined }, patch, now);
  if (patch['state'] === 'active' && device?.suspends_at !== undefined && device.suspends_at <= now)
    return patched({ ...device, suspends_at: undefined }, patch);
  const isObject = typeof options === 'object' && options !== null && !Array.isArray(options);
  return withoutNulls({ ...device, ...patch, ...(isObject ? { options: withoutNulls({ ...device?.options, ...options }) } : {}) });
}

function withoutNulls(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
}

/** Most lists are empty, and there are many devices. */
const NONE: never[] = [];

/** Returns undefined if the text is not a device record. A record is checked when it is written: here, at every login, only what an older version may have left out. */
function parseDevice(text: string | undefined): Device | undefined {
  if (text === undefined) return undefined;
  const value: unknown = jsonOf(text);
  const device = isWhole(value) ? value : deviceSchema.safeParse(value).data;
  if (device === undefined) return undefined;
  if (device.aliases.length === 0) device.aliases = NONE;
  if (device.home_networks.length === 0) device.home_networks = NONE;
  if (device.networks.length === 0) device.networks = NONE;
  return device;
}

export const DEVICES = new TypedTable<Device>({ name: 'devices', key: byId, parse: parseDevice });

function isWhole(value: unknown): value is Device {
  if (typeof value !== 'object' || value === null) return false;
  const texts = ['id', 'plan', 'state', 'privacy'].every((name) => typeof Reflect.get(value, name) === 'string');
  return texts && ['aliases', 'home_networks', 'networks'].every((name) => Array.isArray(Reflect.get(value, name)));
}
