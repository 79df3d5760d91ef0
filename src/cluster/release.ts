import type { Tenure } from '../lock/tenure.ts';

/** Lets the answers of a commit go while the data directory is surely this server's; they wait while that is not known. */
export class Release {
  readonly #tenure: Tenure;
  readonly #release: (watermark: number) => void;
  #watermark = 0;
  #waiting = false;

  constructor(tenure: Tenure, release: (watermark: number) => void) {
    this.#tenure = tenure;
    this.#release = release;
  }

  /** Everything up to here is durable. Allocates nothing while the tenure is sure. */
  durable(watermark: number): void {
    this.#watermark = watermark;
    if (this.#tenure.sure) this.#release(watermark);
    else if (!this.#waiting) {
      this.#waiting = true;
      void this.#confirm();
    }
  }

  async #confirm(): Promise<void> {
    await this.#tenure.confirm();
    this.#waiting = false;
    this.#release(this.#watermark);
  }
}
