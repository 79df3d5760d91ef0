import type { CommandRule, Options, Switching } from '../codec/index.ts';

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
