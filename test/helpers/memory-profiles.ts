import type { Profile, ProfileStore } from '../../src/state/profile.ts';

/** Profiles of one test; `late` keeps the answers back until `answer` is called, as a store over the network would. */
export class MemoryProfiles implements ProfileStore {
  readonly kept = new Map<string, Profile>();
  late = false;
  writes = 0;
  #owed: (() => void)[] = [];

  findProfile(device: string, found: (profile: Profile | undefined) => void): void {
    if (this.late) this.#owed.push(() => found(this.kept.get(device)));
    else found(this.kept.get(device));
  }

  remember(device: string, profile: Profile): void {
    this.writes++;
    this.kept.set(device, profile);
  }

  answer(): void {
    for (const owed of this.#owed.splice(0)) owed();
  }

  async forget(): Promise<number> {
    return 0;
  }
}
