import type { Transport } from '../codec/index.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StateStore } from '../state/store.ts';
import { type Device, deviceSchema, parseDevice } from './device.ts';

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
        .update('devices', id, (now) => {
          const device = parseDevice(now) ?? deviceSchema.parse({ id });
          return JSON.stringify({ first_seen: this.#now(), ...device, protocol, transport });
        })
        .catch((error: unknown) => this.#log.warn({ error: messageOf(error) }, 'a new device cannot be noted; it is at its next login'));
    });
  }
}
