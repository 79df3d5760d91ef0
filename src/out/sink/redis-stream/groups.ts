import type { Redis } from 'ioredis';

/** A consumer group of one of the streams, and how it keeps up with trimming. */
export interface StreamGroup {
  /** Key of the stream. */
  readonly stream: string;
  readonly group: string;
  /** Entries that it has not been given yet. */
  readonly lag: number;
  /** Entries that were trimmed before it was given them: it will never see them. */
  readonly missed: number;
}

/**
 * Reads the state of all consumer groups. Needs the counts that Redis keeps from version 7.0 on; a group of which they are not
 * known (it was set to some id by hand) is left out, as is a stream that does not exist.
 */
export async function streamGroups(redis: Redis, streams: readonly string[]): Promise<StreamGroup[]> {
  const found: StreamGroup[] = [];
  for (const stream of streams) {
    // Together, so that no trimming comes between.
    const results = await redis.multi().xinfo('STREAM', stream).xinfo('GROUPS', stream).exec();
    const [stat, groups] = results?.map(([, reply]) => reply) ?? [];
    if (!Array.isArray(stat) || !Array.isArray(groups)) continue;
    const added = numberOf(field(stat, 'entries-added'));
    const length = numberOf(field(stat, 'length'));
    for (const reply of groups) {
      if (!Array.isArray(reply)) continue;
      const at = field(reply, 'last-delivered-id');
      const read = at === '0-0' ? 0 : at === field(stat, 'last-generated-id') ? added : numberOf(field(reply, 'entries-read'));
      if (Number.isNaN(added - length - read)) continue;
      const missed = Math.max(0, added - length - read);
      found.push({ stream, group: String(field(reply, 'name')), lag: Math.max(0, added - read - missed), missed });
    }
  }
  return found;
}

/** Redis answers with names and values in turn. */
function field(reply: readonly unknown[], name: string): unknown {
  return reply[reply.indexOf(name) + 1];
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : Number.NaN;
}
