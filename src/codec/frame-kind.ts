/**
 * What one frame turned out to be. The host's treatment follows from it:
 *
 * | kind | journaled | answer waits for the disk |
 * |---|---|---|
 * | Records, Status, Reply | yes | yes |
 * | Ignored (well framed, not understood) | yes, raw, so that a later decoder can read it | yes |
 * | Login, Heartbeat | only when they carry rows | no: they promise nothing, but for a heartbeat with an event |
 * | Malformed | no | no answer |
 */
export const FrameKind = { Ignored: 0, Records: 1, Login: 2, Heartbeat: 3, Reply: 4, Status: 5, Malformed: 6 } as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

/** Names of the kinds as `fixgate decode` and metrics spell them, by value. */
export const FRAME_KIND_NAMES = ['ignored', 'records', 'login', 'heartbeat', 'reply', 'status', 'malformed'] as const;

/** How the host finished with a frame; decides which answer, if any, the device gets. */
export const Settled = { Stored: 1, Refused: 2, Failed: 3 } as const;
export type Settled = (typeof Settled)[keyof typeof Settled];
