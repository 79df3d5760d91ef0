import type { SimulatedDevice, SimulatedMessage } from '../codec/index.ts';
import type { Deed, Order } from './obedience.ts';
import { exactly, type Packet, packetOf, recordId, type Speaker, type Wire } from './speaker.ts';
import type { Sample } from './track.ts';

/** A device that a codec from outside brings. It takes no commands. */
export class ForeignDevice implements Speaker {
  readonly device: string;
  readonly resolutionMs = 1000;
  readonly window = 1;
  readonly #made: SimulatedDevice;
  /** The answer to each packet, by its bytes. */
  readonly #answers = new WeakMap<Uint8Array, Uint8Array>();

  constructor(made: SimulatedDevice) {
    this.#made = made;
    this.device = made.id;
  }

  hello(): Wire | undefined {
    const hello = this.#made.hello?.();
    return hello === undefined ? undefined : wireOf(hello);
  }

  packets(samples: readonly Sample[]): Packet[] {
    return samples.map((sample) => {
      const { bytes, answer, record = [0, bytes.length] } = this.#made.report(sample);
      this.#answers.set(bytes, answer);
      return packetOf(0, bytes, [{ time: sample.time, id: recordId(this.device, bytes, record[0], record[1]) }]);
    });
  }

  wire(packet: Packet): Wire {
    return wireOf({ bytes: packet.body, answer: this.#answers.get(packet.body) ?? new Uint8Array(0) });
  }

  proof(): undefined {
    return undefined;
  }

  order(): Order | undefined {
    return undefined;
  }

  deed(order: Order): Deed {
    throw new Error(`takes no commands, ${order.text} among them`);
  }

  reply(): Uint8Array {
    return new Uint8Array(0);
  }
}

function wireOf({ bytes, answer }: SimulatedMessage): Wire {
  return { bytes, expected: exactly(answer), allowed: undefined };
}
