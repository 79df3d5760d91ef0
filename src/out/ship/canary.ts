import { putU64be, u64be } from '../../base/wire/index.ts';
import { type Codec, defineCodec } from '../../codec/index.ts';
import { Definition } from '../../journal/definition.ts';
import { EntryKind, Origin } from '../../journal/entry.ts';
import type { Journal } from '../../journal/journal.ts';
import type { Sink } from '../sink/sink.ts';

/**
 * A synthetic device: each worker writes a status of it into its journal, and the shipper reads it back from each sink. How old the
 * newest one there is says whether data gets through, whatever the parts say of themselves.
 *
 * 1. It has no session and no record in the registry: it is in no list, count, sum of usage or plan, and needs no admission.
 * 2. It sends statuses only, with the attribute `canary`: consumers tell it by that, and no map shows it.
 */

const NAME = 'canary';
const IS_CANARY = 1;
const BYTES = 8;
export const BEAT_MS = 10_000;
const LOOK_MS = 5_000;
const TELL_MS = 1_000;

/** Known to the shipper and to nothing that listens: a frame is the time, epoch ms. */
export const CANARY_CODEC: Codec = defineCodec({
  name: NAME,
  about: 'the synthetic device',
  maxFrameBytes: BYTES,
  maxAnswerBytes: 0,
  attributes: new Map([[IS_CANARY, { name: NAME, type: 'boolean' }]]),
  messages: [],
  reasons: [],
  recognise: () => false,
  tcp: {
    open: () => ({}),
    frame: () => BYTES,
    decode(bytes, start, _end, _state, out) {
      out.time[out.row()] = u64be(bytes, start);
      out.attr(IS_CANARY, 1);
    },
    encodeAck: () => 0,
  },
});

const deviceOf = (instance: string): string => `${NAME}-${instance}`;

/** Writes one status. A journal that refuses it is what the age is for. */
export function beat(journal: Pick<Journal, 'append'>, instance: string, now: number): void {
  const bytes = new Uint8Array(BYTES);
  putU64be(bytes, 0, now);
  journal.append(new Origin(new Definition(NAME, 'tcp'), deviceOf(instance), ''), EntryKind.Frame, now, 0, 1, bytes, 0, BYTES);
}

/** Looks for the newest status in each sink and tells its age. Returns what ends it. */
export function watchCanary(
  sinks: readonly Sink[],
  instance: string,
  now: () => number,
  told: (sink: string, seconds: number) => void,
): () => void {
  const since = now();
  const newest = new Map<string, number>();
  const looking = new Set<string>();
  const read = sinks.filter(({ newestStatus }) => newestStatus !== undefined);
  const tell = (): void => {
    for (const { name } of read) told(name, Math.max(0, now() - (newest.get(name) ?? since)) / 1000);
  };
  const look = async (sink: Sink): Promise<void> => {
    if (looking.has(sink.name)) return;
    looking.add(sink.name);
    try {
      const found = (await sink.newestStatus?.(deviceOf(instance), newest.get(sink.name) ?? since)) ?? 0;
      newest.set(sink.name, Math.max(found, newest.get(sink.name) ?? since));
    } catch {
      // Its age says so.
    } finally {
      looking.delete(sink.name);
    }
  };
  tell();
  const telling = setInterval(tell, TELL_MS).unref();
  const timer = setInterval(() => {
    for (const sink of read) void look(sink);
  }, LOOK_MS).unref();
  return () => {
    clearInterval(telling);
    clearInterval(timer);
  };
}
