import { AppError } from '../base/errors.ts';
import { type Codec, checkOptions, type OptionRule, type Options, type OptionValue, parseOption, type Transport } from '../codec/index.ts';
import { loadCodecs } from '../codec/registry.ts';
import { loadConfig } from '../config/load.ts';
import { nearest } from '../config/nearest.ts';
import { CONFIG_FILE_VARIABLE } from '../config/schema.ts';
import { isDeviceId } from '../in/session/identity.ts';
import { io } from './io.ts';

/** The arguments that several commands share, checked. All throw AppError USAGE with the remedy. */

/** Codecs by name and their configured options. A tool that only reads bytes needs no configuration: without a file, the shipped codecs. */
export async function installed(configFile: string | undefined): Promise<Installed> {
  if (configFile === undefined && (io().env[CONFIG_FILE_VARIABLE] ?? '') === '') return { codecs: await loadCodecs([]), options: {} };
  const { codecs } = loadConfig({ file: configFile, env: io().env }).config;
  return { codecs: await loadCodecs(codecs.packages), options: codecs.options };
}

export interface Installed {
  readonly codecs: ReadonlyMap<string, Codec>;
  readonly options: Readonly<Record<string, Options>>;
}

export function codecNamed(name: string | undefined, { codecs }: Installed): Codec {
  const names = [...codecs.keys()];
  if (name === undefined) throw new AppError('USAGE', `--protocol must be given: ${names.join(', ')}`);
  const codec = codecs.get(name);
  if (codec !== undefined) return codec;
  const close = nearest(name, names);
  throw new AppError(
    'USAGE',
    `unknown protocol "${name}"; ${close === undefined ? `known are ${names.join(', ')}` : `did you mean ${close}?`}`,
  );
}

export function transportOf(text: string | undefined, codec: Codec): Transport {
  if (text === undefined) return codec.tcp === undefined ? 'udp' : 'tcp';
  if (isTransport(text)) return text;
  throw new AppError('USAGE', `--transport must be tcp, udp or sms, not "${text}"`);
}

export function isTransport(text: string): text is Transport {
  return text === 'tcp' || text === 'udp' || text === 'sms';
}

/** The configured options of a codec, and `k=v` texts that win over them. */
export function optionsOf(codec: Codec, { options }: Installed, texts: readonly string[]): Options {
  return checkedTexts('--option', codec.options, texts, options[codec.name] ?? {});
}

/** `k=v` texts against rules, over values given otherwise; `flag` names the command line option in messages. */
export function checkedTexts(flag: string, rules: Readonly<Record<string, OptionRule>>, texts: readonly string[], under: Options): Options {
  const given: Record<string, OptionValue> = { ...under };
  const problems: string[] = [];
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at < 1) problems.push(`"${text}" is not name=value`);
    else given[text.slice(0, at)] = parseOption(rules[text.slice(0, at)], text.slice(at + 1));
  }
  const options = checkOptions(rules, given, problems);
  if (problems.length > 0) throw new AppError('USAGE', `${flag}: ${problems.join('; ')}`);
  return options;
}

export function deviceOf(text: string | undefined): string {
  if (text === undefined || isDeviceId(text)) return text ?? '';
  throw new AppError('USAGE', `--device "${text}" is not a device id: 3 to 32 letters, digits, "-", "_" or ":"`);
}
