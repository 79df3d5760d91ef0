import type { StateStore } from '../../state/store.ts';
import type { Metered, Usage } from './usage.ts';
import type { InForce } from './versions.ts';

/** What a device has used of the plan that is in force for it. */
export interface Standing {
  readonly force: InForce;
  readonly usage: Usage;
}

/**
 * Tells that a device has used more than a cap of its plan (event `over_cap`): once for each billing cycle, also by several servers on one
 * store, whatever becomes of the cap afterwards. `again`: reads what it has used anew, behind what was told of it.
 */
export async function tellExcess(
  store: StateStore,
  { id }: Metered,
  seen: Usage,
  again: () => Promise<Standing>,
  record: (device: string, event: object) => void,
): Promise<void> {
  if (seen.pct <= 100) return;
  const told = await store.get('excess', id);
  if (told === String(seen.cycle.start)) return;
  const { force, usage } = await again();
  const { plan, version } = force;
  const { cycle, billed_bytes, bytes_cap, records, records_cap, pct } = usage;
  if (pct <= 100 || told === String(cycle.start)) return;
  const isOurs = await store.write([
    { table: 'excess', key: id, expect: told },
    { table: 'excess', key: id, put: String(cycle.start) },
  ]);
  if (!isOurs) return;
  record(id, {
    type: 'over_cap',
    plan: plan.name,
    plan_version: version,
    cycle: cycle.start,
    billed_bytes,
    ...(bytes_cap === undefined ? {} : { bytes_cap, over_bytes: Math.max(0, billed_bytes - bytes_cap) }),
    records,
    ...(records_cap === undefined ? {} : { records_cap, over_records: Math.max(0, records - records_cap) }),
  });
}
