import { jsonOf } from '../base/json.ts';

/** What the server has learned about one device, in terms of the codec that learned it. */
export interface Profile {
  /** Name of the codec whose memo it is. */
  readonly codec: string;
  /** The durable part of the codec's memo (codec contract, `adopt`): 31 bits. */
  readonly memo: number;
  /** Minutes that the device's clock is ahead of UTC, or of what its codec takes for that; absent: not, as far as is known. */
  readonly clock?: number;
  /** Epoch ms. */
  readonly updated: number;
}

/** Profiles by device id, shared by all workers. The first two calls stand on the byte path: they neither throw, wait nor promise. */
export interface ProfileStore {
  /**
   * Calls `found` once, with undefined when nothing is known or can be read: before it returns where the answer is at hand,
   * else later. A profile that this process has remembered is found at once.
   */
  findProfile(device: string, found: (profile: Profile | undefined) => void): void;
  /** Keeps the profile, in place of the one before; on disk soon after. What a crash in between takes is learned again. */
  remember(device: string, profile: Profile): void;
  /** Removes the profile; returns how many there were. Rejects when the store cannot be written: this is not for the byte path. */
  forget(device: string): Promise<number>;
}

/** Undefined for what another version may have written. */
export function parseProfile(text: string): Profile | undefined {
  const value: unknown = jsonOf(text);
  if (typeof value !== 'object' || value === null || !('codec' in value) || !('memo' in value) || !('updated' in value)) return undefined;
  const { codec, memo, updated } = value;
  if (typeof codec !== 'string' || typeof memo !== 'number' || typeof updated !== 'number') return undefined;
  if (memo !== (memo & 0x7fffffff)) return undefined;
  const clock = 'clock' in value && typeof value.clock === 'number' ? value.clock : 0;
  return clock === 0 ? { codec, memo, updated } : { codec, memo, clock, updated };
}
