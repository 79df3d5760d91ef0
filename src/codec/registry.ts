import { AppError, messageOf } from '../errors.ts';
import { BUILTIN_CODECS } from './builtin.ts';
import type { Codec, Options, OptionValue } from './contract.ts';
import { checkOptions } from './options.ts';

/**
 * Codecs by name: the shipped ones and those of the npm packages given, each of which default-exports what
 * `defineCodec` returned. Throws AppError CODEC_INVALID or CODEC_UNKNOWN with the package's name and the remedy.
 */
export async function loadCodecs(packages: readonly string[]): Promise<ReadonlyMap<string, Codec>> {
  const codecs = new Map<string, Codec>();
  for (const codec of BUILTIN_CODECS) codecs.set(codec.name, codec);
  for (const name of packages) {
    const codec = await importCodec(name);
    if (codecs.has(codec.name))
      throw new AppError('CODEC_INVALID', `package ${name}: a codec named ${codec.name} is there already; remove one of them`);
    codecs.set(codec.name, codec);
  }
  return codecs;
}

/** A codec's options: the given ones checked, the rest at their defaults. Throws AppError CONFIG_INVALID. */
export function codecOptions(codec: Codec, given: Readonly<Record<string, Readonly<Record<string, OptionValue>>>>): Options {
  const problems: string[] = [];
  const options = checkOptions(codec.options, given[codec.name] ?? {}, problems);
  if (problems.length > 0)
    throw new AppError('CONFIG_INVALID', problems.map((problem) => `codecs.options.${codec.name}.${problem}`).join('; '));
  return options;
}

async function importCodec(name: string): Promise<Codec> {
  let module: unknown;
  try {
    module = await import(name);
  } catch (error) {
    throw new AppError(
      'CODEC_UNKNOWN',
      `cannot load the codec package ${name}: ${messageOf(error)}; install it or remove it from codecs.packages`,
      error,
    );
  }
  const exported: unknown = typeof module === 'object' && module !== null && 'default' in module ? module.default : undefined;
  if (!isCodec(exported)) throw new AppError('CODEC_INVALID', `package ${name} must default-export what defineCodec returns (api 1)`);
  return exported;
}

/** `defineCodec` has checked the rest; it freezes what it returns. */
function isCodec(value: unknown): value is Codec {
  return typeof value === 'object' && value !== null && Object.isFrozen(value) && 'api' in value && value.api === 1 && 'name' in value;
}
