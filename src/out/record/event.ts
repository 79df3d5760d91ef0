import { jsonOf } from '../../base/json.ts';
import { plainText } from '../../base/wire/index.ts';

/**
 * An event as consumers get it: in the stream, in the table `events` and in an export of a device.
 *
 *     {"version":1,"id","kind":"event","device","account","time","received","protocol","type","data":{…}}
 *
 * 1. What the host says of an event and what the event says itself are in namespaces of their own: whatever a producer names
 *    its fields, no key stands twice. The journal keeps `{"type":…, …own fields}`, in which `type` alone is taken.
 * 2. All keys are always there: `device`, `account` and `protocol` are '' where there is none.
 * 3. Its texts are plain (`plainText` in wire), whatever was journaled: stream and table hold the same.
 *
 * Entries without a version had the event's own fields beside the host's, and of two with one name the event's stood last.
 */
export const EVENT_VERSION = 1;

export interface Event {
  /** 16 hex digits. */
  readonly id: string;
  readonly device: string;
  readonly account: string;
  /** When it happened and when it was journaled, epoch ms. */
  readonly time: number;
  readonly received: number;
  readonly protocol: string;
  readonly type: string;
  /** Its own fields: the text of a JSON object. */
  readonly data: string;
}

/** The JSON form, as an object. */
export interface EventJson {
  readonly version: number;
  readonly id: string;
  readonly kind: 'event';
  readonly device: string;
  readonly account: string;
  readonly time: number;
  readonly received: number;
  readonly protocol: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

const plainValue = (_: string, value: unknown): unknown => (typeof value === 'string' ? plainText(value) : value);

/** An event as it is journaled; undefined if the text is not a JSON object with a type. */
export function readEvent(text: string): Pick<Event, 'type' | 'data'> | undefined {
  try {
    const value: unknown = JSON.parse(text, plainValue);
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !('type' in value)) return undefined;
    const { type, ...own } = value;
    return typeof type === 'string' && type !== '' ? { type, data: JSON.stringify(own) } : undefined;
  } catch {
    return undefined;
  }
}

/** An entry of the audit (docs/audit.md) as it is journaled: host and own fields are apart as in an event; undefined if it is not one. */
export function readAudit(text: string): Omit<Event, 'received' | 'protocol'> | undefined {
  const event = readEvent(text);
  const { id, time, device = '', account = '', ...own } = Object(jsonOf(event?.data ?? ''));
  if (event === undefined || typeof id !== 'string' || !/^[0-9a-f]{16}$/.test(id) || !Number.isSafeInteger(time)) return undefined;
  return { id, device: String(device), account: String(account), time, type: event.type, data: JSON.stringify(own) };
}

export function eventObject({ id, device, account, time, received, protocol, type, data }: Event): EventJson {
  return { version: EVENT_VERSION, id, kind: 'event', device, account, time, received, protocol, type, data: Object(jsonOf(data)) };
}

export function eventJson({ id, device, account, time, received, protocol, type, data }: Event, kind: 'event' | 'audit' = 'event'): string {
  const head = `{"version":${EVENT_VERSION},"id":"${id}","kind":"${kind}","device":${JSON.stringify(device)},"account":${JSON.stringify(account)}`;
  return `${head},"time":${time},"received":${received},"protocol":${JSON.stringify(protocol)},"type":${JSON.stringify(type)},"data":${data}}`;
}
