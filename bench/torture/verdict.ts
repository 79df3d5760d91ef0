/**
 * What was promised against what is there.
 *
 * A record is named by its line: device<TAB>time<TAB>id. The ledger has those that a device got an answer for, in the
 * order of the answers; the stores are read whole.
 */

export interface Stored {
  /** Lines of the table as a reader with FINAL sees it, in any order. */
  readonly table: readonly string[];
  /** Lines of the stream, in its order. */
  readonly stream: readonly string[];
}

export interface Verdict {
  readonly acknowledged: number;
  /** Acknowledged, and not stored. */
  readonly lostInTable: number;
  readonly lostInStream: number;
  /** Stored, and never acknowledged: another id, or another time, than any device ever sent and got an answer for. */
  readonly extraInTable: number;
  readonly extraInStream: number;
  /** Stored more than once, under whatever device or time. */
  readonly twiceInTable: number;
  readonly twiceInStream: number;
  /** Entries of the stream that stand before an older one of the same device. */
  readonly outOfOrder: number;
  /** The first few of each, for a person. */
  readonly examples: readonly string[];
}

const EXAMPLES = 5;

export function judge(ledger: readonly string[], { table, stream }: Stored): Verdict {
  const acknowledged = new Set(ledger);
  const examples: string[] = [];
  const note = (what: string, lines: readonly string[]): number => {
    for (const line of lines.slice(0, EXAMPLES)) examples.push(`${what}: ${line.replaceAll('\t', ' ')}`);
    return lines.length;
  };
  const missing = (there: readonly string[]): string[] => {
    const set = new Set(there);
    return [...acknowledged].filter((line) => !set.has(line));
  };
  const extra = (there: readonly string[]): string[] => [...new Set(there)].filter((line) => !acknowledged.has(line));
  return {
    acknowledged: acknowledged.size,
    lostInTable: note('not in ClickHouse', missing(table)),
    lostInStream: note('not in Redis', missing(stream)),
    extraInTable: note('in ClickHouse only', extra(table)),
    extraInStream: note('in Redis only', extra(stream)),
    twiceInTable: note('twice in ClickHouse', twice(table)),
    twiceInStream: note('twice in Redis', twice(stream)),
    outOfOrder: note('out of order in Redis', disordered(stream)),
    examples,
  };
}

export function kept(verdict: Verdict): boolean {
  const { lostInTable, lostInStream, extraInTable, extraInStream, twiceInTable, twiceInStream, outOfOrder } = verdict;
  return lostInTable + lostInStream + extraInTable + extraInStream + twiceInTable + twiceInStream + outOfOrder === 0;
}

/** Lines whose id another line has, too. */
function twice(lines: readonly string[]): string[] {
  const seen = new Set<string>();
  return lines.filter((line) => {
    const id = line.slice(line.lastIndexOf('\t') + 1);
    if (seen.has(id)) return true;
    seen.add(id);
    return false;
  });
}

/**
 * A device of the fleet sends its records in the order of their times and keeps that order when it sends again, so in
 * the stream the times of one device only rise.
 */
function disordered(stream: readonly string[]): string[] {
  const last = new Map<string, number>();
  return stream.filter((line) => {
    const [device = '', time] = line.split('\t');
    const before = last.get(device) ?? 0;
    last.set(device, Math.max(before, Number(time)));
    return Number(time) < before;
  });
}
