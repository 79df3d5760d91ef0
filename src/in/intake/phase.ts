import type { Receipt } from '../ack/settle.ts';

/**
 * Where a connection or UDP peer stands. Each chunk, frame and answer of the registry means something else in each phase.
 *
 * ```
 *   ┌───────────┐  data of no device,   ┌─────────┐    a device is named; the registry
 *   │ anonymous ├──or a turn ends──────▶│ unowned │    answers later      ┌────────┐
 *   └─────┬─────┘                       └──┬───▲──┘  (from these four)───▶│ asking │
 *         │          a device is admitted  │   │ a turn ends              └───┬────┘
 *         └───────────────┬────────────────┘   │                 answered: the phase before, and
 *                         ▼                    │                 the frames held, one by one
 *                    ┌────────┐  refused,   ┌──┴───────┐
 *                    │ served │──and waits─▶│ refusing │
 *                    └─┬────┬─┘             └────┬─────┘
 *   journal refuses,   │    │ refused           │ time is over
 *   no answer can say  ▼    │              ┌────▼────┐          ┌────────┐
 *                ┌───────┐  └─────────────▶│ closing │─link────▶│ closed │
 *                │ muted ├──it accepts────▶└────▲────┘  is gone └────────┘
 *                └───────┘                      │ time is over
 *   the only device is not admitted,     ┌──────┴──────┐
 *   and was refused lately ─────────────▶│ turned-away │
 *                                        └─────────────┘
 * ```
 *
 * From each phase: a defect in a codec, noise, too many bad frames or a failed commit → closing; the link is gone → closed.
 */
export const Phase = {
  /** No device has been named, and nothing of one was dropped. */
  Anonymous: 'anonymous',
  /** No device has the turn; what came was dropped, so that a heartbeat's answer would promise too much. */
  Unowned: 'unowned',
  /** The registry is asked who a device is: frames are held. */
  Asking: 'asking',
  /** A session has the turn. */
  Served: 'served',
  /** A session has the turn; it is refused, and the refusal waits. */
  Refusing: 'refusing',
  /** No session will have the turn; the refusal waits. Nothing is read. */
  TurnedAway: 'turned-away',
  /** The journal has refused a frame without an answer of its own: nothing is read. */
  Muted: 'muted',
  /** The link was told to end. Nothing is read; answers that are owed leave, unless the end is not in order. */
  Closing: 'closing',
  Closed: 'closed',
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/** Where one connection stands. */
export class Course {
  phase: Phase = Phase.Anonymous;
  /** The phase to go on with when the registry has answered. */
  before: Phase = Phase.Anonymous;
  /** Of the chunk in hand. */
  readonly receipt: Receipt = { wall: 0, at: 0 };

  /** Frames are read on. */
  get reads(): boolean {
    const { phase } = this;
    return phase === Phase.Served || phase === Phase.Unowned || phase === Phase.Anonymous || phase === Phase.Refusing;
  }
}
