import { entries } from '../../state/pages.ts';
import type { StateStore } from '../../state/store.ts';
import type { Period } from './service.ts';
import { type Scope, STATEMENTS, scopesOf } from './statement.ts';
import { PLANS, type PlanHistory, UNLIMITED_HISTORY } from './versions.ts';

/** What statements are still to be made of: as long as there is any of a device, the life of its service stays. */

/** Of a cycle that has sums, for each account that had the device in it, what is not frozen yet. */
export async function* unfrozen(
  store: Pick<StateStore, 'get'>,
  [device, start]: readonly [device: string, start: number],
  periods: readonly Period[],
  plans: ReadonlyMap<string, PlanHistory>,
): AsyncGenerator<Scope> {
  if ((await store.get('statements', STATEMENTS.key(device, start))) !== undefined) return;
  for (const scope of scopesOf(periods, plans, start)) {
    const part = partOf(scope);
    if (part === undefined || (await store.get('statements', STATEMENTS.key(device, start, part))) === undefined) yield scope;
  }
}

/** Has the device sums of which a statement is still to be made, of a running cycle or one that is over? */
export async function hasUnfrozen(store: Pick<StateStore, 'get' | 'list'>, device: string, periods: readonly Period[]): Promise<boolean> {
  const plans = new Map<string, PlanHistory>();
  for (const { plan } of periods) if (!plans.has(plan)) plans.set(plan, (await PLANS.get(store, plan)) ?? UNLIMITED_HISTORY);
  for await (const [key] of entries(store, 'usage', { prefix: `${device} ` })) {
    const found = await unfrozen(store, [device, Number(key.slice(device.length + 1))], periods, plans).next();
    if (found.done !== true) return true;
  }
  return false;
}

/** The account, where others had the device in the cycle, too. */
export function partOf({ account, owned }: Pick<Scope, 'account'> & { readonly owned?: Scope['owned'] }): string | undefined {
  return owned === undefined ? undefined : account;
}
