import type { Command } from './command.ts';
import { DeliveryLine, type DeliveryOptions, type DeliveryPort } from './delivery-line.ts';

/**
 * Brings commands to the devices that one worker is connected to.
 *
 * 1. One command in flight per device: the next one goes when the reply has come, or its time is over.
 * 2. On TCP a command goes at once, but never between a frame and the answer that it is owed; on UDP right behind an
 *    uplink, when the way back is open.
 * 3. The ledger says `sent` before the bytes leave; what was marked by a connection that is gone counts as an attempt
 *    without a reply, and a critical command is unknown then: its bytes leave once.
 * 4. A reply belongs to the command in flight when its key comes back, or when the protocol has no keys. One that comes
 *    late belongs to the command it lapsed for, as long as nothing else has been sent, or to the unknown one with its key.
 * 5. What shows that a command was carried out is the codec's to say: a reply that reads like one to it, a position, or the
 *    end of the connection. A reply that refuses makes it failed. A text in no documented form, or one without a position
 *    where that was asked for, counts when nothing better comes in time: what the device has replied to is not sent again.
 *    A position is newer than the request, by its own time.
 * 6. Steps of a device's connections happen one after the other, and an error of the store ends none of them for good: it is
 *    tried again. While an outcome is known and not written, its command is not taken for lost.
 * 7. What a command waits for (its time, the vehicle's standing still) is asked again in the moment its bytes leave.
 * 8. A critical command waits a minute on a session that has no standing, and as long as the device is contested: a session that
 *    spoke meanwhile may be the device.
 * 9. What a device with privacy relay has replied may say where it is: it is in the event, which goes to the stream, and in the
 *    answer to those who wait for it, and not in the ledger, which stays.
 */
export class Delivery {
  readonly #o: DeliveryOptions;
  readonly #lines = new Map<string, DeliveryLine>();
  /** Devices whose last connection still writes down how it ended. */
  readonly #leaving = new Map<string, Promise<void>>();
  readonly #working = new Set<Promise<void>>();

  constructor(options: DeliveryOptions) {
    this.#o = options;
  }

  /** The device speaks on this connection from now on. */
  attached(port: DeliveryPort): void {
    const { device } = port;
    this.#leave(this.#lines.get(device));
    const line = new DeliveryLine(port, this.#o, this.#working, this.#leaving.get(device));
    this.#lines.set(device, line);
    line.look();
  }

  detached(port: DeliveryPort): void {
    const line = this.#lines.get(port.device);
    if (line?.port !== port) return;
    this.#lines.delete(port.device);
    this.#leave(line);
  }

  /** Something about the device's commands has changed. */
  poke(device: string): void {
    this.#lines.get(device)?.look();
  }

  /** Anything may have changed. */
  pokeAll(): void {
    for (const line of this.#lines.values()) line.look();
  }

  /** The way is clear, as `wait` asked. */
  ready(port: DeliveryPort): void {
    this.#of(port)?.ready();
  }

  /** Another session of the device has spoken. */
  contradicted(port: DeliveryPort, peer: string): void {
    this.#of(port)?.contradicted(peer);
  }

  /** A position came while `wantsFix` was set, in terms of a record. */
  fixed(port: DeliveryPort, fix: Command['values']): void {
    this.#of(port)?.fixed(fix);
  }

  /** `key` is -1 where the protocol has none. */
  replied(port: DeliveryPort, key: number, text: string, values: Command['values']): void {
    this.#of(port)?.replied(key, text, values);
  }

  /** Resolves when what has begun is in the ledger. */
  async close(): Promise<void> {
    for (const line of this.#lines.values()) void line.leave();
    this.#lines.clear();
    while (this.#working.size > 0) await Promise.all(this.#working);
  }

  #of(port: DeliveryPort): DeliveryLine | undefined {
    const line = this.#lines.get(port.device);
    return line?.port === port ? line : undefined;
  }

  #leave(line: DeliveryLine | undefined): void {
    if (line === undefined) return;
    const { device } = line.port;
    const left = line.leave().finally(() => {
      if (this.#leaving.get(device) === left) this.#leaving.delete(device);
    });
    this.#leaving.set(device, left);
  }
}
