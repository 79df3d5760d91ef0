import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { AppError, messageOf } from '../base/errors.ts';
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
  return tryCodecs(packages, (error) => {
    throw error;
  });
}

/** The same without those that cannot be had: `failed` is told why. */
export async function tryCodecs(packages: readonly string[], failed: (error: AppError) => void): Promise<ReadonlyMap<string, Codec>> {
  const codecs = new Map<string, Codec>();
  for (const codec of BUILTIN_CODECS) codecs.set(codec.name, codec);
  for (const name of packages) {
    try {
      const codec = await importCodec(name);
      if (codecs.has(codec.name))
        throw new AppError('CODEC_INVALID', `package ${name}: a codec named ${codec.name} is there already; remove one of them`);
      codecs.set(codec.name, codec);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      failed(error);
    }
  }
  return codecs;
}

type Given = Readonly<Record<string, OptionValue>>;

/** The options that a frame of a device is read under. */
export type OptionsOf = (codec: Codec, device: string) => Options;

/**
 * Options by codec, and of single devices: what the configuration gives for one device, by its id, goes before what it
 * gives for the codec. Throws AppError CONFIG_INVALID with all problems.
 */
export function codecOptions(
  codecs: ReadonlyMap<string, Codec>,
  byCodec: Readonly<Record<string, Given>>,
  byDevice: Readonly<Record<string, Given>>,
): OptionsOf {
  const { problems, optionsOf } = checkCodecOptions(codecs, byCodec, byDevice);
  if (problems.length > 0) throw new AppError('CONFIG_INVALID', problems.join('; '));
  return optionsOf;
}

/** The same, with the problems. */
export function checkCodecOptions(
  codecs: ReadonlyMap<string, Codec>,
  byCodec: Readonly<Record<string, Given>>,
  byDevice: Readonly<Record<string, Given>>,
): { readonly problems: readonly string[]; readonly optionsOf: OptionsOf } {
  const problems: string[] = [];
  const checked = (where: string, codec: Codec, given: Given): Options => {
    const found: string[] = [];
    const options = checkOptions(codec.options, given, found);
    problems.push(...found.map((problem) => `${where}.${problem}`));
    return options;
  };
  const general = new Map<Codec, Options>();
  for (const codec of codecs.values()) general.set(codec, checked(`codecs.options.${codec.name}`, codec, byCodec[codec.name] ?? {}));
  const own = new Map<string, Map<Codec, Options>>();
  for (const [device, given] of Object.entries(byDevice)) {
    const of = new Map<Codec, Options>();
    for (const codec of codecs.values()) {
      const known = Object.entries(given).filter(([key]) => Object.hasOwn(codec.options, key));
      if (known.length > 0) of.set(codec, checked(`devices.${device}`, codec, { ...byCodec[codec.name], ...Object.fromEntries(known) }));
    }
    for (const key of Object.keys(given))
      if (![...codecs.values()].some((codec) => Object.hasOwn(codec.options, key)))
        problems.push(`devices.${device}.${key}: no codec has this option; fixgate codecs <codec> lists them`);
    own.set(device, of);
  }
  return { problems, optionsOf: (codec, device) => own.get(device)?.get(codec) ?? general.get(codec) ?? {} };
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
