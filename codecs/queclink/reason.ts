/** Why a frame is not readable. */
export const Reason = {
  NoFrame: 'no_frame',
  Short: 'too_short',
  BadId: 'bad_id',
  BadCheck: 'bad_checksum',
} as const;

export const REASONS: readonly string[] = Object.values(Reason);
