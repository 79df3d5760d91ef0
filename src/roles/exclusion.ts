import { AppError } from '../base/errors.ts';

/** Keeps what writes stored data once more apart from what erases it. */
export class Exclusion {
  #erasing = 0;
  readonly #writing = new Set<Promise<unknown>>();

  /** What is being written is waited for; meanwhile nothing is begun. */
  async erasing<T>(work: () => Promise<T>): Promise<T> {
    this.#erasing++;
    try {
      await this.settled();
      return await work();
    } finally {
      this.#erasing--;
    }
  }

  /** Throws AppError while something is being erased. */
  writing<T>(work: () => Promise<T>): Promise<T> {
    if (this.#erasing > 0) throw new AppError('SINK_UNREACHABLE', 'a device is being erased; repeat it when the erasure is done');
    const writing = work();
    this.#writing.add(writing);
    const ended = (): void => void this.#writing.delete(writing);
    writing.then(ended, ended);
    return writing;
  }

  /** What is being written now has been. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#writing]);
  }
}
