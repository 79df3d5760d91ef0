import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { AppError, messageOf } from '../errors.ts';
import { BUILTIN_CODECS } from './builtin.ts';
import type { Codec, Options, OptionValue } from './contract.ts';
import { checkOptions } from './options.ts';

/**
 * Codecs by name: the shipped ones and those of the npm packages given, each of which default-exports what
 * `defineCodec` returned. A package is looked for from the current working directory, as a module there would import it
 * (so `./codec/index.js` works, too), then beside Fixgate. Throws AppError CODEC_INVALID or CODEC_UNKNOWN with the
 * package's name and the remedy.
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
  // A hook, because neither `require.resolve` (other export conditions) nor `import.meta.resolve` (no base) finds what an
  // import in another directory finds. It only resolves: what the package itself throws is not tried twice.
  const parentURL = pathToFileURL(`${process.cwd()}/`).href;
  const hook = registerHooks({
    resolve(specifier, context, next) {
      if (specifier !== name) return next(specifier, context);
      try {
        return next(specifier, { ...context, parentURL });
      } catch (notThere) {
        try {
          return next(specifier, { ...context, parentURL: import.meta.url });
        } catch {
          throw notThere;
        }
      }
    },
  });
  try {
    module = await import(name);
  } catch (error) {
    throw new AppError(
      'CODEC_UNKNOWN',
      `cannot load the codec package ${name}: ${messageOf(error)}; install it or remove it from codecs.packages`,
      error,
    );
  } finally {
    hook.deregister();
  }
  const exported: unknown = typeof module === 'object' && module !== null && 'default' in module ? module.default : undefined;
  if (!isCodec(exported)) throw new AppError('CODEC_INVALID', `package ${name} must default-export what defineCodec returns (api 1)`);
  return exported;
}

/** `defineCodec` has checked the rest; it freezes what it returns. */
function isCodec(value: unknown): value is Codec {
  return typeof value === 'object' && value !== null && Object.isFrozen(value) && 'api' in value && value.api === 1 && 'name' in value;
}
