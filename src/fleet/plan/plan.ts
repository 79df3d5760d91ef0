import { z } from 'zod';

/**
 * A service plan (docs/plans.md); `versions.ts` has how it changes. Bytes count both directions, overhead included; times in
 * seconds where the name says so.
 */
const percent = z.number().min(1).max(1000);
const at = { at_pct: percent.describe('share of the cap, in per cent, from which the step holds') };

export const stepSchema = z.discriminatedUnion('action', [
  z.strictObject({ action: z.literal('notify'), ...at }).describe('an event, nothing else'),
  z.strictObject({ action: z.literal('slow'), ...at, interval_s: z.int().min(1).max(86_400) }).describe('the device is sent this interval'),
  z
    .strictObject({ action: z.literal('throttle'), ...at, bytes_per_s: z.int().min(16).max(1_000_000) })
    .describe('the socket is read no faster'),
  z
    .strictObject({ action: z.literal('decimate'), ...at, keep_every_s: z.int().min(1).max(86_400) })
    .describe('everything is acknowledged, one record per so many seconds is kept'),
  z.strictObject({ action: z.literal('discard'), ...at }).describe('everything is acknowledged, nothing is kept'),
  z.strictObject({ action: z.literal('refuse'), ...at }).describe("refused in the protocol's own way"),
]);
export type Step = z.infer<typeof stepSchema>;
export const STEP_ACTIONS: readonly string[] = stepSchema.options.map(({ shape }) => shape.action.value);

export const planName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'must be 1 to 64 lower-case letters, digits, - or _');

export const planSchema = z
  .strictObject({
    name: planName,
    anchor_day: z.int().min(1).max(31).default(1).describe('day of the month on which a cycle begins; the last one in shorter months'),
    time_zone: z
      .string()
      .refine(isTimeZone, 'must be an IANA time zone like Europe/Berlin')
      .default('UTC')
      .describe('in which that day begins'),
    prorate: z.boolean().default(false).describe('caps of a cycle that began in the middle are smaller in proportion'),
    prorate_floor_pct: z
      .number()
      .min(0)
      .max(100)
      .default(10)
      .describe('with prorate: the least share of the caps, however late in the cycle a device was activated'),
    bytes_cap: z.int().min(1).meta({ format: 'bytes' }).optional().describe('per cycle; absent: none'),
    records_cap: z.int().min(1).optional().describe('per cycle; absent: none'),
    interval_s: z.int().min(1).max(86_400).optional().describe('programmed interval: a device that reports much faster is an event'),
    ending_notice_days: z.int().min(0).max(90).default(7).describe('how long before expires_at the event service_ending comes; 0: never'),
    silent_after_s: z.int().min(10).max(31_536_000).optional().describe('nothing from a device for so long is an event; absent: never'),
    gnss_lost_after_s: z
      .int()
      .min(10)
      .max(31_536_000)
      .optional()
      .describe('a device that reports and gets no position for so long, or the same one while it moves, is an event; absent: never'),
    evidence: z
      .strictObject({
        rate_factor: z.number().min(1).max(100).default(4).describe('so many times the programmed rate is too often'),
        rate_window_s: z.int().min(60).max(86_400).default(3_600).describe('in which records are counted'),
        clone_kmh: z
          .int()
          .min(100)
          .max(100_000)
          .default(1_000)
          .describe('two connections that only something faster could be at are two devices'),
        other_bytes: z.int().min(0).default(16_384).describe('bytes an hour that no frame could be read from; 0: never too many'),
        reboots: z.int().min(0).max(3_600).default(6).describe('an hour; 0: never too many'),
      })
      .prefault({})
      .describe('from when on what a device does is an event (evidence)'),
    overhead: z
      .strictObject({
        segment_bytes: z.int().min(0).max(1000).default(0).describe('added per TCP segment'),
        datagram_bytes: z.int().min(0).max(1000).default(0).describe('added per datagram'),
        round_bytes: z.int().min(1).max(1_048_576).default(1).describe('the sum of a cycle is rounded up to a multiple'),
      })
      .prefault({}),
    hysteresis_pct: z
      .number()
      .min(0)
      .max(50)
      .default(2)
      .describe('a step ends when usage falls so far below its threshold (a raised cap, a new cycle)'),
    commands: z
      .array(z.string().min(1).max(64))
      .max(64)
      .optional()
      .describe('types of commands that the service includes: others are refused; absent: all. What the plan itself asks for is sent'),
    keep_days: z
      .int()
      .min(1)
      .max(36_500)
      .optional()
      .describe('what was received before so many days is removed, unless the account says another number; absent: it is kept'),
    erase_after_end_days: z
      .int()
      .min(0)
      .max(36_500)
      .optional()
      .describe('so many days after the service of a device has ended, all that was received of it is erased; absent: it is kept'),
    recovery: z.boolean().default(true).describe('the service includes recovery mode'),
    exempt_events: z.array(z.string().max(64)).max(32).default(['sos']).describe('records with these events always pass'),
    steps: z.array(stepSchema).max(16).default([]),
  })
  .describe('service plan');
export type Plan = z.infer<typeof planSchema>;

/** What holds for a device whose plan is not there: no caps. */
export const UNLIMITED: Plan = planSchema.parse({ name: 'default' });

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
