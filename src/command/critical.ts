/**
 * Commands that can strand a vehicle or take its device away: the one list that scopes, confirmation, the rights of the Redis
 * stream, the hold of contested devices and transmission at most once read.
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

/** What a stream may carry by `commands.streamAllows`. Where a stop may come from, its resume may, too. */
export function isAllowed(type: string, allows: readonly string[]): boolean {
  return !isCritical(type) || allows.includes(type) || (type === 'engine_resume' && allows.includes('engine_stop'));
}
