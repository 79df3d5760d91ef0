import type { Transport } from '../codec/index.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StateStore } from '../state/store.ts';

/** A device as the registry knows it: the table `devices`, by id. Times in epoch ms. */
export interface Device {
  readonly id: string;
  /** Name of the codec that it spoke last. */
  readonly protocol: string;
  readonly transport: Transport;
  readonly first_seen: number;
}

/** Which devices there are, and what they speak. */
export class Registry {
  readonly #store: StateStore;
  readonly #now: () => number;
  readonly #log: Log;

  /** `now` is the wall clock, epoch ms. */
  constructor(store: StateStore, now: () => number, log: Log) {
    this.#store = store;
    this.#now = now;
    this.#log = log;
  }

  async get(id: string): Promise<Device | undefined> {
    return parseDevice(await this.#store.get('devices', id));
  }

  /** Notes who has logged in. For the byte path: waits for nothing, and writes only what is new. */
  seen(id: string, protocol: string, transport: Transport): void {
    this.#store.find('devices', id, (text) => {
      const known = parseDevice(text);
      if (known?.protocol === protocol && known.transport === transport) return;
      this.#store
        .update('devices', id, (now) => JSON.stringify({ first_seen: this.#now(), ...parseDevice(now), id, protocol, transport }))
        .catch((error: unknown) => this.#log.warn({ error: messageOf(error) }, 'a new device cannot be noted; it is at its next login'));
    });
  }
}

function parseDevice(text: string | undefined): Device | undefined {
  const value: unknown = text === undefined ? undefined : JSON.parse(text);
  return isDevice(value) ? value : undefined;
}

function isDevice(value: unknown): value is Device {
  return typeof value === 'object' && value !== null && 'id' in value && 'protocol' in value && 'transport' in value;
}
