import type { Codec } from '../codec/index.ts';
import { codecOptions, loadCodecs } from '../codec/registry.ts';
import { AppError, messageOf } from '../errors.ts';
import { nearest } from './nearest.ts';
import type { Config } from './schema.ts';

/** What the schema cannot know: that the codecs named are there, speak the transport, and know their options. Throws AppError with all problems. */
export async function checkCodecs(config: Config): Promise<ReadonlyMap<string, Codec>> {
  const codecs = await loadCodecs(config.codecs.packages);
  const names = [...codecs.keys()];
  const problems: string[] = [];
  const unknown = (name: string): string => {
    const close = nearest(name, names);
    return `no codec ${name}; ${close === undefined ? `known are ${names.join(', ')}` : `did you mean ${close}?`}`;
  };
  config.listeners.forEach((listener, index) => {
    const codec = codecs.get(listener.codec);
    if (codec === undefined && listener.codec !== 'auto') problems.push(`listeners.${index}.codec: ${unknown(listener.codec)}`);
    else if (codec !== undefined && codec[listener.transport] === undefined)
      problems.push(
        `listeners.${index}.transport: codec ${codec.name} does not speak ${listener.transport}; remove the listener or use the other transport`,
      );
  });
  for (const name of Object.keys(config.codecs.options)) if (!codecs.has(name)) problems.push(`codecs.options.${name}: ${unknown(name)}`);
  try {
    codecOptions(codecs, config.codecs.options, config.devices);
  } catch (error) {
    problems.push(messageOf(error));
  }
  if (problems.length > 0) throw new AppError('CONFIG_INVALID', problems.join('; '));
  return codecs;
}
