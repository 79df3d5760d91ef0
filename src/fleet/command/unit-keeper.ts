import { createHash } from 'node:crypto';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { OptionValue } from '../../codec/index.ts';
import { type Following, follow, followKeys } from '../../state/follow.ts';
import type { StateStore } from '../../state/store.ts';
import type { Device } from '../registry/device.ts';
import { UNITS, type Units } from '../registry/units.ts';
import type { Draft, Outcome, Problem } from './intake.ts';
import { commandOf, type Shadow } from './shadow.ts';

/**
 * Asks a unit that was put into a device for the settings that were wanted of the one before, at its first contact; in the supervisor.
 *
 * 1. Each setting is asked for once, also when several servers do it, or one that is killed meanwhile: its command has an id that follows
 *    from the unit and the setting.
 * 2. What the codec of the new unit cannot take is told (`unit_settled`), and stays wanted. So is what is critical: a person asks for that.
 */
export interface UnitKeeperOptions {
  readonly store: StateStore;
  readonly shadow: Shadow;
  readonly device: (id: string) => Promise<Device | undefined>;
  readonly submit: (draft: Draft) => Promise<Outcome>;
  /** Journals an event of a device. */
  readonly record: (device: string, event: object) => void;
  readonly log: Log;
}

const AGAIN_MS = 2_000;

export class UnitKeeper {
  readonly #o: UnitKeeperOptions;
  /** Devices whose unit is new. */
  #fresh = new Set<string>();
  #following: Following | undefined;
  #unwatch: () => void = () => {};
  #again: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: UnitKeeperOptions) {
    this.#o = options;
  }

  start(): void {
    const { store, log } = this.#o;
    const all = (rows: ReadonlyMap<string, Units>): void => {
      this.#fresh = new Set([...rows].flatMap(([id, { fresh }]) => (fresh === true ? [id] : [])));
      this.#look([...this.#fresh]);
    };
    const changed = (id: string, row: Units | undefined): void => {
      if (row?.fresh !== true) this.#fresh.delete(id);
      else {
        this.#fresh.add(id);
        this.#look([id]);
      }
    };
    this.#following = follow(store, UNITS, { all, changed }, log);
    const seen = (id: string | undefined): void => this.#look(id === undefined ? [...this.#fresh] : this.#fresh.has(id) ? [id] : []);
    this.#unwatch = followKeys(store, ['devices'], (_table, id) => seen(id), log);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#again);
    this.#unwatch();
    await this.#following?.stop();
    await this.#work;
  }

  #look(ids: readonly string[]): void {
    if (ids.length === 0) return;
    this.#work = this.#work.then(async () => {
      for (const id of ids) await this.#settle(id);
    });
  }

  async #settle(id: string): Promise<void> {
    if (this.#stopped || !this.#fresh.has(id)) return;
    try {
      await this.#ask(id);
    } catch (error) {
      this.#o.log.warn({ device: id, error: messageOf(error) }, 'a new unit cannot be asked for its settings; retrying');
      this.#again ??= setTimeout(() => {
        this.#again = undefined;
        this.#look([...this.#fresh]);
      }, AGAIN_MS).unref();
    }
  }

  async #ask(id: string): Promise<void> {
    const { store, shadow, device, record } = this.#o;
    const text = await store.get('units', id);
    const row = UNITS.parse(id, text);
    // Behind the row: the device of before would say that the new unit has spoken, and how the old one did.
    const known = await device(id);
    const unit = row?.periods.at(-1);
    // Until it has spoken, how is not known for sure.
    if (row?.fresh !== true || unit === undefined || known?.protocol === undefined || known.transport === undefined) return;
    const sent: string[] = [];
    const refused: Problem[] = [];
    for (const [name, value] of Object.entries((await shadow.get(id)).desired)) {
      const problems = await this.#send(id, unit, name, value);
      if (problems.length === 0) sent.push(name);
      for (const { problem } of problems) refused.push({ field: name, problem });
    }
    const { fresh: _, ...rest } = row;
    if (!(await store.write([UNITS.expect(text, id), UNITS.put({ ...rest, settled: { sent, refused } }, id)]))) return;
    record(id, { type: 'unit_settled', unit: unit.unit, protocol: known.protocol, sent, refused });
  }

  /** Returns why it was not sent. */
  async #send(device: string, { unit, from }: Units['periods'][number], name: string, value: OptionValue): Promise<readonly Problem[]> {
    const command = commandOf(name, value);
    if (command === undefined) return [{ field: name, problem: 'is set by no command' }];
    const hash = createHash('sha256').update(`${device} ${unit} ${name}`).digest('hex');
    const outcome = await this.#o.submit({
      device,
      ...command,
      id: `${from.toString(36).padStart(9, '0')}${hash.slice(0, 10)}`,
      requester: 'replacement',
      reason: 'wanted of the unit before',
      permits: (critical) => ({ field: 'type', problem: `is set by a command that is critical (${critical}); send it yourself` }),
    });
    if ('command' in outcome || outcome.refused === 'conflict') return [];
    return outcome.problems;
  }
}
