import { jsonOf } from '../../../base/json.ts';
import type { Batch } from '../sink.ts';

/**
 * What of a batch goes to streams of recipients as well (docs/formats/stream.md): as part of the same transaction, so that nothing is lost
 * there or doubled that is not in the common streams.
 *
 * 1. Nothing that is marked relay, or that the common streams leave out as sent again.
 * 2. What was measured before its device was of its account, and sent later, is not passed on: it is of who had the device then.
 * 3. Of a consent to some fields, records have those, and who, when and what they are; one that has none of them is left out, and so
 *    are events, which may say anything.
 */
interface Route {
  readonly recipient: string;
  /** What was received before is not for it, epoch ms. */
  readonly since: number;
  /** Absent: everything, events too. */
  readonly fields?: ReadonlySet<string> | undefined;
}

/** As it is for one batch. */
export interface Passing {
  /** Of records that came while their device was of that account. */
  routes(account: string): readonly Route[];
  /** Was the device of the account when this was received, and when it was measured? Epoch ms. */
  owns(account: string, device: string, received: number, measured: number): boolean;
}

export interface Recipients {
  /** Undefined: there are none. Rejects when it cannot be known. */
  passing(batch: Batch): Promise<Passing | undefined>;
  /** Ids, as last known. */
  readonly ids: readonly string[];
}

/** A record or event that is passed on. */
export interface Copy {
  readonly recipient: string;
  /** Undefined: as it is in the common stream. */
  readonly json: string | undefined;
}

/** So long after a device was passed on, commands of who had it before may still end. */
const OLD_COMMANDS_MS = 31 * 86_400_000;
const NONE: readonly Copy[] = [];
/** Fields that every record has, or that say how the others are to be read. */
const ALWAYS = new Set(['id', 'device', 'account', 'protocol', 'time', 'received', 'device_time', 'flags']);
const PLACE = new Set(['valid', 'lat', 'lon']);

export function copiesOfRow(passing: Passing, batch: Batch, row: number): readonly Copy[] {
  const { rows, relayedRows } = batch;
  const account = rows.account[row] ?? '';
  const routes = passing.routes(account);
  if (routes.length === 0 || relayedRows.has(row)) return NONE;
  const received = rows.received[row] ?? 0;
  if (!passing.owns(account, rows.device[row] ?? '', received, rows.time[row] ?? 0)) return NONE;
  const copies: Copy[] = [];
  for (const { recipient, since, fields } of routes) {
    if (received < since) continue;
    const json = fields === undefined ? undefined : masked(rows.json(row), fields);
    if (json !== '') copies.push({ recipient, json });
  }
  return copies;
}

export function copiesOfEvent(passing: Passing, { events, relayedEvents }: Batch, event: number): readonly Copy[] {
  const account = events.account[event] ?? '';
  const routes = passing.routes(account);
  if (routes.length === 0 || relayedEvents.has(event)) return NONE;
  const received = events.received[event] ?? 0;
  const begun = received - (events.type[event] === 'command' ? OLD_COMMANDS_MS : 0);
  if (!passing.owns(account, events.device[event] ?? '', received, begun)) return NONE;
  return routes
    .filter(({ since, fields }) => fields === undefined && received >= since)
    .map(({ recipient }) => ({ recipient, json: undefined }));
}

/** A record with these fields; '' when it has none of them. */
function masked(json: string, fields: ReadonlySet<string>): string {
  const { kind, attrs, ...record }: Record<string, unknown> = Object(jsonOf(json));
  const isPlaced = fields.has('place') && kind === 'fix';
  const passed = Object.entries(record).filter(([name]) => (PLACE.has(name) ? isPlaced : fields.has(name)));
  const values = Object.entries(Object(attrs)).filter(([name]) => fields.has(name));
  if (passed.length + values.length === 0) return '';
  const kept = Object.entries(record).filter(([name]) => ALWAYS.has(name) || (PLACE.has(name) ? isPlaced : fields.has(name)));
  // Without its place a fix is a status: it says so by its kind.
  return JSON.stringify({ kind: isPlaced ? 'fix' : 'status', ...Object.fromEntries(kept), attrs: Object.fromEntries(values) });
}
