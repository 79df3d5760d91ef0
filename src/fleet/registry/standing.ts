import { z } from 'zod';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { networkOf } from '../../base/wire/network.ts';
import type { Transport } from '../../codec/index.ts';
import type { StateStore } from '../../state/store.ts';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';

/**
 * Where devices have spoken from: the table `standing`, by id. Tracker protocols have no secret; a session from where its device was before is
 * believed sooner than one from elsewhere.
 *
 * 1. A network is an IPv4 /24 or an IPv6 /48. It counts for 30 days, and for the transport that the device used last.
 * 2. The first network of a device is believed. Later ones are noted when a session that nothing contradicted has ended.
 * 3. While a device is contested no session has standing, until an operator has picked an address.
 */
const DAY_MS = 86_400_000;
const KEPT_MS = 30 * DAY_MS;
const MOST_NETWORKS = 16;
const BYTES_OF_24_BITS = 3;
const GROUPS_OF_48_BITS = 3;

export const standingSchema = z.object({
  networks: z
    .record(z.string(), z.number())
    .describe('network that the device has spoken from (its first bytes or groups) → when, epoch ms'),
  transport: z.enum(['tcp', 'udp', 'sms']).describe('that it spoke last'),
  contested: z.array(z.string()).optional().describe('addresses that contradict each other: critical commands wait until one is picked'),
});
type Noted = z.infer<typeof standingSchema>;

export interface Standing {
  readonly known: boolean;
  readonly contested: boolean;
}

export const STANDING = new TypedTable<Noted>({ name: 'standing', key: byId, parse: rowsOf(standingSchema) });

const networkKey = (address: string): string => networkOf(address, BYTES_OF_24_BITS, GROUPS_OF_48_BITS);

/** An operator says that the device is the one at this address: only its network has standing then. False: it has never spoken. */
export async function pickAddress(store: StateStore, device: string, address: string, now: number): Promise<boolean> {
  const after = await store.update('standing', device, (text) => {
    const before = STANDING.read(text);
    if (before === undefined) return text;
    return JSON.stringify({ networks: { [networkKey(address)]: now }, transport: before.transport } satisfies Noted);
  });
  return after !== undefined;
}

export class Standings {
  readonly #store: StateStore;
  readonly #now: () => number;
  readonly #log: Log;

  /** `now`: wall clock, epoch ms. */
  constructor(store: StateStore, now: () => number, log: Log) {
    this.#store = store;
    this.#now = now;
    this.#log = log;
  }

  /** Calls `found` at once where the store has the answer at hand, else later. What cannot be read has no standing. */
  find(device: string, transport: Transport, address: string, found: (standing: Standing) => void): void {
    this.#store.find('standing', device, (text, readable) => {
      const record = STANDING.read(text);
      const contested = record?.contested !== undefined;
      const noted = record?.networks[networkKey(address)] ?? Number.NEGATIVE_INFINITY;
      const before = record?.transport === transport && this.#now() - noted < KEPT_MS;
      // Invariant 2.
      if (record === undefined && readable) this.note(device, transport, address);
      found({ known: !contested && (record === undefined ? readable : before), contested });
    });
  }

  /** The device has spoken from there, and nothing contradicts that. */
  note(device: string, transport: Transport, address: string): void {
    const now = this.#now();
    const key = networkKey(address);
    void this.#update(device, (record) => {
      if (record?.contested !== undefined) return record;
      if (record?.transport === transport && now - (record.networks[key] ?? 0) < DAY_MS) return record;
      const networks = Object.entries({ ...record?.networks, [key]: now }).filter(([, at]) => now - at < KEPT_MS);
      networks.sort((a, b) => b[1] - a[1]);
      return { networks: Object.fromEntries(networks.slice(0, MOST_NETWORKS)), transport };
    });
  }

  /** Both speak for the device, and a command that can strand it waits. Resolves when that is written, or cannot be. */
  contest(device: string, transport: Transport, addresses: readonly string[]): Promise<void> {
    return this.#update(device, (record) => ({ networks: {}, transport, ...record, contested: [...addresses] }));
  }

  #update(device: string, change: (record: Noted | undefined) => Noted | undefined): Promise<void> {
    return this.#store
      .update('standing', device, (text) => {
        const after = change(STANDING.read(text));
        return after === undefined ? undefined : JSON.stringify(after);
      })
      .then(() => {})
      .catch((error: unknown) =>
        this.#log.warn({ error: messageOf(error) }, 'the network of a device cannot be written; retried at its next session'),
      );
  }
}
