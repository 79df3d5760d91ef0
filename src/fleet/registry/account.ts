import { z } from 'zod';
import { jsonOf } from '../../base/json.ts';
import type { StateStore } from '../../state/store.ts';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';

/** An account (docs/accounts.md): whose devices are. The table `accounts`, by id. Devices name it; one that has no record is active. Times in epoch ms. */
const time = z.int().min(0).max(253_402_300_799_999).meta({ format: 'epoch-ms' });
const short = z.string().min(1).max(64);

/** As devices name it, without what a key of the state store cannot hold. */
export const accountId = z
  .string()
  .regex(/^[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?$/, 'must be 1 to 64 printable ASCII characters, without spaces at its ends');

/** What people and programs may write. */
const given = {
  name: z.string().max(200).default('').describe('for people'),
  time_zone: z.string().refine(isTimeZone, 'must be an IANA time zone like Europe/Berlin').default('UTC'),
  labels: z
    .record(short, z.string().max(200))
    .refine((labels) => Object.keys(labels).length <= 32, 'must have at most 32 entries')
    .default({}),
  retention: z
    .strictObject({
      keep_days: z.int().min(1).max(36_500).optional().describe('what was received before so many days is removed'),
      erase_after_end_days: z
        .int()
        .min(0)
        .max(36_500)
        .optional()
        .describe('so long after a device was passed on or its service ended, or the account was closed, what is of that time is erased'),
    })
    .optional()
    .describe('counts before that of the plan'),
};

/** What a consent is for. */
export const purpose = z.string().regex(/^[a-z][a-z0-9_]{0,31}$/, 'must be 1 to 32 lower-case letters, digits and _');

/** What of a record is passed on: see `recipient-routes.ts`. */
export const consentFields = z
  .array(
    z
      .string()
      .regex(/^[a-z][a-z0-9_]{0,63}$/, 'must be `all`, `place`, or the name of a field or attribute')
      .refine((name) => !['lat', 'lon', 'valid'].includes(name), 'lat, lon and valid are passed on as `place`'),
  )
  .min(1)
  .max(64)
  .describe('`all`, or of a record `place` (lat, lon, valid) and names of its other fields and of its attributes');

export const consentSchema = z.strictObject({ fields: consentFields, since: time.describe('what was received before is not passed on') });

export const accountSchema = z
  .strictObject({
    id: accountId,
    ...given,
    consents: z.record(purpose, consentSchema).default({}).describe('purpose → what is passed on for it, to recipients with this purpose'),
    state: z.enum(['active', 'suspended', 'closed']).default('active'),
    reason: z.string().max(200).optional().describe('of the state'),
    since: time.default(0).describe('when the state began'),
    ending_since: time.optional().describe('it is being closed: each device is served to the end of the cycle in which this lies'),
    created: time.default(0),
  })
  .describe('account');
export type Account = z.infer<typeof accountSchema>;

export const newAccountSchema = z.strictObject({ id: accountId, ...given }).describe('account');
export const accountPatchSchema = z
  .strictObject({
    name: given.name.unwrap().nullable().optional(),
    time_zone: given.time_zone.unwrap().nullable().optional(),
    labels: given.labels.unwrap().nullable().optional(),
    retention: given.retention.unwrap().nullable().optional(),
  })
  .describe('fields of an account; null gives one its default');
export type AccountPatch = z.infer<typeof accountPatchSchema>;

export const ACCOUNTS = new TypedTable<Account>({ name: 'accounts', key: byId, parse: (text) => readAccount(jsonOf(text)) });

/** Earlier versions kept consents as a note: purpose → names of fields. */
function readAccount(row: unknown): Account | undefined {
  const consents: unknown = Reflect.get(Object(row), 'consents');
  const modern = Object.entries(Object(consents)).flatMap(([name, consent]) => {
    if (!Array.isArray(consent)) return [[name, consent]];
    const fields = consent.filter((field) => consentFields.safeParse([field]).success);
    return fields.length === 0 ? [] : [[name, { fields, since: 0 }]];
  });
  return accountSchema.safeParse(consents === undefined ? row : { ...Object(row), consents: Object.fromEntries(modern) }).data;
}

/** A change of the state of an account. `ending`: each device is served to the end of its cycle. */
const stepSchema = z.object({
  state: z.enum(['active', 'suspended', 'closed', 'ending']),
  at: z.number(),
  by: z.string(),
  reason: z.string(),
});
export type AccountStep = z.infer<typeof stepSchema>;
/** The last of an account that are kept. */
const MOST_STEPS = 200;

/** By account id, oldest first. */
export const ACCOUNT_STEPS = new TypedTable<readonly AccountStep[]>({
  name: 'account_steps',
  key: byId,
  parse: rowsOf(z.array(stepSchema)),
});

/** How the state of the account has changed, oldest first; of one from before that was noted, what it is. */
export async function accountSteps(store: Pick<StateStore, 'get'>, id: string): Promise<readonly AccountStep[]> {
  const steps = await ACCOUNT_STEPS.get(store, id);
  if (steps !== undefined) return steps;
  const account = await ACCOUNTS.get(store, id);
  return account === undefined ? [] : stepsOf(account);
}

function stepsOf({ state, since, ending_since, reason = '' }: Account): AccountStep[] {
  const ending = ending_since === undefined ? [] : [{ state: 'ending' as const, at: ending_since, by: '', reason }];
  const own = state === 'active' ? [] : [{ state, at: since, by: '', reason }];
  return [...own, ...ending].sort((a, b) => a.at - b.at);
}

/** The steps with the one that the change from `before` to `after` is; undefined: its state is the same. */
export function withStep(
  known: readonly AccountStep[] | undefined,
  before: Account,
  after: Account,
  { at, by }: Pick<AccountStep, 'at' | 'by'>,
): readonly AccountStep[] | undefined {
  const isEnding = after.ending_since !== undefined && before.ending_since === undefined;
  const isBack = after.ending_since === undefined && before.ending_since !== undefined;
  if (before.state === after.state && !isEnding && !isBack) return undefined;
  const step: AccountStep = { state: isEnding ? 'ending' : after.state, at, by, reason: after.reason ?? '' };
  return [...(known ?? stepsOf(before)), step].slice(-MOST_STEPS);
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
