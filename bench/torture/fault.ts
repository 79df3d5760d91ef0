import type { Random } from '../../src/simulate/random.ts';
import type { Rig } from './rig.ts';

/** What a fault does something to: one at a time on each side. */
export type Side = 'server' | 'stores';

export interface Fault {
  readonly name: string;
  readonly side: Side;
  /** How long it lasts in a run of half an hour or more; short runs have shorter ones. 0: it is a moment. */
  readonly lastsMs: number;
  /** Does it and undoes it. Returns a word about what happened, or '' when its name says it all. */
  run(rig: Rig, lastsMs: number, random: Random): Promise<string>;
  /** Why it cannot be done here; '' when it can. */
  unsupported?(rig: Rig): string;
}
