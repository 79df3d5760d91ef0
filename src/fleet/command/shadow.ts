import { jsonOf } from '../../base/json.ts';
import type { OptionValue } from '../../codec/index.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { byId, TypedTable } from '../../state/table.ts';
import type { Command } from './command.ts';

/** Settings that commands change, by command type: the setting's name, and the parameter that carries its value. */
const BY_COMMAND: Readonly<Record<string, readonly [name: string, parameter: string]>> = {
  set_interval: ['interval', 'seconds'],
  set_time_zone: ['time_zone', 'minutes'],
  set_server: ['server', 'host'],
};

export interface Setting {
  readonly name: string;
  readonly value: OptionValue;
}

/** What is known about a device's settings, by name. */
export interface Settings {
  /** The value asked for last. */
  readonly desired: Readonly<Record<string, OptionValue>>;
  /** What the device has confirmed last. */
  readonly reported: Readonly<Record<string, OptionValue>>;
  /** On its way: the id of the command. */
  readonly pending: Readonly<Record<string, string>>;
}

const NONE: Settings = { desired: {}, reported: {}, pending: {} };

export const SETTINGS = new TypedTable<Settings>({ name: 'settings', key: byId, parse });

/** The setting that a command changes, if it does. */
function settingOf(command: Pick<Command, 'type' | 'parameters'>): Setting | undefined {
  const [name, parameter] = BY_COMMAND[command.type] ?? [];
  const value = parameter === undefined ? undefined : command.parameters[parameter];
  if (name === undefined || value === undefined) return undefined;
  const port = command.parameters['port'];
  return { name, value: name === 'server' && port !== undefined ? `${value}:${port}` : value };
}

/** The command that changes a setting to this value; undefined: none does. */
export function commandOf(name: string, value: OptionValue): Pick<Command, 'type' | 'parameters'> | undefined {
  const [type, [, parameter] = []] = Object.entries(BY_COMMAND).find(([, [setting]]) => setting === name) ?? [];
  if (type === undefined || parameter === undefined) return undefined;
  const [, host = '', port = ''] = name === 'server' ? (/^(.*):(\d+)$/.exec(String(value)) ?? []) : [];
  return { type, parameters: port === '' ? { [parameter]: value } : { [parameter]: host, port: Number(port) } };
}

/**
 * Desired, reported and pending settings of each device, in the table `settings`.
 *
 * 1. Asking for a setting makes it desired and pending; the reply makes it reported; the end of the command without a
 *    reply takes it out of pending, and what was reported stays.
 * 2. A later command for the same setting takes over: the end of an earlier one does not touch it.
 */
export class Shadow {
  readonly #store: StateStore;

  constructor(store: StateStore) {
    this.#store = store;
  }

  async get(device: string): Promise<Settings> {
    return (await SETTINGS.get(this.#store, device)) ?? NONE;
  }

  /** Steps of a write that make the setting desired and pending. They fail if the settings have changed meanwhile. */
  asked(command: Command): Promise<Op[]> {
    return this.#steps(command, ({ desired, reported, pending }, { name, value }) => ({
      desired: { ...desired, [name]: value },
      reported,
      pending: { ...pending, [name]: command.id },
    }));
  }

  /** The same, for a command that the device has confirmed. */
  confirmed(command: Command): Promise<Op[]> {
    return this.#steps(command, ({ desired, reported, pending }, { name, value }) => ({
      desired,
      reported: { ...reported, [name]: value },
      pending: without(pending, name, command.id),
    }));
  }

  /** The same, for one that has come to nothing. */
  dropped(command: Command): Promise<Op[]> {
    return this.#steps(command, ({ desired, reported, pending }, { name }) => ({
      desired,
      reported,
      pending: without(pending, name, command.id),
    }));
  }

  /**
   * The device itself has told some of its settings. Returns those that are not as desired and on no way there: they have drifted.
   */
  async told(device: string, values: Readonly<Record<string, OptionValue>>): Promise<Setting[]> {
    const known = new Set(Object.values(BY_COMMAND).map(([name]) => name));
    const told = Object.entries(values).filter(([name]) => known.has(name));
    if (told.length === 0) return [];
    let drifted: Setting[] = [];
    await this.#store.update('settings', device, (text) => {
      const { desired, reported, pending } = SETTINGS.read(text) ?? NONE;
      drifted = told.flatMap(([name, value]) => {
        const wanted = desired[name];
        return wanted !== undefined && wanted !== value && reported[name] !== value && pending[name] === undefined ? [{ name, value }] : [];
      });
      return JSON.stringify({ desired, reported: { ...reported, ...Object.fromEntries(told) }, pending });
    });
    return drifted;
  }

  async #steps(command: Command, change: (settings: Settings, setting: Setting) => Settings): Promise<Op[]> {
    const setting = settingOf(command);
    if (setting === undefined) return [];
    const { device: key } = command;
    const expect = await this.#store.get('settings', key);
    return [
      { table: 'settings', key, expect },
      { table: 'settings', key, put: JSON.stringify(change(SETTINGS.read(expect) ?? NONE, setting)) },
    ];
  }
}

function without(pending: Settings['pending'], name: string, id: string): Settings['pending'] {
  return Object.fromEntries(Object.entries(pending).filter(([key, value]) => key !== name || value !== id));
}

/** Only this program writes the table: the tag is enough. */
function parse(text: string): Settings | undefined {
  const value = jsonOf(text);
  return isSettings(value) ? value : undefined;
}

function isSettings(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && 'desired' in value && 'reported' in value && 'pending' in value;
}
