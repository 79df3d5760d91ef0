import { AppError } from '../../../base/errors.ts';

/**
 * How far usage has been counted, in the table `cursors` of the state store: `state <instance> <slot>` →
 * `{"delivered":n,"usage":n,"time":n}`.
 */
export interface UsageCursor {
  /** Last sequence of the slot that was looked at. */
  readonly delivered: number;
  /** Last usage entry among them, and when it was noted, epoch ms; 0: none yet. */
  readonly usage: number;
  readonly time: number;
}

/** What all cursors of all installations begin with. */
export const ANY_CURSOR = 'state ';

/** Of all cursors of an installation. */
export function cursorPrefix(instance: string): string {
  return `${ANY_CURSOR}${instance} `;
}

export function cursorKey(instance: string, slot: string): string {
  return cursorPrefix(instance) + slot;
}

/** @throws AppError SINK_UNREACHABLE if the text is not a cursor. */
export function parseCursor(key: string, text: string): UsageCursor {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && 'delivered' in value && 'usage' in value && 'time' in value) {
      const { delivered, usage, time } = value;
      if (isCount(delivered) && isCount(usage) && isCount(time)) return { delivered, usage, time };
    }
  } catch {
    // Said below.
  }
  throw new AppError(
    'SINK_UNREACHABLE',
    `"${key}" in the table cursors of the state store is not a cursor: ${text}; restore the store from a backup, or remove the key, and rebuild usage with fixgate usage rebuild --all`,
  );
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
