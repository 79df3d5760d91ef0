import { z } from 'zod';
import type { StateStore } from '../../state/store.ts';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';
import type { CriticalType } from './critical.ts';

/** Campaigns: one command to many devices (docs/commands.md). The tables `campaigns` and `campaign_devices`. Times in epoch ms. */
const CAMPAIGN_STATES = ['running', 'paused', 'stopped', 'cancelled', 'done'] as const;
export const TARGET_STATES = ['waiting', 'open', 'succeeded', 'failed', 'cancelled'] as const;
export type TargetState = (typeof TARGET_STATES)[number];

const value = z.union([z.string().max(1024), z.number(), z.boolean()]);
const text = z.string().min(1).max(64);

const selectionSchema = z
  .strictObject({
    devices: z.array(z.string().min(3).max(32)).min(1).max(10_000).optional().describe('ids'),
    protocol: text.optional(),
    model: text.optional().describe('as its record says, else the variant that the codec has learned'),
    account: text.optional(),
    plan: text.optional(),
    label: z
      .string()
      .regex(/^[^=]{1,64}=.{0,256}$/, 'must be name=value')
      .optional()
      .describe('of the device or its account: name=value'),
  })
  .refine((one) => Object.values(one).some((given) => given !== undefined), 'must name at least one of its fields');
export type Selection = z.infer<typeof selectionSchema>;

export const campaignWantedSchema = z.strictObject({
  type: text.describe('of the command'),
  parameters: z.record(z.string().max(64), value).default({}),
  reason: z.string().min(1).max(200),
  selection: selectionSchema.describe('devices for which all that is given holds'),
  rate: z.int().min(1).max(6_000).default(60).describe('commands a minute'),
  canary_pct: z
    .number()
    .min(0)
    .max(100)
    .default(5)
    .describe('share of the devices that come first; the others follow only when all of them have succeeded'),
  expires_s: z.int().min(60).max(2_592_000).default(86_400).describe('of each command, from when it is handed in'),
});
export type CampaignWanted = z.infer<typeof campaignWantedSchema>;

const count = z.int();
export const campaignSchema = z.object({
  id: z.string(),
  ...campaignWantedSchema.shape,
  by: z.string().describe('the token that asked'),
  created: count,
  ended: count.describe('0 while it goes on'),
  state: z.enum(CAMPAIGN_STATES).describe('stopped: a device of the canary share has failed'),
  note: z.string(),
  devices: count,
  canaries: count.describe('how many of them come first'),
  counts: z.object({ waiting: count, open: count, succeeded: count, failed: count, cancelled: count }).describe('devices by state'),
});
export type Campaign = z.infer<typeof campaignSchema>;

const rowSchema = campaignSchema.extend({
  /** Critical commands that who asked may send. */
  permits: z.array(z.string()),
  /** The server that works on it, and until when it has it. */
  lease: z.object({ by: z.string(), until: z.number() }),
});
export type CampaignRow = Omit<z.infer<typeof rowSchema>, 'permits'> & { readonly permits: readonly (CriticalType | string)[] };

export const targetSchema = z.object({
  device: z.string(),
  canary: z.boolean(),
  state: z.enum(TARGET_STATES),
  command: z.string().describe("id of the command, '' before"),
  command_state: z.string(),
  note: z.string(),
});
export type Target = z.infer<typeof targetSchema>;

export const CAMPAIGNS = new TypedTable<CampaignRow>({ name: 'campaigns', key: byId, parse: rowsOf(rowSchema) });
export const TARGETS = new TypedTable<Target, [campaign: string, device: string]>({
  name: 'campaign_devices',
  key: (campaign, device) => `${campaign} ${device}`,
  parse: rowsOf(targetSchema),
});

/** How a command of the ledger counts. `sent` that has ended is the end of one that devices do not reply to. */
export function targetStateOf(command: { readonly state: string; readonly ended: number } | undefined): TargetState {
  if (command === undefined) return 'failed';
  if (command.state === 'answered' || (command.state === 'sent' && command.ended > 0)) return 'succeeded';
  if (command.state === 'cancelled') return 'cancelled';
  return command.state === 'queued' || command.state === 'sent' ? 'open' : 'failed';
}

export function countsOf(targets: Iterable<Target>): Campaign['counts'] {
  const counts = { waiting: 0, open: 0, succeeded: 0, failed: 0, cancelled: 0 };
  for (const { state } of targets) counts[state]++;
  return counts;
}

/**
 * What comes next: the targets that are to be sent to, `most` of them at the most; that a canary has failed; that all is done. The others wait
 * until every canary has succeeded.
 */
export function nextOf(
  targets: Iterable<Target>,
  most: number,
): { readonly send: Target[]; readonly failed: Target | undefined; readonly isDone: boolean } {
  const [canaries, others]: [Target[], Target[]] = [[], []];
  for (const target of targets) (target.canary ? canaries : others).push(target);
  const failed = canaries.find(({ state }) => state === 'failed' || state === 'cancelled');
  const isOpen = canaries.every(({ state }) => state === 'succeeded');
  const wanted = isOpen ? others : canaries;
  const send = failed === undefined ? wanted.filter(({ state }) => state === 'waiting').slice(0, most) : [];
  const isDone = [...canaries, ...others].every(({ state }) => state !== 'waiting' && state !== 'open');
  return { send, failed, isDone };
}

export function shownCampaign({ permits: _, lease: __, ...campaign }: CampaignRow): Campaign {
  return campaign;
}

/** Newest first. */
export async function listCampaigns(store: Pick<StateStore, 'list'>): Promise<Campaign[]> {
  const found: Campaign[] = [];
  for await (const [, row] of CAMPAIGNS.entries(store)) found.push(shownCampaign(row));
  return found.reverse();
}
