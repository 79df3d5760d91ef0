import { type Loaded, leaves } from './load.ts';

export interface ExplainedOption {
  readonly key: string;
  readonly value: unknown;
  /** `default`, `file <path>` or the variable's name. */
  readonly origin: string;
}

/** Every effective option with where it came from. Secrets show their harmless form by themselves. */
export function explainConfig(loaded: Loaded): ExplainedOption[] {
  return leaves(loaded.config).map((key) => {
    const value = key
      .split('.')
      .reduce<unknown>((at, part) => (typeof at === 'object' && at !== null ? Reflect.get(at, part) : undefined), loaded.config);
    const origin = [...loaded.origins].find(([path]) => key === path || key.startsWith(`${path}.`))?.[1] ?? 'default';
    return { key, value: value === undefined ? '' : value, origin };
  });
}
