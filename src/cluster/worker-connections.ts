import type { Connections, OfficeOptions, SessionsOf } from './office.ts';
import type { Post } from './post.ts';

/** How long a worker may take to say which sessions it has, or to end some. */
const LOOK_MS = 1_000;

type Workers = ReadonlyMap<number, Post>;

/** Sessions of the workers, by slot, from `after` on; `partial`: a worker has not answered in time. */
export async function connectionsOf(
  workers: Workers,
  after: Parameters<OfficeOptions['connections']>[0],
  limit: number,
  of: SessionsOf,
): Promise<Connections> {
  const posts = [...workers].sort(([a], [b]) => a - b).filter(([worker]) => worker >= after.worker);
  let partial = false;
  const asked = posts.map(async ([worker, post]) => {
    const query = { after: worker === after.worker ? after.number : 0, limit, ...of };
    const answer = await post.ask((ticket) => ({ type: 'connections', ticket, query }), LOOK_MS).catch(() => undefined);
    partial ||= answer === undefined;
    return (answer?.sessions ?? []).map((facts) => ({ ...facts, worker }));
  });
  const sessions = (await Promise.all(asked)).flat().slice(0, limit);
  return { sessions, partial };
}

/** Ends one connection, or all of a device; returns how many there were. */
export async function disconnect(workers: Workers, what: Parameters<OfficeOptions['disconnect']>[0], by: string): Promise<number> {
  const { device, number } = 'device' in what ? { ...what, number: 0 } : { ...what, device: '' };
  const posts = [...workers].filter(([slot]) => !('worker' in what) || slot === what.worker);
  const asked = posts.map(([, post]) =>
    post.ask((ticket) => ({ type: 'disconnect', ticket, device, number, by }), LOOK_MS).then(({ counts }) => counts['closed'] ?? 0),
  );
  const closed = await Promise.all(asked.map((one) => one.catch(() => 0)));
  return closed.reduce((sum, count) => sum + count, 0);
}
