import { isErased, type Stretch } from '../../base/erased.ts';
import { HASH, hash64 } from '../../base/wire/index.ts';
import { EntryKind, type EntryView } from '../../journal/entry.ts';
import { parseUsage } from '../../journal/usage.ts';
import { type EventJson, eventObject, readAudit, readEvent } from '../record/event.ts';
import type { Batch } from '../sink/sink.ts';
import type { Decoder } from './decoder.ts';

/**
 * Adds what a journal entry holds to a batch; kinds that are not delivered add nothing. Returns why the entry could not be read
 * (in full), or ''. `instance` is part of an event's id. Nothing of what was `erased` is added.
 */
export function takeEntry(
  batch: Batch,
  slot: string,
  entry: EntryView,
  decoder: Decoder,
  instance: string,
  erased?: readonly Stretch[],
): string {
  if (erased !== undefined && isErased(erased, entry.account, entry.received)) return '';
  if (entry.kind === EntryKind.Event) return takeEvent(batch, slot, entry, instance);
  if (entry.kind === EntryKind.Usage) return takeUsage(batch, slot, entry, instance);
  if (entry.kind === EntryKind.Audit) return takeAudit(batch, slot, entry);
  if (entry.kind !== EntryKind.Frame) return '';
  const reason = decoder.decode(entry, batch.rows, slot, erased);
  batch.locate(slot, entry.sequence);
  return reason;
}

function takeEvent(batch: Batch, slot: string, entry: EntryView, instance: string): string {
  const event = readEvent(entry.bytes.toString('utf8', entry.start, entry.end));
  if (event === undefined) return 'an event that is not a JSON object with a type';
  const { device, received, codec: protocol, account } = entry;
  const id = idOf(slot, entry, instance);
  batch.events.push({ ...event, id, device, account, time: received, received, protocol }, slot, entry.sequence);
  return '';
}

/** The event of an entry of that kind; undefined if it cannot be read. */
export function eventOf(slot: string, entry: EntryView, instance: string): EventJson | undefined {
  const event = readEvent(entry.bytes.toString('utf8', entry.start, entry.end));
  if (event === undefined) return undefined;
  const { device, received, codec: protocol, account } = entry;
  return eventObject({ ...event, id: idOf(slot, entry, instance), device, account, time: received, received, protocol });
}

function takeUsage(batch: Batch, slot: string, entry: EntryView, instance: string): string {
  const traffic = parseUsage(entry.bytes.toString('utf8', entry.start, entry.end));
  if (traffic === undefined) return 'a usage entry that is not a JSON object of counters';
  batch.usage.push(entry.device, entry.account, idOf(slot, entry, instance), entry.received, traffic, slot, entry.sequence);
  return '';
}

/** Its id and time are its own: both entries of a change have the same. */
function takeAudit(batch: Batch, slot: string, entry: EntryView): string {
  const found = readAudit(entry.bytes.toString('utf8', entry.start, entry.end));
  if (found === undefined) return 'an audit entry that is not a JSON object with id, time and type';
  batch.audit.push({ ...found, received: entry.received, protocol: '' }, slot, entry.sequence);
  return '';
}

/** The same may happen twice in a millisecond: its place in the journal tells the two apart. */
export function idOf(slot: string, entry: EntryView, instance: string): string {
  hash64(`${instance} ${slot} ${entry.sequence} ${entry.device}`, entry.bytes, entry.start, entry.end);
  return HASH.high.toString(16).padStart(8, '0') + HASH.low.toString(16).padStart(8, '0');
}
