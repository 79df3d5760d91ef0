import type { Codec } from '../codec/index.ts';
import { checkCodecOptions, tryCodecs } from '../codec/registry.ts';
import { nearest } from './nearest.ts';
import type { Config } from './schema.ts';

/** What the schema cannot know: that the codecs named are there, speak the transport, and know their options. */
export async function codecProblems(config: Config): Promise<string[]> {
  const problems: string[] = [];
  const codecs: ReadonlyMap<string, Codec> = await tryCodecs(config.codecs.packages, (error) => problems.push(error.message));
  const names = [...codecs.keys()];
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
  problems.push(...checkCodecOptions(codecs, config.codecs.options, config.devices).problems);
  return problems;
}
