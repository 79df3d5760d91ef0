import { Secret, SecretUrl } from '../base/secret.ts';
import { type Config, configSchema } from './schema.ts';

/**
 * The configuration on its way to a child process. Messages between processes are JSON, and secrets refuse to be that:
 * they travel as text, on a channel that only the two have, and are secrets again at its end.
 */
export function packConfig(config: Config): unknown {
  return packed(config);
}

export function unpackConfig(raw: unknown): Config {
  return configSchema.parse(raw);
}

function packed(value: unknown): unknown {
  if (value instanceof Secret || value instanceof SecretUrl) return value.reveal();
  if (Array.isArray(value)) return value.map(packed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, packed(inner)]));
}
