import { every } from '../base/beat.ts';
import { nodeStorage } from '../base/files.ts';
import type { Metrics } from '../base/metrics/catalog.ts';
import { version } from '../base/version.ts';
import type { Config } from '../config/schema.ts';
import { DEVICE_STATES, type Device } from '../fleet/registry/device.ts';
import type { StateStore } from '../state/store.ts';
import { LoopLag } from './lifecycle.ts';

const SAMPLE_MS = 1_000;
/** A state store that has not answered for so long is away. */
const PATIENCE_MS = 3_000;

/** What the supervisor measures once a second: what it runs, the disk, the state store, and its own event loop. */
export class ServerGauges {
  readonly #metrics: Metrics;
  readonly #dataDir: string;
  readonly #store: Pick<StateStore, 'get'>;
  readonly #lag = new LoopLag();
  readonly #stop: () => void;
  #asking = false;

  constructor(metrics: Metrics, { dataDir, journal }: Config, store: Pick<StateStore, 'get'>) {
    this.#metrics = metrics;
    this.#dataDir = dataDir;
    this.#store = store;
    metrics.buildInfo.set({ version: version(), node: process.version }, 1);
    metrics.dataReserve.set(journal.minFreeBytes);
    this.counted(new Map());
    this.#take();
    this.#stop = every(SAMPLE_MS, () => this.#take());
  }

  counted(states: ReadonlyMap<Device['state'], number>): void {
    for (const state of DEVICE_STATES) this.#metrics.devices.set({ state }, states.get(state) ?? 0);
  }

  stop(): void {
    this.#stop();
    this.#lag.stop();
  }

  #take(): void {
    const { loopLag, dataFree } = this.#metrics;
    loopLag.set({ process: 'supervisor' }, this.#lag.take());
    nodeStorage.freeBytes(this.#dataDir).then(
      (bytes) => dataFree.set(bytes),
      () => {
        // As it was.
      },
    );
    if (!this.#asking) void this.#ask();
  }

  /** Any look-up does. Never rejects. */
  async #ask(): Promise<void> {
    const { stateUp } = this.#metrics;
    this.#asking = true;
    const late = setTimeout(() => stateUp.set(0), PATIENCE_MS);
    try {
      await this.#store.get('plans', 'default');
      stateUp.set(1);
    } catch {
      stateUp.set(0);
    } finally {
      clearTimeout(late);
      this.#asking = false;
    }
  }
}
