import type { Codec, OptionRule, Options, OptionValue } from './contract.ts';
import { CLOCK_OFFSET } from './define-codec.ts';

/**
 * Checks values against rules and fills in defaults. Problems are collected, not thrown, so that a caller can report
 * all of them at once; each names the key and the remedy.
 */
export function checkOptions(
  rules: Readonly<Record<string, OptionRule>>,
  given: Readonly<Record<string, unknown>>,
  problems: string[],
): Options {
  const checked: Record<string, OptionValue> = {};
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(rules, key)) problems.push(`${key}: unknown; known are ${Object.keys(rules).join(', ') || 'none'}`);
  }
  for (const [key, rule] of Object.entries(rules)) {
    const value = (Object.hasOwn(given, key) ? given[key] : undefined) ?? rule.fallback;
    const problem = valueProblem(rule, value);
    if (problem !== '') problems.push(`${key}: ${problem}`);
    else if (isOptionValue(value)) checked[key] = value;
  }
  return checked;
}

/** What is wrong with a value, and the remedy; '' when it fits. */
function valueProblem(rule: OptionRule, value: unknown): string {
  const { type, about, oneOf, pattern, min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = rule;
  if (value === undefined) return `must be given (${type}: ${about})`;
  if (!isOptionValue(value) || typeof value !== type) return `must be a ${type}`;
  if (typeof value === 'string' && oneOf?.includes(value) === false) return `"${value}" is not one of ${oneOf.join(', ')}`;
  if (typeof value === 'string' && pattern?.test(value) === false) return `"${value}" is not like this: ${about}`;
  if (typeof value === 'number' && !(value >= min && value <= max)) return `${value} is outside ${rule.min ?? '−∞'} … ${rule.max ?? '∞'}`;
  return '';
}

function isOptionValue(value: unknown): value is OptionValue {
  return typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number';
}

/** Reads `k=v` texts (command line) into values of the types that the rules ask for. */
export function parseOption(rule: OptionRule | undefined, text: string): OptionValue {
  if (rule?.type === 'number' && text.trim() !== '' && Number.isFinite(Number(text))) return Number(text);
  if (rule?.type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

const KEPT = new WeakMap<Options, Map<Codec, Options>>();

/** Those of a codec's options that are kept with a stored frame; the same object for the same options. */
export function keptOptions(codec: Codec, options: Options): Options {
  const known = KEPT.get(options)?.get(codec);
  if (known !== undefined) return known;
  const kept = Object.entries(options).filter(([name]) => {
    const rule = codec.options[name];
    return name === CLOCK_OFFSET || (rule !== undefined && rule.decodes !== false && rule.secret !== true);
  });
  const made: Options = Object.fromEntries(kept);
  KEPT.set(options, (KEPT.get(options) ?? new Map<Codec, Options>()).set(codec, made));
  return made;
}

/**
 * What a stored frame is read under: what was kept with it; its default for an option that there was not then, or that does not matter
 * here; and secrets as they are `now`.
 */
export function readingOptions(codec: Codec, kept: Options, now: Options): Options {
  const options: Record<string, OptionValue> = {};
  for (const [name, { secret, fallback }] of Object.entries(codec.options)) {
    const value = secret === true ? now[name] : Object.hasOwn(kept, name) ? kept[name] : fallback;
    if (value !== undefined) options[name] = value;
  }
  const offset = kept[CLOCK_OFFSET];
  return offset === undefined ? options : { ...options, [CLOCK_OFFSET]: offset };
}

/** The options, with those of `given` that the codec has in their place. A zone that is given goes before what the host has learned. */
export function withOptions(codec: Codec, options: Options, given: Options): Options {
  const own = Object.entries(given).filter(([name]) => Object.hasOwn(codec.options, name));
  if (own.length === 0) return options;
  const { [CLOCK_OFFSET]: offset, ...others } = options;
  const isLearned = offset !== undefined && given[codec.zoneOption] === undefined;
  return { ...others, ...Object.fromEntries(own), ...(isLearned ? { [CLOCK_OFFSET]: offset } : {}) };
}

const CORRECTED = new WeakMap<Options, Map<number, Options>>();

/**
 * The options of a device whose clock is so many minutes ahead, as the host has learned it; `own`: of its record. The same object for the
 * same values. A zone that was set goes before.
 */
export function withClockOffset(codec: Codec, options: Options, minutes: number, own: Options | undefined): Options {
  const { zoneOption } = codec;
  if (minutes === 0 || zoneOption === '' || own?.[zoneOption] !== undefined) return options;
  if (options[zoneOption] !== undefined && options[zoneOption] !== codec.options[zoneOption]?.fallback) return options;
  const made = CORRECTED.get(options) ?? new Map<number, Options>();
  CORRECTED.set(options, made);
  const corrected = made.get(minutes) ?? { ...options, [CLOCK_OFFSET]: minutes };
  made.set(minutes, corrected);
  return corrected;
}

/** Minutes that the device's clock is ahead, as the host has learned it. */
export function clockOffset(options: Options): number {
  const minutes = options[CLOCK_OFFSET];
  return typeof minutes === 'number' ? minutes : 0;
}
