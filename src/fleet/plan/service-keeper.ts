import type { Op, StateStore } from '../../state/store.ts';
import { DEVICES, type Device } from '../registry/device.ts';
import { advance, isForgotten, nextChange, SERVICE, SETTLED_KEY, type ServiceRow, withEnding } from './service.ts';

/**
 * Keeps the rows of the table `service`, and announces what has become of a service. Runs in the supervisor: `step-keeper.ts` has it look at each
 * device that has changed, and at each date that passes.
 *
 * 1. A change by a caller and what it means for the service are one write (`changed`). What a device or time has changed is written on the
 *    condition that the row is as it was read: of several servers on one store one does it.
 * 2. News are announced by the server that has claimed them, once; one that was killed meanwhile does it when it is back, or another after
 *    `ANNOUNCING_MS`. That can be the second time.
 * 3. Devices of before there was the table get a row without news.
 */
const ANNOUNCING_MS = 30_000;
const DAY_MS = 86_400_000;
const AGAIN_MS = 1_000;
const MOST_KNOWN = 500_000;

export interface ServiceKeeperOptions {
  readonly store: StateStore;
  /** Identity of this installation: several may share the store. */
  readonly instance: string;
  /** Journals an event of a device. */
  readonly record: (device: string, event: object) => void;
}

export class ServiceKeeper {
  readonly #o: ServiceKeeperOptions;
  /** What was looked at, by device: nothing is new while it is the same. */
  readonly #known = new Map<string, string>();
  #isSettled = false;

  constructor(options: ServiceKeeperOptions) {
    this.#o = options;
  }

  /** The row of the device has changed. */
  told(device: string | undefined): void {
    if (device === undefined) this.#known.clear();
    else this.#known.delete(device);
  }

  /** Every device has been looked at once. */
  async settled(): Promise<void> {
    if (this.#isSettled) return;
    await this.#o.store.write([{ table: 'service', key: SETTLED_KEY, put: '{}' }]);
    this.#isSettled = true;
  }

  /** `noticeDays`: how long before its end a service is said to end. Returns when to look again, epoch ms. */
  async look(id: string, device: Device | undefined, now: number, noticeDays: number): Promise<number> {
    const due = this.#dueOf(device, now, noticeDays);
    const seen = JSON.stringify([
      device?.state,
      device?.activates_at,
      device?.expires_at,
      device?.first_seen,
      device?.plan,
      device?.account,
      device?.provisional,
      due,
    ]);
    if (this.#known.get(id) === seen) return due;
    const { store, instance, record } = this.#o;
    const text = await store.get('service', id);
    const row = SERVICE.parse(id, text);
    const isNew = text === undefined && (this.#isSettled ||= (await store.get('service', SETTLED_KEY)) !== undefined);
    const moved = withEnding(advance(row, device, now, { by: 'time', reason: '' }, !isNew), device, now, noticeDays * DAY_MS);
    if (moved === undefined) return due;
    const { announcing, ...rest } = moved;
    // Invariant 2.
    if (row !== undefined && row.news.length > 0 && announcing !== undefined && announcing.by !== instance && announcing.until > now)
      return announcing.until;
    if (moved !== row || moved.news.length > 0) {
      const claimed: ServiceRow = moved.news.length === 0 ? rest : { ...rest, announcing: { by: instance, until: now + ANNOUNCING_MS } };
      const claim = JSON.stringify(claimed);
      // Another server was first, or a caller has changed it: what it is now is looked at again.
      if (!(await store.write([SERVICE.expect(text, id), { table: 'service', key: id, put: claim }]))) return now + AGAIN_MS;
      for (const event of moved.news) record(id, event);
      const done = isForgotten(rest) ? SERVICE.remove(id) : SERVICE.put({ ...rest, news: [] }, id);
      if (moved.news.length > 0) await store.write([SERVICE.expect(claim, id), done]);
    }
    if (this.#known.size >= MOST_KNOWN) this.#known.clear();
    this.#known.set(id, seen);
    return due;
  }

  #dueOf(device: Device | undefined, now: number, noticeDays: number): number {
    const notice = (device?.expires_at ?? 0) - noticeDays * DAY_MS;
    return Math.min(nextChange(device, now), notice > now ? notice : Number.POSITIVE_INFINITY);
  }
}

/** Invariant 1: what a caller's change of a device means for its service, as steps of the same write. */
export async function serviceOps(
  store: Pick<StateStore, 'get'>,
  now: number,
  [before, after]: readonly [Device | undefined, Device | undefined],
  by: string,
): Promise<readonly Op[]> {
  const id = after?.id ?? before?.id ?? '';
  const text = await store.get('service', id);
  const row = SERVICE.parse(id, text);
  const reason = after?.reason !== undefined && after.reason !== before?.reason ? after.reason : '';
  const was = before === undefined ? row : advance(row, before, now, { by: 'time', reason: '' }, true);
  const moved = advance(was, after, now, { by, reason });
  return moved === row || moved === undefined ? [] : [SERVICE.expect(text, id), SERVICE.put(moved, id)];
}

/** The row as `GET /v1/devices/{id}/service` shows it; of a device without one, what it would be. */
export async function readService(store: Pick<StateStore, 'get'>, id: string, now: number): Promise<ServiceRow | undefined> {
  const row = await SERVICE.get(store, id);
  return advance(row, DEVICES.read(await store.get('devices', id)), now, { by: 'time', reason: '' }, true);
}
