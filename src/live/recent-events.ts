import type { EventJson } from '../out/record/event.ts';

/** The last events of this server, for while the database is away; and each of them once, however often the shipper reads it. */
const MOST = 1_000;

/** Commands whose replies may say where the device is. */
const PLACES: readonly unknown[] = ['locate', 'custom'];

/** The reply to a command, or what was read of it, may say where the device is. A text message says that with any command. */
export function mayTellPlace(command: unknown, reply: unknown, values: unknown): boolean {
  const read = typeof values === 'object' && values !== null ? Object.keys(values) : [];
  const isEmpty = (reply === undefined || reply === '') && read.length === 0;
  return !isEmpty && (PLACES.includes(command) || read.includes('lat') || read.includes('lon'));
}

export interface RecentQuery {
  readonly device?: string | undefined;
  readonly types: readonly string[];
  readonly from: number;
  readonly to: number;
  readonly before?: { readonly time: number; readonly id: string } | undefined;
  readonly limit: number;
}

export class RecentEvents {
  readonly #events = new Map<string, EventJson>();

  /** False: it is known. */
  add(event: EventJson): boolean {
    if (this.#events.has(event.id)) return false;
    this.#events.set(event.id, event);
    if (this.#events.size > MOST) for (const first of [...this.#events.keys()].slice(0, MOST / 10)) this.#events.delete(first);
    return true;
  }

  /** Of a device that was erased, or must not be seen. */
  remove(device: string): void {
    for (const [id, event] of this.#events) if (event.device === device) this.#events.delete(id);
  }

  /** Newest first. */
  list({ device, types, from, to, before, limit }: RecentQuery, sees: (event: EventJson) => boolean = () => true): EventJson[] {
    return [...this.#events.values()]
      .filter(
        (event) =>
          (device === undefined || event.device === device) &&
          sees(event) &&
          (types.length === 0 || types.includes(event.type)) &&
          event.time >= from &&
          event.time <= to &&
          (before === undefined || event.time < before.time || (event.time === before.time && event.id < before.id)),
      )
      .sort((a, b) => b.time - a.time || (a.id < b.id ? 1 : -1))
      .slice(0, limit);
  }
}

/** The event for callers that may not see where devices are: a place, or a reply that may say so, is left out. */
export function withoutPlace(event: EventJson): EventJson {
  const { reply, values, lat, lon, accuracy_m, ...data } = event.data;
  const isPlace = event.type === 'located' && lat !== undefined;
  const isReply = event.type === 'command' && mayTellPlace(data['command'], reply, values);
  return isPlace || isReply ? { ...event, data: { ...data, withheld: true } } : event;
}
