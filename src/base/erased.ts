/** What of a device was erased (docs/privacy.md): all from before a moment, or what is of an account's time. Times in epoch ms. */
export interface Stretch {
  /** 0: from the beginning. */
  readonly from: number;
  /** Does not belong to it. */
  readonly to: number;
  /** What is marked as the account's and was received before this is erased, too. */
  readonly until: number;
  /** Absent: whosever it was. */
  readonly account?: string | undefined;
}

/** By device id. */
export type Erased = ReadonlyMap<string, readonly Stretch[]>;

/** A worker may take so long to hear that a device was passed on. */
const LATE_MS = 60_000;

export function wholeBefore(before: number): Stretch {
  return { from: 0, to: before, until: before };
}

/** Of a time of an account with the device that ended before `now`, or goes on. */
export function ownBefore(account: string, from: number, to: number, now: number): Stretch {
  return to < now ? { from, to, until: Math.min(now, to + LATE_MS), account } : { from, to: now, until: now, account };
}

/**
 * Was it erased? `account`: what it is marked with, '' for nothing. What is marked as another account's is not, unless it was measured in the
 * stretch and received after it: then the device had kept it.
 */
export function isErased(stretches: readonly Stretch[], account: string, received: number, measured = received): boolean {
  for (const { from, to, until, account: of } of stretches) {
    const isMeasured = measured >= from && measured < to;
    if (of === undefined) {
      if (isMeasured || received < to) return true;
    } else if (account === '' || account === of) {
      if (isMeasured || (received >= from && received < (account === of ? until : to))) return true;
    } else if (isMeasured && received >= to) return true;
  }
  return false;
}

/** Both, without what another covers. */
export function merged(one: readonly Stretch[], other: readonly Stretch[]): Stretch[] {
  const all = [...one, ...other];
  const whole = Math.max(0, ...all.filter(({ account }) => account === undefined).map(({ to }) => to));
  const parts = new Map<string, Stretch>();
  for (const part of all) {
    if (part.account === undefined || part.until <= whole) continue;
    const key = `${part.from} ${part.account}`;
    const known = parts.get(key);
    if (known === undefined || part.until > known.until) parts.set(key, part);
  }
  return [...(whole > 0 ? [wholeBefore(whole)] : []), ...parts.values()];
}

/** Of what was read as JSON; a number is the moment before which all was erased. Undefined: it is neither. */
export function stretchesOf(value: unknown): readonly Stretch[] | undefined {
  if (typeof value === 'number') return [wholeBefore(value)];
  if (!Array.isArray(value)) return undefined;
  const found: Stretch[] = [];
  for (const one of value) {
    const { from, to, until, account }: Record<string, unknown> = Object(one);
    if (typeof from !== 'number' || typeof to !== 'number' || typeof until !== 'number') return undefined;
    found.push({ from, to, until, ...(typeof account === 'string' ? { account } : {}) });
  }
  return found;
}
