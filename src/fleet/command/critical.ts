import type { Codec, CommandRule, Options, Switching } from '../../codec/index.ts';

/**
 * Commands that can strand a vehicle or take its device away: the one list that scopes, confirmation, the rights of the Redis
 * stream, the hold of contested devices and transmission at most once read. A command of another type is critical when it does what
 * one of these does: `meaningOf`.
 */
export const CRITICAL_TYPES = ['engine_stop', 'engine_resume', 'set_output', 'set_server', 'custom'] as const;
export type CriticalType = (typeof CRITICAL_TYPES)[number];

/** What a token needs beside `commands`. A device that can be sent elsewhere, or told anything, is out of our hands: `custom`. */
export const CRITICAL_SCOPES = {
  engine_stop: 'engine',
  engine_resume: 'engine',
  set_output: 'engine',
  set_server: 'custom',
  custom: 'custom',
} as const satisfies Readonly<Record<CriticalType, string>>;

const TYPES: readonly string[] = CRITICAL_TYPES;

export function isCritical(type: string): type is CriticalType {
  return TYPES.includes(type);
}

/** What a command amounts to. */
export interface Meaning {
  /** Type of the catalogue whose effect it has: its own, or that of which it is another form. */
  readonly actsAs: string;
  readonly switches: readonly Switching[];
  /** Its own type where that is critical, or the critical type whose effect it has; '' for a command that is not critical. */
  readonly critical: CriticalType | '';
}

/** By the codec's rules, under its options for the device; a codec that throws is taken at its worst. */
export function meaningOf(codec: Codec, type: string, parameters: Options, options: Options): Meaning {
  let actsAs = type;
  let switches: readonly Switching[] = [{ output: 0, on: true, immobilises: true }];
  try {
    const rule = ruleOf(codec, type);
    actsAs = rule?.actsAs?.(parameters) || type;
    const own = switchingsOf(rule, type, parameters, options);
    switches = own.length > 0 || actsAs === type ? own : switchingsOf(ruleOf(codec, actsAs), actsAs, {}, options);
  } catch {
    // As above.
  }
  const critical = [type, actsAs].find(isCritical) ?? criticalOf(switches);
  return { actsAs, switches, critical };
}

export function ruleOf(codec: Codec, type: string): CommandRule | undefined {
  return codec.commands.find((rule) => rule.type === type);
}

function criticalOf(switches: readonly Switching[]): CriticalType | '' {
  if (switches.some(({ immobilises }) => immobilises)) return 'engine_stop';
  if (switches.some(({ on }) => on)) return 'set_output';
  return switches.length > 0 ? 'engine_resume' : '';
}

/** What a stream may carry by `commands.streamAllows`. Where a stop may come from, its resume may, too. */
export function isAllowed(type: CriticalType, allows: readonly string[]): boolean {
  return allows.includes(type) || (type === 'engine_resume' && allows.includes('engine_stop'));
}

/** What a command switches, by its rule; where that does not say, by its type, which is the same in every codec. */
export function switchingsOf(rule: CommandRule | undefined, type: string, parameters: Options, options: Options): readonly Switching[] {
  const { output } = parameters;
  const one = { output: typeof output === 'number' ? output : 0 };
  switch (type) {
    case 'engine_stop':
      return [{ ...one, on: true, immobilises: true }];
    case 'engine_resume':
      return [{ ...one, on: false, immobilises: false }];
    default:
  }
  if (rule?.switches !== undefined) return rule.switches(parameters, options);
  const on = parameters['on'] === true;
  return type === 'set_output' ? [{ ...one, on, immobilises: on }] : [];
}
