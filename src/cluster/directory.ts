import { type Claim, leaderOf } from '../in/session/claim.ts';
import type { SessionMove } from './messages.ts';

/** A worker's sessions of one device. */
interface Here {
  readonly slot: number;
  readonly claims: readonly Claim[];
}

/**
 * Device to the workers that have sessions of it. Workers decide among their own sessions and those of the others, all by the same rule
 * (in/session/claim.ts); here each is told of the others.
 */
export class Directory {
  readonly #live = new Map<string, readonly Here[]>();
  readonly #rivals: (slot: number, device: string, claims: readonly Claim[]) => void;

  /** `rivals` is told, for each worker, the sessions of a device on all others. */
  constructor(rivals: (slot: number, device: string, claims: readonly Claim[]) => void) {
    this.#rivals = rivals;
  }

  /** Where commands for the device go; undefined when it is not connected. */
  slotOf(device: string): number | undefined {
    const places = this.#live.get(device) ?? [];
    if (places.length < 2) return places[0]?.slot;
    return leaderOf(places.flatMap(({ slot, claims }) => claims.map((claim) => ({ ...claim, slot }))))?.slot;
  }

  /** The other workers that have sessions of the device. */
  othersThan(slot: number, device: string): readonly number[] {
    return (this.#live.get(device) ?? []).filter((place) => place.slot !== slot).map((place) => place.slot);
  }

  /** What a worker has reported, in its order. */
  moved(slot: number, moves: readonly SessionMove[]): void {
    for (const [device, claims] of moves) this.#moved(slot, device, claims);
  }

  /** The worker has ended, and its connections with it. */
  forget(slot: number): void {
    for (const [device, places] of this.#live) if (places.some((place) => place.slot === slot)) this.#moved(slot, device, []);
  }

  #moved(slot: number, device: string, claims: readonly Claim[]): void {
    const others = (this.#live.get(device) ?? []).filter((place) => place.slot !== slot);
    const places = claims.length === 0 ? others : [...others, { slot, claims }];
    if (places.length === 0) this.#live.delete(device);
    else this.#live.set(device, places);
    if (others.length === 0) return;
    for (const place of places)
      this.#rivals(
        place.slot,
        device,
        places.filter((other) => other !== place).flatMap((other) => other.claims),
      );
  }
}
