import { type OptionRule, type Options, parseOption } from '../../codec/index.ts';

/** Parameters of commands, as callers give them. */

/** Why a text may not go into a command; '' when it may. */
export function unsafe(text: string, custom: boolean): string {
  if (!/^[\x20-\x7e]*$/.test(text)) return 'must be printable ASCII';
  return !custom && /[#;]/.test(text) ? 'must not contain # or ;' : '';
}

/** Some values that the rules take. */
export function example(rules: Readonly<Record<string, OptionRule>>): Options {
  const values: Record<string, Options[string]> = {};
  for (const [name, rule] of Object.entries(rules)) {
    if (rule.fallback !== undefined) values[name] = rule.fallback;
    else if (rule.type === 'number') values[name] = Math.min(rule.max ?? Number.POSITIVE_INFINITY, Math.max(rule.min ?? 60, 60));
    else if (rule.type === 'boolean') values[name] = true;
    else values[name] = rule.oneOf?.[0] ?? (name === 'text' ? 'status' : '192.0.2.1');
  }
  return values;
}

/** Texts where a rule asks for a number or a boolean, as a command line gives them, as what they say; the rest as it is. */
export function readTexts(
  rules: Readonly<Record<string, OptionRule>>,
  given: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const entries = Object.entries(given);
  return Object.fromEntries(entries.map(([key, value]) => [key, typeof value === 'string' ? parseOption(rules[key], value) : value]));
}
