import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { AppError, messageOf } from '../base/errors.ts';
import type { Bytes } from '../base/wire/bytes.ts';
import { BUILTIN_CODECS } from './builtin.ts';
import type { Codec, Options, OptionValue } from './contract.ts';
import { checkOptions, parseOption } from './options.ts';

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

/** Units of this protocol write links and words only. */
const PLAIN_TEXTS = 'gt06';

/** The codec for a text message of a device that is not known: the one that recognises `bytes`, else one for plain words. */
export function textCodec(codecs: ReadonlyMap<string, Codec>, bytes: Bytes = new Uint8Array(0)): Codec | undefined {
  const reading = [...codecs.values()].filter(({ sms }) => sms !== undefined);
  return reading.find((codec) => codec.recognise(bytes, 0, bytes.length) === true) ?? codecs.get(PLAIN_TEXTS);
}

type Given = Readonly<Record<string, OptionValue>>;

/** The options that a frame of a device is read under; `own`: of its record. The same object for the same values. */
export type OptionsOf = (codec: Codec, device: string, own?: Given) => Options;

/** Ways in which records change options, kept ready. */
const MOST_KEPT = 4_096;

/**
 * Options by codec, and of single devices: what a device's record says goes before what the configuration gives for the device, by its
 * id, and that before what it gives for the codec. Throws AppError CONFIG_INVALID with all problems.
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
  const withOwn = ownOptions();
  const optionsOf: OptionsOf = (codec, device, record) => {
    const configured = own.get(device)?.get(codec) ?? general.get(codec) ?? NONE;
    return record === undefined ? configured : withOwn(codec, configured, record);
  };
  return { problems, optionsOf };
}

const NONE: Options = {};

/** Options changed by those of a record, as far as the codec takes them. */
function ownOptions(): (codec: Codec, configured: Options, own: Given) => Options {
  const kept = new Map<Options, Map<string, Options>>();
  let count = 0;
  return (codec, configured, own) => {
    const text = JSON.stringify(own);
    const found = kept.get(configured)?.get(text);
    if (found !== undefined) return found;
    const taken = Object.entries(own).filter(([name, value]) => isTaken(codec, name, value));
    const made = taken.length === 0 ? configured : { ...configured, ...Object.fromEntries(taken) };
    if (++count > MOST_KEPT) {
      kept.clear();
      count = 1;
    }
    kept.set(configured, (kept.get(configured) ?? new Map<string, Options>()).set(text, made));
    return made;
  };
}

function isTaken(codec: Codec, name: string, value: unknown): boolean {
  const rule = Object.hasOwn(codec.options, name) ? codec.options[name] : undefined;
  const problems: string[] = [];
  if (rule !== undefined) checkOptions({ [name]: rule }, { [name]: value }, problems);
  return rule !== undefined && problems.length === 0;
}

/**
 * Options of a device's record, which speaks `protocol` as far as that is known: as they are kept, a text read as the codec's rule asks, and
 * what is wrong with them, by name. While the protocol is not known, one that any codec takes is right.
 */
export type CheckRecordOptions = (
  protocol: string | undefined,
  given: Given,
) => { readonly options: Given; readonly problems: readonly { readonly name: string; readonly problem: string }[] };

export function recordOptions(codecs: ReadonlyMap<string, Codec>): CheckRecordOptions {
  return (protocol, given) => checkRecord(codecs, protocol, given);
}

function checkRecord(codecs: ReadonlyMap<string, Codec>, protocol: string | undefined, given: Given): ReturnType<CheckRecordOptions> {
  const known = protocol === undefined ? undefined : codecs.get(protocol);
  const asked = known === undefined ? [...codecs.values()] : [known];
  const problems: { name: string; problem: string }[] = [];
  const options = Object.entries(given).map(([name, value]) => {
    const having = asked.filter((codec) => Object.hasOwn(codec.options, name));
    const read = (codec: Codec): OptionValue => (typeof value === 'string' ? parseOption(codec.options[name], value) : value);
    const taking = having.find((codec) => isTaken(codec, name, read(codec)));
    const [first = asked[0]] = having;
    if (having.some((codec) => codec.options[name]?.secret === true))
      problems.push({ name, problem: 'is a secret; set it in the configuration' });
    else if (having.length === 0) problems.push({ name, problem: `unknown; ${known === undefined ? 'no codec has it' : namesOf(known)}` });
    else if (taking === undefined && first !== undefined) problems.push({ name, problem: problemOf(first, name, read(first)) });
    return [name, taking === undefined ? value : read(taking)] as const;
  });
  return { options: Object.fromEntries(options), problems };
}

function namesOf(codec: Codec): string {
  return `options of ${codec.name} are ${Object.keys(codec.options).join(', ') || 'none'}`;
}

function problemOf(codec: Codec, name: string, value: OptionValue): string {
  const rule = codec.options[name];
  const problems: string[] = [];
  if (rule !== undefined) checkOptions({ [name]: rule }, { [name]: value }, problems);
  return (problems[0] ?? '').slice(name.length + 2);
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
