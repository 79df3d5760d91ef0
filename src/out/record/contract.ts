import { z } from 'zod';
import { ROW_FLAG_NAMES } from '../../codec/index.ts';

/**
 * Public subpath `/record`: what consumers read from the streams `positions`, `statuses` and `events`, and from `fixgate export`, as types
 * and as schemas (docs/formats/stream.md).
 *
 * 1. Within a version of the envelope fields and types of events are added, never changed: a consumer ignores what it does not know.
 * 2. `test/unit/record/contract.test.ts` compares this with what the encoder writes.
 */

const ms = z.int().describe('epoch ms');
const id = z.string().regex(/^[0-9a-f]{16}$/);
const text = z.string();

const cell = z.object({
  mcc: z.int().optional(),
  mnc: z.int().optional(),
  lac: z.int().optional(),
  cid: z.int().optional(),
  rssi_dbm: z.number().optional(),
});

const common = {
  id: id.describe('the same when the record comes again: drop duplicates by it'),
  device: text,
  account: text.describe("whose device it was then; '' for none"),
  protocol: text,
  time: ms.describe('when it was measured'),
  received: ms,
  device_time: ms.optional().describe("the device's own time where `time` replaces or corrects it"),
  flags: z.array(z.enum(ROW_FLAG_NAMES)).optional(),
  altitude_m: z.number().optional(),
  speed_kmh: z.number().optional(),
  course_deg: z.number().optional(),
  satellites: z.int().optional(),
  hdop: z.number().optional(),
  event: text.optional().describe('a name of docs/vocabulary.md, or unknown_<code>'),
  cells: z.array(cell).optional(),
  wifi: z.array(z.object({ mac: text, rssi_dbm: z.number().optional() })).optional(),
  attrs: z.record(text, z.union([z.number(), z.boolean(), text, z.null()])).describe('by name of docs/vocabulary.md'),
};

export const fixSchema = z.object({ kind: z.literal('fix'), ...common, valid: z.boolean(), lat: z.number(), lon: z.number() });
export const statusSchema = z.object({ kind: z.literal('status'), ...common });

const by = text.describe('name of the token that asked for it');
const transport = z.enum(['tcp', 'udp', 'sms']);
const plain = z.union([text, z.number(), z.boolean()]);
const problems = z.array(z.object({ field: text, problem: text }));
const step = {
  plan: text,
  action: text,
  at_pct: z.number(),
  used_pct: z.number(),
  interval_s: z.int().optional(),
  bytes_per_s: z.int().optional(),
  keep_every_s: z.int().optional(),
};
const nothing = {};
const service = { by: text.describe('device, time, or the name of a token'), reason: text, effective: ms };

/** The own fields of each type of event. */
export const EVENT_DATA = {
  connected: z.object({ transport, protocol: text, alias: text.optional() }),
  disconnected: z.object({ reason: text, by: by.optional(), bytes_in: z.int(), bytes_out: z.int(), frames: z.int() }),
  duplicate_connection: z.object({ protocol: text, quiet_ms: z.number() }),
  profile: z.object({ protocol: text, learned: z.record(text, text) }),
  clock_offset: z.object({ protocol: text, minutes: z.number(), before: z.number() }),
  device_stuck: z.object({ protocol: text, reason: text, times: z.int(), reads_damaged: z.boolean() }),
  network_refused: z.object(nothing),
  identity_contested: z.object({ addresses: z.array(text), transport }),
  identity_picked: z.object({ address: text, by }),
  device_unknown: z.object({ protocol: text, transport }),
  new_ids_limited: z.object({ address: text }),
  device_created: z.object({ plan: text, protocol: text.optional(), by: by.optional() }),
  device_adopted: z.object({ plan: text, by }),
  device_changed: z.object({
    fields: z.array(text),
    by: by.optional(),
    options: z.record(text, z.unknown()).optional(),
    state: text.optional(),
    aliases: z.array(text).optional(),
  }),
  device_removed: z.object({ by }),
  unit_replaced: z.object({
    unit: text,
    before: text,
    by,
    reason: text,
    dropped_aliases: z.array(text),
    dropped_options: z.array(text),
  }),
  unit_settled: z.object({ unit: text, protocol: text, sent: z.array(text), refused: problems }),
  unit_refused: z.object({ protocol: text, transport, address: text }),
  device_activated: z.object(nothing),
  device_expired: z.object(nothing),
  service_started: z.object(service),
  service_suspended: z.object(service),
  service_resumed: z.object(service),
  service_ending: z.object(service),
  service_ended: z.object(service),
  service_reactivated: z.object({ ...service, after: z.enum(['expired', 'terminated', 'removed', '']) }),
  recovery_started: z.object({ case: text.optional(), reason: text, until: ms, by }),
  recovery_ended: z.object({ case: text.optional(), by }),
  account_created: z.object({ account: text, by }),
  account_changed: z.object({ account: text, fields: z.array(text), by }),
  account_suspended: z.object({ account: text, reason: text, by }),
  account_resumed: z.object({ account: text, reason: text.optional(), by }),
  account_ending: z.object({ account: text, reason: text, by }),
  account_closed: z.object({ account: text, reason: text, by }),
  consent_given: z.object({ account: text, purpose: text, fields: z.array(text), by }),
  consent_withdrawn: z.object({ account: text, purpose: text, by }),
  recipient_set: z.object({ recipient: text, purpose: text.optional(), account: text.optional(), by }),
  recipient_removed: z.object({ recipient: text, by }),
  plan_changed: z.object({ plan: text, fields: z.array(text), version: z.int(), effective: ms, by }),
  plan_in_force: z.object({ plan: text, version: z.int(), effective: ms }),
  plan_removed: z.object({ plan: text, by }),
  plan_step: z.object(step),
  plan_step_ended: z.object(step),
  plan_command_refused: z.object({ command: text, seconds: z.number(), problems }),
  tamper_rate: z.object({
    interval_s: z.number(),
    programmed_s: z.number(),
    // Events of before these were counted in windows have no more.
    window_s: z.number().optional(),
    seen: z.int().optional(),
    allowed: z.int().optional(),
    bytes: z.int().optional(),
    since: ms.optional(),
  }),
  over_cap: z.object({
    plan: text,
    plan_version: z.int(),
    cycle: ms,
    billed_bytes: z.int(),
    bytes_cap: z.int().optional(),
    over_bytes: z.int().optional(),
    records: z.int(),
    records_cap: z.int().optional(),
    over_records: z.int().optional(),
  }),
  other_bytes: z.object({ bytes: z.int(), allowed: z.int(), window_s: z.number(), since: ms }),
  clone: z.object({ addresses: z.tuple([text, text]), distance_km: z.number(), speed_kmh: z.number(), since: ms }),
  sim_changed: z.object({ what: z.enum(['iccid', 'imsi']), before: text, value: text }),
  unit_changed: z.object({ what: z.enum(['firmware', 'model']), before: text, value: text }),
  reboot_storm: z.object({ seen: z.int(), allowed: z.int(), window_s: z.number(), since: ms }),
  located: z.object({
    time: ms,
    lat: z.number(),
    lon: z.number(),
    accuracy_m: z.number(),
    valid: z.literal(false),
    source: z.enum(['cells', 'wifi']),
  }),
  device_silent: z.object({ since: ms, after_s: z.number() }),
  device_back: z.object({ since: ms, silent_s: z.number() }),
  gnss_lost: z.object({ reason: z.enum(['no_fix', 'stuck']), since: ms }),
  gnss_back: z.object({ lost_s: z.number() }),
  roaming_started: z.object({ mcc: z.int() }),
  roaming_ended: z.object({ mcc: z.int() }),
  command: z.object({
    id: text,
    command: text,
    state: text,
    final: z.boolean(),
    attempts: z.int(),
    requester: text,
    ref: text.optional(),
    note: text.optional(),
    reply: text.optional(),
    values: z.record(text, plain).optional(),
  }),
  command_refused: z.object({ entry: text, ref: text, command: text, problems }),
  settings_drift: z.object({ setting: text, value: plain }),
  campaign_started: z.object({ campaign: text, command: text, devices: z.int(), by }),
  campaign_ended: z.object({
    campaign: text,
    command: text,
    state: z.enum(['stopped', 'cancelled', 'done']),
    succeeded: z.int(),
    failed: z.int(),
    cancelled: z.int(),
    waiting: z.int(),
    by,
  }),
  installation_tested: z.object({
    test: text,
    profile: text,
    state: z.enum(['passed', 'failed', 'interrupted']),
    failed: z.array(text).describe('items of the checklist'),
    by,
  }),
  viewed: z.object({ what: z.enum(['track', 'trace', 'export']), by }),
  erase_started: z.object({ by, before: ms, registry: z.unknown() }),
  retention: z.object({ removed: z.record(text, z.number()), devices: z.number(), held: z.number(), erasing: z.number(), until: ms }),
  erased: z.object({ by, removed: z.record(text, z.record(text, z.number())) }),
} as const;

export type EventType = keyof typeof EVENT_DATA;

/** What is the same of all events. */
const envelope = {
  version: z.literal(1),
  id,
  kind: z.literal('event'),
  device: text.describe("'' in an event that concerns no device"),
  account: text,
  time: ms.describe('when it happened'),
  received: ms.describe('when it was journaled'),
  protocol: text,
};

/** Any event, also of a type that is newer than the consumer. */
export const eventSchema = z.object({ ...envelope, type: text, data: z.record(text, z.unknown()) });

export type Fix = z.infer<typeof fixSchema>;
export type Status = z.infer<typeof statusSchema>;
/** What an entry of `positions` or `statuses` holds. */
export type StreamRecord = Fix | Status;
type EventOf<T extends EventType> = Omit<z.infer<typeof eventSchema>, 'type' | 'data'> & {
  readonly type: T;
  readonly data: z.infer<(typeof EVENT_DATA)[T]>;
};
/** What an entry of `events` holds, by type. */
export type StreamEvent = { [T in EventType]: EventOf<T> }[EventType];

/** JSON Schema (2020-12) of everything in the three streams; `$defs` has `fix`, `status`, and each type of event. */
export function jsonSchema(): Readonly<Record<string, unknown>> {
  // As a consumer may read it: what is not named is allowed.
  const of = (schema: z.ZodType): object => {
    const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input' });
    return rest;
  };
  const events = Object.entries(EVENT_DATA).map(([type, data]) => [
    `event_${type}`,
    of(z.object({ ...envelope, type: z.literal(type), data })),
  ]);
  const defs: Readonly<Record<string, unknown>> = { fix: of(fixSchema), status: of(statusSchema), ...Object.fromEntries(events) };
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Records and events of Fixgate',
    anyOf: Object.keys(defs).map((name) => ({ $ref: `#/$defs/${name}` })),
    $defs: defs,
  };
}
