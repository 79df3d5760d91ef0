import { every } from '../../base/beat.ts';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { Seldom } from '../../base/seldom.ts';
import { type Following, follow } from '../../state/follow.ts';
import type { StateStore } from '../../state/store.ts';
import { PLANS, type PlanHistory } from './versions.ts';

/**
 * Announces that a version of a plan has come into force (event `plan_in_force`). Runs in the supervisor.
 *
 * 1. Each is announced once, by whichever server on the store is first; the write by which it claims that also tells every follower of
 *    plans. One that was killed in between announces it when it is back, or another does after `ANNOUNCING_MS`.
 */
const LOOK_MS = 1_000;
const ANNOUNCING_MS = 30_000;

export interface PlanNoticesOptions {
  readonly store: StateStore;
  /** Identity of this installation: several may share the store. */
  readonly instance: string;
  /** Journals an event; '' for one of no device. */
  readonly record: (device: string, event: object) => void;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  readonly log: Log;
}

export class PlanNotices {
  readonly #o: PlanNoticesOptions;
  #plans: ReadonlyMap<string, PlanHistory> = new Map();
  #following: Following | undefined;
  #stop: (() => void) | undefined;
  #working: Promise<void> | undefined;
  readonly #trouble = new Seldom('a plan that has come into force cannot be announced; retrying', systemClock);

  constructor(options: PlanNoticesOptions) {
    this.#o = options;
  }

  start(): void {
    const { store, log } = this.#o;
    const known = (plans: ReadonlyMap<string, PlanHistory>): void => {
      this.#plans = new Map([...plans].filter(([, { versions }]) => versions.some(({ notice }) => notice !== undefined)));
    };
    const changed = (key: string, plan: PlanHistory | undefined): void =>
      known(plan === undefined ? new Map([...this.#plans].filter(([name]) => name !== key)) : new Map([...this.#plans, [key, plan]]));
    this.#following = follow(store, PLANS, { all: known, changed }, log);
    this.#stop = every(LOOK_MS, () => this.#tick());
  }

  async stop(): Promise<void> {
    this.#stop?.();
    await this.#following?.stop();
    await this.#working;
  }

  #tick(): void {
    this.#working ??= this.#look()
      .catch((error: unknown) => this.#trouble.warn(this.#o.log, { error: messageOf(error) }))
      .finally(() => {
        this.#working = undefined;
      });
  }

  async #look(): Promise<void> {
    for (const [name, plan] of this.#plans) if (this.#due(plan) !== undefined) await this.#announce(name);
  }

  /** The number of a version that is in force and that no other server is announcing. */
  #due({ versions }: PlanHistory): number | undefined {
    const now = this.#o.now();
    return versions.find(
      ({ from, notice }) => notice !== undefined && from <= now && (notice.by === this.#o.instance || notice.until <= now),
    )?.version;
  }

  async #announce(name: string): Promise<void> {
    const { store, instance, record, now } = this.#o;
    const text = await store.get('plans', name);
    const history = PLANS.read(text);
    const version = history === undefined ? undefined : this.#due(history);
    if (history === undefined || version === undefined) return;
    const marked = (notice: { by: string; until: number } | undefined): PlanHistory => ({
      ...history,
      versions: history.versions.map((one) => {
        if (one.version !== version) return one;
        const { notice: _, ...rest } = one;
        return notice === undefined ? rest : { ...rest, notice };
      }),
    });
    const claim = PLANS.put(marked({ by: instance, until: now() + ANNOUNCING_MS }), name);
    if (!(await store.write([PLANS.expect(text, name), claim]))) return;
    const from = history.versions.find((one) => one.version === version)?.from;
    record('', { type: 'plan_in_force', plan: name, version, effective: from });
    await store.write([PLANS.expect('put' in claim ? claim.put : undefined, name), PLANS.put(marked(undefined), name)]);
  }
}
