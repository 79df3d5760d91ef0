import { UNLIMITED } from '../../src/fleet/plan/plan.ts';
import { Seen } from '../../src/fleet/plan/plan-cache.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';

/** Plans without caps. */
export const NO_CAPS = {
  plan: () => UNLIMITED,
  policy: () => undefined,
  seen: () => new Seen(),
  roams: () => {},
  said: () => {},
  programmed: (_device: string, usual: number) => usual,
  alarmsPass: true,
  erased: () => undefined,
  accountState: () => undefined,
};

/** Every session has standing. */
const NO_STANDINGS = {
  find: (_d: string, _t: string, _a: string, found: (standing: { known: boolean; contested: boolean }) => void) =>
    found({ known: true, contested: false }),
  note: () => {},
  contest: async () => {},
};

/** A registry that serves everybody, and what it puts in quarantine, for hosts whose tests are not about them. */
export const OPEN_REGISTRY = {
  registry: {
    lookup: (id: string, found: (known: DeviceLookup) => void) => found(new DeviceLookup(id, undefined, false, false)),
    seen: () => {},
  },
  quarantine: { noted: () => {} },
  newcomers: { admit: (): 'admitted' => 'admitted' },
  standings: NO_STANDINGS,
  service: NO_CAPS,
};
