/** Why a frame is not readable. */
export const Reason = {
  NoFrame: 'no_frame',
  Short: 'short',
  BadId: 'bad_id',
  Checksum: 'checksum',
} as const;

export const REASONS: readonly string[] = Object.values(Reason);
