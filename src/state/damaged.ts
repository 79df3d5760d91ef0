import { AppError } from '../base/errors.ts';
import type { Profile, ProfileStore } from './profile.ts';
import type { Found, StateStore } from './store.ts';

/** Stands for a store that must not be touched: nothing can be read, everything that is asked is rejected with the reason. */
export class DamagedStore implements StateStore, ProfileStore {
  readonly mayBeAway = false;
  readonly #reason: string;

  /** `reason`: which file, and what to do. */
  constructor(reason: string) {
    this.#reason = reason;
  }

  find(_table: string, _key: string, found: (value: string | undefined, readable: boolean) => void): void {
    found(undefined, false);
  }

  get(): Promise<string | undefined> {
    return this.#refuse();
  }

  list(): Promise<Found[]> {
    return this.#refuse();
  }

  write(): Promise<boolean> {
    return this.#refuse();
  }

  update(): Promise<string | undefined> {
    return this.#refuse();
  }

  watch(): () => void {
    return () => {};
  }

  findProfile(_device: string, found: (profile: Profile | undefined) => void): void {
    found(undefined);
  }

  remember(): void {}

  forget(): Promise<number> {
    return this.#refuse();
  }

  profiles(): Promise<Found[]> {
    return this.#refuse();
  }

  putProfiles(): Promise<void> {
    return this.#refuse();
  }

  async close(): Promise<void> {}

  #refuse(): Promise<never> {
    return Promise.reject(new AppError('STATE_DAMAGED', this.#reason));
  }
}
