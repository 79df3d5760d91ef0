import { addressOf } from '../../base/wire/network.ts';
import type { Device } from './device.ts';
import { Networks } from './networks.ts';

const QUIET_MS = 60_000;

/** What the registry says of an id that a device reports. */
export class DeviceLookup {
  /** The id as reported. */
  readonly reported: string;
  /** The device's own id: the reported one, or that of the device whose alias it is. */
  readonly id: string;
  /** The id of its hardware: the device's own, unless another unit was put in. What is learned of hardware is kept under it. */
  readonly unit: string;
  /** Undefined when it has none. */
  readonly device: Device | undefined;
  /** The registry could not be read. */
  readonly unread: boolean;
  /** Why the device is not served from anywhere; '' when it is. */
  readonly #refusal: '' | 'unknown_device' | 'registry_unreachable' | 'unit_replaced';
  readonly #networks: Networks | undefined;
  #toldAt = Number.NEGATIVE_INFINITY;

  /** `out`: it is the id of a device that has another unit, and of none that this hardware is in. */
  constructor(reported: string, device: Device | undefined, closed: boolean, unread: boolean, out = false) {
    this.reported = reported;
    this.id = device?.id ?? reported;
    this.unit = device?.unit ?? this.id;
    this.device = device;
    this.unread = unread;
    if (out) this.#refusal = 'unit_replaced';
    else this.#refusal = device !== undefined || !closed ? '' : unread ? 'registry_unreachable' : 'unknown_device';
    this.#networks = device === undefined || device.networks.length === 0 ? undefined : new Networks(device.networks);
  }

  /** An open registry would make a device of it. */
  get isNew(): boolean {
    return this.device === undefined && !this.unread && this.#refusal === '';
  }

  /** Why the device is not served from `peer` (address and port): a label of fixgate_rejects_total; '' when it is. */
  refusal(peer: string): '' | 'unknown_device' | 'registry_unreachable' | 'unit_replaced' | 'network_refused' {
    if (this.#refusal !== '' || this.#networks === undefined) return this.#refusal;
    return this.#networks.includes(addressOf(peer)) ? '' : 'network_refused';
  }

  /** Is another refusal worth an event? Once in a while. `now` in monotonic ms. */
  isNews(now: number): boolean {
    if (now - this.#toldAt < QUIET_MS) return false;
    this.#toldAt = now;
    return true;
  }
}
