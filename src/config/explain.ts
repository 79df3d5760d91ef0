import { type Loaded, leaves } from './load.ts';

/** Options whose value is shown as `***`. */
const SECRET = new Set(['clickhouse.password', 'redis.url', 'state.url']);

export interface ExplainedOption {
  readonly key: string;
  readonly value: unknown;
  /** `default`, `file <path>` or the variable's name. */
  readonly origin: string;
}

/** Every effective option with where it came from, secrets masked. */
export function explainConfig(loaded: Loaded): ExplainedOption[] {
  return leaves(loaded.config).map((key) => {
    const value = key
      .split('.')
      .reduce<unknown>((at, part) => (typeof at === 'object' && at !== null ? Reflect.get(at, part) : undefined), loaded.config);
    const origin = [...loaded.origins].find(([path]) => key === path || key.startsWith(`${path}.`))?.[1] ?? 'default';
    return { key, value: SECRET.has(key) && value !== '' ? '***' : value, origin };
  });
}
